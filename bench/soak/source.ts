/**
 * A folder that is published again and again: some files change, some come, some
 * go, and it stays a few MB.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { randomInteger, seededRandom } from '../../src/base/random.ts'
import { writeSeededFile } from '../../test/swarm/harness/tree.ts'

const LARGE_FILES = 3
/** More than a blob, so that a large file is whole blobs and a remainder. */
const LARGE_BYTES = [1_100_000, 2_500_000] as const
const SMALL_BYTES = [0, 60_000] as const
const SMALL_FILES_AT_FIRST = 20
const MAX_SMALL_FILES = 40

export class Source {
  readonly folder: string
  readonly #small: string[] = []
  #made = 0

  constructor(folder: string) {
    this.folder = folder
  }

  async make(seed: number): Promise<void> {
    const random = seededRandom(seed)
    for (let i = 0; i < LARGE_FILES; i++) {
      await this.#write(largeName(i), randomInteger(random, ...LARGE_BYTES), seed + i)
    }
    for (let i = 0; i < SMALL_FILES_AT_FIRST; i++) {
      await this.#addSmall(randomInteger(random, ...SMALL_BYTES), seed + LARGE_FILES + i)
    }
  }

  /** A large file anew, some small ones anew, added and removed. */
  async change(seed: number): Promise<void> {
    const random = seededRandom(seed)
    await this.#write(
      largeName(randomInteger(random, 0, LARGE_FILES - 1)),
      randomInteger(random, ...LARGE_BYTES),
      seed,
    )
    for (let i = randomInteger(random, 0, 3); i > 0; i--) {
      const name = this.#small[randomInteger(random, 0, this.#small.length - 1)]
      if (name !== undefined) await this.#write(name, randomInteger(random, ...SMALL_BYTES), seed + i)
    }
    for (let i = randomInteger(random, 1, 3); i > 0; i--) {
      await this.#addSmall(randomInteger(random, ...SMALL_BYTES), seed + 10 + i)
    }
    const most = this.#small.length > MAX_SMALL_FILES ? 6 : 2
    for (let i = randomInteger(random, 1, most); i > 0; i--) {
      const [name] = this.#small.splice(randomInteger(random, 0, this.#small.length - 1), 1)
      if (name !== undefined) await rm(join(this.folder, name))
    }
  }

  async #addSmall(bytes: number, seed: number): Promise<void> {
    const name = `notes-${this.#made % 4}/note-${this.#made++}.txt`
    await this.#write(name, bytes, seed)
    this.#small.push(name)
  }

  #write(name: string, bytes: number, seed: number): Promise<void> {
    return writeSeededFile(join(this.folder, name), bytes, seed)
  }
}

function largeName(index: number): string {
  return `film-${index}.mkv`
}
