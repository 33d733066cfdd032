/**
 * kill -9 at random moments, fifty of each kind of work, with enough content that a
 * kill hits it in the middle. SEED repeats a run, RUNS sets another number.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { type CrashKind, CrashRig } from '../swarm/harness/crash.ts'

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000)
const RUNS = Number(process.env.RUNS ?? 50)

let rig: CrashRig | undefined

afterEach(async () => {
  await rig?.dispose()
})

describe(`a node that is killed at work (SEED=${SEED})`, () => {
  it.each<CrashKind>(['ingest', 'publish', 'download'])(
    `${RUNS} times during %s has lost nothing that was acknowledged, and shows nothing false`,
    async (kind) => {
      rig = await CrashRig.start({ seed: SEED, newBytes: 128_000_000 })
      try {
        for (let run = 0; run < RUNS; run++) await rig.crash(kind)
        await rig.finish()
      } finally {
        process.stdout.write([...rig.log, String(rig.starts)].map((line) => `  ${line}\n`).join(''))
      }
      expect(rig.log).toHaveLength(RUNS)
    },
  )
})
