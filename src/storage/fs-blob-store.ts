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
import { isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import { DELETE_BATCH_BLOBS } from '../base/limits.ts'
import { type Log, short, silentLog } from '../base/log.ts'
import { batchesOf } from '../base/queue.ts'
import type { SealedFrame } from '../crypto/sealed-frame.ts'
import { wipe } from '../crypto/wipe.ts'
import { BLOB_BYTES, BLOB_ID_BYTES, CHUNK_BYTES } from '../wire/constants.ts'
import { blobPath } from './blob-files.ts'
import { type BlobLease, BlobLeases } from './blob-leases.ts'
import {
  adoptOrphans,
  clearTemp,
  prepareFolders,
  type RecoveryReport,
  type RecoveryScan,
  scanStore,
} from './blob-recovery.ts'
import type {
  BlobHealth,
  BlobStore,
  FilePiece,
  HashPiece,
  HeldBlob,
  PutOptions,
  PutResult,
  ReadOptions,
  SealedChunk,
  SealJob,
} from './blob-store.ts'
import { BufferPool, ownMemory } from './buffer-pool.ts'
import { assertPieces } from './file-pieces.ts'
import type { FsBlobStoreInit } from './fs-blob-store-init.ts'
import { GroupCommit } from './group-commit.ts'
import { hashInBatches } from './hash-batches.ts'
import { StoreBudget, type StoreLimits, systemFreeBytes } from './store-limits.ts'
import type { BlobsTable } from './tables/blobs-table.ts'
import type { MetaTable } from './tables/meta-table.ts'
import { decodeTaskError } from './task-error.ts'
import type { TaskRunner } from './task-runner.ts'
import type { SealInput, WriteStatus } from './worker-tasks.ts'
import { WriteGate } from './write-gate.ts'

const CLEAN_STOP = 'blobs.clean_stop'
const SECRET_BYTES = 32

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
  readonly #leases = new BlobLeases()
  readonly #makeRoom: () => Promise<boolean>
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
    this.#makeRoom = init.makeRoom ?? (async () => false)
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
    if (scan !== null) store.#recovered = store.#adopt(scan)
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
    const isHeld = this.#table.has(id)
    if (isHeld) this.#leases.note(id)
    return isHeld
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
    assertBytes(id, BLOB_ID_BYTES, 'id')
    if (!this.#table.has(id)) return 'missing'
    const health = await this.#runner.run('verify', { root: this.#root, id })
    // Its file is gone and its row was not: that is damage too, and is told as such once.
    return health === 'missing' && this.#lost(id) ? 'bad' : health
  }

  delete(ids: Iterable<Uint8Array>): Promise<number> {
    return this.#deleteAll(ids, () => true)
  }

  collect(ids: Iterable<Uint8Array>): Promise<number> {
    return this.#deleteAll(ids, (id) => !this.#leases.isNoted(id))
  }

  async #deleteAll(ids: Iterable<Uint8Array>, mayGo: (id: Uint8Array) => boolean): Promise<number> {
    let removed = 0
    for (const batch of batchesOf(ids, DELETE_BATCH_BLOBS)) removed += await this.#deleteBatch(batch, mayGo)
    return removed
  }

  ids(): Generator<Uint8Array, void, void> {
    return this.#table.ids()
  }

  held(): Generator<HeldBlob, void, void> {
    return this.#table.held()
  }

  openLease(): BlobLease {
    return this.#leases.open()
  }

  room(): ReturnType<StoreBudget['room']> {
    return this.#budget.room(() => this.#count)
  }

  get limits(): StoreLimits {
    return this.#budget.limits
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
  async #write<T extends { readonly id: Uint8Array; readonly status: WriteStatus }>(
    task: (mayWrite: boolean) => Promise<T>,
  ): Promise<T & { readonly isNew: boolean }> {
    // Before the gate: making room removes blobs, and nothing is removed while somebody writes.
    const noPlace = await this.#reserve()
    let wrote = false
    try {
      return await this.#gate.write(async () => {
        this.#assertOpen()
        const { output, held } = await this.#writeAndAdd(async () => {
          const result = await task(noPlace === null)
          if (result.status === 'refused')
            throw noPlace ?? new MegatorrentError('ERR_BUG', 'a write was refused')
          wrote = result.status === 'written'
          // The caller counts on it, whether it was there before or not.
          this.#leases.note(result.id)
          return result
        })
        return { ...output, isNew: await held }
      })
    } catch (error) {
      // The worker may have renamed a file before it ended.
      if (isMegatorrentError(error, 'ERR_WORKER_CRASHED')) this.#clean = false
      throw error
    } finally {
      if (noPlace === null) this.#budget.release(wrote)
    }
  }

  /** Reserve the place of one blob; where there is none, after what nobody needs was removed. */
  async #reserve(): Promise<MegatorrentError | null> {
    const held = (): number => this.#count
    const noPlace = await this.#budget.reserve(held)
    if (noPlace === null || !(await this.#makeRoom())) return noPlace
    return this.#budget.reserve(held)
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

  /** @param mayGo - asked while nobody writes, and just before the rows go. */
  #deleteBatch(ids: readonly Uint8Array[], mayGo: (id: Uint8Array) => boolean): Promise<number> {
    return this.#gate.remove(async () => {
      this.#assertOpen()
      for (const id of ids) assertBytes(id, BLOB_ID_BYTES, 'id')
      const removed = this.#table.remove(ids.filter(mayGo))
      this.#count -= removed.length
      if (removed.length === 0) return 0
      try {
        await this.#runner.run('remove', { root: this.#root, ids: removed }, { urgent: true })
      } catch (error) {
        this.#clean = false
        throw error
      }
      this.#budget.freed()
      return removed.length
    })
  }

  /** Hash what a crash left unrecorded and keep what is good. */
  async #adopt(scan: RecoveryScan): Promise<RecoveryReport> {
    const report = await adoptOrphans(scan, this.#log, async (id) => {
      if (this.#closing !== null) return null
      return await this.#adoptOne(id)
    })
    // What was not adopted waits for the next start; it is no loss, since it was never acknowledged.
    if (report.adopted + report.discarded < scan.orphans.length) this.#clean = false
    return report
  }

  #adoptOne(id: Uint8Array): Promise<boolean> {
    return this.#gate.write(async () => {
      const good = await this.#runner.run('adopt', { root: this.#root, id })
      if (good && !this.#table.has(id)) await this.#commit.add(id)
      return good
    })
  }

  /** A row had no file: the blob is not held, and can be fetched again. @returns false where nothing was lost. */
  #lost(id: Uint8Array): boolean {
    // It may have come back since the worker looked.
    if (existsSync(blobPath(this.#root, id))) return false
    const removed = this.#table.remove([id])
    this.#count -= removed.length
    if (removed.length > 0) this.#log.warn('a blob was missing on the disk', { blob: short(id) })
    return removed.length > 0
  }

  #assertOpen(): void {
    if (this.#closing !== null) throw new MegatorrentError('ERR_STORE_CLOSED', 'the store is closed')
  }
}
