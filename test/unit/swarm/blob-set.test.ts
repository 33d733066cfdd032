import { describe, expect, it } from 'vitest'
import { MAX_MANIFEST_BLOBS } from '../../../src/base/limits.ts'
import { BlobSet } from '../../../src/swarm/blob-set.ts'

function setOf(...indexes: number[]): BlobSet {
  const set = new BlobSet()
  for (const index of indexes) set.add(index)
  return set
}

describe('a set of blobs', () => {
  it('tells of each number whether it is new, and counts it once', () => {
    const set = new BlobSet()
    expect(set.add(31)).toBe(true)
    expect(set.add(31)).toBe(false)
    expect(set.add(32)).toBe(true)
    expect([set.size, set.has(31), set.has(32), set.has(30), set.has(33)]).toEqual([
      2,
      true,
      true,
      false,
      false,
    ])
  })

  it('forgets a number, and tells whether it was there', () => {
    const set = setOf(0, 31, 32)
    expect([set.delete(31), set.delete(31), set.delete(5_000)]).toEqual([true, false, false])
    expect([...set]).toEqual([0, 32])
    expect(set.size).toBe(2)
  })

  it.each([
    [0, 1],
    [0, 32],
    [31, 2],
    [1, 31],
    [32, 32],
    [30, 70],
    [95, 1],
  ])('takes the range of %i and %i more as it takes single numbers', (start, length) => {
    const fresh: number[] = []
    const set = setOf(33)
    set.addRange({ start, length }, (index) => fresh.push(index))
    const wanted = Array.from({ length }, (_, at) => start + at)
    expect(fresh).toEqual(wanted.filter((index) => index !== 33))
    expect([...set]).toEqual([...new Set([...wanted, 33])].sort((a, b) => a - b))
    expect(set.size).toBe([...set].length)
  })

  it('keeps no number beyond the largest release, whatever a peer claims', () => {
    const set = new BlobSet()
    expect(set.add(MAX_MANIFEST_BLOBS)).toBe(false)
    expect(set.add(-1)).toBe(false)
    set.addRange({ start: MAX_MANIFEST_BLOBS - 1, length: 0xffff_ffff })
    set.addRange({ start: 0xffff_fff0, length: 8 })
    expect([...set]).toEqual([MAX_MANIFEST_BLOBS - 1])
    expect(set.bytes).toBe(MAX_MANIFEST_BLOBS / 8)
    expect(set.bytes).toBe(BlobSet.bytesFor(0xffff_ffff))
  })

  it('takes no more memory than the highest number needs', () => {
    expect(setOf(0).bytes).toBe(32)
    expect(setOf(100_000).bytes).toBe(16_384)
    expect(setOf(100_000).bytes).toBe(BlobSet.bytesFor(100_001))
  })

  it('finds what it has in common with another', () => {
    const a = setOf(3, 40, 64, 1000)
    const b = setOf(4, 40, 63, 1000, 5000)
    expect(a.nextCommon(b, 0)).toBe(40)
    expect(a.nextCommon(b, 40)).toBe(40)
    expect(a.nextCommon(b, 41)).toBe(1000)
    expect(a.nextCommon(b, 1001)).toBe(-1)
    expect(b.nextCommon(a, 6000)).toBe(-1)
  })

  it('gives its ranges in order, from anywhere', () => {
    const set = setOf(5)
    set.addRange({ start: 30, length: 40 })
    set.addRange({ start: 255, length: 1 })
    expect([...set.rangesFrom(0)]).toEqual([
      { start: 5, length: 1 },
      { start: 30, length: 40 },
      { start: 255, length: 1 },
    ])
    expect([...set.rangesFrom(69)][0]).toEqual({ start: 69, length: 1 })
    expect([...new BlobSet().rangesFrom(0)]).toEqual([])
  })

  it('says whether it has all of a range', () => {
    const set = new BlobSet()
    set.addRange({ start: 10, length: 300 })
    expect(set.hasAll({ start: 10, length: 300 })).toBe(true)
    expect(set.hasAll({ start: 10, length: 301 })).toBe(false)
    expect(set.hasAll({ start: 9, length: 2 })).toBe(false)
    expect(set.hasAll({ start: 100_000, length: 1 })).toBe(false)
  })

  it('takes a claim of two million blobs in the time of a few thousand steps', () => {
    const startUs = process.cpuUsage().user
    for (let round = 0; round < 20; round++) {
      const set = new BlobSet()
      set.addRange({ start: 0, length: MAX_MANIFEST_BLOBS })
      set.addRange({ start: 0, length: MAX_MANIFEST_BLOBS })
      expect(set.size).toBe(MAX_MANIFEST_BLOBS)
    }
    // Number by number it takes seconds.
    expect(process.cpuUsage().user - startUs).toBeLessThan(500_000)
  })
})
