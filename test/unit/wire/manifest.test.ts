import { describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { padChunk } from '../../../src/wire/blob.ts'
import { CHUNK_BYTES } from '../../../src/wire/constants.ts'
import {
  type EntryInput,
  encodePart,
  encodeRoot,
  entryBytes,
  inlineRootBytes,
  listedRootBytes,
  partBytes,
} from '../../../src/wire/manifest-encode.ts'
import { checkManifestPart, ManifestReader } from '../../../src/wire/manifest-reader.ts'
import { hex, readOwnVectors } from '../../reference/shared-vectors.ts'
import {
  file,
  folder,
  fragment,
  inline,
  RANDOM,
  ROOT_REFERENCE,
  read,
  reference,
  references,
  SUMMARY,
} from './manifest-input.ts'
import { codeOf, damaged } from './refusal.ts'

interface ManifestBytes {
  readonly root: string
  readonly parts: readonly string[]
  /** The root is that long, zeros but for its last byte. */
  readonly length?: number
  readonly last?: number
}

interface ManifestVectors {
  readonly valid: readonly (ManifestBytes & { readonly name: string })[]
  readonly invalid: readonly (ManifestBytes & { readonly why: string; readonly code: string })[]
}

const VECTORS = readOwnVectors<ManifestVectors>('manifests.json')
function rootOf(vector: ManifestBytes): Uint8Array {
  const value = hex(vector.root)
  if (vector.length === undefined) return value
  const root = new Uint8Array(vector.length)
  root.set(value)
  root[vector.length - 1] = vector.last ?? 0
  return root
}

describe('a manifest', () => {
  it.each(VECTORS.valid)('of the vector "$name" is read whole, with and without padding', (vector) => {
    const parts = vector.parts.map(hex)
    const manifest = read(rootOf(vector), parts)
    const padded = read(padChunk(rootOf(vector)), parts.map(padChunk))
    expect([...padded.entries()]).toEqual([...manifest.entries()])
    const sizes = [...manifest.entries()].map(({ size, extents }) => [
      size,
      extents.reduce((sum, { length }) => sum + length, 0),
    ])
    for (const [size, sum] of sizes) expect(sum).toBe(size)
    expect(manifest.bytes).toBe(sizes.reduce((sum, [size = 0]) => sum + size, 0))
  })

  it.each(VECTORS.invalid)('is refused: $why', (vector) => {
    expect(codeOf(() => read(rootOf(vector), vector.parts.map(hex)))).toBe(vector.code)
  })

  it('is refused for each of the reasons there are but size', () => {
    expect(
      [
        ...new Set(
          VECTORS.invalid.filter(({ code }) => code.startsWith('ERR_MANIFEST')).map(({ code }) => code),
        ),
      ].sort(),
    ).toEqual([
      'ERR_MANIFEST_BLOBS',
      'ERR_MANIFEST_EXTENT',
      'ERR_MANIFEST_ORDER',
      'ERR_MANIFEST_PADDING',
      'ERR_MANIFEST_SHAPE',
      'ERR_MANIFEST_SUM',
      'ERR_MANIFEST_VERSION',
    ])
  })

  it('of two parts comes out as one: fragments joined, blobs numbered in manifest order, each once', () => {
    const vector = VECTORS.valid.find(({ name }) => name.startsWith('two parts'))
    const manifest = read(hex(vector?.root ?? ''), vector?.parts.map(hex))
    // Root 0, parts 1 and 2, data blobs 3, 4 and 5.
    expect(manifest.manifestBlobCount).toBe(3)
    expect(manifest.blobCount).toBe(6)
    expect([...manifest.entries()]).toEqual([
      { index: 0, path: 'a', kind: 'file', size: 3, extents: [{ blob: 3, offset: 0, length: 3 }] },
      {
        index: 1,
        path: 'b/c',
        kind: 'file',
        size: 8,
        extents: [
          { blob: 4, offset: 0, length: 3 },
          { blob: 5, offset: 0, length: 5 },
        ],
      },
      { index: 2, path: 'd', kind: 'file', size: 1, extents: [{ blob: 4, offset: 7, length: 1 }] },
      { index: 3, path: 'e', kind: 'folder', size: 0, extents: [] },
    ])
    expect(manifest.files).toBe(3)
    expect(manifest.reference(0)).toEqual(ROOT_REFERENCE)
    expect(manifest.blobId(3)).toEqual(manifest.reference(3).subarray(0, 32))
    expect(manifest.blobKey(3)).toEqual(manifest.reference(3).subarray(32))
  })

  it('finds an entry by its path', () => {
    const names = ['a', 'a/b'.replace('/', '-'), 'b', 'c/d', 'z\u00e9', '\uffee', '\u{10000}']
    const sorted = names.sort((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)))
    const manifest = read(inline(sorted.map((name) => file(name, 0))))
    for (const [index, name] of sorted.entries()) expect(manifest.indexOf(name)).toBe(index)
    for (const absent of ['', 'A', 'c', 'c/d/e', 'zz', '\u{10ffff}'])
      expect(manifest.indexOf(absent)).toBe(-1)
    expect(() => manifest.path(names.length)).toThrow(RangeError)
    expect(() => manifest.reference(1)).toThrow(RangeError)
  })

  it('gives a file blob by blob, never over a chunk boundary', () => {
    const size = 2 * CHUNK_BYTES + 6
    const manifest = read(
      inline(
        [file('a', size, [0, CHUNK_BYTES - 1, CHUNK_BYTES + 2], [0, 0, CHUNK_BYTES + 4])],
        references(0, 1, 2),
      ),
    )
    expect([...manifest.spans(0)]).toEqual([
      { blob: 1, offset: CHUNK_BYTES - 1, length: 1, position: 0 },
      { blob: 2, offset: 0, length: CHUNK_BYTES, position: 1 },
      { blob: 3, offset: 0, length: 1, position: CHUNK_BYTES + 1 },
      { blob: 1, offset: 0, length: CHUNK_BYTES, position: CHUNK_BYTES + 2 },
      { blob: 2, offset: 0, length: 4, position: 2 * CHUNK_BYTES + 2 },
    ])
  })

  it('keeps a run of blobs together where their numbers run on, and parts it where they do not', () => {
    const first = encodePart({
      blobs: references(0, 1, 2),
      entries: [file('a', 3 * CHUNK_BYTES, [0, 0, 3 * CHUNK_BYTES])],
    })
    // In the second part, blobs 3 and 4 are new and follow each other; 1 is known.
    const second = encodePart({
      blobs: references(3, 4, 1),
      entries: [file('b', 2 * CHUNK_BYTES + 5, [0, 5, 2 * CHUNK_BYTES + 5])],
    })
    const root = encodeRoot({ ...SUMMARY, files: 2, bytes: 5 * CHUNK_BYTES + 5, parts: references(8, 9) })
    const manifest = read(root, [first, second])
    expect([...manifest.extents(0)]).toEqual([{ blob: 3, offset: 0, length: 3 * CHUNK_BYTES }])
    expect([...manifest.extents(1)]).toEqual([
      { blob: 6, offset: 5, length: 2 * CHUNK_BYTES - 5 },
      { blob: 4, offset: 0, length: 10 },
    ])
  })

  it('counts the blob of a part that is a data blob too once', () => {
    const part = encodePart({ blobs: references(5, 0), entries: [file('a', 2, [0, 0, 1], [1, 0, 1])] })
    const root = encodeRoot({ ...SUMMARY, files: 1, bytes: 2, parts: references(5) })
    const manifest = read(root, [part])
    expect(manifest.blobCount).toBe(3)
    expect([...manifest.extents(0)].map(({ blob }) => blob)).toEqual([1, 2])
  })
})

