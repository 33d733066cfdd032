import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BEFORE_RESTART, PlaceLedger } from '../../../../src/discovery/gateway/place-ledger.ts'

const RULES = { places: 8, perHost: 6, sharedHost: 7 }

/** Asks, and does what the verdict says. @returns whether it has a place. */
function enter(ledger: PlaceLedger, key: string, host: string, isShared = false): boolean {
  const verdict = ledger.judge(key, host, isShared)
  if (!verdict.granted) return false
  if (verdict.evict !== null) ledger.free(verdict.evict)
  ledger.take(key, host, isShared)
  return true
}

/** Has it a place? In a ledger without free ones. */
function holds(ledger: PlaceLedger, key: string): boolean {
  const verdict = ledger.judge(key, 'nobody', false)
  return verdict.granted && verdict.evict === null
}

function fillWith(host: string, count: number, isShared = false): PlaceLedger {
  const ledger = new PlaceLedger(RULES)
  for (let i = 0; i < count; i++) expect(enter(ledger, `${host}${i}`, host, isShared)).toBe(true)
  return ledger
}

function countOf(owners: ReadonlyMap<string, string>, host: string): number {
  return [...owners.values()].filter((owner) => owner === host).length
}

describe('the places of a gateway', () => {
  it('are for one host up to its part, for a shared one up to a larger, and a kept key keeps its own', () => {
    const alone = fillWith('a', 6)
    expect(enter(alone, 'a6', 'a')).toBe(false)
    expect(enter(alone, 'a3', 'a')).toBe(true)
    expect(alone.taken).toBe(6)
    const shared = fillWith('s', 7, true)
    expect(enter(shared, 's7', 's', true)).toBe(false)
  })

  it('are taken from the host that has most, the youngest first, until shares are even', () => {
    const ledger = fillWith('a', 6)
    for (const key of ['b0', 'b1', 'b2', 'b3']) expect(enter(ledger, key, 'b')).toBe(true)
    expect(enter(ledger, 'b4', 'b')).toBe(false)
    const kept = ['a0', 'a1', 'a2', 'a3', 'a4', 'a5'].filter((key) => holds(ledger, key))
    expect(kept).toEqual(['a0', 'a1', 'a2', 'a3'])
  })

  it('go over to whoever gives the same item and has fewer, up to its part', () => {
    const ledger = fillWith('a', 6)
    for (let i = 0; i < 6; i++) ledger.take(`a${i}`, 'b', false)
    for (const key of ['c0', 'c1']) expect(enter(ledger, key, 'c')).toBe(true)
    // Three of a, three of b, two of c.
    expect([0, 1, 2].map((i) => enter(ledger, `d${i}`, 'd'))).toEqual([true, true, false])
    expect(ledger.taken).toBe(8)
  })

  it('of an item that another was first to give are not taken in its stead once its owner has given it', () => {
    const ledger = fillWith('bot', 5)
    for (const host of ['bot', 'owner']) expect(enter(ledger, 'item', host)).toBe(true)
    for (let i = 0; i < 4; i++) expect(enter(ledger, `n${i}`, `n${i}`)).toBe(true)
    expect([holds(ledger, 'item'), holds(ledger, 'bot4')]).toEqual([true, false])
  })

  it('of before a restart are whose items are given again, up to a part', () => {
    const ledger = new PlaceLedger({ places: 20, perHost: 6, sharedHost: 7 })
    for (let i = 0; i < 20; i++) ledger.take(`old${i}`, BEFORE_RESTART, true)
    for (let i = 12; i < 20; i++) expect(enter(ledger, `old${i}`, 'owner')).toBe(true)
    for (let bot = 0; bot < 9; bot++) for (let i = 0; i < 9; i++) enter(ledger, `${bot} ${i}`, `bot ${bot}`)
    const left = Array.from({ length: 8 }, (_, i) => `old${i + 12}`).filter((key) => holds(ledger, key))
    expect(left).toEqual(['old12', 'old13'])
    expect(ledger.taken).toBe(20)
  })

  it('of before a restart count as one host, so that others get in', () => {
    const ledger = new PlaceLedger(RULES)
    for (let i = 0; i < 8; i++) ledger.take(`old${i}`, BEFORE_RESTART, true)
    expect([enter(ledger, 'n0', 'n'), ledger.taken, ledger.fill]).toEqual([true, 8, 1])
  })

  it('are never more than there are, nor for one host more than its part, whoever comes', () => {
    const step = fc.record({ key: fc.nat(40), host: fc.nat(5), frees: fc.boolean() })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const ledger = new PlaceLedger(RULES)
        const owners = new Map<string, string>()
        for (const { key, host, frees } of steps) {
          const [name, from] = [`k${key}`, `h${host}`]
          if (frees) {
            ledger.free(name)
            owners.delete(name)
            continue
          }
          const verdict = ledger.judge(name, from, false)
          if (!verdict.granted) continue
          if (verdict.evict !== null) {
            expect(owners.delete(verdict.evict)).toBe(true)
            ledger.free(verdict.evict)
          }
          ledger.take(name, from, false)
          const owner = owners.get(name)
          const hasFewer = owner !== undefined && countOf(owners, from) + 1 < countOf(owners, owner)
          if (owner === undefined || (hasFewer && countOf(owners, from) < RULES.perHost))
            owners.set(name, from)
          expect(ledger.taken).toBe(owners.size)
          expect(owners.size).toBeLessThanOrEqual(RULES.places)
          expect(countOf(owners, from)).toBeLessThanOrEqual(RULES.perHost)
        }
      }),
    )
  })
})
