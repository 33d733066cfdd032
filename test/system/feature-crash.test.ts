/**
 * kill -9 at random moments of ingest, publish and download, five times here and
 * fifty in test/slow/crash.test.ts. SEED repeats a run, RUNS sets another number.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { type CrashKind, CrashRig } from '../swarm/harness/crash.ts'

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000)
const RUNS = Number(process.env.RUNS ?? 5)
const KINDS: readonly CrashKind[] = ['download', 'publish', 'ingest']

let rig: CrashRig | undefined

afterEach(async () => {
  await rig?.dispose()
})

describe(`a node that is killed at work (SEED=${SEED})`, () => {
  it(`${RUNS} times has lost nothing that was acknowledged, and shows nothing false`, async () => {
    rig = await CrashRig.start({ seed: SEED, newBytes: 12_000_000 })
    for (let run = 0; run < RUNS; run++) await rig.crash(KINDS[run % KINDS.length] as CrashKind)
    await rig.finish()
    expect(rig.log).toHaveLength(RUNS)
  })

  it('is found out when it asks for what it had recorded', async () => {
    rig = await CrashRig.start({ seed: SEED, newBytes: 12_000_000 })
    await expect(rig.crash('download', true)).rejects.toThrow('what was held was asked for again')
  })
})
