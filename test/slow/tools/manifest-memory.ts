/**
 * Reads a made-up manifest of many entries, part by part, and prints one line of JSON
 * with the time and the memory it took. Its own process, so that the figure is its own.
 *
 *     node dist/test/slow/tools/manifest-memory.js [entries]
 *
 * @module test/slow/tools/manifest-memory
 */

import { seededRandom } from '../../../src/base/random.ts'
import { BLOB_REF_BYTES, CHUNK_BYTES } from '../../../src/wire/constants.ts'
import type { Manifest } from '../../../src/wire/manifest.ts'
import { type EntryInput, encodePart, encodeRoot } from '../../../src/wire/manifest-encode.ts'
import { ManifestReader } from '../../../src/wire/manifest-reader.ts'
import { peakRssBytes } from '../../swarm/harness/memory.ts'

const FILE_BYTES = 10_240
const FILES_PER_BLOB = Math.floor(CHUNK_BYTES / FILE_BYTES)
/** Some 850 kB of a chunk. */
const FILES_PER_PART = 9_000

interface Figures {
  readonly entries: number
  readonly parts: number
  readonly pathBytes: number
  /** Processor time of all parts, all threads. */
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

/** The part that begins at file `first`, in a chunk. Its references are made up, a new one for each blob. */
function makePart(first: number, count: number): Uint8Array {
  const entries: EntryInput[] = []
  for (let file = first; file < Math.min(count, first + FILES_PER_PART); file++) {
    const place = file - first
    const extent = {
      blob: Math.floor(place / FILES_PER_BLOB),
      offset: (place % FILES_PER_BLOB) * FILE_BYTES,
      length: FILE_BYTES,
    }
    entries.push({ path: pathOf(file), size: FILE_BYTES, start: null, extents: [extent] })
  }
  const blobs = random.bytes(Math.ceil(entries.length / FILES_PER_BLOB) * BLOB_REF_BYTES)
  const chunk = new Uint8Array(CHUNK_BYTES)
  chunk.set(encodePart({ blobs, entries }))
  return chunk
}

async function measure(count: number): Promise<Figures> {
  const parts = Math.ceil(count / FILES_PER_PART)
  const summary = { title: 'synthetic', time: 1, files: count, bytes: count * FILE_BYTES }
  const root = encodeRoot({ ...summary, parts: random.bytes(parts * BLOB_REF_BYTES) })
  const reader = new ManifestReader(random.bytes(BLOB_REF_BYTES), root)
  let readMs = 0
  let slowestPartMs = 0
  for (let first = 0; first < count; first += FILES_PER_PART) {
    const chunk = makePart(first, count)
    const before = process.cpuUsage()
    reader.addPart(chunk)
    const { user, system } = process.cpuUsage(before)
    const tookMs = (user + system) / 1000
    readMs += tookMs
    slowestPartMs = Math.max(slowestPartMs, tookMs)
  }
  const manifest = reader.finish()
  const usage = process.memoryUsage()
  return {
    entries: manifest.entryCount,
    parts,
    pathBytes: pathBytes(manifest),
    readMs: Math.round(readMs),
    slowestPartMs: Math.round(slowestPartMs),
    rssMiB: Math.round(usage.rss / 2 ** 20),
    // Not maxRSS: that begins with what the process had that started this one.
    peakRssMiB: Math.round(
      ((await peakRssBytes(process.pid)) ?? process.resourceUsage().maxRSS * 1024) / 1_048_576,
    ),
  }
}

function pathBytes(manifest: Manifest): number {
  let sum = 0
  for (let index = 0; index < manifest.entryCount; index++) sum += manifest.path(index).length
  return sum
}

process.stdout.write(`${JSON.stringify(await measure(Number(process.argv[2] ?? 1_000_000)))}\n`)
