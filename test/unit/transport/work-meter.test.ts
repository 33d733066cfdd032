import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { ALL_WORK_PER_SECOND, PEER_WORK_BURST, PEER_WORK_PER_SECOND } from '../../../src/base/limits.ts'
import { WorkMeter, WorkShare } from '../../../src/transport/work-meter.ts'

/** A peer that causes work whenever it is read. */
class Busy {
  readonly meter: WorkMeter
  isPaused = false
  work = 0

  constructor(clock: ManualClock, share: WorkShare) {
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
    while (!this.isPaused) {
      this.meter.charge(100)
      this.work += 100
    }
  }
}

async function workOver(peers: number, seconds: number): Promise<{ all: Busy[]; share: WorkShare }> {
  const clock = new ManualClock()
  const share = new WorkShare()
  const all = Array.from({ length: peers }, () => new Busy(clock, share))
  for (let step = 0; step < seconds * 100; step++) {
    for (const one of all) one.go()
    await clock.advance(10)
  }
  for (const one of all) one.meter.close()
  expect(clock.pendingTimers).toBe(0)
  return { all, share }
}

describe('work that messages cause', () => {
  it('is bounded for one peer', async () => {
    const { all } = await workOver(1, 10)
    const allowed = PEER_WORK_BURST + PEER_WORK_PER_SECOND * 10
    expect(all[0]?.work).toBeGreaterThan(allowed * 0.9)
    expect(all[0]?.work).toBeLessThan(allowed * 1.05)
  })

  it('is bounded for all together, and none has twice as much as another', async () => {
    const { all, share } = await workOver(100, 20)
    const work = all.map((one) => one.work)
    const total = work.reduce((sum, one) => sum + one, 0)
    expect(total).toBeLessThan(100 * PEER_WORK_BURST + ALL_WORK_PER_SECOND * 20 * 1.2)
    expect(Math.max(...work)).toBeLessThan(Math.min(...work) * 2)
    expect(share.paying).toBe(0)
  })
})