describe('what is written', () => {
  const entries = [
    folder('\u00e9mpty'.normalize('NFC')),
    file('a', 0),
    file('b', 12_345, [0, 7, 12_345]),
    fragment('c', 2 ** 53 - 1, 2 ** 40, [0, 0, 9], [1, 1_048_575, 10]),
  ]

  it('is as long as was measured, to the byte, at every width of number', () => {
    for (const entry of entries) {
      const part = encodePart({ blobs: references(0, 1), entries: [entry] })
      expect(part.length).toBe(partBytes(2, entryBytes(entry)))
    }
    for (const blobs of [0, 1, 15, 16, 156, 157, 1562, 1563]) {
      const part = encodePart({ blobs: new Uint8Array(64 * blobs), entries })
      expect(part.length).toBe(
        partBytes(
          blobs,
          entries.reduce((sum, entry) => sum + entryBytes(entry), 0),
        ),
      )
    }
    for (const digits of [0, 9, 10, 99, 100, 2 ** 53 - 1]) {
      const summary = { title: 't\u00e9', time: digits, files: digits, bytes: digits }
      expect(encodeRoot({ ...summary, parts: references(1, 2) }).length).toBe(listedRootBytes(summary, 2))
      expect(encodeRoot({ ...summary, blobs: references(1), entries: [] }).length).toBe(
        inlineRootBytes(summary, 1, 0),
      )
    }
  })

  it('is the bytes of the vectors', () => {
    const vector = VECTORS.valid.find(({ name }) => name === 'one file')
    const whole = read(hex(vector?.root ?? ''))
    const again = encodeRoot({
      title: whole.title,
      time: whole.time,
      files: whole.files,
      bytes: whole.bytes,
      blobs: whole.reference(1),
      entries: [file('a', 3, [0, 0, 3])],
    })
    expect(toHex(again)).toBe(vector?.root)
  })

  it('fits a chunk exactly or not at all', () => {
    const one = 'x'.repeat(200)
    const some: EntryInput[] = []
    let bytes = 0
    for (let i = 0; bytes < CHUNK_BYTES - 400; i++) {
      const entry = file(`${one}${String(i).padStart(9, '0')}`, 0)
      some.push(entry)
      bytes += entryBytes(entry)
    }
    // A last entry takes what is left: its path is as long as it must be.
    const room = CHUNK_BYTES - partBytes(0, bytes)
    const filler = (extra: number): EntryInput => {
      let path = 'y'
      while (entryBytes(file(path, 0)) < room + extra) path += path.length % 100 === 99 ? '/' : 'y'
      return file(path, 0)
    }
    const full = encodePart({ blobs: new Uint8Array(0), entries: [...some, filler(0)] })
    expect(full.length).toBe(CHUNK_BYTES)
    checkManifestPart(full)
    expect(() => encodePart({ blobs: new Uint8Array(0), entries: [...some, filler(1)] })).toThrow(RangeError)
  })

  it('that makes no sense is our own mistake', () => {
    const root = { ...SUMMARY, files: 0, bytes: 0, entries: [], blobs: new Uint8Array(0) }
    expect(() => encodeRoot({ ...root, title: 'x'.repeat(1025) })).toThrow(RangeError)
    expect(() => encodeRoot({ ...root, bytes: 2 ** 53 })).toThrow(RangeError)
    expect(() => encodePart({ blobs: new Uint8Array(63), entries: [] })).toThrow(RangeError)
  })
})

