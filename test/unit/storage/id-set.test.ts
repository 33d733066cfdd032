/** A set that may say yes too often and never no. */
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../../src/base/random.ts'
import { IdSet } from '../../../src/storage/id-set.ts'

describe('a set of ids', () => {
  it('has what was added, through every growth, and nothing else', () => {
    const random = seededRandom(1)
    const set = new IdSet(random)
    const ids = Array.from({ length: 5_000 }, () => random.bytes(32))
    let known = 0
    for (const id of ids) {
      if (set.has(id)) known++
      set.add(id)
      set.add(id)
    }
    expect(known).toBe(0)
    expect(set.size).toBe(ids.length)
    expect(ids.every((id) => set.has(id))).toBe(true)
    expect(ids.some(() => set.has(random.bytes(32)))).toBe(false)
  })

  it('knows an id of eight zero bytes, which look like a free place', () => {
    const set = new IdSet(seededRandom(1))
    const zero = new Uint8Array(32)
    expect(set.has(zero)).toBe(false)
    set.add(zero)
    expect([set.has(zero), set.size]).toEqual([true, 1])
  })

  it('takes a reference for the id that it begins with, and no fewer bytes than an id', () => {
    const set = new IdSet(seededRandom(1))
    const reference = seededRandom(2).bytes(64)
    set.add(reference)
    expect(set.has(reference.subarray(0, 32))).toBe(true)
    expect(() => set.add(reference.subarray(0, 31))).toThrow(RangeError)
  })

  it('is as quick with ids that all begin alike: places come from a keyed hash', () => {
    const set = new IdSet(seededRandom(1))
    const startMs = process.cpuUsage().user
    for (let n = 0; n < 100_000; n++) {
      const id = new Uint8Array(32)
      new DataView(id.buffer).setUint32(4, n)
      id[0] = 1
      set.add(id)
    }
    expect(set.size).toBe(100_000)
    // Walking through all that fell into one place would take minutes.
    expect((process.cpuUsage().user - startMs) / 1e6).toBeLessThan(5)
  })
})
