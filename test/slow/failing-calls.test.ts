/**
 * Every write, sync and change of a name fails once, of the first 300 of each thread: nothing
 * acknowledged is lost, nothing is told that is not so, nothing crashes, and the step
 * succeeds when it is tried again. And a disk that is full from some write on.
 *
 * In a run every fiftieth call of each thread fails, so fifty runs do for all; that no number is left
 * out is checked. RUNS sets another number of runs, of which fewer leave some out. POWER_FOLDER has
 * them on another disk than that of memory.
 */
import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { type FailingOutcome, type FailingRun, runFailing } from './power/failing-calls.ts'
import { type Coverage, coverageOf } from './power/injected.ts'

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000)
const RUNS = Number(process.env.RUNS ?? 50)
const HAS_STRACE = spawnSync('strace', ['-V']).status === 0
const STEP = 50
/** Each of so many calls of a thread fails, and each of fewer if it makes no more. */
const NUMBERS = 300

const WRITES = 'pwrite64,copy_file_range'

const KINDS: readonly (readonly [string, 'ENOSPC' | 'EIO', string])[] = [
  ['a write fails for want of space', 'ENOSPC', WRITES],
  ['a write fails by a fault', 'EIO', WRITES],
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

interface Report {
  readonly coverage: ReadonlyMap<string, Coverage>
  readonly failedDirectly: number
}

function report(what: string, outcomes: readonly FailingOutcome[]): Report {
  const failed = outcomes.reduce((sum, each) => sum + each.failed.length, 0)
  const finished = outcomes.filter(({ isFinished }) => isFinished).length
  const injected = outcomes.map((each) => each.injected)
  const failedDirectly = injected.reduce((sum, each) => sum + each.failedDirectly, 0)
  const coverage = coverageOf(injected, NUMBERS)
  const calls = [...coverage].map(
    ([role, { made, missing }]) => `${role} ${made - missing.length} of ${made}`,
  )
  process.stdout.write(
    `  ${what}: ${outcomes.length} runs, ${failed} steps failed, ${finished} finished; ${calls.join(', ')}; ${failedDirectly} direct writes failed\n`,
  )
  return { coverage, failedDirectly }
}

describe.skipIf(!HAS_STRACE)(`work goes on (SEED=${SEED}; needs strace)`, () => {
  it.each(KINDS)('when %s', async (what, errno, calls) => {
    const runs = Array.from({ length: RUNS }, (_, n) => ({
      ...{ seed: SEED, rounds: 3, errno, calls },
      when: `${1 + Math.floor((n * STEP) / RUNS)}+${STEP}`,
    }))
    const { bad, outcomes } = await sweep(runs)
    const { coverage, failedDirectly } = report(what, outcomes)
    expect(bad).toEqual([])
    expect(outcomes.filter(({ failed }) => failed.length > 0).length).toBeGreaterThan(RUNS / 4)
    if (RUNS < STEP) return
    for (const [role, { missing }] of coverage) expect(missing, role).toEqual([])
    if (calls !== WRITES) return
    expect(coverage.get('main pwrite64')?.made).toBeGreaterThanOrEqual(NUMBERS)
    expect(failedDirectly).toBeGreaterThan(10)
  })

  it('once there is space again, after a disk that was full from some write on', async () => {
    const runs = Array.from({ length: Math.ceil(RUNS / 3) }, (_, n) => ({
      ...{ seed: SEED, rounds: 3, errno: 'ENOSPC' as const, calls: WRITES },
      when: `${1 + Math.floor((n * 18 * STEP) / RUNS)}+`,
    }))
    const { bad, outcomes } = await sweep(runs)
    report('full from some write on', outcomes)
    expect(bad).toEqual([])
    expect(outcomes.some(({ isFinished }) => !isFinished)).toBe(true)
  })
})
