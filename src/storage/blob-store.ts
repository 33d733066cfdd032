/**
 * The blob store: sealed blobs by their ids (PROTOCOL_FINAL.md §4.1), durable when
 * acknowledged.
 *
 * Everything in bulk happens away from the main thread. To be fast, have many
 * calls under way at a time: writes share their syncs, and a call that is waited for
 * before the next is made waits for the disk alone. Thirty-two sealing jobs cost a
 * few KiB; a `put` holds its 1 MiB until it is written.
 *
 * Implementations: storage/fs-blob-store.ts, storage/memory-blob-store.ts. What each
 * must do is in test/compliance/blob-store.ts.
 *
 * @module storage/blob-store
 */
import type { SealedFrame } from '../crypto/sealed-frame.ts'
import type { BlobLease } from './blob-leases.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { FilePiece } from './file-pieces.ts'
import type { StoreLimits, StoreRoom } from './store-limits.ts'
import type { BlobHealth } from './worker-tasks.ts'

export type { BlobHealth, BlobLease, FilePiece, StoreLimits, StoreRoom }

/** A held blob and when it came, ms since 1970. */
export interface HeldBlob {
  readonly id: Uint8Array
  readonly storedAt: number
}

/** Where the content of a blob goes, and the key that opens it. */
export interface Placement {
  /** 32 bytes. */
  readonly key: Uint8Array
  /** Existing files, or such as a piece says to `create`; symlinks are not followed. */
  readonly pieces: readonly FilePiece[]
}

export interface PutOptions {
  /** Open it too and write its content, unsynced. */
  readonly place?: Placement | null
  /** Called when it was found to be that blob and is on the disk: its memory is free, it is not yet held. */
  readonly onWritten?: () => void
}

export interface PutResult {
  /**
   * Why the content could not be written to its place, as `openTo` throws it, though the blob is kept;
   * null when it was written, or had no place. After an error nothing is known about the place.
   */
  readonly placeError: Error | null
}

/** A chunk to be sealed, read from files. */
export interface SealJob {
  /** What they do not cover is zero. */
  readonly sources: readonly FilePiece[]
  /** 32 bytes: the publisher's secret (§3.2). */
  readonly convergenceSecret: Uint8Array
}

export interface SealedChunk {
  /** SHA-256 of the sealed bytes. */
  readonly id: Uint8Array
  readonly key: Uint8Array
  /** SHA-256 of the padded chunk. */
  readonly chunkHash: Uint8Array
  /** Was it not held before? True for one of several equal chunks sealed at a time. */
  readonly isNew: boolean
}

/** A slice of a file to be hashed; at most one chunk long. */
export type HashPiece = Omit<FilePiece, 'chunkOffset'>

export interface ReadOptions {
  /**
   * Hash what was read, so that a copy that our disk has changed is not passed on. Default true;
   * 0.6 ms of a worker.
   */
  readonly check?: boolean
}

/**
 * Every call rejects with ERR_STORE_CLOSED after `close`, with an error of kind
 * 'storage' when the disk fails, and with ERR_WORKER_CRASHED when the thread that
 * did it ended; the last two leave the store as it was.
 */
export interface BlobStore {
  /** Held blobs. */
  readonly count: number
  /** Bytes of the held blobs. */
  readonly bytes: number
  /**
   * Resolves, and never rejects, when every blob that a crash left without a record is held or gone.
   * Whoever decides what to fetch waits for it: such a blob is not held before, and would come twice.
   */
  readonly recovered: Promise<unknown>
  /** Where `read`, `open` and `put` take and leave their memory. Receive into `take()`, give back what was sent. */
  readonly buffers: BufferPool

  /** Is the blob held, durably? Some 5 microseconds. */
  has(id: Uint8Array): boolean

  /**
   * The sealed bytes, or null when the blob is not held. The caller owns them and may give them to `buffers`.
   *
   * @throws MegatorrentError ERR_BLOB_DAMAGED when our copy is not what it was.
   */
  read(id: Uint8Array, options?: ReadOptions): Promise<Uint8Array | null>

