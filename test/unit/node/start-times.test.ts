import { beforeEach, describe, expect, it } from 'vitest'
import { seededRandom } from '../../../src/base/random.ts'
import { StartTimes } from '../../../src/node/start-times.ts'
import type { Quiet } from '../../../src/swarm/quiet.ts'
import { auc } from '../linkability/statistics.ts'
import { SimClock } from '../swarm/sim-clock.ts'

const SPREAD_MS = 600_000

let clock: SimClock

beforeEach(() => {
  clock = new SimClock()
})

const startTimes = (seed = 1): StartTimes =>
  new StartTimes({ clock, random: seededRandom(seed), spreadMs: SPREAD_MS })

/** Begin so many channels of one node. */
function join(starts: StartTimes, count: number): Quiet[] {
  return Array.from({ length: count }, () => starts.join() as Quiet)
}

const over = (channels: readonly Quiet[]): number => channels.filter(({ isOver }) => isOver).length

/** When each came to be seen, ms after the start. */
async function timesOf(channels: readonly Quiet[]): Promise<number[]> {
  const startMs = clock.monotonicMs()
  const times: number[] = []
  for (const quiet of channels) void quiet.over.then(() => times.push(clock.monotonicMs() - startMs))
  await clock.advance(SPREAD_MS)
  return times
}

describe('channels after a start', () => {
  it('come to be seen at times of their own, all of them within the time for it', async () => {
    const starts = startTimes()
    const channels = join(starts, 20)
    starts.started()
    const times = await timesOf(channels)
    expect(times.length).toBe(20)
    expect(new Set(times).size).toBe(20)
    expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(SPREAD_MS / 2)
    expect(clock.pendingTimers).toBe(0)
  })

  it('of one node are hardly told from those of others that start in the same minutes', async () => {
    const spread = await linked((starts) => join(starts, 2))
    expect(spread).toBeGreaterThan(0.55)
    expect(spread).toBeLessThan(0.72)
    // Planted: all of a node begin at once, and the same statistic is certain.
    const atOnce = await linked((starts) => {
      const channels = join(starts, 2)
      for (const quiet of channels) quiet.end()
      return channels
    })
    expect(atOnce).toBeGreaterThan(0.99)
  })

  it('begin at once when a user waits for them', async () => {
    const starts = startTimes()
    const channels = join(starts, 3)
    starts.started()
    expect(over(channels)).toBe(0)
    channels[1]?.end()
    expect(over(channels)).toBe(1)
    await clock.advance(SPREAD_MS)
    expect(over(channels)).toBe(3)
  })

  it('begin at once where there is but one, or one is asked for later', () => {
    const starts = startTimes()
    const [only] = join(starts, 1)
    starts.started()
    expect(only?.isOver).toBe(true)
    expect(starts.join()).toBe(null)
  })

  it('leave no timer when they are left, or the node stops', () => {
    const starts = startTimes()
    const [first, ...others] = join(starts, 3)
    starts.started()
    starts.leave(first as Quiet)
    expect(clock.pendingTimers).toBe(2)
    starts.close()
    expect([clock.pendingTimers, over(others)]).toEqual([0, 0])
  })
})

/**
 * How often two channels of one node are nearer in time than two of different nodes: 0.5 is chance. The nodes
 * start within as long as their channels are spread over: those that start at other times of the day are told
 * apart by that alone.
 */
async function linked(begin: (starts: StartTimes) => Quiet[]): Promise<number> {
  const random = seededRandom(3)
  const nodes: number[][] = []
  for (let seed = 0; seed < 200; seed++) {
    const starts = startTimes(seed + 10)
    const channels = begin(starts)
    starts.started()
    const startedMs = random.fraction() * SPREAD_MS
    nodes.push((await timesOf(channels)).map((ms) => startedMs + ms))
  }
  const together = nodes.map(([a = 0, b = 0]) => -Math.abs(a - b))
  const apart = nodes.map(([a = 0], n) => -Math.abs(a - (nodes[(n + 1) % nodes.length]?.[1] ?? 0)))
  return auc(together, apart)
}
