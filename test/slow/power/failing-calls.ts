/**
 * Runs of work.mjs in which system calls fail as on a full or a faulty disk, and what must
 * hold afterwards.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { checkDisk } from './check.ts'
import { type Injected, readInjected } from './injected.ts'
import { type Ended, runWork, workFolder } from './recording.ts'

export interface FailingRun {
  readonly seed: number
  /** Names of calls, as strace has them. */
  readonly calls: string
  readonly errno: 'ENOSPC' | 'EIO'
  /** As strace counts, for each thread: `5`, `5+100`, `5+`. */
  readonly when: string
  readonly rounds: number
}

export interface FailingOutcome {
  /** What is wrong; empty: nothing. */
  readonly faults: readonly string[]
  /** Steps that failed, with their code, and were tried again. */
  readonly failed: readonly string[]
  /** Did the work end by itself, or give up on a disk that stays full? */
  readonly isFinished: boolean
  readonly injected: Injected
}

/** Codes that a step may fail with when the disk is to blame. */
const DISK_CODES: ReadonlySet<string | null> = new Set([
  'ERR_DISK_FULL',
  'ERR_DISK_FAULT',
  'ERR_FILE_ACCESS',
  'ERR_DATABASE',
])
const GAVE_UP = 4

export async function runFailing(run: FailingRun): Promise<FailingOutcome> {
  const folder = workFolder()
  try {
    const trace = join(folder, 'trace')
    const strace = ['-f', '--seccomp-bpf', '-o', trace, '-s', '0', '-e', `trace=${run.calls}`]
    const quiet = ['-e', 'signal=none']
    const inject = ['-e', `inject=${run.calls}:error=${run.errno}:when=${run.when}`]
    const { seed, rounds } = run
    const args = [...strace, ...quiet, ...inject]
    const ended = await runWork(folder, { seed, rounds, strace: args, keepsBlobs: true })
    const injected = readInjected(readFileSync(trace, 'latin1'))
    return { ...(await judge(folder, run, ended)), injected }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function judge(
  folder: string,
  run: FailingRun,
  ended: Ended,
): Promise<Omit<FailingOutcome, 'injected'>> {
  const { exitCode, signal, stderr, facts } = ended
  const faults: string[] = []
  const isPermanent = run.when.endsWith('+')
  const isFinished = exitCode === 0 && facts.at(-1)?.fact === 'closed'
  if (!isFinished && !(isPermanent && exitCode === GAVE_UP)) {
    faults.push(
      `ended with ${exitCode ?? signal} after ${JSON.stringify(facts.at(-1))} ${stderr.slice(-2000)}`,
    )
  }
  const failures = facts.filter(({ fact }) => fact === 'failed')
  for (const { step, code, message } of failures) {
    if (!DISK_CODES.has(code)) faults.push(`${step} failed with ${code}: ${message}`)
  }
  // Space returns: the same folder, and no call fails.
  const verdict = await checkDisk({
    disk: join(folder, 'disk'),
    facts,
    allFacts: facts,
    blobs: blobsFromAbroad(join(folder, 'abroad')),
  })
  faults.push(...verdict.faults)
  return {
    faults: [...new Set(faults)],
    failed: failures.map(({ step, code }) => `${step} ${code}`),
    isFinished,
  }
}

function blobsFromAbroad(folder: string): Map<string, Buffer> {
  const names = existsSync(folder) ? readdirSync(folder) : []
  return new Map(names.map((name) => [name, readFileSync(join(folder, name))]))
}
