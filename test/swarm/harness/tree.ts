/**
 * Trees of files to publish, and comparison of what arrived.
 *
 * Everything follows from a seed, so a failing run can be repeated, and nothing
 * is held in memory whole: a file of many GiB costs one buffer.
 */
import { createCipheriv, createHash, type Hash } from 'node:crypto'
import { lstatSync, readFileSync, writeFileSync } from 'node:fs'
import { type FileHandle, lstat, mkdir, open, readdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { seededRandom } from '../../../src/base/random.ts'

const BUFFER_BYTES = 1_048_576

/**
 * Bytes without pattern that follow from `seed`: the key stream of AES-CTR, far
 * faster than any generator written in JavaScript. For test data, not for keys.
 */
export class SeededBytes {
  readonly #cipher

  constructor(seed: number) {
    const key = createHash('sha256').update(`tree ${seed}`).digest()
    this.#cipher = createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16))
  }

  next(count: number): Buffer {
    return this.#cipher.update(Buffer.alloc(count))
  }
}

/** Write a file of `bytes` bytes that follow from `seed`. Folders above it are made. */
export async function writeSeededFile(path: string, bytes: number, seed: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const source = new SeededBytes(seed)
  const file = await open(path, 'w')
  try {
    for (let left = bytes; left > 0; left -= BUFFER_BYTES) {
      await file.writeFile(source.next(Math.min(left, BUFFER_BYTES)))
    }
  } finally {
    await file.close()
  }
}

export interface TreeOptions {
  readonly seed: number
  /** How many small files, spread over folders of at most 50. */
  readonly smallFiles?: number
  /** Exact size of each small file, or the range that sizes are drawn from. */
  readonly smallBytes?: number | readonly [min: number, max: number]
  /** One large file, `big.bin`. */
  readonly bigBytes?: number
  /** Names and shapes that break careless code. */
  readonly awkward?: boolean
}

/** Path of the file that `makeTree` makes with `bigBytes`. */
export const BIG_FILE = 'big.bin'

/** Make a tree in `directory`, which may exist. Gives the relative paths of its files. */
export async function makeTree(directory: string, options: TreeOptions): Promise<readonly string[]> {
  const random = seededRandom(options.seed)
  const source = new SeededBytes(options.seed)
  const paths: string[] = []
  await mkdir(directory, { recursive: true })
  const [min, max] =
    typeof options.smallBytes === 'number'
      ? [options.smallBytes, options.smallBytes]
      : (options.smallBytes ?? [0, 8192])
  for (let i = 0; i < (options.smallFiles ?? 0); i++) {
    const path = smallFilePath(i)
    if (i % 50 === 0) await mkdir(join(directory, dirname(path)), { recursive: true })
    const bytes = min + Math.floor(random.fraction() * (max - min + 1))
    writeFileSync(join(directory, path), source.next(bytes))
    paths.push(path)
  }
  if (options.bigBytes !== undefined) {
    await writeSeededFile(join(directory, BIG_FILE), options.bigBytes, options.seed + 1)
    paths.push(BIG_FILE)
  }
  if (options.awkward === true) {
    for (const [path, bytes] of awkwardFiles()) {
      await mkdir(join(directory, dirname(path)), { recursive: true })
      await writeFile(join(directory, path), source.next(bytes))
      paths.push(path)
    }
    await mkdir(join(directory, EMPTY_FOLDER), { recursive: true })
  }
  return paths
}

/** Path of small file number `index`, as `makeTree` lays them out. */
export function smallFilePath(index: number): string {
  const folder = String(Math.floor(index / 50)).padStart(4, '0')
  return `folder-${folder}/file-${String(index).padStart(6, '0')}.dat`
}

export const EMPTY_FOLDER = 'an empty folder/within another'

/** Legal files with names and sizes that are easily got wrong, as path and size. */
export function awkwardFiles(): readonly (readonly [path: string, bytes: number])[] {
  const long = 'a-rather-long-name-of-a-folder-that-goes-on'
  let deep = ''
  while (deep.length < 300 - long.length - 1) deep += `${long}/`
  deep += 'x'.repeat(300 - deep.length)
  return [
    ['empty file', 0],
    ['one byte', 1],
    ['exactly a chunk.bin', 1_048_576],
    ['a chunk and a byte.bin', 1_048_577],
    ['blanks in  the name/and here too.txt', 300],
    ['ünïcödé/日本語/файл.txt', 301],
    ['emoji 🎉 and a ZWJ 👩‍👩‍👧.txt', 302],
    ['-leading-dash', 10],
    ['.hidden/.dotfile', 11],
    ['"quotes" and \'apostrophes\'', 12],
    ['dollar $HOME `tick` ; semicolon & amp', 13],
    ['percent %2e%2e and plus +', 14],
    ['#hash?question', 15],
    [deep, 16],
  ]
}

/**
 * Differences between two trees, as `diff -r` would find them: none means equal
 * in names, kinds and content. Symbolic links are differences wherever they are.
 */
export async function compareTrees(left: string, right: string): Promise<readonly string[]> {
  const differences: string[] = []
  await compareFolder(left, right, '', differences)
  return differences
}

async function compareFolder(
  left: string,
  right: string,
  path: string,
  differences: string[],
): Promise<void> {
  const [leftNames, rightNames] = await Promise.all([readdir(join(left, path)), readdir(join(right, path))])
  const inRight = new Set(rightNames)
  for (const name of leftNames.sort()) {
    const inner = path === '' ? name : `${path}/${name}`
    if (!inRight.delete(name)) {
      differences.push(`only left: ${inner}`)
      continue
    }
    const [a, b] = [lstatSync(join(left, inner)), lstatSync(join(right, inner))]
    if (a.isDirectory() && b.isDirectory()) await compareFolder(left, right, inner, differences)
    else if (!a.isFile() || !b.isFile()) differences.push(`not both files: ${inner}`)
    else if (a.size !== b.size) differences.push(`sizes ${a.size} and ${b.size}: ${inner}`)
    else if (!(await sameContent(join(left, inner), join(right, inner), a.size))) {
      differences.push(`contents differ: ${inner}`)
    }
  }
  for (const name of inRight) differences.push(`only right: ${path === '' ? name : `${path}/${name}`}`)
}

/** Small files at once: of thousands of them, each step that has to be waited for is most of the work. */
function sameContent(left: string, right: string, bytes: number): boolean | Promise<boolean> {
  if (bytes <= BUFFER_BYTES) return readFileSync(left).equals(readFileSync(right))
  return sameLargeContent(left, right)
}

async function sameLargeContent(left: string, right: string): Promise<boolean> {
  const a = await open(left, 'r')
  try {
    const b = await open(right, 'r')
    try {
      return await sameBytes(a, b)
    } finally {
      await b.close()
    }
  } finally {
    await a.close()
  }
}

async function sameBytes(a: FileHandle, b: FileHandle): Promise<boolean> {
  const bufferA = Buffer.allocUnsafe(BUFFER_BYTES)
  const bufferB = Buffer.allocUnsafe(BUFFER_BYTES)
  for (let offset = 0; ; offset += BUFFER_BYTES) {
    const [readA, readB] = await Promise.all([
      a.read(bufferA, 0, BUFFER_BYTES, offset),
      b.read(bufferB, 0, BUFFER_BYTES, offset),
    ])
    if (readA.bytesRead !== readB.bytesRead) return false
    if (Buffer.compare(bufferA.subarray(0, readA.bytesRead), bufferB.subarray(0, readB.bytesRead)) !== 0) {
      return false
    }
    if (readA.bytesRead < BUFFER_BYTES) return true
  }
}

/** Hex SHA-256 over names, kinds and contents: equal trees have equal hashes. Links are hashed as links. */
export async function hashTree(directory: string): Promise<string> {
  const hash = createHash('sha256')
  await hashFolder(directory, '', hash)
  return hash.digest('hex')
}

async function hashFolder(root: string, path: string, hash: Hash): Promise<void> {
  for (const name of (await readdir(join(root, path))).sort()) {
    const inner = path === '' ? name : `${path}/${name}`
    const info = await lstat(join(root, inner))
    const kind = info.isDirectory() ? 'folder' : info.isFile() ? 'file' : 'other'
    hash.update(JSON.stringify([kind, inner, kind === 'file' ? info.size : 0]))
    if (kind === 'folder') await hashFolder(root, inner, hash)
    else if (kind === 'file') {
      const file = await open(join(root, inner), 'r')
      try {
        for await (const part of file.createReadStream({ autoClose: false })) hash.update(part as Buffer)
      } finally {
        await file.close()
      }
    }
  }
}

/** Relative paths of files that anyone may execute: what arrives must have none. */
export async function executableFiles(directory: string): Promise<readonly string[]> {
  const found: string[] = []
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    if (((await lstat(path)).mode & 0o111) !== 0) found.push(path)
  }
  return found
}

/** Append bytes to a file, which must exist. */
export async function appendBytes(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'a')
  try {
    await file.writeFile(bytes)
  } finally {
    await file.close()
  }
}
