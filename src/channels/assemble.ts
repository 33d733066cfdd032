/**
 * Assembly: the files of a release, from blobs to their places in the folder of a
 * subscription.
 *
 * Files are filled in staging in whatever order blobs come, synced as they become
 * whole, and moved into place at the end. What is in staging when the process ends
 * is made again from held blobs. Nothing outside the folder is ever written to.
 *
 * @module channels/assemble
 */
import { realpath } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { forEachLimited } from '../base/queue.ts'
import type { Random } from '../base/random.ts'
import type { BlobStore, Placement } from '../storage/blob-store.ts'
import { diskError } from '../storage/disk-error.ts'
import type { Manifest } from '../wire/manifest.ts'
import { type AssemblePlan, type DiskNode, planAssembly, type WantedFile } from './assemble-plan.ts'
import { readDiskState } from './disk-state.ts'
import { fileIdentity, PlacingIndex, type Selection, selectEntries } from './file-index.ts'
import { FolderCommit, inTheWay, type ReadyFile } from './folder-commit.ts'
import { FOLDER_MODE, type FolderFs, systemFolderFs } from './folder-fs.ts'
import { recoverLedger } from './ledger-recovery.ts'
import { removeStaleStaging, Staging } from './staging.ts'
import type { LedgerContent, WrittenLedger } from './written-ledger.ts'

/** Blobs opened at a time by `fillFromStore`. */
const FILLS_IN_FLIGHT = 8

export interface AssemblyOptions {
  /** Absolute. Made if it is missing. */
  readonly directory: string
  readonly manifest: Manifest
  /** Globs of wanted paths; none means all. */
  readonly onlyGlobs: readonly string[]
  readonly ledger: WrittenLedger
  readonly store: Pick<BlobStore, 'has' | 'openTo'>
  /** Bytes of the disk that stay free. */
  readonly minFreeBytes: number
  readonly random: Random
  readonly log: Log
  readonly fs?: FolderFs
}

export interface AssemblyResult {
  /** Files of the release in place now, those that were there already included. */
  readonly files: number
  readonly bytes: number
  readonly written: number
  readonly deleted: number
}

interface StagedFile {
  readonly wanted: WantedFile
  leftBytes: number
  created: Promise<void> | null
  ready: Promise<ReadyFile> | null
}

/** One release on its way into one folder. Not for two at a time in the same folder. */
export class Assembly {
  readonly plan: AssemblePlan
  readonly #options: AssemblyOptions
  readonly #fs: FolderFs
  readonly #directory: string
  readonly #selection: Selection
  readonly #content: LedgerContent
  readonly #staging: Staging | null
  readonly #files: readonly StagedFile[]
  readonly #placings: PlacingIndex
  readonly #open: Set<number>

