import { describe, expect, it } from 'vitest'
import {
  MAX_HOLDINGS_BYTES_PER_PEER,
  MAX_MANIFEST_BLOBS,
  MAX_RELEASES_PER_PEER,
} from '../../../src/base/limits.ts'
import type { BlobSet } from '../../../src/swarm/blob-set.ts'
import type { SwarmChannel } from '../../../src/swarm/channel.ts'
import { PeerHoldings } from '../../../src/swarm/peer-holdings.ts'

const channel = (id: string): SwarmChannel => ({ id }) as SwarmChannel
const root = (number: number): Uint8Array => new Uint8Array(32).fill(number)
const nothingInUse = (): boolean => false
const FIRST = [{ start: 0, length: 1 }]
const LAST = [{ start: MAX_MANIFEST_BLOBS - 1, length: 1 }]
const A = channel('a')
const B = channel('b')

describe('what a peer told of its blobs', () => {
  it('adds up for each release of each channel', () => {
    const holdings = new PeerHoldings()
    holdings.add(A, root(1), FIRST, nothingInUse)
    holdings.add(A, root(1), [{ start: 5, length: 2 }], nothingInUse)
    holdings.add(B, root(1), [{ start: 9, length: 1 }], nothingInUse)
    expect([...(holdings.of(A, root(1)) ?? [])]).toEqual([0, 5, 6])
    expect([...(holdings.of(B, root(1)) ?? [])]).toEqual([9])
    expect(holdings.of(A, root(2))).toBe(null)
  })

  it('is kept for the releases told of last', () => {
    const holdings = new PeerHoldings()
    for (let number = 1; number <= MAX_RELEASES_PER_PEER; number++) {
      holdings.add(A, root(number), FIRST, nothingInUse)
    }
    holdings.add(A, root(1), FIRST, nothingInUse)
    holdings.add(A, root(9), FIRST, nothingInUse)
    const known = [1, 2, 3, 9].filter((number) => holdings.of(A, root(number)) !== null)
    expect(known).toEqual([1, 3, 9])
  })

  it('takes no more memory than its bound, whatever is claimed of however many channels (I9)', () => {
    const holdings = new PeerHoldings()
    const channels = Array.from({ length: 200 }, (_, number) => channel(`c${number}`))
    const sets = new Set<BlobSet>()
    for (const each of channels) {
      for (let number = 0; number < 5; number++) {
        const set = holdings.add(each, root(number), number % 2 === 0 ? LAST : FIRST, nothingInUse)
        if (set !== null) sets.add(set)
      }
    }
    const kept = channels.flatMap((each) => [0, 1, 2, 3, 4].map((number) => holdings.of(each, root(number))))
    const bytes = kept.reduce((sum, set) => sum + (set?.bytes ?? 0), 0)
    expect(bytes).toBeGreaterThan(0)
    expect(bytes).toBeLessThanOrEqual(MAX_HOLDINGS_BYTES_PER_PEER)
  })

  it('costs a moment to note, however much is claimed', () => {
    const holdings = new PeerHoldings()
    const everything = [{ start: 0, length: 0xffff_ffff }]
    const startUs = process.cpuUsage().user
    for (let number = 0; number < 100; number++) holdings.add(A, root(number), everything, nothingInUse)
    // 0.2 ms each: as many as the transport lets one peer send cost less than a tenth of a core. The bound is
    // for a slow machine that does other things; without a limit one claim would take seconds.
    expect((process.cpuUsage().user - startUs) / 100).toBeLessThan(10_000)
  })

  it('makes room for what comes, but not at the cost of what is fetched from (I9)', () => {
    const holdings = new PeerHoldings()
    const inUse = holdings.add(A, root(1), [{ start: 1_000_000, length: 1 }], nothingInUse)
    const isInUse = (set: BlobSet): boolean => set === inUse
    expect(holdings.add(B, root(2), LAST, isInUse)).toBe(null)
    expect(holdings.of(A, root(1))).toBe(inUse)
    expect(holdings.add(B, root(2), FIRST, isInUse)).not.toBe(null)
    // It may not grow over the bound either; what it held before stays.
    expect(holdings.add(B, root(2), LAST, isInUse)).toBe(holdings.of(B, root(2)))
    expect([...(holdings.of(B, root(2)) ?? [])]).toEqual([0])
    // Without the one in use there is room.
    expect(holdings.add(B, root(3), LAST, nothingInUse)).not.toBe(null)
    expect(holdings.of(A, root(1))).toBe(null)
  })

  it('tells of each blob once that it is new', () => {
    const holdings = new PeerHoldings()
    const fresh: number[] = []
    holdings.add(A, root(1), [{ start: 3, length: 2 }], nothingInUse, (index) => fresh.push(index))
    holdings.add(A, root(1), [{ start: 2, length: 3 }], nothingInUse, (index) => fresh.push(index))
    expect(fresh).toEqual([3, 4, 2])
  })

  it('is forgotten with the channel, or when the peer is not believed', () => {
    const holdings = new PeerHoldings()
    for (const each of [A, B])
      for (const number of [1, 2]) holdings.add(each, root(number), FIRST, nothingInUse)
    holdings.forget(A, root(1))
    holdings.forgetChannel(B)
    expect([holdings.of(A, root(1)), holdings.of(B, root(1)), holdings.of(B, root(2))]).toEqual([
      null,
      null,
      null,
    ])
    expect(holdings.of(A, root(2))).not.toBe(null)
  })
})
