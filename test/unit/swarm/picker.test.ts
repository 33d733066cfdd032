import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  MAX_MANIFEST_BLOBS,
  MAX_SOURCES_PER_BLOB,
  PICK_SAMPLE,
  SECOND_SOURCE_MS,
} from '../../../src/base/limits.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { BlobSet } from '../../../src/swarm/blob-set.ts'
import { patienceFor } from '../../../src/swarm/patience.ts'
import { Picker } from '../../../src/swarm/picker.ts'

function holding(...ranges: [start: number, length: number][]): BlobSet {
  const set = new BlobSet()
  for (const [start, length] of ranges) set.addRange({ start, length })
  return set
}

function pickerOf(blobs: number, seed = 1): Picker<string> {
  const picker = new Picker<string>(seededRandom(seed))
  picker.want(Array.from({ length: blobs }, (_, index) => index))
  return picker
}

describe('the picker', () => {
  it('takes the blob that the fewest hold', () => {
    for (let seed = 0; seed < 20; seed++) {
      const picker = pickerOf(PICK_SAMPLE / 4, seed)
      picker.addSource('seed', holding([0, 100]))
      picker.addSource('other', holding([0, 5], [6, 100]))
      expect(picker.pick('seed', 0)).toBe(5)
    }
  })

  it('finds rare blobs in a large release more often than chance would', () => {
    const picker = pickerOf(4_000)
    picker.addSource('seed', holding([0, 4_000]))
    for (const other of ['a', 'b']) picker.addSource(other, holding([0, 3_600]))
    let rare = 0
    for (let pick = 0; pick < 100; pick++) if ((picker.pick('seed', 0) ?? 0) >= 3_600) rare++
    expect(rare).toBeGreaterThan(25) // a tenth by chance
  })

  it('gives a peer only what it holds', () => {
    const picker = pickerOf(100)
    picker.addSource('a', holding([40, 2]))
    expect(new Set([picker.pick('a', 0), picker.pick('a', 0)])).toEqual(new Set([40, 41]))
    expect(picker.pick('a', 0)).toBe(null)
    expect(picker.pick('stranger', 0)).toBe(null)
  })

  it('asks nobody for a blob that came from a peer that was given up meanwhile, until it is not kept (S5)', () => {
    const picker = pickerOf(1)
    for (const peer of ['a', 'b']) picker.addSource(peer, holding([0, 1]))
    expect(picker.pick('a', 0)).toBe(0)
    picker.removeSource('a')
    expect(picker.openCount).toBe(1)
    const notKept = picker.arrived(0, 'a')
    expect([picker.openCount, picker.remaining]).toEqual([0, 1])
    expect(picker.pick('b', 10 * SECOND_SOURCE_MS)).toBe(null)
    notKept()
    expect(picker.pick('b', 0)).toBe(0)
  })

  it('asks a second and a third source when the first has had its time, and no fourth', () => {
    const picker = pickerOf(1)
    const peers = ['a', 'b', 'c', 'd']
    for (const peer of peers) picker.addSource(peer, holding([0, 1]))
    const at: (number | null)[] = []
    for (const [turn, peer] of peers.entries()) {
      expect(picker.pick(peer, turn * SECOND_SOURCE_MS - (turn > 0 ? 1 : 0))).toBe(turn === 0 ? 0 : null)
      at.push(picker.pick(peer, turn * SECOND_SOURCE_MS))
    }
    expect(at).toEqual([null, 0, 0, null])
    expect(picker.done(0)).toHaveLength(MAX_SOURCES_PER_BLOB)
  })

  it('asks a second source for what has been asked for longest', () => {
    const picker = pickerOf(2)
    picker.addSource('a', holding([0, 2]))
    const first = picker.pick('a', 0)
    picker.pick('a', 1_000)
    picker.addSource('b', holding([0, 2]))
    expect(picker.pick('b', 1_000 + SECOND_SOURCE_MS)).toBe(first)
  })

  it('takes what is read first, in the order of reading, and then the rest', () => {
    const picker = pickerOf(40)
    picker.addSource('a', holding([0, 30]))
    for (const index of [25, 3, 35, 4]) picker.urge(index)
    expect([picker.pick('a', 0), picker.pick('a', 0), picker.pick('a', 0)]).toEqual([25, 3, 4])
    expect([25, 3, 35, 4]).not.toContain(picker.pick('a', 0))
    picker.urge(7)
    picker.urge(7)
    picker.relax(7)
    expect([...picker.urgent(0)]).toEqual([35, 7])
    picker.relax(7)
    picker.done(35)
    expect([...picker.urgent(0)]).toEqual([])
    picker.urge(99) // not wanted
    expect([...picker.urgent(0)]).toEqual([])
  })

  it('asks a second source for what is read, though other blobs are open', () => {
    const picker = pickerOf(9)
    const { urgentMs } = patienceFor(100)
    picker.addSource('a', holding([0, 9]))
    picker.addSource('b', holding([0, 9]))
    picker.urge(5)
    expect(picker.pick('a', 0, patienceFor(100))).toBe(5)
    expect(picker.pick('b', urgentMs - 1, patienceFor(100))).not.toBe(5)
    expect(picker.pick('b', urgentMs, patienceFor(100))).toBe(5)
  })

  it('waits less long for the last blobs than for others', () => {
    const patience = patienceFor(1_000)
    const picker = pickerOf(2)
    picker.addSource('a', holding([0, 2]))
    picker.addSource('b', holding([0, 1]))
    expect(picker.pick('b', 0, patience)).toBe(0)
    picker.addSource('c', holding([0, 1]))
    expect(picker.pick('c', patience.endMs, patience)).toBe(null) // blob 1 is still open
    expect(picker.pick('a', patience.endMs, patience)).toBe(1)
    expect(picker.pick('c', patience.endMs, patience)).toBe(0)
  })

  it('counts holders right, whether they came before or after what is wanted', () => {
    const picker = new Picker<string>(seededRandom(1))
    picker.addSource('early', holding([0, 10]))
    picker.want([3, 4])
    picker.addSource('late', holding([4, 1]))
    expect([picker.holders(3), picker.holders(4)]).toEqual([1, 2])
    picker.want([9])
    expect(picker.holders(9)).toBe(1)
    picker.lost('early', 4)
    picker.lost('early', 4)
    expect(picker.holders(4)).toBe(1)
    picker.removeSource('late')
    picker.removeSource('late')
    expect(picker.holders(4)).toBe(0)
  })

  it('refuses a number that no release can have', () => {
    const picker = new Picker<string>(seededRandom(1))
    expect(() => picker.want([MAX_MANIFEST_BLOBS])).toThrow(RangeError)
    expect(() => picker.want([-1])).toThrow(RangeError)
  })
})

