/**
 * Power cuts, a few dozen here and thousands in test/slow/power-loss.test.ts; and the same with one
 * kind of sync left out, to see that the check would notice.
 */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DiskModel, type Inode, type Sync } from '../slow/power/disk-model.ts'
import { type Recording, record } from '../slow/power/recording.ts'
import { describeFaults, replay } from '../slow/power/replay.ts'
import { parseTrace } from '../slow/power/trace.ts'

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

describe('the disk that the power is cut from', () => {
  const DIRECT = [
    String.raw`1 openat(AT_FDCWD, "\x2f\x64\x2f\x61", O_WRONLY|O_CREAT|O_EXCL|O_DIRECT, 0600) = 7`,
    String.raw`2 pwrite64(7, "\x41\x42", 2, 0) = 2`,
    '1 close(7) = 0',
    String.raw`1 openat(AT_FDCWD, "\x2f\x64\x2f\x61", O_WRONLY) = 8`,
    String.raw`1 pwrite64(8, "\x43", 1, 2) = 1`,
  ]
  const SYNC = ['2 fdatasync(8) = 0']
  /** It began before the first write had ended. */
  const EARLY_SYNC = [
    DIRECT[0],
    String.raw`2 pwrite64(7, "\x41\x42", 2, 0 <unfinished ...>`,
    '1 fdatasync(7 <unfinished ...>',
    '2 <... pwrite64 resumed>) = 2',
    '1 <... fdatasync resumed>) = 0',
  ]

  /** The second thread has the number of a file that the first is about to be told that it closed. */
  const REUSED = [
    String.raw`1 openat(AT_FDCWD, "\x2f\x64\x2f\x62", O_WRONLY|O_CREAT, 0600) = 7`,
    '1 close(7 <unfinished ...>',
    String.raw`2 openat(AT_FDCWD, "\x2f\x64\x2f\x61", O_WRONLY|O_CREAT|O_DIRECT, 0600) = 7`,
    '1 <... close resumed>) = 0',
    String.raw`2 pwrite64(7, "\x41", 1, 0) = 1`,
    '2 fdatasync(7) = 0',
  ]

  it.each([
    ['may lose what was written directly and not synced', DIRECT, ''],
    ['keeps what was synced by any descriptor of the file', [...DIRECT, ...SYNC], 'ABC'],
    ['may lose what had not ended when the sync began', EARLY_SYNC, ''],
    ['keeps what was synced by a number that another thread has just closed', REUSED, 'A'],
  ])('%s', (_, lines, durable) => {
    const model = new DiskModel('/d')
    for (const call of parseTrace(Buffer.from(`${lines.join('\n')}\n`))) model.apply(call)
    expect(model.directWrites).toBe(1)
    expect((model.find('a') as Inode).durable.toString()).toBe(durable)
  })
})

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
