/**
 * A blob store in memory: for tests and simulations of what stands on a store.
 * Same promises as the one on disk but durability; the same compliance suite.
 *
 * @module storage/memory-blob-store
 */
import { assertBytes, compareBytes, fromHex, toHex } from '../base/bytes.ts'
import { isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import { blobKey } from '../crypto/blob-key.ts'
import { sha256 } from '../crypto/hash.ts'
import { openFrame, type SealedFrame } from '../crypto/sealed-frame.ts'
import { blobId, openBlob, padChunk, sealChunkWithKey, verifyBlob } from '../wire/blob.ts'
import { BLOB_BYTES, BLOB_ID_BYTES, CHUNK_BYTES } from '../wire/constants.ts'
import { type BlobLease, BlobLeases } from './blob-leases.ts'
import type {
  BlobHealth,
  BlobStore,
  FilePiece,
  HashPiece,
  HeldBlob,
  PutOptions,
  PutResult,
  SealedChunk,
  SealJob,
  StoreLimits,
  StoreRoom,
} from './blob-store.ts'
import { BufferPool } from './buffer-pool.ts'
import { assertPieces, readPieces, readSlice, writePieces } from './file-pieces.ts'
import { systemTaskFs } from './task-fs.ts'

const UNLIMITED: StoreLimits = { maxBytes: Number.MAX_SAFE_INTEGER, minFreeBytes: 0 }

export class MemoryBlobStore implements BlobStore {
  readonly buffers = new BufferPool()
  /** Nothing is ever left here; a test may say that something was. */
  recovered: Promise<unknown> = Promise.resolve()
  readonly #blobs = new Map<string, Uint8Array>()
  readonly #leases = new BlobLeases()
  #limits: StoreLimits
  #closed = false

  /** @param limits - `maxBytes` counts; there is no floor of free memory. */
  constructor(limits: StoreLimits = UNLIMITED) {
    this.#limits = limits
  }

  get count(): number {
    return this.#blobs.size
  }

  get bytes(): number {
    return this.#blobs.size * BLOB_BYTES
  }

  has(id: Uint8Array): boolean {
    assertBytes(id, BLOB_ID_BYTES, 'id')
    const isHeld = this.#blobs.has(toHex(id))
    if (isHeld) this.#leases.note(id)
    return isHeld
  }

  async read(id: Uint8Array): Promise<Uint8Array | null> {
    return this.#use(id)?.slice() ?? null
  }

  async put(
    id: Uint8Array,
    sealed: Uint8Array | SealedFrame,
    { place = null, onWritten }: PutOptions = {},
  ): Promise<PutResult> {
    this.#assertOpen()
    if (place !== null) assertPieces(place.pieces)
    const blob = sealed instanceof Uint8Array ? sealed : openFrame(sealed)
    if (blob === null) throw new MegatorrentError('ERR_FRAME_OPEN', 'a frame did not open')
    verifyBlob(blob, id)
    const chunk = place === null ? null : openBlob(blob, place.key)
    this.#keep(id, blob.slice())
    onWritten?.()
    try {
      if (place !== null && chunk !== null) writePieces(systemTaskFs, place.pieces, chunk)
      return { placeError: null }
    } catch (error) {
      if (!isMegatorrentError(error)) throw error
      return { placeError: error }
    }
  }

  async sealChunk({ sources, convergenceSecret }: SealJob): Promise<SealedChunk> {
    this.#assertOpen()
    assertPieces(sources)
    const chunk = new Uint8Array(CHUNK_BYTES)
    readPieces(systemTaskFs, sources, chunk)
    return this.#seal(chunk, convergenceSecret)
  }

  async sealBytes(chunk: Uint8Array, convergenceSecret: Uint8Array): Promise<SealedChunk> {
    this.#assertOpen()
    return this.#seal(padChunk(chunk), convergenceSecret)
  }

  async open(id: Uint8Array, key: Uint8Array): Promise<Uint8Array | null> {
    const sealed = this.#use(id)
    return sealed === null ? null : openBlob(sealed, key)
  }

  async openTo(id: Uint8Array, key: Uint8Array, pieces: readonly FilePiece[]): Promise<boolean> {
    assertPieces(pieces)
    const chunk = await this.open(id, key)
    if (chunk === null) return false
    writePieces(systemTaskFs, pieces, chunk)
    return true
  }

  async hashPieces(pieces: readonly HashPiece[]): Promise<Uint8Array[]> {
    this.#assertOpen()
    return pieces.map((piece) => {
      assertPieces([{ ...piece, chunkOffset: CHUNK_BYTES - piece.length }])
      const bytes = new Uint8Array(piece.length)
      readSlice(systemTaskFs, piece, bytes)
      return sha256(bytes)
    })
  }

  async verify(id: Uint8Array): Promise<BlobHealth> {
    const sealed = this.#find(id)
    if (sealed === null) return 'missing'
    return compareBytes(blobId(sealed), id) === 0 ? 'ok' : 'bad'
  }

  async delete(ids: Iterable<Uint8Array>): Promise<number> {
    this.#assertOpen()
    let removed = 0
    for (const id of ids) {
      assertBytes(id, BLOB_ID_BYTES, 'id')
      if (this.#blobs.delete(toHex(id))) removed++
    }
    return removed
  }

  *ids(): Generator<Uint8Array, void, void> {
    for (const name of [...this.#blobs.keys()].sort()) {
      const id = fromHex(name, BLOB_ID_BYTES)
      if (id !== null && this.#blobs.has(name)) yield id
    }
  }

  async collect(ids: Iterable<Uint8Array>): Promise<number> {
    return this.delete([...ids].filter((id) => !this.#leases.isNoted(id)))
  }

  /** In the order in which they came: the place in the order is the time. */
  *held(): Generator<HeldBlob, void, void> {
    for (const [storedAt, name] of [...this.#blobs.keys()].entries()) {
      const id = fromHex(name, BLOB_ID_BYTES)
      if (id !== null && this.#blobs.has(name)) yield { id, storedAt }
    }
  }

  openLease(): BlobLease {
    return this.#leases.open()
  }

  async room(): Promise<StoreRoom> {
    const quotaBytes = Math.max(0, this.#limits.maxBytes - this.bytes)
    return { quotaBytes, diskBytes: Number.MAX_SAFE_INTEGER }
  }

  get limits(): StoreLimits {
    return this.#limits
  }

  setLimits(limits: StoreLimits): void {
    this.#limits = limits
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  #seal(chunk: Uint8Array, convergenceSecret: Uint8Array): SealedChunk {
    const chunkHash = sha256(chunk)
    const key = blobKey(convergenceSecret, chunkHash)
    const sealed = new Uint8Array(BLOB_BYTES)
    const id = sealChunkWithKey(chunk, key, sealed)
    return { id, key, chunkHash, isNew: this.#keep(id, sealed) }
  }

  #keep(id: Uint8Array, sealed: Uint8Array): boolean {
    const name = toHex(id)
    this.#leases.note(id)
    if (this.#blobs.has(name)) return false
    if (this.bytes + BLOB_BYTES > this.#limits.maxBytes) {
      throw new MegatorrentError(
        'ERR_STORE_FULL',
        `the store holds its limit of ${this.#limits.maxBytes} bytes`,
      )
    }
    this.#blobs.set(name, sealed)
    return true
  }

  #use(id: Uint8Array): Uint8Array | null {
    const sealed = this.#find(id)
    if (sealed !== null) this.#leases.note(id)
    return sealed
  }

  #find(id: Uint8Array): Uint8Array | null {
    this.#assertOpen()
    assertBytes(id, BLOB_ID_BYTES, 'id')
    return this.#blobs.get(toHex(id)) ?? null
  }

  #assertOpen(): void {
    if (this.#closed) throw new MegatorrentError('ERR_STORE_CLOSED', 'the store is closed')
  }
}
