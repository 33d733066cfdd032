/**
 * Reads a made-up manifest of many entries, part by part, and prints one line of JSON
 * with the time and the memory it took. Its own process, so that the figure is its own.
 *
 *     node dist/test/slow/tools/manifest-memory.js [entries]
 *
 * @module test/slow/tools/manifest-memory
 */
import { seededRandom } from '../../../src/base/random.ts'
import { CHUNK_BYTES } from '../../../src/wire/constants.ts'
import type { Manifest } from '../../../src/wire/manifest.ts'
import { type EntryInput, encodePart, encodeRoot, entryBytes } from '../../../src/wire/manifest-encode.ts'
import { ManifestReader } from '../../../src/wire/manifest-reader.ts'

const FILE_BYTES = 10_240
const FILES_PER_BLOB = Math.floor(CHUNK_BYTES / FILE_BYTES)
const PART_BYTES = 900_000

interface Figures {
  readonly entries: number
  readonly parts: number
  readonly pathBytes: number
  readonly readMs: number
  readonly slowestPartMs: number
  readonly rssMiB: number
  readonly peakRssMiB: number
}

const random = seededRandom(1)

/** Paths as an npm tree has them: some sixty bytes, six names deep. They ascend. */
function pathOf(file: number): string {
  const digits = String(file).padStart(7, '0')
  const [a, b, c] = [digits.slice(0, 3), digits.slice(3, 5), digits.slice(5)]
  return `packages/package-${a}/node_modules/Module_${b}/lib/Component.${c}.test.js`
}

/** One part that begins at file `first`. Its references are made up, a new one for each blob. */
function makePart(first: number, count: number): { readonly chunk: Uint8Array; readonly next: number } {
  const entries: EntryInput[] = []
  let bytes = 0
  let file = first
  while (file < count && bytes < PART_BYTES) {
    const place = file - first
    const extent = {
      blob: Math.floor(place / FILES_PER_BLOB),
      offset: (place % FILES_PER_BLOB) * FILE_BYTES,
      length: FILE_BYTES,
    }
    const entry = { path: pathOf(file), size: FILE_BYTES, start: null, extents: [extent] }
    bytes += entryBytes(entry)
    entries.push(entry)
    file++
  }
  const blobs = random.bytes(Math.ceil(entries.length / FILES_PER_BLOB) * 64)
  const chunk = new Uint8Array(CHUNK_BYTES)
  chunk.set(encodePart({ blobs, entries }))
  return { chunk, next: file }
}

function countParts(count: number): number {
  let parts = 0
  for (let first = 0; first < count; first = makePart(first, count).next) parts++
  return parts
}

function measure(count: number): Figures {
  const parts = countParts(count)
  const summary = { title: 'synthetic', time: 1, files: count, bytes: count * FILE_BYTES }
  const root = encodeRoot({ ...summary, parts: random.bytes(parts * 64) })
  const reader = new ManifestReader(random.bytes(64), root)
  let readMs = 0
  let slowestPartMs = 0
  for (let first = 0; first < count; ) {
    const { chunk, next } = makePart(first, count)
    const startMs = performance.now()
    reader.addPart(chunk)
    const tookMs = performance.now() - startMs
    readMs += tookMs
    slowestPartMs = Math.max(slowestPartMs, tookMs)
    first = next
  }
  const startMs = performance.now()
  const manifest = reader.finish()
  readMs += performance.now() - startMs
  const usage = process.memoryUsage()
  return {
    entries: manifest.entryCount,
    parts,
    pathBytes: pathBytes(manifest),
    readMs: Math.round(readMs),
    slowestPartMs: Math.round(slowestPartMs),
    rssMiB: Math.round(usage.rss / 2 ** 20),
    // maxRSS is in KiB.
    peakRssMiB: Math.round(process.resourceUsage().maxRSS / 1024),
  }
}

function pathBytes(manifest: Manifest): number {
  let sum = 0
  for (let index = 0; index < manifest.entryCount; index++) sum += manifest.path(index).length
  return sum
}

process.stdout.write(`${JSON.stringify(measure(Number(process.argv[2] ?? 1_000_000)))}\n`)
