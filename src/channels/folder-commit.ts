/**
 * Folder commit: carries out an assembly plan, so that a crash at any point leaves
 * neither a lost file of the user nor a file that nobody knows.
 *
 * Every file has its row in the ledger before it is put in place, and keeps the
 * row of what it replaced until it is there durably. What is deleted is looked at
 * just before, and so is every folder on the way: only what is still ours goes, and
 * nothing is reached through a symlink.
 *
 * @module channels/folder-commit
 */
import { MegatorrentError } from '../base/errors.ts'
import { forEachLimited } from '../base/queue.ts'
import { diskError, errnoOf } from '../storage/disk-error.ts'
import { type AssemblePlan, isUntouched, parentsOf, type WrittenFile } from './assemble-plan.ts'
import { placeOf } from './disk-state.ts'
import { FOLDER_MODE, type FolderFs } from './folder-fs.ts'
import { quotePath } from './path-gate.ts'
import { nextTurn } from './turns.ts'
import type { WrittenLedger } from './written-ledger.ts'

/** Rows written in one transaction; files put in place before the next. */
const BATCH_ROWS = 2_000
/** Calls to the system under way. */
const CALLS_IN_FLIGHT = 16

/** File systems that have no second names: FAT, some network folders. */
const NO_LINKS: ReadonlySet<string | null> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'])

/** A finished file in staging. */
export interface ReadyFile extends WrittenFile {
  /** Where it lies now. */
  readonly stagedAt: string
}

export class FolderCommit {
  readonly #fs: FolderFs
  readonly #directory: string
  readonly #ledger: WrittenLedger
  readonly #written: ReadonlyMap<string, WrittenFile>
  readonly #checked = new Set<string>()
  readonly #touched = new Set<string>()

  /** @param written - the ledger's files when the plan was made. */
  constructor(
    fs: FolderFs,
    directory: string,
    ledger: WrittenLedger,
    written: ReadonlyMap<string, WrittenFile>,
  ) {
    this.#fs = fs
    this.#directory = directory
    this.#ledger = ledger
    this.#written = written
  }

  /**
   * Do it.
   *
   * @param ready - the files of `plan.write`, in any order.
   * @throws MegatorrentError ERR_FOREIGN_FILE when something has come in the way since the plan was
   *   made, or another of kind 'storage'. What was done stays done and known; the rest is done
   *   by a new plan.
   */
  async run(plan: AssemblePlan, ready: readonly ReadyFile[]): Promise<void> {
    try {
      await this.#clear(plan)
      await this.#makeFolders(plan.makeFolders)
      await this.#putInPlace(ready)
      await this.#drop(plan)
    } catch (error) {
      throw diskError(error, `writing to ${this.#directory}`)
    }
  }

  /** Files and folders of ours that stand where the release has something of another kind. */
  async #clear(plan: AssemblePlan): Promise<void> {
    await this.#removeFiles(plan.clearFiles)
    for (const folder of plan.clearFolders) {
      if (!(await this.#removeFolder(folder))) throw inTheWay(folder)
    }
    await this.#sync()
    await this.#forget(plan.clearFiles, plan.clearFolders)
  }

  async #makeFolders(folders: readonly string[]): Promise<void> {
    for (const batch of batches(folders)) {
      this.#ledger.stage([], batch)
      await nextTurn()
    }
    for (const folder of folders) {
      await this.#checkParents(folder)
      try {
        await this.#fs.makeFolder(placeOf(this.#directory, folder), FOLDER_MODE)
      } catch (error) {
        if (errnoOf(error) !== 'EEXIST') throw error
        // A crash may have come after the folder was made; anything else is foreign.
        const node = await this.#fs.look(placeOf(this.#directory, folder))
        if (node?.kind !== 'folder') throw inTheWay(folder)
      }
      this.#touch(folder)
    }
  }

  async #putInPlace(ready: readonly ReadyFile[]): Promise<void> {
    for (const batch of batches(ready)) {
      for (const file of batch) await this.#checkParents(file.path)
      this.#ledger.stage(batch, [])
      await forEachLimited(batch, CALLS_IN_FLIGHT, (file) => this.#place(file))
      for (const file of batch) this.#touch(file.path)
    }
    await this.#sync()
    for (const batch of batches(ready)) {
      this.#ledger.change({ confirm: batch })
      await nextTurn()
    }
  }

