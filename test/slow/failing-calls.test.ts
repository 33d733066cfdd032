/**
 * Every write, sync and change of a name fails once, of the first few hundred of each thread: nothing
 * acknowledged is lost, nothing is told that is not so, nothing crashes, and the step
 * succeeds when it is tried again. And a disk that is full from some write on.
 *
 * In a run every fiftieth call fails, which is as good as one and makes fifty runs do for
 * all. RUNS sets another number of them.
 */
import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { type FailingOutcome, type FailingRun, runFailing } from './power/failing-calls.ts'

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000)
const RUNS = Number(process.env.RUNS ?? 50)
const HAS_STRACE = spawnSync('strace', ['-V']).status === 0
const STEP = 50

const KINDS: readonly (readonly [string, 'ENOSPC' | 'EIO', string])[] = [
  ['a write fails for want of space', 'ENOSPC', 'pwrite64'],
  ['a write fails by a fault', 'EIO', 'pwrite64'],
  ['a sync fails by a fault', 'EIO', 'fsync,fdatasync'],
  ['a change of a name or a size fails for want of space', 'ENOSPC', 'rename,link,mkdir,ftruncate'],
]

async function sweep(runs: readonly FailingRun[]): Promise<{ bad: string[]; outcomes: FailingOutcome[] }> {
  const outcomes: FailingOutcome[] = []
  const bad: string[] = []
  for (const run of runs) {
    const outcome = await runFailing(run)
    outcomes.push(outcome)
    if (outcome.faults.length > 0) bad.push(`${JSON.stringify(run)}\n  ${outcome.faults.join('\n  ')}`)
  }
  return { bad, outcomes }
}

function report(what: string, outcomes: readonly FailingOutcome[]): void {
  const failed = outcomes.reduce((sum, each) => sum + each.failed.length, 0)
  const finished = outcomes.filter(({ isFinished }) => isFinished).length
  process.stdout.write(`  ${what}: ${outcomes.length} runs, ${failed} steps failed, ${finished} finished\n`)
}

describe.skipIf(!HAS_STRACE)(`work goes on (SEED=${SEED}; needs strace)`, () => {
  it.each(KINDS)('when %s', async (what, errno, calls) => {
    const runs = Array.from({ length: RUNS }, (_, n) => ({
      ...{ seed: SEED, rounds: 3, errno, calls },
      when: `${1 + Math.floor((n * STEP) / RUNS)}+${STEP}`,
    }))
    const { bad, outcomes } = await sweep(runs)
    report(what, outcomes)
    expect(bad).toEqual([])
    expect(outcomes.filter(({ failed }) => failed.length > 0).length).toBeGreaterThan(RUNS / 4)
  })

  it('once there is space again, after a disk that was full from some write on', async () => {
    const runs = Array.from({ length: Math.ceil(RUNS / 3) }, (_, n) => ({
      ...{ seed: SEED, rounds: 3, errno: 'ENOSPC' as const, calls: 'pwrite64' },
      when: `${1 + Math.floor((n * 18 * STEP) / RUNS)}+`,
    }))
    const { bad, outcomes } = await sweep(runs)
    report('full from some write on', outcomes)
    expect(bad).toEqual([])
    expect(outcomes.some(({ isFinished }) => !isFinished)).toBe(true)
  })
})
