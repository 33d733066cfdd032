import { describe, expect, it } from 'vitest'
import { hourClock, ManualClock } from '../../../src/base/clock.ts'

describe('a clock that states the hour alone', () => {
  it('goes on by hours, and is never ahead', async () => {
    const clock = new ManualClock(Date.UTC(2026, 0, 1, 12, 59, 59, 998))
    const hours = hourClock(clock)
    expect(hours.now()).toBe(Date.UTC(2026, 0, 1, 12))
    await clock.advance(1)
    expect(hours.now()).toBe(Date.UTC(2026, 0, 1, 12))
    await clock.advance(1)
    expect(hours.now()).toBe(Date.UTC(2026, 0, 1, 13))
  })

  it('follows one that is set back', () => {
    const clock = new ManualClock(Date.UTC(2026, 0, 1, 12))
    const hours = hourClock(clock)
    clock.jumpWall(-1)
    expect(hours.now()).toBe(Date.UTC(2026, 0, 1, 11))
  })
})
