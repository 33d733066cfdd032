/** The judgement of a soak (bench/soak/verdict.ts) sees planted leaks, and none where there is only noise. */
import { describe, expect, it } from 'vitest'
import { planSoak } from '../../bench/soak/plan.ts'
import type { Sample } from '../../bench/soak/samples.ts'
import { useOf } from '../../bench/soak/verdict.ts'
import { seededRandom } from '../../src/base/random.ts'

const HOUR_MS = 3_600_000
const TWO_HOURS_MS = 2 * HOUR_MS
const SAMPLE_MS = 30_000

/** A quiet daemon with workers half of the time and a heap that is looked through every fifty minutes. */
function samplesOf(leak: { readonly mebibytesAnHour?: number; readonly filesAnHour?: number }): Sample[] {
  const random = seededRandom(1)
  const { mebibytesAnHour = 0, filesAnHour = 0 } = leak
  return Array.from({ length: TWO_HOURS_MS / SAMPLE_MS }, (_, n): Sample => {
    const hours = (n * SAMPLE_MS) / HOUR_MS
    const workers = random.fraction() < 0.5 ? 1 : 0
    const live = 20 + mebibytesAnHour * hours
    const rssMiB = 65 + live + workers * 15 + 10 * ((hours * 1.2) % 1) + random.fraction()
    return {
      ...{ name: 'node', atMs: n * SAMPLE_MS, rssMiB, anonymousMiB: rssMiB - 50 },
      liveMiB: n % 10 === 0 ? live + 0.2 * random.fraction() : null,
      files: 25 + 9 * workers + Math.floor(filesAnHour * hours),
      sockets: 8 + Math.floor(3 * random.fraction()),
      ...{ threads: 13 + 2 * workers, cpuSeconds: n },
    }
  })
}

const brokenBy = (leak: Parameters<typeof samplesOf>[0], durationMs = TWO_HOURS_MS): readonly string[] =>
  useOf('node', samplesOf(leak).slice(0, durationMs / SAMPLE_MS), durationMs)?.broken ?? []

describe('the judgement of a soak', () => {
  it('passes a daemon that goes up and down', () => {
    expect(brokenBy({})).toEqual([])
    expect(brokenBy({ mebibytesAnHour: 0.5 })).toEqual([])
  })

  it('sees what is alive grow by 1.5 MiB/h, and a file left open every five minutes', () => {
    expect(brokenBy({ mebibytesAnHour: 1.5 })).toEqual([expect.stringContaining('what is alive grows')])
    expect(brokenBy({ filesAnHour: 12 })).toEqual([expect.stringContaining('more files and sockets')])
  })

  it('says nothing of memory after a few minutes', () => {
    expect(brokenBy({ mebibytesAnHour: 60 }, 600_000)).toEqual([])
  })

  it('follows a plan that is the seed alone, with every kind of event', () => {
    const plan = planSoak(7, HOUR_MS)
    expect(planSoak(7, HOUR_MS)).toEqual(plan)
    expect(planSoak(8, HOUR_MS)).not.toEqual(plan)
    const kinds = new Set(plan.map(({ happening }) => happening.kind))
    expect([...kinds].sort()).toEqual(['collect', 'publish', 'restart', 'toggle', 'verify'])
    expect(plan.every(({ atMs }, n) => atMs >= (plan[n - 1]?.atMs ?? 0) && atMs < HOUR_MS)).toBe(true)
  })
})