describe('reading', () => {
  it('asks for the parts in order, and for no more and no fewer', () => {
    const root = encodeRoot({ ...SUMMARY, files: 0, bytes: 0, parts: references(7, 8) })
    const reader = new ManifestReader(ROOT_REFERENCE, root, RANDOM)
    expect([reader.partCount, reader.partsRead]).toEqual([2, 0])
    expect(reader.summary).toEqual({ ...SUMMARY, files: 0, bytes: 0 })
    expect(reader.partReference(1)).toEqual(reference(8))
    expect(() => reader.partReference(2)).toThrow(RangeError)
    expect(() => reader.finish()).toThrow(RangeError)
    const empty = encodePart({ blobs: new Uint8Array(0), entries: [] })
    reader.addPart(empty)
    reader.addPart(empty)
    expect(() => reader.addPart(empty)).toThrow(RangeError)
    expect(reader.finish().entryCount).toBe(0)
  })

  it.each(['Uint8Array', 'Buffer'])('keeps nothing of the chunks it was fed, be they a %s', (kind) => {
    const as = (bytes: Uint8Array): Uint8Array => (kind === 'Buffer' ? Buffer.from(bytes) : bytes)
    const root = as(inline([file('abc', 3, [0, 0, 3])], references(0)))
    const parts = as(encodeRoot({ ...SUMMARY, files: 0, bytes: 0, parts: references(7) }))
    const manifest = read(root)
    root.fill(0xff)
    expect(manifest.path(0)).toBe('abc')
    expect(manifest.reference(1)).toEqual(reference(0))
    const reader = new ManifestReader(ROOT_REFERENCE, parts, RANDOM)
    parts.fill(0xff)
    expect(reader.partReference(0)).toEqual(reference(7))
  })

  it('of damaged bytes is refused with our own error, or reads another valid manifest', () => {
    const random = seededRandom(6)
    for (const vector of VECTORS.valid) {
      for (const { bytes } of damaged(hex(vector.root), random))
        codeOf(() => read(bytes, vector.parts.map(hex)))
      for (const part of vector.parts.map(hex)) {
        for (const { bytes } of damaged(part, random))
          codeOf(() =>
            read(
              hex(vector.root),
              vector.parts.map(() => bytes),
            ),
          )
      }
    }
  })

  it('judges a part alone as far as that goes: a file may begin and end elsewhere', () => {
    const blobs = references(0)
    const part = (...entries: EntryInput[]): Uint8Array => encodePart({ blobs, entries })
    checkManifestPart(part(fragment('a', 9, 4, [0, 0, 5]), file('b', 1, [0, 0, 1])))
    checkManifestPart(part(file('a', 1, [0, 0, 1]), fragment('b', 9, 0, [0, 0, 5])))
    checkManifestPart(part(fragment('a', 9, 4, [0, 0, 2])))
    expect(
      codeOf(() => checkManifestPart(part(file('a', 1, [0, 0, 1]), fragment('b', 9, 1, [0, 0, 8])))),
    ).toBe('ERR_MANIFEST_ORDER')
    expect(codeOf(() => checkManifestPart(part(fragment('a', 9, 10, [0, 0, 1]))))).toBe('ERR_MANIFEST_SUM')
    expect(codeOf(() => checkManifestPart(part(fragment('a', 9, 5, [0, 0, 5]))))).toBe('ERR_MANIFEST_SUM')
  })
})