  private constructor(
    options: AssemblyOptions,
    directory: string,
    selection: Selection,
    content: LedgerContent,
    plan: AssemblePlan,
    staging: Staging | null,
  ) {
    this.#options = options
    this.#fs = options.fs ?? systemFolderFs
    this.#directory = directory
    this.#selection = selection
    this.#content = content
    this.plan = plan
    this.#staging = staging
    this.#files = plan.write.map((wanted) => ({
      wanted,
      leftBytes: wanted.size,
      created: null,
      ready: null,
    }))
    this.#placings = new PlacingIndex(options.manifest, plan.write)
    this.#open = new Set(this.#placings.blobs)
  }

  /**
   * Mend what a crash left, look at the folder and decide. Nothing of the release is
   * written yet.
   *
   * @throws MegatorrentError ERR_FOREIGN_FILE (things that are not ours are in the way),
   *   ERR_DISK_FULL (the release does not fit), or another of kind 'storage'.
   */
  static async begin(options: AssemblyOptions): Promise<Assembly> {
    const { ledger, manifest } = options
    const fs = options.fs ?? systemFolderFs
    try {
      const directory = await openDirectory(fs, options.directory, ledger)
      const content = await ledger.load()
      await recoverLedger(fs, directory, ledger, content)
      const selection = selectEntries(manifest, options.onlyGlobs)
      await removeStaleStaging(fs, directory, (name) => isTaken(name, selection, content))
      await assertFits(fs, directory, selection, content)
      const plan = await decide(fs, directory, manifest, selection, content)
      if (plan.foreign.length > 0) throw inTheWay(...plan.foreign)
      await assertRoom(fs, directory, plan, options.minFreeBytes)
      const staging = plan.write.length === 0 ? null : await Staging.make(fs, directory, options.random)
      return new Assembly(options, directory, selection, content, plan, staging)
    } catch (error) {
      throw diskError(error, `looking at ${options.directory}`)
    }
  }

  /** Numbers of the blobs whose bytes are still to be written, in manifest order. */
  get missingBlobs(): readonly number[] {
    return [...this.#open]
  }

  isMissing(blob: number): boolean {
    return this.#open.has(blob)
  }

  /**
   * Where the content of a blob goes: for `BlobStore.put`, followed by `markWritten`. The files exist
   * when this resolves.
   *
   * @returns null when nothing of it is to be written.
   */
  async placementOf(blob: number): Promise<Placement | null> {
    const staging = this.#staging
    if (staging === null || !this.#open.has(blob)) return null
    const placings = [...this.#placings.placingsOf(blob)]
    await Promise.all([...new Set(placings.map((each) => each.file))].map((file) => this.#create(file)))
    const pieces = placings.map(({ file, ...piece }) => ({ path: staging.pathOf(file), ...piece }))
    return { key: this.#options.manifest.blobKey(blob), pieces }
  }

  /** The content of a blob was written to its placement. Files that are whole now are synced behind the scenes. */
  markWritten(blob: number): void {
    if (!this.#open.delete(blob)) return
    for (const { file: number, length } of this.#placings.placingsOf(blob)) {
      const file = this.#files[number]
      if (file === undefined) continue
      file.leftBytes -= length
      if (file.leftBytes === 0) this.#finishFile(number, file)
    }
  }

  /**
   * Write the content of a blob that is held.
   *
   * @returns false when it is not held.
   * @throws MegatorrentError ERR_RELEASE_INVALID when it does not open: the publisher's fault; or
   *   one of kind 'storage'.
   */
  async accept(blob: number): Promise<boolean> {
    const { manifest, store } = this.#options
    const placement = await this.placementOf(blob)
    if (placement === null) return true
    try {
      if (!(await store.openTo(manifest.blobId(blob), placement.key, placement.pieces))) return false
    } catch (error) {
      if (!isMegatorrentError(error, 'ERR_BLOB_OPEN')) throw error
      const message = 'the publisher signed a release with a blob that does not open'
      throw new MegatorrentError('ERR_RELEASE_INVALID', message, { cause: error })
    }
    this.markWritten(blob)
    return true
  }

  /** Write the content of all blobs that are held already. */
  async fillFromStore(signal?: AbortSignal): Promise<void> {
    const { manifest, store } = this.#options
    const held = this.missingBlobs.filter((blob) => store.has(manifest.blobId(blob)))
    await forEachLimited(held, FILLS_IN_FLIGHT, async (blob) => {
      signal?.throwIfAborted()
      await this.accept(blob)
    })
  }

  /**
   * Move everything into place, delete what the release dropped, remove staging.
   *
   * @throws MegatorrentError ERR_BUG when blobs are missing; ERR_FOREIGN_FILE when something came in
   *   the way meanwhile; another of kind 'storage'. A new assembly goes on from there.
   */
  async finish(): Promise<AssemblyResult> {
    if (this.#open.size > 0) throw new MegatorrentError('ERR_BUG', `${this.#open.size} blobs are missing`)
    try {
      this.#files.forEach((file, number) => {
        if (file.wanted.size === 0) this.#finishFile(number, file)
      })
      const ready: ReadyFile[] = []
      for (const { ready: file } of this.#files) if (file !== null) ready.push(await file)
      const { ledger } = this.#options
      const commit = new FolderCommit(this.#fs, this.#directory, ledger, this.#content.files)
      await commit.run(this.plan, ready)
      await this.#removeStaging()
    } catch (error) {
      throw diskError(error, `writing to ${this.#directory}`)
    }
    const { clearFiles, dropFiles } = this.plan
    return {
      files: this.#selection.files.length,
      bytes: this.#selection.bytes,
      written: this.#files.length,
      deleted: clearFiles.length + dropFiles.length,
    }
  }

  /** Give up: staging goes, the folder stays as it is. Call when no `accept` is under way. */
  async abort(): Promise<void> {
    await Promise.allSettled(this.#files.flatMap((file) => [file.created, file.ready]))
    await this.#removeStaging()
  }

  async #removeStaging(): Promise<void> {
    if (this.#staging === null) return
    await this.#staging.remove()
    await this.#fs.syncFolder(this.#directory)
  }

  #create(number: number): Promise<void> {
    const file = this.#files[number]
    if (file === undefined || this.#staging === null) throw new RangeError(`no file ${number}`)
    file.created ??= this.#staging.create(number, file.wanted.size)
    return file.created
  }

  #finishFile(number: number, file: StagedFile): void {
    file.ready ??= this.#sync(number, file)
    // Looked at in `finish`: until then a failure must not count as unhandled.
    file.ready.catch(() => {})
  }

  async #sync(number: number, { wanted }: StagedFile): Promise<ReadyFile> {
    const staging = this.#staging
    if (staging === null) throw new MegatorrentError('ERR_BUG', 'a file without staging')
    await this.#create(number)
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

/** The real path of the folder, which is made, and noted as ours, if it is missing. */
async function openDirectory(fs: FolderFs, directory: string, ledger: WrittenLedger): Promise<string> {
  if ((await fs.look(directory)) === null) {
    ledger.stage([], [''])
    await makeDirectory(fs, directory)
  }
  // The user may have named a symlink: it is followed here, once, and nowhere else.
  return realpath(directory)
}

async function makeDirectory(fs: FolderFs, directory: string): Promise<void> {
  const parent = dirname(directory)
  if ((await fs.look(parent)) === null) await makeDirectory(fs, parent)
  await fs.makeFolder(directory, FOLDER_MODE)
  await fs.syncFolder(await realpath(parent))
}

/** Names at the top of the folder that the release or the ledger has. */
function isTaken(name: string, selection: Selection, content: LedgerContent): boolean {
  const isBelow = (path: string): boolean => path === name || path.startsWith(`${name}/`)
  return (
    selection.files.some((file) => isBelow(file.path)) ||
    selection.emptyFolders.some(isBelow) ||
    [...content.files.keys()].some(isBelow) ||
    [...content.folders].some(isBelow)
  )
}

/**
 * A release that cannot fit, whatever is replaced by it, is refused before anything is
 * done for each of its bytes: its sizes are only claims.
 */
async function assertFits(
  fs: FolderFs,
  directory: string,
  selection: Selection,
  content: LedgerContent,
): Promise<void> {
  let ownBytes = 0
  for (const file of content.files.values()) ownBytes += file.size
  if (selection.bytes > (await fs.freeBytes(directory)) + ownBytes) throw diskFull(selection.bytes)
}

async function assertRoom(
  fs: FolderFs,
  directory: string,
  plan: AssemblePlan,
  minFreeBytes: number,
): Promise<void> {
  let bytes = 0
  for (const file of plan.write) bytes += file.size
  if (bytes > 0 && bytes + minFreeBytes > (await fs.freeBytes(directory))) throw diskFull(bytes)
}

function diskFull(bytes: number): MegatorrentError {
  return new MegatorrentError(
    'ERR_DISK_FULL',
    `the release needs ${bytes} bytes and the disk has not got them: free some space, then it goes on`,
  )
}

async function decide(
  fs: FolderFs,
  directory: string,
  manifest: Manifest,
  selection: Selection,
  content: LedgerContent,
): Promise<AssemblePlan> {
  const paths = function* (): Generator<string> {
    for (const file of selection.files) yield file.path
    yield* selection.emptyFolders
    yield* content.files.keys()
    yield* content.folders
  }
  const disk: ReadonlyMap<string, DiskNode> = await readDiskState(fs, directory, paths())
  return planAssembly({
    files: selection.files,
    emptyFolders: selection.emptyFolders,
    identityOf: (file) => fileIdentity(manifest, file),
    isInRelease: (path) => manifest.indexOf(path) >= 0,
    written: content.files,
    madeFolders: new Set([...content.folders].filter((folder) => folder !== '')),
    onDisk: (path) => disk.get(path) ?? null,
  })
}
