import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { IDLE_PEER_MS, PROTECTED_SHARE, USEFUL_PEER_MS } from '../../../src/base/limits.ts'
import { type Guest, idlest, leastUseful, protectedOf, surplus } from '../../../src/swarm/eviction.ts'

const NOW = 10_000_000
const NEVER = Number.NEGATIVE_INFINITY

function guest(change: Partial<Omit<Guest, 'init'>> & { ageMs?: number; host?: string } = {}): Guest {
  const { ageMs = 3_000_000, host = '192.0.2.1', ...rest } = change
  return {
    direction: 'in',
    byUser: false,
    isProven: false,
    gaveMs: NEVER,
    tookMs: NEVER,
    shared: { size: 1 },
    init: { sinceMs: NOW - ageMs, remote: { host } },
    ...rest,
  }
}

const arbitrary = fc.record({
  byUser: fc.boolean(),
  gaveMs: fc.oneof(fc.constant(NEVER), fc.integer({ min: NOW - 2_000_000, max: NOW })),
  tookMs: fc.oneof(fc.constant(NEVER), fc.integer({ min: NOW - 2_000_000, max: NOW })),
  shared: fc.record({ size: fc.nat(2) }),
  ageMs: fc.nat(5_000_000),
  host: fc.integer({ min: 1, max: 5 }).map((last) => `192.0.2.${last}`),
})

describe('who is missed least', () => {
  it('is never one of the user while there is another, and somebody as long as there is anybody', () => {
    fc.assert(
      fc.property(fc.array(arbitrary, { maxLength: 40 }), (list) => {
        const guests = list.map(guest)
        const found = leastUseful(guests, NOW)
        expect(found === null).toBe(guests.length === 0)
        if (found?.byUser) expect(guests.every(({ byUser }) => byUser)).toBe(true)
        const idle = idlest(guests, NOW)
        if (idle === null) return
        expect(protectedOf(guests, NOW).has(idle)).toBe(false)
        const { gaveMs, tookMs, init } = idle
        expect(NOW - Math.max(gaveMs, tookMs, init.sinceMs)).toBeGreaterThan(IDLE_PEER_MS)
      }),
    )
  })

  it('leaves half of the places to those that no reason protects', () => {
    fc.assert(
      fc.property(fc.array(arbitrary, { minLength: 8, maxLength: 60 }), (list) => {
        const guests = list.map((one) => guest({ ...one, byUser: false }))
        expect(protectedOf(guests, NOW).size).toBeLessThanOrEqual(4 * PROTECTED_SHARE * guests.length)
      }),
    )
  })

  it('spares those that gave lately, are given to, came first, and one of each of some hosts', () => {
    const plain = Array.from({ length: 28 }, (_, number) =>
      guest({ ageMs: 1_000_000 + number, host: '192.0.2.1' }),
    )
    const giver = guest({ gaveMs: NOW - 1000, ageMs: 1000 })
    const taker = guest({ tookMs: NOW - 1000, ageMs: 1000 })
    const first = guest({ ageMs: 9_000_000 })
    const alone = guest({ ageMs: 900_000, host: '198.51.100.1' })
    const kept = protectedOf([...plain, giver, taker, first, alone], NOW)
    for (const one of [giver, taker, first, alone]) expect(kept.has(one)).toBe(true)
    const long = guest({ gaveMs: NOW - USEFUL_PEER_MS - 1, ageMs: 700_000 })
    expect(protectedOf([...plain, long], NOW).has(long)).toBe(false)
  })

  it('begins with strangers, then with who was of use longest ago', () => {
    const stranger = guest({ shared: { size: 0 }, ageMs: 1000 })
    const useful = Array.from({ length: 20 }, (_, at) =>
      guest({ tookMs: NOW - at * 10_000, host: `192.0.2.${at}` }),
    )
    expect(leastUseful([...useful, stranger], NOW)).toBe(stranger)
    expect(leastUseful(useful, NOW)).toBe(useful.at(-1))
    expect(surplus([...useful, stranger], 19, NOW)).toEqual([stranger, useful.at(-1)])
    expect(surplus(useful, 20, NOW)).toEqual([])
  })
})
