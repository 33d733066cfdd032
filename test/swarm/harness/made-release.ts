/**
 * Releases that no honest publisher makes: whatever blobs they name, signed as they have to be. For a bare
 * peer to serve (bare-release.ts).
 */
import { concatBytes } from '../../../src/base/bytes.ts'
import { type PublisherKeys, publisherKeys } from '../../../src/crypto/key-schedule.ts'
import { padChunk, referenceId, sealChunk } from '../../../src/wire/blob.ts'
import { CHUNK_BYTES } from '../../../src/wire/constants.ts'
import { signHead } from '../../../src/wire/head.ts'
import { encodeRoot } from '../../../src/wire/manifest-encode.ts'
import { BareChannel } from './bare-crypto.ts'
import { type BareRelease, readHead } from './bare-release.ts'

/** One blob, as whoever has the link of its channel knows it. */
export interface MadeBlob {
  readonly reference: Uint8Array
  readonly sealed: Uint8Array
}

export interface MadeRelease {
  readonly keys: PublisherKeys
  readonly channel: BareChannel
  readonly release: BareRelease
  /** Those of its files, in their order. */
  readonly blobs: readonly MadeBlob[]
}

/** A blob full of one byte, sealed for the channel of a seed. */
export function makeBlob(seed: Uint8Array, content: number): MadeBlob {
  return sealChunk(new Uint8Array(CHUNK_BYTES).fill(content), publisherKeys(seed).convergenceSecret)
}

/** Release 1 of a channel: each blob is a file of its own. @param blobs - of whatever channels. */
export function makeRelease(seed: Uint8Array, title: string, blobs: readonly MadeBlob[]): MadeRelease {
  const keys = publisherKeys(seed)
  const root = encodeRoot({
    ...{ title, time: Date.now(), files: blobs.length, bytes: blobs.length * CHUNK_BYTES },
    blobs: concatBytes(...blobs.map(({ reference }) => reference)),
    entries: blobs.map((_, blob) => ({
      ...{ path: `file-${blob}`, size: CHUNK_BYTES, start: null },
      extents: [{ blob, offset: 0, length: CHUNK_BYTES }],
    })),
  })
  const top = sealChunk(padChunk(root), keys.convergenceSecret)
  const head = signHead(
    {
      ...{ releaseNumber: 1, revision: 0, signedAt: Date.now(), root: top.reference },
      ...{ previousHash: null, successorKey: null, addresses: [] },
    },
    keys.signingKey,
  )
  const channel = new BareChannel(keys.publicKey)
  const named = [top, ...blobs].map(
    ({ reference, sealed }) =>
      [Buffer.from(referenceId(reference)).toString('hex'), Buffer.from(sealed)] as const,
  )
  const release: BareRelease = {
    head: readHead(channel, Buffer.from(head.bytes)),
    title,
    files: new Map(),
    blobs: new Map(named),
    order: named.map(([id]) => id),
  }
  return { keys, channel, release, blobs }
}
