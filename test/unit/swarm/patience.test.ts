import { describe, expect, it } from 'vitest'
import { MAX_PATIENCE_MS, MIN_END_MS, MIN_LATE_MS, SECOND_SOURCE_MS } from '../../../src/base/limits.ts'
import { patienceFor } from '../../../src/swarm/patience.ts'

describe('patience', () => {
  it('is that of an unknown line while no blob has come', () => {
    expect(patienceFor(0)).toMatchObject({ lateMs: SECOND_SOURCE_MS, endMs: SECOND_SOURCE_MS })
  })

  it('follows what is usual, within bounds, and is shorter at the end than before', () => {
    expect(patienceFor(5)).toMatchObject({ lateMs: MIN_LATE_MS, endMs: MIN_END_MS })
    expect(patienceFor(2_000)).toMatchObject({ lateMs: 8_000, endMs: 4_000, urgentMs: 4_000 })
    // 1 Mbit/s: nobody is called slow for taking the 8 s that a blob takes there.
    expect(patienceFor(8_400).endMs).toBeGreaterThan(2 * 8_000)
    expect(patienceFor(600_000)).toMatchObject({ lateMs: MAX_PATIENCE_MS, endMs: MAX_PATIENCE_MS })
    for (let usualMs = 1; usualMs < 100_000; usualMs *= 3) {
      const { lateMs, endMs } = patienceFor(usualMs)
      expect(endMs).toBeLessThanOrEqual(lateMs)
    }
  })
})
