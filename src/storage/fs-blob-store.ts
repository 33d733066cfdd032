/**
 * The blob store on disk: one file a blob, and a table that says which are held.
 *
 * The way of a blob: temp file, fdatasync, rename (in a worker); then, for a
 * batch at a time, fsync of the folders and a transaction that adds the rows; then
 * the answer. So a row always has its file, whatever stops the process or the
 * machine, and what was acknowledged is still there afterwards.
 *
 * Deletion goes the other way, rows first, while nobody writes (write-gate.ts). A crash
 * in between leaves a file that the next start adopts: garbage again, but never
 * a row without its file.
 *
 * @module storage/fs-blob-store
 */
import { existsSync } from 'node:fs'
import { assertBytes } from '../base/bytes.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { errorMessage, isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import { ADOPT_PARALLEL, DELETE_BATCH_BLOBS } from '../base/limits.ts'
import { type Log, short, silentLog } from '../base/log.ts'
import { forEachLimited } from '../base/queue.ts'
import type { SealedFrame } from '../crypto/sealed-frame.ts'
import { wipe } from '../crypto/wipe.ts'
import { BLOB_BYTES, BLOB_ID_BYTES, CHUNK_BYTES } from '../wire/constants.ts'
import { blobPath } from './blob-files.ts'
import { clearTemp, prepareFolders, scanStore } from './blob-recovery.ts'
import type {
  BlobHealth,
  BlobStore,
  FilePiece,
  HashPiece,
  PutOptions,
  PutResult,
  ReadOptions,
  SealedChunk,
  SealJob,
} from './blob-store.ts'
import { BufferPool } from './buffer-pool.ts'
import { assertPieces } from './file-pieces.ts'
import { GroupCommit } from './group-commit.ts'
import { hashInBatches } from './hash-batches.ts'
import { type FreeBytes, StoreBudget, type StoreLimits, systemFreeBytes } from './store-limits.ts'
import type { BlobsTable } from './tables/blobs-table.ts'
import type { MetaTable } from './tables/meta-table.ts'
import { decodeTaskError } from './task-error.ts'
import type { TaskRunner } from './task-runner.ts'
import type { SealInput, WriteStatus } from './worker-tasks.ts'
import { WriteGate } from './write-gate.ts'

const CLEAN_STOP = 'blobs.clean_stop'
const SECRET_BYTES = 32
const PAGE_IDS = 1_000

export interface FsBlobStoreInit {
  /** The folder `blobs`, made if missing. */
  readonly root: string
  readonly tables: { readonly blobs: BlobsTable; readonly meta: MetaTable }
  /** Closed by its owner, after the store. */
  readonly runner: TaskRunner
  readonly limits: StoreLimits
  readonly clock?: Clock
  readonly log?: Log
  readonly freeBytes?: FreeBytes
}

/** What the start had to mend. */
export interface RecoveryReport {
  /** Unrecorded blobs that a crash left and that are held now. */
  readonly adopted: number
  /** Unrecorded files that were not what their name says, removed. */
  readonly discarded: number
  /** Recorded blobs that had no file, no longer recorded. */
  readonly droppedRows: number
}

export class FsBlobStore implements BlobStore {
  readonly buffers = new BufferPool()
  readonly #root: string
  readonly #table: BlobsTable
  readonly #meta: MetaTable
  readonly #runner: TaskRunner
  readonly #clock: Clock
  readonly #log: Log
  readonly #budget: StoreBudget
  readonly #gate = new WriteGate()
  readonly #commit: GroupCommit
  #count: number
  #writing = 0
  /** False once the files may hold something that the table does not. */
  #clean = true
  #closing: Promise<void> | null = null
  #recovered: Promise<RecoveryReport> = Promise.resolve({ adopted: 0, discarded: 0, droppedRows: 0 })

