import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { ALL_WORK_PER_SECOND, PEER_WORK_BURST, PEER_WORK_PER_SECOND } from '../../../src/base/limits.ts'
import { WorkMeter, WorkShare } from '../../../src/transport/work-meter.ts'

const TURN_MS = 10

/** A peer that causes work whenever it is read, or no more than so much in a turn. */
class Busy {
  readonly meter: WorkMeter
  isPaused = false
  work = 0
  readonly #mostPerTurn: number

  constructor(clock: ManualClock, share: WorkShare, mostPerSecond = Number.POSITIVE_INFINITY) {
    this.#mostPerTurn = (mostPerSecond * TURN_MS) / 1000
    const reading = {
      pauseReading: () => {
        this.isPaused = true
      },
      resumeReading: () => {
        this.isPaused = false
      },
    }
    this.meter = new WorkMeter(clock, reading, share)
  }

  go(): void {
    for (let left = this.#mostPerTurn; left > 0 && !this.isPaused; ) {
      const units = Math.min(100, left)
      this.meter.charge(units)
      this.work += units
      left -= units
    }
  }
}

/** @param rates - of each peer, units a second at most. */
async function workOver(
  rates: readonly number[],
  seconds: number,
): Promise<{ all: Busy[]; share: WorkShare }> {
  const clock = new ManualClock()
  const share = new WorkShare()
  const all = rates.map((rate) => new Busy(clock, share, rate))
  for (let turn = 0; turn < (seconds * 1000) / TURN_MS; turn++) {
    for (const one of all) one.go()
    await clock.advance(TURN_MS)
  }
  for (const one of all) one.meter.close()
  expect(clock.pendingTimers).toBe(0)
  return { all, share }
}

const GREEDY = Number.POSITIVE_INFINITY

function many(count: number, rate: number): number[] {
  return Array.from({ length: count }, () => rate)
}

function sumOf(all: readonly Busy[]): number {
  return all.reduce((sum, { work }) => sum + work, 0)
}

describe('work that messages cause', () => {
  it('is bounded for one peer', async () => {
    const { all } = await workOver([GREEDY], 10)
    const allowed = PEER_WORK_BURST + PEER_WORK_PER_SECOND * 10
    expect(all[0]?.work).toBeGreaterThan(allowed * 0.9)
    expect(all[0]?.work).toBeLessThan(allowed * 1.05)
  })

  it('is bounded for all together, and evenly', async () => {
    const { all, share } = await workOver(many(100, GREEDY), 20)
    const work = all.map((one) => one.work)
    expect(sumOf(all)).toBeLessThan(100 * PEER_WORK_BURST + ALL_WORK_PER_SECOND * 20 * 1.2)
    expect(Math.max(...work)).toBeLessThan(Math.min(...work) * 1.3)
    expect(share.paying).toBe(0)
  })

  it.each([100, 1_000])('is bounded for %i peers that are each within the rate of one', async (count) => {
    const { all } = await workOver(many(count, PEER_WORK_PER_SECOND * 0.9), 20)
    expect(sumOf(all)).toBeLessThan(count * PEER_WORK_BURST + ALL_WORK_PER_SECOND * 20 * 1.2)
  })

  it('of one that causes little is not held up by others that cause all they can', async () => {
    const { all } = await workOver([...many(50, GREEDY), 200], 20)
    expect(all.at(-1)?.work).toBeCloseTo(200 * 20)
  })

  it('is that of one peer again when what others caused, who have gone, is paid off', async () => {
    const clock = new ManualClock()
    const share = new WorkShare()
    const others = many(100, GREEDY).map((rate) => new Busy(clock, share, rate))
    for (const other of others) {
      other.go()
      other.meter.close()
    }
    await clock.advance((100 * PEER_WORK_BURST * 1000) / ALL_WORK_PER_SECOND)
    const last = new Busy(clock, share)
    for (let turn = 0; turn < 1_000; turn++) {
      last.go()
      await clock.advance(TURN_MS)
    }
    expect(last.work).toBeGreaterThan(PEER_WORK_PER_SECOND * 10 * 0.9)
  })
})
