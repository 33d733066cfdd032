/**
 * What a gateway keeps of blobs for others, and where: storage and the node implement
 * it. Nothing says who gave a blob, or of which release it is.
 *
 * @module discovery/gateway/kept-blobs
 */
import type { SealedFrame } from '../../crypto/sealed-frame.ts'

export interface KeptBlob {
  /** BLOB_ID_BYTES. */
  readonly id: Uint8Array
  /** ms since 1970: no more than garbage then. */
  readonly until: number
}

/** The list of what is kept. */
export interface KeptBlobList {
  all(): readonly KeptBlob[]
  /** Durable when it returns. */
  save(blobs: readonly KeptBlob[]): void
  remove(ids: readonly Uint8Array[]): void
}

/** The blobs themselves, beside those that the node holds for itself. */
export interface BlobShelf {
  has(id: Uint8Array): boolean
  /** Durable when it resolves. Rejects with kind 'peer' for what is not that blob: nothing is kept then. */
  put(id: Uint8Array, frame: SealedFrame): Promise<void>
  /** They are on no list any more: removed, unless the node needs them itself. Never rejects. */
  release(ids: readonly Uint8Array[]): Promise<void>
}

/** Asks the publisher for one of the blobs that it named, over the connection by which it did. */
export type AskBlob = (id: Uint8Array, signal: AbortSignal) => Promise<SealedFrame>
