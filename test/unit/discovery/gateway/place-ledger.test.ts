import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BEFORE_RESTART, PlaceLedger } from '../../../../src/discovery/gateway/place-ledger.ts'

const RULES = { places: 8, perHost: 6, sharedHost: 7 }

/** Asks, and does what the verdict says. @returns whether it has a place. */
function enter(ledger: PlaceLedger, key: string, host: string, isShared = false): boolean {
  const verdict = ledger.judge(key, host, isShared)
  if (!verdict.granted) return false
  if (verdict.evict !== null) ledger.free(verdict.evict)
  ledger.take(key, host)
  return true
}

function fillWith(host: string, count: number, isShared = false): PlaceLedger {
  const ledger = new PlaceLedger(RULES)
  for (let i = 0; i < count; i++) expect(enter(ledger, `${host}${i}`, host, isShared)).toBe(true)
  return ledger
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
    const kept = ['a0', 'a1', 'a2', 'a3', 'a4', 'a5'].filter((key) => {
      const verdict = ledger.judge(key, 'x', false)
      return verdict.granted && verdict.evict === null
    })
    expect(kept).toEqual(['a0', 'a1', 'a2', 'a3'])
  })

  it('stay whose they were when another gives the same item', () => {
    const ledger = fillWith('a', 6)
    for (let i = 0; i < 6; i++) ledger.take(`a${i}`, 'b')
    for (let i = 0; i < 6; i++) ledger.free(`a${i}`)
    expect([ledger.taken, enter(ledger, 'a9', 'a')]).toEqual([0, true])
  })

  it('of before a restart count as one host, so that others get in', () => {
    const ledger = new PlaceLedger(RULES)
    for (let i = 0; i < 8; i++) ledger.take(`old${i}`, BEFORE_RESTART)
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
          ledger.take(name, from)
          if (!owners.has(name)) owners.set(name, from)
          expect(ledger.taken).toBe(owners.size)
          expect(owners.size).toBeLessThanOrEqual(RULES.places)
          const own = [...owners.values()].filter((owner) => owner === from).length
          expect(own).toBeLessThanOrEqual(RULES.perHost)
        }
      }),
    )
  })
})
