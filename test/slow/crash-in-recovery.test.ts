/**
 * kill -9 in the middle of the mending that a start does after a crash: at one of its first
 * changes to the disk, then at a later one, until a start comes through.
 *
 * The crash before is a state that a power cut may leave, with files without a row, things
 * half written and a log of the database to be played back.
 */
import { spawn, spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkDisk } from './power/check.ts'
import { type Recording, record } from './power/recording.ts'
import { replay } from './power/replay.ts'

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000)
const START = fileURLToPath(new URL('power/start.mjs', import.meta.url))
const HAS_STRACE = spawnSync('strace', ['-V']).status === 0
/** Crashed states, and the number of kills that have to hit a start in the middle. */
const STATES = 10
const MIN_KILLS = 20
/** Calls with which a start changes the disk. */
const CHANGES = 'rename,unlink,rmdir,pwrite64,ftruncate,fsync,fdatasync'
/** A start after a crash, that nobody disturbs. CPU time: the machine may do other things. */
const MAX_START_CPU_MS = 2000

interface Start {
  readonly isKilled: boolean
  readonly cpuMs: number
  readonly stderr: string
}

let recording: Recording

/** Start what opens a data folder, to be killed at its n-th change, or not at all. */
async function start(disk: string, killAt: number | null): Promise<Start> {
  const strace = ['-f', '-o', '/dev/null', '-e', `trace=${CHANGES}`]
  const kill = ['-e', `inject=${CHANGES}:signal=KILL:when=${killAt}`]
  const [program = '', ...args] = [
    ...(killAt === null ? [] : ['strace', ...strace, ...kill]),
    ...[process.execPath, START, disk],
  ]
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  if (code === 0) return { isKilled: false, cpuMs: Number(stdout), stderr }
  return { isKilled: true, cpuMs: 0, stderr }
}

describe.skipIf(!HAS_STRACE)(`a start after a crash (SEED=${SEED}; needs strace)`, () => {
  beforeAll(async () => {
    recording = await record(SEED, 2)
  })

  afterAll(() => {
    if (recording !== undefined) rmSync(recording.folder, { recursive: true, force: true })
  })

  it(`that is killed itself, at least ${MIN_KILLS} times, has harmed nothing`, async () => {
    let kills = 0
    let slowestMs = 0
    const check: typeof checkDisk = async (given) => {
      const disk = given.disk
      // At its n-th change, for growing n: the later ones meet what the earlier ones left.
      for (const killAt of [1, 4, 9, 16]) {
        const { isKilled, stderr } = await start(disk, killAt)
        expect(stderr, join(disk, 'data')).toBe('')
        if (isKilled) kills++
      }
      const { isKilled, cpuMs, stderr } = await start(disk, null)
      expect([isKilled, stderr]).toEqual([false, ''])
      slowestMs = Math.max(slowestMs, cpuMs)
      return checkDisk(given)
    }
    const outcomes = await replay(recording, { seed: SEED, states: STATES, from: 'started', check })
    process.stdout.write(
      `  ${kills} kills in ${STATES} starts, slowest start ${slowestMs.toFixed(0)} ms CPU\n`,
    )
    expect(outcomes.flatMap(({ faults }) => faults)).toEqual([])
    expect(kills).toBeGreaterThanOrEqual(MIN_KILLS)
    expect(slowestMs).toBeLessThan(MAX_START_CPU_MS)
  })
})
