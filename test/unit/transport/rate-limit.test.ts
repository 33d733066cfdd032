import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { FairTurns } from '../../../src/base/fair-turns.ts'
import { RATE_BURST_MS, RATE_PIECE_MAX_BYTES } from '../../../src/base/limits.ts'
import { RateBudget } from '../../../src/transport/rate-budget.ts'
import { type Flow, RateLimit } from '../../../src/transport/rate-limit.ts'

/** A connection that always has pieces of one size to move, and moves them as it may. */
class Greedy {
  readonly #flow: Flow
  readonly #pieceBytes: number
  readonly #isReading: boolean
  bytes = 0

  /** @param isReading - what it moves has passed before it is asked, as with a socket that is read. */
  constructor(limit: RateLimit, pieceBytes: number, isReading: boolean) {
    this.#pieceBytes = pieceBytes
    this.#isReading = isReading
    this.#flow = limit.open(() => this.go())
  }

  go(): void {
    for (;;) {
      if (!this.#isReading && !this.#flow.take(this.#pieceBytes)) break
      this.bytes += this.#pieceBytes
      if (this.#isReading && !this.#flow.passed(this.#pieceBytes)) break
    }
    this.#flow.wait()
  }

  end(): void {
    this.#flow.close()
  }
}

function limitOf(bytesPerSecond: number): { clock: ManualClock; limit: RateLimit } {
  const clock = new ManualClock()
  const limit = new RateLimit(clock)
  limit.setRate(bytesPerSecond)
  return { clock, limit }
}

const sum = (all: readonly Greedy[]): number => all.reduce((total, { bytes }) => total + bytes, 0)

describe('turns', () => {
  it('give everybody the same, whatever his turns cost and whenever he came', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 2, maxLength: 12 }), (costs) => {
        const turns = new FairTurns<number>()
        const spent = costs.map(() => 0)
        const late = costs.length - 1
        const all = costs.map((_, who) => who)
        let lateFrom = 0
        for (let step = 0; step < 4000; step++) {
          if (step === 2000) lateFrom = spent[0] as number
          const who = turns.pick(step < 2000 ? all.slice(0, late) : all) as number
          turns.charge(who, costs[who] as number)
          spent[who] = (spent[who] as number) + (costs[who] as number)
        }
        const dearest = Math.max(...costs)
        const early = spent.slice(0, late)
        expect(Math.max(...early) - Math.min(...early)).toBeLessThanOrEqual(2 * dearest)
        // Who came later has what the others had since, and nothing of what they had before.
        const since = (spent[0] as number) - lateFrom
        expect(Math.abs((spent[late] as number) - since)).toBeLessThanOrEqual(3 * dearest)
      }),
    )
  })

  it('break ties by rank', () => {
    const turns = new FairTurns<number>()
    expect(turns.pick([1, 3, 2], (a, b) => a > b)).toBe(3)
    turns.charge(3, 1)
    expect(turns.pick([1, 3, 2], (a, b) => a > b)).toBe(2)
    turns.forget(3)
    expect(turns.size).toBe(0)
  })
})

describe('a budget of bytes', () => {
  it('lets through no more than its rate, a burst and a piece, and no less while somebody wants', () => {
    const steps = fc.array(fc.record({ ms: fc.nat(400), bytes: fc.integer({ min: 500, max: 70_000 }) }), {
      minLength: 1,
    })
    fc.assert(
      fc.property(fc.integer({ min: 1000, max: 1e6 }), steps, (rate, list) => {
        const budget = new RateBudget()
        budget.setRate(rate, 0)
        let nowMs = 0
        let passed = 0
        for (const { ms, bytes } of list) {
          nowMs += ms
          while (budget.balance(nowMs) > 0) {
            budget.spend(bytes, nowMs)
            passed += bytes
          }
          const allowed = (rate * nowMs) / 1000
          expect(passed).toBeLessThanOrEqual(allowed + bytes + 70_000)
          expect(passed).toBeGreaterThanOrEqual(Math.floor(allowed))
          const waitMs = budget.waitMs(1, nowMs)
          expect(budget.balance(nowMs + waitMs)).toBeGreaterThan(0.99)
        }
      }),
    )
  })

  it('saves up a burst and no more', () => {
    const budget = new RateBudget()
    budget.setRate(1000, 0)
    expect(budget.balance(3_600_000)).toBe(RATE_BURST_MS)
  })

  it('owes no more than a second of the rate that it is set to', () => {
    const budget = new RateBudget()
    budget.setRate(1e6, 0)
    budget.spend(5e6, 0)
    budget.setRate(1000, 0)
    expect(budget.waitMs(1, 0)).toBeLessThanOrEqual(1001)
    expect(() => budget.setRate(-1, 0)).toThrow(RangeError)
    expect(() => budget.setRate(Number.NaN, 0)).toThrow(RangeError)
  })
})

