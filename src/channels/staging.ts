/**
 * Staging: the folder in which files are made before they are moved into place,
 * inside the folder of the subscription, so that a move is a rename.
 *
 * Its name cannot be foretold and its mode is 0700. What a crash left is removed
 * at the next start: only plain files with names as we give them, in folders with
 * names as we give them.
 *
 * @module channels/staging
 */
import { toHex } from '../base/bytes.ts'
import { forEachLimited, Semaphore } from '../base/queue.ts'
import type { Random } from '../base/random.ts'
import { errnoOf } from '../storage/disk-error.ts'
import { CHUNK_BYTES } from '../wire/constants.ts'
import type { DiskNode } from './assemble-plan.ts'
import type { FolderFs } from './folder-fs.ts'

const PREFIX = '.megatorrent-'
const NAME_BYTES = 8
const NAME = /^\.megatorrent-[0-9a-f]{16}$/
const FILE_NAME = /^[0-9a-z]{1,11}$/
const FOLDER_MODE = 0o700
const REMOVALS_IN_FLIGHT = 16

/** Files being made or synced at a time. */
const FILES_IN_FLIGHT = 16

export class Staging {
  readonly folder: string
  readonly #fs: FolderFs
  readonly #gate = new Semaphore(FILES_IN_FLIGHT)

  private constructor(fs: FolderFs, folder: string) {
    this.#fs = fs
    this.folder = folder
  }

  /** Make a fresh one in `directory`. */
  static async make(fs: FolderFs, directory: string, random: Random): Promise<Staging> {
    const folder = `${directory}/${PREFIX}${toHex(random.bytes(NAME_BYTES))}`
    await fs.makeFolder(folder, FOLDER_MODE)
    return new Staging(fs, folder)
  }

  /** Where the file of that number lies. */
  pathOf(number: number): string {
    return `${this.folder}/${number.toString(36)}`
  }

  /** Make the file of that number. A file that one blob fills grows as it is written. */
  create(number: number, size: number): Promise<void> {
    return this.#gate.run(() => this.#fs.createFile(this.pathOf(number), size > CHUNK_BYTES ? size : 0))
  }

  /** Make the file of that number from a file that lies elsewhere. */
  clone(number: number, from: string, size: number): Promise<void> {
    return this.#gate.run(() => this.#fs.cloneFile(from, this.pathOf(number), size))
  }

  /** Everything written to it is on the disk. @returns how it looks. */
  sync(number: number): Promise<DiskNode> {
    return this.#gate.run(() => this.#fs.syncFile(this.pathOf(number)))
  }

  /** Remove it with everything in it. */
  async remove(): Promise<void> {
    await removeStagingFolder(this.#fs, this.folder)
  }
}

/**
 * Remove what earlier runs left in `directory`.
 *
 * @param isTaken - names at the top of the folder that belong to the subscription itself.
 */
export async function removeStaleStaging(
  fs: FolderFs,
  directory: string,
  isTaken: (name: string) => boolean,
): Promise<void> {
  for (const name of await fs.list(directory)) {
    if (!NAME.test(name) || isTaken(name)) continue
    const folder = `${directory}/${name}`
    const node = await fs.look(folder)
    if (node?.kind === 'folder') await removeStagingFolder(fs, folder)
  }
}

async function removeStagingFolder(fs: FolderFs, folder: string): Promise<void> {
  await forEachLimited(await fs.list(folder), REMOVALS_IN_FLIGHT, async (name) => {
    if (FILE_NAME.test(name)) await ignoring(NOT_OURS, fs.removeFile(`${folder}/${name}`))
  })
  await ignoring(NOT_EMPTY, fs.removeFolder(folder))
}

/** Gone already, or a folder in the place of a file. */
const NOT_OURS: ReadonlySet<string | null> = new Set(['ENOENT', 'EISDIR', 'EPERM'])
/** Gone already, or it holds something that is not ours. */
const NOT_EMPTY: ReadonlySet<string | null> = new Set(['ENOENT', 'ENOTEMPTY', 'EEXIST'])

async function ignoring(errnos: ReadonlySet<string | null>, work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!errnos.has(errnoOf(error))) throw error
  }
}
