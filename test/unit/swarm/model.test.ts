/** How long a release takes, against the shortest time that the lines allow. */
import { describe, expect, it } from 'vitest'
import { Model, type ModelNode, runSwarm } from './model.ts'

/** One reader behind a line that takes 100 ms a blob, and these sources. */
async function timeFor(
  sendMs: readonly number[],
  blobs: number,
): Promise<{ tookMs: number; reader: ModelNode }> {
  const model = new Model(3, blobs)
  const reader = model.add({ receiveMs: 100 })
  for (const each of sendMs) reader.meet(model.add({ sendMs: each, holdsAll: true }))
  const tookMs = await model.run([reader])
  if (tookMs === null) throw new Error('it was never done')
  return { tookMs, reader }
}

describe('a reader', () => {
  const BLOBS = 200

  it('is not slower with four sources than with one, also when three of them are slow', async () => {
    const one = await timeFor([100], BLOBS)
    for (const sources of [
      [100, 100, 100, 100],
      [100, 1_000, 1_000, 1_000],
      [400, 400, 400, 400],
    ]) {
      const four = await timeFor(sources, BLOBS)
      expect(four.tookMs / one.tookMs, `${sources}`).toBeLessThan(1.05)
      // And little of it came twice.
      expect(four.reader.received - BLOBS, `${sources}`).toBeLessThanOrEqual(4)
    }
  })

  it('uses what its line carries', async () => {
    const { tookMs } = await timeFor([50, 50], BLOBS)
    expect(tookMs / (BLOBS * 100)).toBeLessThan(1.1)
  })
})

describe('a swarm', () => {
  it('of 60 readers is done near the bound of its lines, and nearly nothing comes twice', async () => {
    const shape = { blobs: 48, publishers: 4, readers: 60, liars: 0, silent: 0, leaving: 0 }
    const { tookMs, boundMs, wasted } = await runSwarm(1, shape)
    expect((tookMs ?? Number.POSITIVE_INFINITY) / boundMs).toBeLessThan(1.6) // 1.36
    expect(wasted).toBeLessThan(0.02)
  })
})