describe('a limit over connections', () => {
  it.each([
    [20_000, 16_384],
    [300_000, 65_536],
    [1_000_000, 65_536],
    [80_000_000, 65_536],
  ])('of %i bytes a second is kept to 2 % over a minute, and shared evenly', async (rate, largest) => {
    for (const isReading of [false, true]) {
      const { clock, limit } = limitOf(rate)
      const all = [1, 2, 4, 8, 16].map((part) => new Greedy(limit, largest / part, isReading))
      for (const one of all) one.go()
      await clock.advance(60_000)
      const total = sum(all)
      expect(Math.abs(total / (rate * 60) - 1)).toBeLessThan(0.02 + largest / (rate * 60))
      const shares = all.map(({ bytes }) => bytes)
      // The first one had the burst to itself, and a turn is not cut.
      const turns = 2 * Math.max(largest, limit.pieceBytes) + (rate * RATE_BURST_MS) / 1000
      expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(turns)
      for (const one of all) one.end()
      expect(clock.pendingTimers).toBe(0)
    }
  })

  it('lets small messages pass while others wait with blobs, and is kept all the same', async () => {
    const rate = 100_000
    const { clock, limit } = limitOf(rate)
    const all = Array.from({ length: 20 }, () => new Greedy(limit, 16_384, false))
    for (const one of all) one.go()
    await clock.advance(5_000)
    const before = sum(all)
    const small = limit.open(() => {})
    for (let second = 0; second < 60; second++) {
      expect(small.take(1024), `second ${second}`).toBe(true)
      await clock.advance(1000)
    }
    expect(sum(all) - before + 60 * 1024).toBeLessThan(rate * 60 * 1.02 + 16_384)
    expect(sum(all) - before).toBeGreaterThan(rate * 60 * 0.9)
  })

  it('is not passed by many small messages: then these wait too', async () => {
    const rate = 100_000
    const { clock, limit } = limitOf(rate)
    const all = Array.from({ length: 200 }, () => new Greedy(limit, 1024, false))
    for (const one of all) one.go()
    await clock.advance(60_000)
    const allowances = 200 * 4096
    expect(sum(all)).toBeLessThan(rate * 60 * 1.01 + allowances)
    expect(sum(all)).toBeGreaterThan(rate * 60 * 0.99)
  })

  it('can be changed while others wait, and lifted', async () => {
    const { clock, limit } = limitOf(1000)
    const one = new Greedy(limit, 1000, true)
    one.go()
    await clock.advance(10_000)
    expect(one.bytes).toBeLessThan(30_000)
    const before = one.bytes
    limit.setRate(1_000_000)
    await clock.advance(10_000)
    expect(Math.abs((one.bytes - before) / 10_000_000 - 1)).toBeLessThan(0.05)
    one.end()
    const free = limit.open(() => {})
    limit.setRate(0)
    expect(free.take(1e9)).toBe(true)
    expect(free.passed(1e9)).toBe(true)
    expect(clock.pendingTimers).toBe(0)
  })

  it('is not held up by one that has its turn and does nothing, nor by one that goes', async () => {
    const { clock, limit } = limitOf(1_000_000)
    const lazy = Array.from({ length: 10 }, () => {
      const flow: Flow = limit.open(() => flow.wait())
      flow.wait()
      return flow
    })
    const one = new Greedy(limit, RATE_PIECE_MAX_BYTES / 16, false)
    one.go()
    await clock.advance(20_000)
    expect(one.bytes).toBeGreaterThan(10_000_000)
    for (const flow of lazy) flow.close()
    await clock.advance(10_000)
    expect(one.bytes).toBeGreaterThan(20_000_000 * 0.8)
  })

  it('costs nothing while there is none', async () => {
    const { clock, limit } = limitOf(0)
    const flow = limit.open(() => {})
    for (let i = 0; i < 1000; i++) {
      expect(flow.take(1e12)).toBe(true)
      expect(flow.passed(1e12)).toBe(true)
    }
    expect(clock.pendingTimers).toBe(0)
    limit.setRate(1000)
    expect(flow.take(4096)).toBe(true)
  })
})
