/**
 * What a node costs that does nothing: 50 peers and 100 channels under 50 MB a day.
 */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { IDLE_CHANNELS, IDLE_PEERS, type IdleDay, idleDay } from './idle-day.ts'

const LIMIT_BYTES = 50_000_000

function total({ bytesIn, bytesOut }: IdleDay): number {
  return bytesIn + bytesOut
}

describe('a day in which nothing happens', () => {
  afterEach(() => {
    vi.doUnmock('../../src/base/limits.ts')
    vi.resetModules()
  })

  it(`costs ${IDLE_PEERS} peers and ${IDLE_CHANNELS} channels less than ${LIMIT_BYTES / 1e6} MB`, async () => {
    const day = await idleDay(24)
    const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`
    process.stdout.write(`idle day: ${megabytes(day.bytesIn)} in, ${megabytes(day.bytesOut)} out\n`)
    expect(total(day)).toBeLessThan(LIMIT_BYTES)
    // The connections were kept alive, so that the small number is not that of no connections.
    expect(day.peers).toBe(IDLE_PEERS)
    expect(day.bytesOut).toBeGreaterThan(IDLE_PEERS * 100 * 1024)
  })

  it('would cost more if silence were filled every 30 s: the measure sees it', async () => {
    vi.resetModules()
    vi.doMock('../../src/base/limits.ts', async (original) => ({
      ...(await original<object>()),
      IDLE_PAD_MS: 30_000,
    }))
    const planted = await import('./idle-day.ts')
    const day = await planted.idleDay(1)
    expect(total(day)).toBeGreaterThan(LIMIT_BYTES)
  })
})
