/**
 * Assembly: the files of a release, from blobs to their places in the folder of a
 * subscription.
 *
 * Files are filled in staging in whatever order blobs come, synced as they become
 * whole, and moved into place at the end. One that changed little since the release
 * before begins as a copy of the file that it will replace. What is in staging when the process ends
 * is made again from held blobs. Nothing outside the folder is ever written to.
 *
 * @module channels/assemble
 */
import { MegatorrentError } from '../base/errors.ts'
import { MAX_ASSEMBLE_TASK_BYTES, MAX_PLACED_PIECES, SYNC_AHEAD_BYTES } from '../base/limits.ts'
import { Semaphore } from '../base/queue.ts'
import type { FilePiece, Placement } from '../storage/blob-store.ts'
import { diskError } from '../storage/disk-error.ts'
import type { PlaceLease } from '../swarm/fetch.ts'
import { type AssemblePlan, isUntouched } from './assemble-plan.ts'
import { cutTasks } from './assemble-tasks.ts'
import { type AssemblyStart, startAssembly } from './assembly-start.ts'
import type { AssemblyOptions, AssemblyResult, StagedFile } from './assembly-types.ts'
import { blobFault } from './blob-fault.ts'
import { DiskClaims } from './disk-claims.ts'
import { placeOf } from './disk-state.ts'
import { fileIdentity, type Placing, PlacingIndex } from './file-index.ts'
import { FolderCommit, inTheWay, type ReadyFile } from './folder-commit.ts'
import { type FolderFs, systemFolderFs } from './folder-fs.ts'
import { Staging } from './staging.ts'
import { findUnchanged, type UnchangedSpans } from './unchanged-spans.ts'

/** Accepted blobs being opened and written at a time. */
const ACCEPTS_IN_FLIGHT = 8

export type { AssemblyOptions, AssemblyResult } from './assembly-types.ts'

/**
 * One release on its way into one folder; not for two at a time in the same folder.
 *
 * Either `accept` blobs as they come to be held, or write them elsewhere by
 * `placementOf` and say so by `markWritten`; then `finish`. `close` in any case.
 */
export class Assembly {
  readonly #options: AssemblyOptions
  readonly #fs: FolderFs
  readonly #start: AssemblyStart
  readonly #staging: Staging | null
  readonly #files: readonly StagedFile[]
  readonly #placings: PlacingIndex
  /** Blobs whose bytes are not yet written. */
  readonly #open: Set<number>
  readonly #gate = new Semaphore(ACCEPTS_IN_FLIGHT)
  readonly #running = new Set<Promise<void>>()
  readonly #failing = new AbortController()
  #closed = false