  private constructor(init: FsBlobStoreInit) {
    this.#root = init.root
    this.#table = init.tables.blobs
    this.#meta = init.tables.meta
    this.#runner = init.runner
    this.#clock = init.clock ?? systemClock
    this.#log = init.log ?? silentLog
    this.#budget = new StoreBudget(init.root, init.limits, this.#clock, init.freeBytes ?? systemFreeBytes)
    this.#count = this.#table.count()
    this.#commit = new GroupCommit({
      clock: this.#clock,
      writers: () => this.#writing,
      commit: (ids) => this.#makeHeld(ids),
    })
  }

  /**
   * Open the store; what a crash left is mended before this resolves, except that unrecorded blobs are
   * hashed in the background (`recovered`).
   */
  static async open(init: FsBlobStoreInit): Promise<FsBlobStore> {
    const complete = prepareFolders(init.root)
    clearTemp(init.root)
    const wasClean = init.tables.meta.remove(CLEAN_STOP)
    const trusted = wasClean && complete
    const scan = trusted ? null : scanStore(init.root, init.tables.blobs)
    const store = new FsBlobStore(init)
    if (scan !== null) store.#recovered = store.#adopt(scan.orphans, scan.droppedRows)
    return store
  }

  /** Resolves when the store has mended everything; never rejects. */
  get recovered(): Promise<RecoveryReport> {
    return this.#recovered
  }

  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#count * BLOB_BYTES
  }

  has(id: Uint8Array): boolean {
    assertBytes(id, BLOB_ID_BYTES, 'id')
    return this.#table.has(id)
  }

  async read(id: Uint8Array, { check = true }: ReadOptions = {}): Promise<Uint8Array | null> {
    this.#assertOpen()
    if (!this.has(id)) return null
    const buffer = this.buffers.takeIdle()
    const { bytes } = await this.#runner.run(
      'read',
      { root: this.#root, id, check, buffer },
      { urgent: true },
    )
    if (bytes === null) this.#lost(id)
    return bytes
  }

  async put(
    id: Uint8Array,
    sealed: Uint8Array | SealedFrame,
    { place = null, onWritten }: PutOptions = {},
  ): Promise<PutResult> {
    this.#assertOpen()
    assertBytes(id, BLOB_ID_BYTES, 'id')
    if (place !== null) {
      assertBytes(place.key, SECRET_BYTES, 'key')
      assertPieces(place.pieces)
    }
    const isFrame = !(sealed instanceof Uint8Array)
    const frameKey = isFrame ? { key: sealed.key, nonce: sealed.nonce } : null
    const bytes = ownMemory(isFrame ? sealed.bytes : sealed)
    const { placeError } = await this.#write(async (mayWrite) => {
      const input = { root: this.#root, id, sealed: bytes, frameKey, place, mayWrite }
      const output = await this.#runner.run('put', input)
      if (frameKey !== null) wipe(frameKey.key) // the worker had a copy
      this.buffers.give(output.sealed)
      if (output.status !== 'refused') onWritten?.()
      return { id, status: output.status, placeError: output.placeError }
    })
    return { placeError: placeError === null ? null : decodeTaskError(placeError) }
  }

  async sealChunk({ sources, convergenceSecret }: SealJob): Promise<SealedChunk> {
    assertPieces(sources)
    return await this.#seal({ pieces: sources }, convergenceSecret)
  }

  async sealBytes(chunk: Uint8Array, convergenceSecret: Uint8Array): Promise<SealedChunk> {
    if (chunk.length > CHUNK_BYTES) {
      throw new RangeError(`"chunk" expected ${CHUNK_BYTES} bytes at most, got ${chunk.length}`)
    }
    return await this.#seal({ bytes: chunk.slice() }, convergenceSecret)
  }

  async open(id: Uint8Array, key: Uint8Array): Promise<Uint8Array | null> {
    this.#assertOpen()
    assertBytes(key, SECRET_BYTES, 'key')
    if (!this.has(id)) return null
    const buffer = this.buffers.takeIdle()
    const { bytes } = await this.#runner.run('open', { root: this.#root, id, key, buffer }, { urgent: true })
    if (bytes === null) this.#lost(id)
    return bytes
  }

  async openTo(id: Uint8Array, key: Uint8Array, pieces: readonly FilePiece[]): Promise<boolean> {
    this.#assertOpen()
    assertBytes(key, SECRET_BYTES, 'key')
    assertPieces(pieces)
    if (!this.has(id)) return false
    const found = await this.#runner.run('openTo', { root: this.#root, id, key, pieces })
    if (!found) this.#lost(id)
    return found
  }

  async hashPieces(pieces: readonly HashPiece[]): Promise<Uint8Array[]> {
    this.#assertOpen()
    return await hashInBatches(this.#runner, pieces)
  }

  async verify(id: Uint8Array): Promise<BlobHealth> {
    this.#assertOpen()
    if (!this.has(id)) return 'missing'
    const health = await this.#runner.run('verify', { root: this.#root, id })
    if (health === 'missing') this.#lost(id)
    return health
  }

  async delete(ids: Iterable<Uint8Array>): Promise<number> {
    let removed = 0
    let batch: Uint8Array[] = []
    for (const id of ids) {
      assertBytes(id, BLOB_ID_BYTES, 'id')
      batch.push(id)
      if (batch.length < DELETE_BATCH_BLOBS) continue
      removed += await this.#deleteBatch(batch)
      batch = []
    }
    return removed + (batch.length === 0 ? 0 : await this.#deleteBatch(batch))
  }

  *ids(): Generator<Uint8Array, void, void> {
    let after: Uint8Array | null = null
    for (;;) {
      const page: Uint8Array[] = this.#table.page(after, PAGE_IDS)
      yield* page
      after = page.at(-1) ?? null
      if (after === null || page.length < PAGE_IDS) return
    }
  }

  setLimits(limits: StoreLimits): void {
    this.#budget.setLimits(limits)
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish()
    return this.#closing
  }

  async #finish(): Promise<void> {
    await this.#recovered
    await this.#gate.remove(async () => {
      if (this.#clean) this.#meta.set(CLEAN_STOP, this.#clock.now())
    })
  }

  async #seal(source: SealInput['source'], convergenceSecret: Uint8Array): Promise<SealedChunk> {
    this.#assertOpen()
    assertBytes(convergenceSecret, SECRET_BYTES, 'convergenceSecret')
    const sealed = await this.#write((mayWrite) =>
      this.#runner.run('seal', { root: this.#root, source, convergenceSecret, mayWrite }),
    )
    return { id: sealed.id, key: sealed.key, chunkHash: sealed.chunkHash, isNew: sealed.isNew }
  }

  /** Run a task that may write a blob, and make what it wrote held. */
  #write<T extends { readonly id: Uint8Array; readonly status: WriteStatus }>(
    task: (mayWrite: boolean) => Promise<T>,
  ): Promise<T & { readonly isNew: boolean }> {
    return this.#gate.write(async () => {
      this.#assertOpen()
      const noPlace = await this.#budget.reserve(() => this.#count)
      let wrote = false
      try {
        const { output, held } = await this.#writeAndAdd(async () => {
          const result = await task(noPlace === null)
          if (result.status === 'refused')
            throw noPlace ?? new MegatorrentError('ERR_BUG', 'a write was refused')
          wrote = result.status === 'written'
          return result
        })
        return { ...output, isNew: await held }
      } catch (error) {
        // The worker may have renamed a file before it ended.
        if (isMegatorrentError(error, 'ERR_WORKER_CRASHED')) this.#clean = false
        throw error
      } finally {
        if (noPlace === null) this.#budget.release(wrote)
      }
    })
  }

  /**
   * Count as a writer until what was written is in a batch, so that no batch begins just before. `held`
   * is wrapped, since the caller waits for it after it stopped being a writer.
   */
  async #writeAndAdd<T extends { readonly id: Uint8Array }>(
    task: () => Promise<T>,
  ): Promise<{ readonly output: T; readonly held: Promise<boolean> }> {
    this.#writing++
    try {
      const output = await task()
      // A file without a row: another call is about to add it, or a batch failed after it was written.
      const held = this.#table.has(output.id) ? Promise.resolve(false) : this.#commit.add(output.id)
      return { output, held }
    } finally {
      this.#writing--
      this.#commit.check()
    }
  }

  /** One commit: folders, then rows. */
  async #makeHeld(ids: readonly Uint8Array[]): Promise<readonly Uint8Array[]> {
    try {
      const shards = [...new Set(ids.map((id) => id[0] ?? 0))]
      await this.#runner.run('syncShards', { root: this.#root, shards }, { urgent: true })
      const added = this.#table.add(ids, this.#clock.now())
      this.#count += added.length
      return added
    } catch (error) {
      this.#clean = false
      throw error
    }
  }

  #deleteBatch(ids: readonly Uint8Array[]): Promise<number> {
    return this.#gate.remove(async () => {
      this.#assertOpen()
      const removed = this.#table.remove(ids)
      this.#count -= removed.length
      try {
        await this.#runner.run('remove', { root: this.#root, ids: removed }, { urgent: true })
      } catch (error) {
        this.#clean = false
        throw error
      }
      return removed.length
    })
  }

  /** Hash what a crash left unrecorded and keep what is good. */
  async #adopt(orphans: readonly Uint8Array[], droppedRows: number): Promise<RecoveryReport> {
    const report = { adopted: 0, discarded: 0, droppedRows }
    if (droppedRows > 0) this.#log.warn('recorded blobs were missing on the disk', { blobs: droppedRows })
    try {
      await forEachLimited(orphans, ADOPT_PARALLEL, async (id) => {
        if (this.#closing !== null) this.#clean = false
        else if (await this.#adoptOne(id)) report.adopted++
        else report.discarded++
      })
    } catch (error) {
      // What was not adopted waits for the next start; it is no loss, since it was never acknowledged.
      this.#clean = false
      this.#log.warn('blobs of an earlier run could not be adopted', { reason: errorMessage(error) })
    }
    if (orphans.length > 0) this.#log.info('blobs of an earlier run were adopted', report)
    return report
  }

  #adoptOne(id: Uint8Array): Promise<boolean> {
    return this.#gate.write(async () => {
      const good = await this.#runner.run('adopt', { root: this.#root, id })
      if (good && !this.#table.has(id)) await this.#commit.add(id)
      return good
    })
  }

  /** A row had no file: whoever removed it, the blob is not held, and can be fetched again. */
  #lost(id: Uint8Array): void {
    // It may have come back since the worker looked.
    if (existsSync(blobPath(this.#root, id))) return
    const removed = this.#table.remove([id])
    this.#count -= removed.length
    if (removed.length > 0) this.#log.warn('a blob was missing on the disk', { blob: short(id) })
  }

  #assertOpen(): void {
    if (this.#closing !== null) throw new MegatorrentError('ERR_STORE_CLOSED', 'the store is closed')
  }
}

/** The same bytes in memory that holds nothing else, so that it can be handed to a worker. */
function ownMemory(bytes: Uint8Array): Uint8Array {
  const { buffer } = bytes
  return buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength ? bytes : bytes.slice()
}
