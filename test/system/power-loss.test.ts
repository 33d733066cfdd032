/**
 * Power cuts, a few dozen here and thousands in test/slow/power-loss.test.ts; and the same with one
 * kind of sync left out, to see that the check would notice.
 */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Sync } from '../slow/power/disk-model.ts'
import { type Recording, record } from '../slow/power/recording.ts'
import { describeFaults, replay } from '../slow/power/replay.ts'

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000)
const STATES = 48
const ROUNDS = 2
const HAS_STRACE = spawnSync('strace', ['-V']).status === 0

let recording: Recording

/** Without these syncs, an acknowledged step can be lost. */
const LEFT_OUT: readonly (readonly [string, (sync: Sync) => boolean])[] = [
  ['files of blobs', ({ path }) => path.startsWith('data/blobs/tmp/')],
  ['folders of blobs', ({ path, isFolder }) => isFolder && path.startsWith('data/blobs/')],
  ['the database', ({ path }) => path.startsWith('data/megatorrent.db')],
  ['staged files', ({ path, isFolder }) => !isFolder && path.startsWith('files/')],
  ['folders of subscriptions', ({ path, isFolder }) => isFolder && path.startsWith('files/')],
  ['files of keys', ({ path, isFolder }) => !isFolder && path.startsWith('data/keys/')],
  ['the folder of keys', ({ path, isFolder }) => isFolder && path === 'data/keys'],
]

describe.skipIf(!HAS_STRACE)(`after a power cut (SEED=${SEED}; needs strace)`, () => {
  beforeAll(async () => {
    recording = await record(SEED, ROUNDS, true)
  })

  afterAll(() => {
    if (recording !== undefined) rmSync(recording.folder, { recursive: true, force: true })
  })

  it(`all that was acknowledged is there and nothing false is, in ${STATES} states`, async () => {
    expect(describeFaults(await replay(recording, { seed: SEED, states: STATES }), SEED)).toEqual([])
  })

  it('a key is there or gone, and the others can be read, at every moment at which one is removed', async () => {
    const window = { from: 'removingChannel', until: 'channelGone' }
    expect(describeFaults(await replay(recording, { seed: SEED, states: STATES, ...window }), SEED)).toEqual(
      [],
    )
  })

  it('keys and database are there, and can be opened, at every moment at which they are encrypted', async () => {
    const window = { from: 'encrypting', until: 'encrypted' }
    expect(describeFaults(await replay(recording, { seed: SEED, states: STATES, ...window }), SEED)).toEqual(
      [],
    )
  })

  it.each(LEFT_OUT)('it would be noticed if %s were not synced', async (_, isLeftOut) => {
    const outcomes = await replay(recording, {
      seed: SEED,
      states: STATES,
      isSynced: (sync) => !isLeftOut(sync),
      isEnough: true,
      from: 'subscribed',
    })
    expect(outcomes.some(({ faults }) => faults.length > 0)).toBe(true)
  })
})
