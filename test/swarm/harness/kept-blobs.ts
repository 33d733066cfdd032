/**
 * What a node that was killed has of blobs, read from its disk before it starts again, and
 * a publisher that does not have some blobs for a while: whoever asks for one of these is
 * seen by name, in the log of the publisher, and does not get it.
 */
import { copyFile, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fromHex, toHex } from '../../../src/base/bytes.ts'
import { blobPath } from '../../../src/storage/blob-files.ts'
import { openState } from '../../../src/storage/state.ts'
import type { TestNode } from './test-node.ts'

const DATABASE = 'megatorrent.db'
const BLOB_NAME = /^[0-9a-f]{64}$/
/** What a node logs when a blob that it recorded is not there. */
const MISSED = 'a blob was missing on the disk'

/** Ids in hex. */
export interface KeptBlobs {
  /** Acknowledged: in the database. */
  readonly recorded: ReadonlySet<string>
  /** Whole on the disk, recorded or not. */
  readonly whole: ReadonlySet<string>
}

/** Of a node that does not run. */
export async function keptBlobs(node: TestNode): Promise<KeptBlobs> {
  const blobs = join(node.dataDir, 'blobs')
  const whole = new Set<string>()
  for (const entry of await readdir(blobs, { recursive: true, withFileTypes: true })) {
    if (BLOB_NAME.test(entry.name) && basename(entry.parentPath) !== 'tmp') whole.add(entry.name)
  }
  return { recorded: await recordedBlobs(node), whole }
}

/** Of a copy: opening the database itself would mend what the start of the node is to mend. */
async function recordedBlobs(node: TestNode): Promise<Set<string>> {
  const folder = node.path('database-copy')
  await mkdir(folder)
  try {
    for (const name of await readdir(node.dataDir)) {
      if (name === DATABASE || name === `${DATABASE}-wal`) {
        await copyFile(join(node.dataDir, name), join(folder, name))
      }
    }
    const state = openState(join(folder, DATABASE), null)
    try {
      return new Set([...state.blobs.ids()].map(toHex))
    } finally {
      state.close()
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** A planted fault: a node that does not run has these blobs no more. */
export async function forgetBlobs(node: TestNode, ids: Iterable<string>): Promise<void> {
  for (const id of ids) await rm(fileOf(node, id), { force: true })
}

export class WithheldBlobs {
  readonly #node: TestNode
  readonly #folder: string
  readonly #ids: readonly string[]

  private constructor(node: TestNode, folder: string, ids: readonly string[]) {
    this.#node = node
    this.#folder = folder
    this.#ids = ids
  }

  /** Take those of these blobs that a running node has from under it. It still says that it has them. */
  static async take(node: TestNode, ids: Iterable<string>): Promise<WithheldBlobs> {
    const folder = node.path('withheld')
    await mkdir(folder)
    const taken: string[] = []
    for (const id of ids) if (await moved(fileOf(node, id), join(folder, id))) taken.push(id)
    return new WithheldBlobs(node, folder, taken)
  }

  get count(): number {
    return this.#ids.length
  }

  async giveBack(): Promise<void> {
    for (const id of this.#ids) await moved(join(this.#folder, id), fileOf(this.#node, id))
    await rm(this.#folder, { recursive: true })
  }
}

/** Lines of its log that tell of withheld blobs that somebody asked for. */
export function askedForWithheld(node: TestNode): readonly string[] {
  return node.stderr.includes(MISSED) ? node.stderr.split('\n').filter((line) => line.includes(MISSED)) : []
}

/** @returns false when there is no such file. */
async function moved(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

function fileOf(node: TestNode, id: string): string {
  return blobPath(join(node.dataDir, 'blobs'), fromHex(id, 32) as Uint8Array)
}