  async #place(file: ReadyFile): Promise<void> {
    const target = placeOf(this.#directory, file.path)
    const record = this.#written.get(file.path)
    if (record === undefined) return this.#placeNew(file, target)
    const node = await this.#fs.look(target)
    if (node === null) return this.#placeNew(file, target)
    if (!isUntouched(record, node)) throw inTheWay(file.path)
    await this.#fs.rename(file.stagedAt, target)
  }

  /** By a second name, which the system refuses to make over anything that came meanwhile. */
  async #placeNew(file: ReadyFile, target: string): Promise<void> {
    try {
      await this.#fs.link(file.stagedAt, target)
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') throw inTheWay(file.path)
      if (!NO_LINKS.has(errnoOf(error))) throw error
      if ((await this.#fs.look(target)) !== null) throw inTheWay(file.path)
      await this.#fs.rename(file.stagedAt, target)
      return
    }
    await this.#fs.removeFile(file.stagedAt)
  }

  async #drop(plan: AssemblePlan): Promise<void> {
    await this.#removeFiles(plan.dropFiles)
    const removed: string[] = []
    for (const folder of plan.dropFolders) {
      if (await this.#removeFolder(folder)) removed.push(folder)
    }
    await this.#sync()
    await this.#forget([...plan.dropFiles, ...plan.forgetFiles], [...removed, ...plan.forgetFolders])
  }

  async #forget(files: readonly string[], folders: readonly string[]): Promise<void> {
    for (const batch of batches(files)) {
      this.#ledger.change({ forgetFiles: batch })
      await nextTurn()
    }
    for (const batch of batches(folders)) {
      this.#ledger.change({ forgetFolders: batch })
      await nextTurn()
    }
  }

  /** Those that are still ours; the others are left to whoever changed them. */
  async #removeFiles(paths: readonly string[]): Promise<void> {
    for (const path of paths) await this.#checkParents(path)
    await forEachLimited(paths, CALLS_IN_FLIGHT, async (path) => {
      const place = placeOf(this.#directory, path)
      const record = this.#written.get(path)
      const node = await this.#fs.look(place)
      if (record === undefined || !isUntouched(record, node)) return
      await this.#fs.removeFile(place)
      this.#touch(path)
    })
  }

  /** @returns whether it is gone; a folder that is not empty stays. */
  async #removeFolder(folder: string): Promise<boolean> {
    await this.#checkParents(folder)
    try {
      await this.#fs.removeFolder(placeOf(this.#directory, folder))
    } catch (error) {
      const errno = errnoOf(error)
      if (errno === 'ENOENT') return true
      if (errno === 'ENOTEMPTY' || errno === 'EEXIST' || errno === 'ENOTDIR') return false
      throw error
    }
    this.#touched.delete(folder)
    this.#checked.delete(folder)
    this.#touch(folder)
    return true
  }

  /** The folders that a path stands in are folders, not symlinks to somewhere else. */
  async #checkParents(path: string): Promise<void> {
    for (const parent of parentsOf(path)) {
      if (this.#checked.has(parent)) continue
      const node = await this.#fs.look(placeOf(this.#directory, parent))
      if (node !== null && node.kind !== 'folder') throw inTheWay(parent)
      // One that is missing has nothing below it to be reached.
      if (node === null) return
      this.#checked.add(parent)
    }
  }

  /** Names in the folder of this path have changed. */
  #touch(path: string): void {
    const slash = path.lastIndexOf('/')
    if (path !== '') this.#touched.add(slash === -1 ? '' : path.slice(0, slash))
  }

  async #sync(): Promise<void> {
    const folders = [...this.#touched]
    this.#touched.clear()
    await forEachLimited(folders, CALLS_IN_FLIGHT, (folder) =>
      this.#fs.syncFolder(placeOf(this.#directory, folder)),
    )
  }
}

function* batches<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += BATCH_ROWS) yield items.slice(start, start + BATCH_ROWS)
}

/** The error for foreign things where a release wants to write. */
export function inTheWay(...paths: readonly string[]): MegatorrentError {
  const shown = paths.slice(0, 5).map((path) => (path === '' ? 'the folder' : quotePath(path)))
  const more = paths.length > shown.length ? ` and ${paths.length - shown.length} more` : ''
  return new MegatorrentError(
    'ERR_FOREIGN_FILE',
    `not written by megatorrent, or changed since: ${shown.join(', ')}${more}; move it away, nothing is overwritten`,
  )
}
