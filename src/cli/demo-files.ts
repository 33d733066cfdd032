/**
 * The folder that the demo publishes, its second version, and the comparison of
 * two folders byte by byte.
 *
 * Reads and writes files itself: it stands for the user, who has folders and
 * knows nothing of the daemon's storage.
 *
 * @module cli/demo-files
 */
import { appendFile, mkdir, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { equalBytes } from '../base/bytes.ts'
import type { Random } from '../base/random.ts'

export const LARGE_FILE = 'film/feature.bin'
const LARGE_MIB = 64
const SMALL_FILES = 300
const MIB = 1_048_576
/** What the system's randomness gives at once. */
const RANDOM_BYTES = 65_536

/** A few hundred small files, names of many kinds among them, and one large file. */
export async function makeFolder(folder: string, random: Random): Promise<void> {
  for (let i = 0; i < SMALL_FILES; i++) {
    await put(folder, `pages/${i % 20}/page ${i}.txt`, pageText(i))
  }
  await put(folder, 'Grüße/日本語 naïve.txt', 'names may have any script\n')
  await put(folder, 'empty file', '')
  await mkdir(join(folder, 'empty folder'))
  await mkdir(join(folder, dirname(LARGE_FILE)))
  const file = await open(join(folder, LARGE_FILE), 'wx')
  try {
    for (let i = 0; i < (LARGE_MIB * MIB) / RANDOM_BYTES; i++) await file.write(random.bytes(RANDOM_BYTES))
  } finally {
    await file.close()
  }
}

/** The next version: one page changed, one added, one removed, one byte more in the large file. */
export async function changeFolder(folder: string): Promise<void> {
  await writeFile(join(folder, 'pages/7/page 7.txt'), 'this page was changed\n')
  await put(folder, 'pages/new/page.txt', 'this page was added\n')
  await rm(join(folder, 'pages/9/page 9.txt'))
  await appendFile(join(folder, LARGE_FILE), '!')
}

async function put(folder: string, path: string, text: string): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true })
  await writeFile(join(folder, path), text)
}

function pageText(number: number): string {
  return `page ${number}\n${'A line of a page, so that it has some length.\n'.repeat(1 + (number % 40))}`
}

export interface Comparison {
  readonly files: number
  readonly bytes: number
  /** Paths that differ, are missing or too many; the first few. */
  readonly differences: readonly string[]
}

const MAX_DIFFERENCES = 5

/** Walk both folders and compare names and content. */
export async function compareFolders(wanted: string, found: string): Promise<Comparison> {
  const [wantedPaths, foundPaths] = await Promise.all([listPaths(wanted), listPaths(found)])
  const all = new Set([...wantedPaths, ...foundPaths])
  const differences: string[] = []
  let files = 0
  let bytes = 0
  for (const path of all) {
    if (differences.length >= MAX_DIFFERENCES) break
    if (!wantedPaths.has(path) || !foundPaths.has(path)) differences.push(path)
    else if (!path.endsWith('/')) {
      files++
      const size = await compareFiles(join(wanted, path), join(found, path))
      if (size === null) differences.push(path)
      else bytes += size
    }
  }
  return { files, bytes, differences }
}

/** Paths of files, and of folders with a slash behind. */
async function listPaths(folder: string): Promise<ReadonlySet<string>> {
  const paths = new Set<string>()
  const walk = async (below: string): Promise<void> => {
    for (const entry of await readdir(join(folder, below), { withFileTypes: true })) {
      const path = `${below}${entry.name}`
      if (!entry.isDirectory()) paths.add(path)
      else {
        paths.add(`${path}/`)
        await walk(`${path}/`)
      }
    }
  }
  await walk('')
  return paths
}

/** The common size, or null when they differ. Reads a MiB at a time of large files. */
async function compareFiles(a: string, b: string): Promise<number | null> {
  const [statA, statB] = await Promise.all([stat(a), stat(b)])
  if (statA.size !== statB.size) return null
  if (statA.size <= MIB) return equalBytes(await readFile(a), await readFile(b)) ? statA.size : null
  const [fileA, fileB] = await Promise.all([open(a), open(b)])
  try {
    const [partA, partB] = [new Uint8Array(MIB), new Uint8Array(MIB)]
    for (let at = 0; at < statA.size; at += MIB) {
      const [readA, readB] = await Promise.all([fileA.read(partA, 0, MIB, at), fileB.read(partB, 0, MIB, at)])
      const isEqual = equalBytes(partA.subarray(0, readA.bytesRead), partB.subarray(0, readB.bytesRead))
      if (!isEqual) return null
    }
    return statA.size
  } finally {
    await Promise.all([fileA.close(), fileB.close()])
  }
}
