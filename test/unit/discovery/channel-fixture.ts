/** A channel with heads, for tests of slots. */
import { randomBytes } from 'node:crypto'
import { type PublisherKeys, publisherKeys } from '../../../src/crypto/key-schedule.ts'
import { type Head, signHead } from '../../../src/wire/head.ts'

export function newChannel(readKey?: Uint8Array): PublisherKeys {
  return publisherKeys(Uint8Array.from(randomBytes(32)), readKey)
}

/** A head of a release; `root` tells releases apart. */
export function newHead(
  keys: PublisherKeys,
  releaseNumber: number,
  options: { readonly revision?: number; readonly root?: number; readonly signedAt?: number } = {},
): Head {
  return signHead(
    {
      releaseNumber,
      revision: options.revision ?? 0,
      signedAt: options.signedAt ?? 1_800_000_000_000,
      root: new Uint8Array(64).fill(options.root ?? releaseNumber),
      previousHash: null,
      successorKey: null,
      addresses: [],
    },
    keys.signingKey,
  )
}