describe('a million blobs and fifty peers', () => {
  const BLOBS = 1_000_000

  afterEach(() => vi.restoreAllMocks())

  it('cost nothing to pass over for peers that hold nothing that is open (I8)', () => {
    const picker = pickerOf(BLOBS)
    const sets = Array.from({ length: 50 }, () => holding([BLOBS + 5, 1]))
    for (const [peer, set] of sets.entries()) picker.addSource(`dry ${peer}`, set)
    const search = vi.spyOn(BlobSet.prototype, 'nextCommon')
    const round = (): (number | null)[] => sets.map((_, peer) => picker.pick(`dry ${peer}`, 0))
    expect(round().every((pick) => pick === null)).toBe(true)
    const searches = search.mock.calls.length
    for (let rounds = 0; rounds < 200; rounds++) round()
    expect(search.mock.calls.length).toBe(searches)
    // What becomes open for one of them is found.
    sets[7]?.add(12)
    picker.gained('dry 7', 12)
    expect(round().filter((pick) => pick !== null)).toEqual([12])
    sets[8]?.add(12)
    picker.gained('dry 8', 12)
    picker.failed(12, 'dry 7')
    expect(picker.pick('dry 8', 0)).toBe(12)
  })

  it('cost the same for each pick as a few', () => {
    const picker = pickerOf(BLOBS)
    for (let peer = 0; peer < 50; peer++) picker.addSource(`seed ${peer}`, holding([0, BLOBS]))
    const search = vi.spyOn(BlobSet.prototype, 'nextCommon')
    const startUs = process.cpuUsage().user
    for (let pick = 0; pick < 2_000; pick++) {
      const index = picker.pick(`seed ${pick % 50}`, 0)
      if (index === null) throw new Error('nothing to pick')
      picker.done(index)
    }
    expect(search.mock.calls.length / 2_000).toBeLessThanOrEqual(PICK_SAMPLE + 4)
    // 0.1 ms a pick with the spy; one that looks at every blob takes 5.
    expect((process.cpuUsage().user - startUs) / 2_000).toBeLessThan(1_000)
    expect(picker.remaining).toBe(BLOBS - 2_000)
  })
})
