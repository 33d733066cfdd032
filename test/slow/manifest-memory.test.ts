/** The full size of test/unit/wire/manifest-memory.test.ts, and how memory grows up to it. */
import { execFileSync } from 'node:child_process'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  MAX_MANIFEST_BLOBS,
  MAX_MANIFEST_ENTRIES,
  MAX_MANIFEST_FOLDERS,
  MAX_MANIFEST_PATH_BYTES,
} from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { BlobTable } from '../../src/wire/blob-table.ts'
import { encodePart, encodeRoot } from '../../src/wire/manifest-encode.ts'
import { ManifestReader } from '../../src/wire/manifest-reader.ts'
import { PathSet } from '../../src/wire/path-set.ts'
import { codeOf } from '../unit/wire/refusal.ts'

const TOOL = resolve(import.meta.dirname, '../../dist/test/slow/tools/manifest-memory.js')

interface Figures {
  readonly entries: number
  readonly readMs: number
  readonly slowestPartMs: number
  readonly peakRssMiB: number
}

function measure(entries: number): Figures {
  const line = execFileSync(process.execPath, [TOOL, String(entries)], { encoding: 'utf8' })
  process.stdout.write(line)
  return JSON.parse(line) as Figures
}

describe('reading a manifest', () => {
  it('of 1,000,000 entries takes under 400 MiB, of the 1 GiB that it may, and some seconds', () => {
    const figures = measure(1_000_000)
    expect(figures.entries).toBe(1_000_000)
    expect(figures.peakRssMiB).toBeLessThan(400)
    expect(figures.readMs).toBeLessThan(15_000)
  })

  it('grows by no more than 300 bytes an entry', () => {
    const [small, large] = [measure(100_000), measure(1_000_000)]
    const perEntry = ((large.peakRssMiB - small.peakRssMiB) * 2 ** 20) / 900_000
    expect(perEntry).toBeLessThan(300)
  })
})

describe('the bounds of a manifest', () => {
  it('hold for entries and for folders, at the bound and one beyond', () => {
    const entries = new PathSet(0, seededRandom(1))
    for (let i = 0; i < MAX_MANIFEST_ENTRIES; i++) entries.add(`${i}`)
    expect(codeOf(() => entries.add('x'))).toBe('ERR_MANIFEST_LIMIT')
    const folders = new PathSet(0, seededRandom(1))
    for (let i = 0; i < MAX_MANIFEST_FOLDERS / 2000; i++) folders.add(`${i}/${'a/'.repeat(1999)}b`)
    folders.add('x')
    expect(codeOf(() => folders.add('y/z'))).toBe('ERR_MANIFEST_LIMIT')
  })

  it('hold for names, after folding', () => {
    const names = new PathSet(0, seededRandom(1))
    const part = 'n'.repeat(250)
    let index = 0
    const fill = (): void => {
      for (; index <= MAX_MANIFEST_PATH_BYTES / 4000; index++) {
        names.add(Array.from({ length: 16 }, (_, depth) => `${part}${index}${depth}`.slice(-255)).join('/'))
      }
    }
    expect(codeOf(fill)).toBe('ERR_MANIFEST_LIMIT')
    expect(index).toBeGreaterThan(30_000)
  })

  it('hold for the bytes of all paths, also where the folders are the same', () => {
    const folder = `${'f'.repeat(254)}/`.repeat(15)
    const perPart = 250
    const parts = Math.ceil(MAX_MANIFEST_PATH_BYTES / (perPart * 4000)) + 1
    const summary = { title: '', time: 0, files: parts * perPart, bytes: 0 }
    const references = seededRandom(1).bytes(64 * parts)
    const reader = new ManifestReader(
      new Uint8Array(64),
      encodeRoot({ ...summary, parts: references }),
      seededRandom(1),
    )
    const path = (index: number): string => `${folder}${String(index).padStart(200, '0')}`
    const readAll = (): void => {
      for (let part = 0; part < parts; part++) {
        const entries = Array.from({ length: perPart }, (_, i) => ({
          path: path(part * perPart + i),
          size: 0,
          start: null,
          extents: [],
        }))
        reader.addPart(encodePart({ blobs: new Uint8Array(0), entries }))
      }
    }
    expect(codeOf(readAll)).toBe('ERR_MANIFEST_LIMIT')
    expect(reader.partsRead).toBe(Math.ceil((MAX_MANIFEST_PATH_BYTES + 1) / path(0).length / perPart))
  })

  it('hold for blobs', () => {
    const table = new BlobTable(MAX_MANIFEST_BLOBS, seededRandom(1))
    const reference = new Uint8Array(64)
    const view = new DataView(reference.buffer)
    for (let i = 0; i < MAX_MANIFEST_BLOBS; i++) {
      view.setUint32(0, i)
      table.add(reference)
    }
    view.setUint32(0, MAX_MANIFEST_BLOBS)
    expect(codeOf(() => table.add(reference))).toBe('ERR_MANIFEST_LIMIT')
    view.setUint32(0, 5)
    expect(table.add(reference)).toBe(5)
  })
})
