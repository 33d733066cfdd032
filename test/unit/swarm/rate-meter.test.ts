import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { RateMeter } from '../../../src/swarm/rate-meter.ts'

describe('a rate', () => {
  it('is what came in the last seconds, an integer, and fades', async () => {
    const clock = new ManualClock()
    const meter = new RateMeter(clock)
    expect(meter.rate).toBe(0)
    for (let second = 0; second < 5; second++) {
      meter.add(1_001)
      await clock.advance(second < 4 ? 1_000 : 0)
    }
    expect(meter.rate).toBe(1_001)
    await clock.advance(2_000)
    expect(meter.rate).toBe(601) // 3 of 5 seconds
    await clock.advance(1_000_000)
    expect(meter.rate).toBe(0)
    meter.add(5_000)
    expect(meter.rate).toBe(1_000)
  })
})
