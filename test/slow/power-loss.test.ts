/**
 * The power fails at any moment of real work, recorded on a real disk. See power/.
 *
 * POWER_FOLDER names the disk; without it, it is that of temporary files.
 * A recording in which a state was bad is kept: RECORDING, SEED, STATES and STATE look at that
 * state again.
 */
import { rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadRecording, type Recording, record } from './power/recording.ts'
import { describeFaults, replay } from './power/replay.ts'

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000)
const STATES = Number(process.env.STATES ?? 2400)
const ONLY = process.env.STATE === undefined ? {} : { only: Number(process.env.STATE) }
const ROUNDS = 4

const KEPT = process.env.RECORDING

let recording: Recording
let isBad = false

beforeAll(async () => {
  recording = KEPT === undefined ? await record(SEED, ROUNDS) : loadRecording(KEPT)
})

afterAll(() => {
  if (recording === undefined || KEPT !== undefined) return
  if (isBad) process.stdout.write(`  kept: RECORDING=${recording.folder} STATES=${STATES}\n`)
  else rmSync(recording.folder, { recursive: true, force: true })
})

describe(`after a power cut (SEED=${SEED})`, () => {
  it('of work that writes past the page cache, as it does on the disks of users', () => {
    expect(recording.directWrites, 'POWER_FOLDER names a folder on a disk that can').toBeGreaterThan(0)
  })

  it(`all that was acknowledged is there, nothing false is, and work goes on, in ${STATES} states`, async () => {
    const outcomes = await replay(recording, { seed: SEED, states: STATES, ...ONLY })
    const slowest = Math.max(...outcomes.map(({ startMs }) => startMs))
    const { calls, directWrites } = recording
    process.stdout.write(
      `  ${outcomes.length} states of ${calls.length} calls, ${directWrites} of them direct writes, slowest start ${slowest.toFixed(0)} ms\n`,
    )
    const faults = describeFaults(outcomes, SEED)
    isBad = faults.length > 0
    expect(faults).toEqual([])
  })
})
