import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import {
  MAX_PEX_TOLD,
  PEX_ADDRESSES_PER_ANSWER,
  PEX_ANSWER_BURST,
  PEX_ANSWERS_PER_SECOND,
  PEX_ASK_FACTOR,
  PEX_ASK_FIRST_MS,
  PEX_ASK_MAX_MS,
} from '../../../src/base/limits.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { PexAsker, PexTeller, spread, type Tellable } from '../../../src/discovery/pex.ts'

const random = seededRandom(1)

function tellable(count: number, groups = count): Tellable<string>[] {
  return Array.from({ length: count }, (_, i) => ({
    key: `k${i}`,
    address: `a${i}`,
    group: `g${i % groups}`,
  }))
}

describe('what a peer is told', () => {
  it('is a few at a time, nothing twice on one connection, and never more than so many', () => {
    const teller = new PexTeller(new ManualClock())
    const told: string[] = []
    for (let turn = 0; turn < 20; turn++) {
      const answer = teller.answer('c', tellable(200), null, random)
      if (answer === 'busy') throw new Error('busy')
      expect(answer.length).toBeLessThanOrEqual(PEX_ADDRESSES_PER_ANSWER)
      told.push(...answer)
    }
    expect(new Set(told).size).toBe(told.length)
    expect(told.length).toBe(MAX_PEX_TOLD)
  })

  it('is what is new since the last answer', () => {
    const teller = new PexTeller(new ManualClock())
    const all = tellable(3)
    expect(teller.answer('c', all.slice(0, 2), null, random)).toHaveLength(2)
    expect(teller.answer('c', all.slice(0, 2), null, random)).toEqual([])
    expect(teller.answer('c', all, null, random)).toEqual(['a2'])
    // Of another channel it was told nothing, and after we left one it may be told again.
    expect(teller.answer('d', all, null, random)).toHaveLength(3)
    teller.forget('c')
    expect(teller.answer('c', all, null, random)).toHaveLength(3)
  })

  it('does not include its own address', () => {
    const teller = new PexTeller(new ManualClock())
    expect(teller.answer('c', tellable(2), 'k0', random)).toEqual(['a1'])
  })

  it('has a rate: who asks more often is told to wait', async () => {
    const clock = new ManualClock()
    const teller = new PexTeller(clock)
    const ask = (): unknown => teller.answer('c', [], null, random)
    for (let i = 0; i < PEX_ANSWER_BURST; i++) expect(ask()).toEqual([])
    expect(ask()).toBe('busy')
    await clock.advance(1000 / PEX_ANSWERS_PER_SECOND)
    expect([ask(), ask()]).toEqual([[], 'busy'])
  })

  it('is of as many networks as there are: one that fills the list is one of them', () => {
    const crowd = Array.from({ length: 100 }, (_, i) => ({ key: `s${i}`, address: `s${i}`, group: 'crowd' }))
    for (let seed = 0; seed < 20; seed++) {
      const chosen = spread([...crowd, ...tellable(7)], PEX_ADDRESSES_PER_ANSWER, seededRandom(seed))
      expect(chosen.filter(({ group }) => group === 'crowd')).toHaveLength(1)
    }
    expect(spread(crowd, 5, random)).toHaveLength(5)
    expect(spread(crowd, -1, random)).toEqual([])
  })
})

describe('who is asked', () => {
  it('is asked again soon while it tells of what is new, and less and less often while it does not', () => {
    const asker = new PexAsker()
    expect(asker.isDue(0)).toBe(true)
    asker.asked()
    expect(asker.isDue(1e9)).toBe(false)
    let nowMs = 0
    let longestMs = 0
    for (let turn = 1; turn <= 10; turn++) {
      asker.answered(nowMs, 0, random)
      const waitMs = asker.dueMs - nowMs
      const wantedMs = Math.min(PEX_ASK_FIRST_MS * PEX_ASK_FACTOR ** turn, PEX_ASK_MAX_MS)
      expect(waitMs).toBeGreaterThanOrEqual(wantedMs / 2)
      expect(waitMs).toBeLessThanOrEqual(wantedMs)
      expect(asker.isDue(asker.dueMs - 1)).toBe(false)
      nowMs = asker.dueMs
      longestMs = Math.max(longestMs, waitMs)
    }
    expect(longestMs).toBeGreaterThan(PEX_ASK_MAX_MS / 2)
    asker.answered(nowMs, 1, random)
    expect(asker.dueMs - nowMs).toBeLessThanOrEqual(PEX_ASK_FIRST_MS)
  })
})