  private constructor(
    options: AssemblyOptions,
    fs: FolderFs,
    start: AssemblyStart,
    placings: PlacingIndex,
    staging: Staging | null,
    unchanged: ReadonlyMap<number, UnchangedSpans>,
  ) {
    this.#options = options
    this.#fs = fs
    this.#start = start
    this.#staging = staging
    this.#files = start.plan.write.map((wanted, number) => {
      const same = unchanged.get(number) ?? null
      const leftBytes = wanted.size - (same?.bytes ?? 0)
      return { wanted, unchanged: same, leftBytes, writers: 0, unsyncedBytes: 0, created: null, ready: null }
    })
    this.#placings = placings
    this.#open = new Set(placings.blobs)
  }

  /**
   * Mend what a crash left, look at the folder and decide. Nothing of the release is
   * written yet.
   *
   * @throws MegatorrentError ERR_FOREIGN_FILE (things that are not ours are in the way),
   *   ERR_DISK_FULL (the release does not fit), or another of kind 'storage'.
   */
  static async begin(options: AssemblyOptions): Promise<Assembly> {
    const fs = options.fs ?? systemFolderFs
    let start: AssemblyStart | null = null
    try {
      start = await startAssembly({ ...options, fs, claims: options.claims ?? new DiskClaims() })
      const { plan, directory } = start
      options.log.debug('assembly planned', {
        write: plan.write.length,
        keep: plan.keep.length,
        drop: plan.dropFiles.length,
      })
      const unchanged = await findUnchanged(
        options.manifest,
        plan.write,
        start.content.files,
        options.previous ?? noRelease,
      )
      const isThere = (file: number, position: number): boolean =>
        unchanged.get(file)?.positions.has(position) === true
      const placings = await PlacingIndex.build(options.manifest, plan.write, isThere)
      const staging = plan.write.length === 0 ? null : await Staging.make(fs, directory, options.random)
      return new Assembly(options, fs, start, placings, staging, unchanged)
    } catch (error) {
      start?.claim.release()
      throw diskError(error, `looking at ${options.directory}`)
    }
  }

  get plan(): AssemblePlan {
    return this.#start.plan
  }

  /** What the user wants of the release. */
  get selected(): { readonly files: number; readonly bytes: number } {
    const { files, bytes } = this.#start.selection
    return { files: files.length, bytes }
  }

  /** Numbers of the blobs whose bytes are still to be written, in manifest order. */
  neededBlobs(): number[] {
    return [...this.#open]
  }

  isNeeded(blob: number): boolean {
    return this.#open.has(blob)
  }

  /** Fires with the first failure of `accept`: then it is of no use to fetch more. */
  get failed(): AbortSignal {
    return this.#failing.signal
  }

  /**
   * Write the content of a blob that is held, soon: a few are written at a time. A blob that
   * is not held after all stays needed; what goes wrong is thrown by `finish`.
   */
  accept(blob: number): void {
    const task = this.#gate
      .run(() => this.#write(blob))
      .catch((error: unknown) => this.#failing.abort(this.#diskError(error)))
      .finally(() => this.#running.delete(task))
    this.#running.add(task)
  }

  /** Resolves when everything accepted so far was written. @throws the first failure. */
  async settle(): Promise<void> {
    await Promise.all(this.#running)
    this.#failing.signal.throwIfAborted()
  }

  /**
   * Where the content of a blob goes: for `BlobStore.put`, followed by `markWritten`. The files exist
   * when this resolves, but those that one piece is the whole of: these are made when it is written.
   * `close` removes none of them before the lease is released, since nothing else would then.
   *
   * @returns null when nothing of it is to be written, or more than should be at once: `accept` it then.
   */
  async placementOf(blob: number): Promise<PlaceLease | null> {
    const placings = this.#openPlacings(blob)
    let bytes = 0
    for (const { length } of placings) bytes += length
    const isLarge = placings.length > MAX_PLACED_PIECES || bytes > MAX_ASSEMBLE_TASK_BYTES
    if (isLarge) return null
    const release = this.#holdOpen(placings)
    try {
      const placement = await this.#place(blob, placings)
      if (placement !== null) return { placement, release }
    } catch (error) {
      release()
      throw error
    }
    release()
    return null
  }

  /** Until what is returned is called, once, staging stays and these files are not taken for whole. */
  #holdOpen(placings: readonly Placing[]): () => void {
    let release = (): void => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    }).finally(() => this.#running.delete(held))
    this.#running.add(held)
    this.#countWriter(placings, 1)
    return () => {
      this.#countWriter(placings, -1)
      release()
    }
  }

  #countWriter(placings: readonly Placing[], change: 1 | -1): void {
    for (const { file: number } of placings) {
      const file = this.#files[number]
      if (file === undefined) continue
      file.writers += change
      this.#finishFile(number, file)
    }
  }

  #openPlacings(blob: number): readonly Placing[] {
    return this.#closed || !this.#open.has(blob) ? [] : [...this.#placings.placingsOf(blob)]
  }

  async #place(blob: number, placings: readonly Placing[]): Promise<Placement | null> {
    const staging = this.#staging
    if (staging === null || placings.length === 0) return null
    const pieces: FilePiece[] = []
    try {
      for (const { file, ...piece } of placings) {
        const create = piece.length === this.#files[file]?.wanted.size
        if (!create) await this.#create(file)
        pieces.push({ path: staging.pathOf(file), ...piece, create })
      }
    } catch (error) {
      throw this.#diskError(error)
    }
    return { key: this.#options.manifest.blobKey(blob), pieces }
  }

  /** The content of a blob was written to its placement. Files that are whole now are synced behind the scenes. */
  markWritten(blob: number): void {
    if (!this.#open.delete(blob)) return
    for (const { file: number, length } of this.#placings.placingsOf(blob)) {
      const file = this.#files[number]
      if (file === undefined) continue
      file.leftBytes -= length
      this.#start.claim.written(length)
      if (file.leftBytes > 0) this.#syncAhead(number, file, length)
      this.#finishFile(number, file)
    }
  }

  /**
   * Move everything into place, delete what the release dropped, remove staging.
   *
   * @throws MegatorrentError ERR_RELEASE_INVALID when a blob did not open: the publisher's fault;
   *   ERR_BUG when blobs are missing, or it was closed; ERR_FOREIGN_FILE when something came in the way
   *   meanwhile; another of kind 'storage'. A new assembly goes on from there.
   */
  async finish(): Promise<AssemblyResult> {
    await this.settle()
    if (this.#open.size > 0) throw new MegatorrentError('ERR_BUG', `${this.#open.size} blobs are missing`)
    const { directory, selection, content, plan } = this.#start
    try {
      this.#files.forEach((file, number) => {
        this.#finishFile(number, file)
      })
      const ready: ReadyFile[] = []
      for (const { ready: file } of this.#files) {
        if (file === null) throw new MegatorrentError('ERR_BUG', 'a file of the release is not whole')
        ready.push(await file)
      }
      await new FolderCommit(this.#fs, directory, this.#options.ledger, content.files).run(plan, ready)
      await this.close()
    } catch (error) {
      throw this.#diskError(error)
    }
    return {
      files: selection.files.length,
      bytes: selection.bytes,
      written: this.#files.length,
      deleted: plan.clearFiles.length + plan.dropFiles.length,
    }
  }

  /**
   * Stop and remove staging; what is in place stays. Idempotent, and harmless after `finish`.
   *
   * @throws MegatorrentError of kind 'storage'; the next assembly removes what is left.
   */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await Promise.allSettled(this.#running)
    await Promise.allSettled(this.#files.flatMap((file) => [file.created, file.ready]))
    this.#start.claim.release()
    if (this.#staging === null) return
    try {
      await this.#staging.remove()
      await this.#fs.syncFolder(this.#start.directory)
    } catch (error) {
      throw this.#diskError(error)
    }
  }

  #diskError(error: unknown): unknown {
    return diskError(error, `writing to ${this.#start.directory}`)
  }

  async #write(blob: number): Promise<void> {
    if (this.#failing.signal.aborted) return
    const placings = this.#openPlacings(blob)
    this.#countWriter(placings, 1)
    try {
      await this.#writePlacings(blob, placings)
    } finally {
      this.#countWriter(placings, -1)
    }
  }

  async #writePlacings(blob: number, placings: readonly Placing[]): Promise<void> {
    const { manifest, store } = this.#options
    const placement = await this.#place(blob, placings)
    if (placement === null) return
    try {
      for (const pieces of cutTasks(placement.pieces)) {
        if (this.#closed) return
        if (!(await store.openTo(manifest.blobId(blob), placement.key, pieces))) return
      }
    } catch (error) {
      throw blobFault(error)
    }
    this.markWritten(blob)
  }

  #create(number: number): Promise<void> {
    const file = this.#files[number]
    if (file === undefined || this.#staging === null) throw new RangeError(`no file ${number}`)
    file.created ??= this.#make(this.#staging, number, file)
    return file.created
  }

  /** Large files are synced while more of them comes, so that little is left to do at their end. */
  #syncAhead(number: number, file: StagedFile, bytes: number): void {
    const { unsyncedBytes } = file
    if (unsyncedBytes === null) return
    file.unsyncedBytes = unsyncedBytes + bytes
    if (file.unsyncedBytes < SYNC_AHEAD_BYTES) return
    file.unsyncedBytes = null
    const task = this.#syncStaged(number)
      // The system tells of a failure once: a later sync of the same file may well succeed.
      .catch((error: unknown) => this.#failing.abort(this.#diskError(error)))
      .finally(() => {
        file.unsyncedBytes = 0
        this.#running.delete(task)
      })
    this.#running.add(task)
  }

  async #syncStaged(number: number): Promise<void> {
    if (!this.#closed) await this.#staging?.sync(number)
  }

  async #make(staging: Staging, number: number, { wanted, unchanged }: StagedFile): Promise<void> {
    if (unchanged === null) return staging.create(number, wanted.size)
    const { directory, content } = this.#start
    const record = content.files.get(wanted.path)
    const place = placeOf(directory, wanted.path)
    await staging.clone(number, place, wanted.size)
    // Whatever changed it before or meanwhile shows now: then what was copied is not what was written.
    if (record === undefined || !isUntouched(record, await this.#fs.look(place))) throw inTheWay(wanted.path)
  }

  /** If it is whole and nobody writes to it any more: how it is then is what is remembered of it. */
  #finishFile(number: number, file: StagedFile): void {
    if (this.#closed || file.leftBytes > 0 || file.writers > 0) return
    file.ready ??= this.#sync(number, file)
    // Looked at in `finish`: until then a failure must not count as unhandled.
    file.ready.catch(() => {})
  }

  async #sync(number: number, file: StagedFile): Promise<ReadyFile> {
    const { wanted } = file
    const staging = this.#staging
    if (staging === null) throw new MegatorrentError('ERR_BUG', 'a file without staging')
    // A file that one piece filled was made with it.
    if (wanted.size === 0 || file.unchanged !== null) await this.#create(number)
    const node = await staging.sync(number)
    if (node.kind !== 'file' || node.size !== wanted.size) {
      throw new MegatorrentError(
        'ERR_FILE_ACCESS',
        `${staging.pathOf(number)} was changed by another program`,
      )
    }
    const identity = fileIdentity(this.#options.manifest, wanted)
    const { size, mtimeNs, inode } = node
    return { path: wanted.path, identity, size, mtimeNs, inode, stagedAt: staging.pathOf(number) }
  }
}

const noRelease = (): Promise<null> => Promise.resolve(null)