  /**
   * Keep a blob that came from a peer; resolves when it is durable.
   *
   * @param sealed - BLOB_BYTES, or the frame in which they came. Ownership passes: its memory may be
   *   handed to another thread at once.
   * @throws MegatorrentError ERR_FRAME_OPEN (kind 'peer': what came was changed on its way),
   *   ERR_BLOB_SIZE, ERR_BLOB_ID (kind 'peer': it is not that blob; nothing is kept),
   *   ERR_BLOB_OPEN (kind 'integrity': with `place`, the publisher's fault; nothing is kept),
   *   ERR_STORE_FULL, ERR_DISK_FULL.
   */
  put(id: Uint8Array, sealed: Uint8Array | SealedFrame, options?: PutOptions): Promise<PutResult>

  /**
   * Read, seal and keep one chunk; resolves when it is durable.
   *
   * @throws MegatorrentError ERR_SOURCE_CHANGED, ERR_STORE_FULL, ERR_DISK_FULL or others of kind 'storage'.
   */
  sealChunk(job: SealJob): Promise<SealedChunk>

  /** The same for a chunk in memory, of at most CHUNK_BYTES and padded with zeros. `chunk` is copied. */
  sealBytes(chunk: Uint8Array, convergenceSecret: Uint8Array): Promise<SealedChunk>

  /**
   * The content, CHUNK_BYTES, or null when the blob is not held. The caller owns it and may give it to `buffers`.
   *
   * @throws MegatorrentError ERR_BLOB_OPEN (kind 'integrity'), ERR_BLOB_DAMAGED.
   */
  open(id: Uint8Array, key: Uint8Array): Promise<Uint8Array | null>

  /**
   * Open a held blob and write slices of it into existing files, unsynced.
   *
   * @returns false when the blob is not held: nothing is written then.
   * @throws MegatorrentError ERR_BLOB_OPEN, ERR_BLOB_DAMAGED, ERR_FILE_ACCESS, ERR_DISK_FULL or others of
   *   kind 'storage'; some slices may then be written.
   */
  openTo(id: Uint8Array, key: Uint8Array, pieces: readonly FilePiece[]): Promise<boolean>

  /**
   * SHA-256 of slices of files, in the order given; many small files are one task.
   *
   * @throws MegatorrentError ERR_SOURCE_CHANGED or others of kind 'storage'.
   */
  hashPieces(pieces: readonly HashPiece[]): Promise<Uint8Array[]>

  /**
   * Hash a held blob; no reason to spare it. 'bad' ones are to be deleted, then fetched again: they are still
   * held, except those whose file somebody removed.
   */
  verify(id: Uint8Array): Promise<BlobHealth>

  /**
   * Delete blobs, in batches between which writes go on.
   *
   * @returns how many were held.
   */
  delete(ids: Iterable<Uint8Array>): Promise<number>

  /** Ids of held blobs in ascending order, read in pages; what changes meanwhile may or may not show. */
  ids(): Generator<Uint8Array, void, void>

  /** The same with the time since when each is held. */
  held(): Generator<HeldBlob, void, void>

  /**
   * As long as it is open, every blob that is written, read or found held, by anybody, is spared by
   * `collect`. Open one before relying on held blobs that the database does not know to be needed.
   */
  openLease(): BlobLease

  /**
   * Delete those of these blobs that no open lease has noted, in batches between which writes go on.
   * Reads are never waited for.
   *
   * @returns how many were held and are gone.
   */
  collect(ids: Iterable<Uint8Array>): Promise<number>

  /** Bytes that may still be written before quota or floor is reached; 0 when one is passed. */
  room(): Promise<StoreRoom>

  /** Quota and floor. */
  readonly limits: StoreLimits

  /** Quota and floor, from now on. */
  setLimits(limits: StoreLimits): void

  /** Finish what is under way. Idempotent. */
  close(): Promise<void>
}
