import { describe, expect, it } from 'vitest'
import { seededRandom, systemRandom } from '../../../src/base/random.ts'
import { BlobTable } from '../../../src/wire/blob-table.ts'
import { HashIndex, WordHash } from '../../../src/wire/hash-index.ts'
import {
  ByteStrings,
  SegmentedFloat64,
  SegmentedUint16,
  SegmentedUint32,
} from '../../../src/wire/segmented.ts'
import { codeOf, leastMs } from './refusal.ts'

describe('the keyed hash', () => {
  it('is HalfSipHash: with 2 and 4 rounds it gives the published values', () => {
    // Of the authors' reference code: key 00..07, message 00, 01, 02... Here in whole words of 4 bytes.
    const hash = new WordHash(0x03020100, 0x07060504, 2, 4)
    const words = [0x03020100, 0x07060504, 0x0b0a0908]
    const published = [0x5b9f35a9, 0x89466e2a, 0x8f84b8d0, 0x2f87f057]
    for (const [count, value] of published.entries()) {
      hash.start()
      for (const word of words.slice(0, count)) hash.word(word)
      expect(hash.finish(), `${count} words`).toBe(value)
    }
  })

  it('differs between two tables', () => {
    const of = (hash: WordHash): number => {
      hash.start()
      hash.word(1)
      return hash.finish()
    }
    const values = new Set(Array.from({ length: 20 }, () => of(WordHash.random(systemRandom))))
    expect(values.size).toBeGreaterThan(17)
  })
})

describe('the index', () => {
  it.each([0, 10, 100_000])('finds every number again, also under one hash, made for %i', (expected) => {
    const index = new HashIndex(expected)
    const random = seededRandom(1)
    const hashes = Array.from({ length: 5000 }, () => Math.floor(random.fraction() * 2000) * 65_536)
    for (const hash of hashes) index.add(hash)
    expect(index.size).toBe(hashes.length)
    for (const hash of [...new Set(hashes), 1, 77]) {
      const found: number[] = []
      for (let n = index.first(hash); n >= 0; n = index.next()) found.push(n)
      expect(found.sort((a, b) => a - b)).toEqual(hashes.flatMap((other, n) => (other === hash ? [n] : [])))
    }
  })
})

describe('long lists', () => {
  it.each([
    ['u16', new SegmentedUint16(), 65_535],
    ['u32', new SegmentedUint32(), 4_294_967_295],
    ['f64', new SegmentedFloat64(), Number.MAX_SAFE_INTEGER],
  ] as const)('of %s hold what was pushed, over every segment boundary', (_, list, top) => {
    const value = (index: number): number => top - (index % 60_000)
    for (let index = 0; index < 140_000; index++) list.push(value(index))
    expect(list.length).toBe(140_000)
    const wrong = Array.from({ length: 140_000 }, (__, index) => index).filter(
      (index) => list.at(index) !== value(index),
    )
    expect(wrong).toEqual([])
    list.put(65_536, 5)
    expect([list.at(65_535), list.at(65_536), list.at(65_537)]).toEqual([value(65_535), 5, value(65_537)])
  })

  it('of byte strings hold them whole, over every segment boundary', () => {
    const strings = new ByteStrings()
    const random = seededRandom(2)
    const all = Array.from({ length: 4000 }, (_, index) => random.bytes(index % 7 === 0 ? 4096 : index % 300))
    for (const [index, bytes] of all.entries()) expect(strings.push(bytes)).toBe(index)
    expect(strings.length).toBe(4000)
    expect(strings.byteLength).toBe(all.reduce((sum, { length }) => sum + length, 0))
    expect(strings.byteLength).toBeGreaterThan(2 ** 21)
    const wrong = all.filter((bytes, index) => strings.compare(index, bytes) !== 0)
    expect(wrong).toEqual([])
    expect(strings.at(1)).not.toBeInstanceOf(Buffer)
    expect(() => strings.push(new Uint8Array(65_536))).toThrow(RangeError)
  })

  it('of byte strings hold copies, read as UTF-8', () => {
    const strings = new ByteStrings()
    const bytes = new TextEncoder().encode('\ufeffé\u{10000}')
    strings.push(bytes)
    strings.push(new Uint8Array(65_535))
    bytes.fill(0)
    expect(strings.text(0)).toBe('\ufeffé\u{10000}')
    expect(strings.at(1).length).toBe(65_535)
  })
})

describe('the table of blobs', () => {
  const reference = (id: number, key: number): Uint8Array => {
    const bytes = new Uint8Array(64)
    new DataView(bytes.buffer).setUint32(28, id)
    new DataView(bytes.buffer).setUint32(60, key)
    return bytes
  }

  it('numbers each id once, in the order they came', () => {
    const table = new BlobTable(0, seededRandom(1))
    const order = [5, 3, 5, 9, 3, 0].map((id) => table.add(reference(id, id)))
    expect(order).toEqual([0, 1, 0, 2, 1, 3])
    expect(table.size).toBe(4)
    expect(table.references.at(2)).toEqual(reference(9, 9))
    expect(codeOf(() => table.add(reference(9, 8)))).toBe('ERR_MANIFEST_BLOBS')
  })

  it('cannot be slowed down by ids that someone chose: they cost what any cost', () => {
    const fill = (make: (i: number) => number): number =>
      leastMs(() => {
        const table = new BlobTable(0, systemRandom)
        for (let i = 0; i < 20_000; i++) table.add(reference(make(i), i))
      }, 3)
    const random = seededRandom(3)
    const honest = fill(() => Math.floor(random.fraction() * 2 ** 32))
    for (const chosen of [
      (i: number) => i,
      (i: number) => i << 16,
      (i: number) => i * 1024,
      (i: number) => i * 0x10001,
    ]) {
      expect(fill(chosen)).toBeLessThan(honest * 5 + 20)
    }
  })
})
