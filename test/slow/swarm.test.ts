/**
 * Swarms from many seeds: what must hold in all of them, and how near to the bound of
 * their lines they come. A failing seed is replayed alone by MEGATORRENT_SWARM_SEED=n.
 */
import { describe, expect, it } from 'vitest'
import { runChurn } from '../unit/swarm/churn.ts'
import { runSwarm } from '../unit/swarm/model.ts'

const ONE_SEED = process.env.MEGATORRENT_SWARM_SEED

function seeds(count: number): number[] {
  return ONE_SEED === undefined ? Array.from({ length: count }, (_, seed) => seed) : [Number(ONE_SEED)]
}

function report(name: string, ratios: readonly number[]): void {
  const sorted = [...ratios].sort((a, b) => a - b)
  const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(2)
  process.stderr.write(`${name}: ${sorted.length} runs, median ${at(0.5)}, most ${at(1)}\n`)
}

describe('a swarm of which half is killed, a fifth sends false blobs and a fifth never answers', () => {
  it('brings the release within three times the time without, 100 times of 100, and bans no honest peer', async () => {
    const ratios: number[] = []
    for (const seed of seeds(100)) {
      const clean = await runChurn(seed, null)
      expect(clean.tookMs, `seed ${seed}`).not.toBe(null)
      const churn = await runChurn(seed, clean.tookMs)
      const ratio = (churn.tookMs ?? Number.POSITIVE_INFINITY) / (clean.tookMs ?? 0)
      ratios.push(ratio)
      expect(ratio, `seed ${seed}`).toBeLessThanOrEqual(3)
      expect(
        [...clean.banned, ...churn.banned].filter((behaviour) => behaviour !== 'false blobs'),
        `seed ${seed}`,
      ).toEqual([])
    }
    report('churn, times the clean time', ratios)
  })
})

describe('hundreds of peers', () => {
  const CALM = { blobs: 48, publishers: 10, readers: 300, liars: 0, silent: 0, leaving: 0 }
  const ROUGH = { ...CALM, publishers: 6, readers: 200, liars: 30, silent: 30, leaving: 0.3 }
  const ONE = { ...CALM, publishers: 1, readers: 200 }

  it.each([
    ['are done near the bound of their lines', CALM, 1.6],
    ['are so too when a third leaves, and a quarter of the others lie or are silent', ROUGH, 2],
    // The line of one publisher, no faster than the readers': what it sends twice is lost to all.
    ['are done in three times the time that one publisher takes to send each blob once', ONE, 3],
  ])('%s', async (name, shape, most) => {
    const ratios: number[] = []
    for (const seed of seeds(10)) {
      const { tookMs, boundMs, falseBans, wasted } = await runSwarm(seed, shape)
      const ratio = (tookMs ?? Number.POSITIVE_INFINITY) / boundMs
      ratios.push(ratio)
      expect(ratio, `seed ${seed}`).toBeLessThan(most)
      expect(falseBans, `seed ${seed}`).toBe(0)
      expect(wasted, `seed ${seed}`).toBeLessThan(0.02)
    }
    report(`hundreds of peers ${name}, times the bound`, ratios)
  })
})
