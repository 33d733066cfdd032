/**
 * The vectors of heads and slots, and heads made for a test.
 *
 * @module test/unit/wire/head-input
 */
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import { type Head, type HeadFields, signHead } from '../../../src/wire/head.ts'
import { hex, readOwnVectors } from '../../reference/shared-vectors.ts'

export interface HeadVectors {
  readonly channelKey: string
  readonly seed: string
  readonly root: string
  readonly valid: readonly {
    readonly name: string
    readonly bytes: string
    readonly releaseNumber: number
    readonly revision: number
    readonly signedAt: number
    readonly isUnpublished: boolean
    readonly previousHash: string | null
    readonly successorKey: string | null
    readonly addresses: readonly string[]
  }[]
  readonly invalid: readonly { readonly why: string; readonly bytes: string; readonly code: string }[]
  readonly slots: readonly {
    readonly channel: string
    readonly seed: string
    readonly readKey: string
    readonly day: number
    readonly replica: number
    readonly head: string
    readonly slotKey: string
    readonly seq: number
    readonly value: string
    readonly signature: string
    readonly target: string
  }[]
}

export const VECTORS = readOwnVectors<HeadVectors>('heads.json')
export const SIGNER = new SigningKey(hex(VECTORS.seed))
export const ROOT = hex(VECTORS.root)

export function makeHead(changes: Partial<HeadFields> = {}, signer = SIGNER): Head {
  const fields = {
    releaseNumber: 1,
    revision: 0,
    signedAt: 5,
    root: ROOT,
    previousHash: null,
    successorKey: null,
    addresses: [],
  }
  return signHead({ ...fields, ...changes }, signer)
}
