import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { PUBLISHER_SILENT_MS } from '../../../src/base/limits.ts'
import { type Log, silentLog } from '../../../src/base/log.ts'
import { HeadLog, type HeadOutcome } from '../../../src/channels/head-log.ts'
import type { PublisherKeys } from '../../../src/crypto/key-schedule.ts'
import { openState, type State } from '../../../src/storage/state.ts'
import { type Head, signHead } from '../../../src/wire/head.ts'
import { keysOf } from './channel-node.ts'

const KEYS = keysOf(1)

function head(releaseNumber: number, revision = 0, root = releaseNumber, keys: PublisherKeys = KEYS): Head {
  return signHead(
    {
      releaseNumber,
      revision,
      signedAt: 1_000 * releaseNumber + revision,
      root: new Uint8Array(64).fill(root),
      previousHash: null,
      successorKey: null,
      addresses: [],
    },
    keys.signingKey,
  )
}

describe('heads as they come in', () => {
  let folder: string
  let state: State
  let clock: ManualClock
  let log: HeadLog
  const warnings: string[] = []

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'megatorrent-heads-'))
    state = openState(join(folder, 'test.db'), null)
    clock = new ManualClock(5_000_000)
    warnings.length = 0
    const noting: Log = { ...silentLog, warn: (message) => void warnings.push(message) }
    log = new HeadLog(state.releases, clock, noting)
  })

  afterEach(() => {
    state.close()
    rmSync(folder, { recursive: true })
  })

  const accept = (bytes: Uint8Array): HeadOutcome => log.accept(KEYS.publicKey, bytes, 'peer').outcome

  it('are acted on when they are newer, and only then', () => {
    expect(log.newest(KEYS.publicKey)).toBe(null)
    expect(accept(head(2).bytes)).toBe('newer')
    expect(accept(head(2).bytes)).toBe('known')
    expect(accept(head(1).bytes)).toBe('older')
    expect(accept(head(2, 1).bytes)).toBe('refreshed')
    expect(accept(head(2, 0).bytes)).toBe('known')
    expect(accept(head(3).bytes)).toBe('newer')
    expect(log.newest(KEYS.publicKey)).toMatchObject({ releaseNumber: 3, revision: 0 })
  })

  it('that contradict are kept and shown, and the first one is acted on, whatever their revision', () => {
    accept(head(2, 0, 7).bytes)
    expect(accept(head(2, 9, 8).bytes)).toBe('conflict')
    expect(accept(head(2, 9, 8).bytes)).toBe('conflict')
    expect(log.newest(KEYS.publicKey)?.root[0]).toBe(7)
    expect(state.releases.conflicts(KEYS.publicKey).map(({ rootId }) => rootId[0])).toEqual([8])
    expect(warnings).toHaveLength(2)
    // A conflict under an older number is one too.
    accept(head(3).bytes)
    expect(accept(head(2, 0, 9).bytes)).toBe('conflict')
    expect(log.newest(KEYS.publicKey)?.releaseNumber).toBe(3)
    accept(head(3, 0, 10).bytes)
    expect(log.conflicts(KEYS.publicKey)).toEqual([3, 2])
    expect(log.conflicts(keysOf(2).publicKey)).toEqual([])
  })

  it('that were signed long ago come with a warning, since slots and peers go on with them for ever', async () => {
    accept(head(3).bytes)
    expect(warnings).toEqual([])
    await clock.advance(PUBLISHER_SILENT_MS - 5_000_000 + 4_000) // 5,000 s were the start
    accept(head(4).bytes)
    expect(warnings).toEqual([])
    await clock.advance(1_001)
    accept(head(5).bytes)
    expect(warnings).toEqual(['the publisher of a release may be gone'])
    accept(head(5).bytes)
    expect(warnings).toHaveLength(1)
  })

  it('that the channel did not sign change nothing', () => {
    accept(head(1).bytes)
    const others = head(5, 0, 5, keysOf(2)).bytes
    const damaged = head(5).bytes.slice()
    damaged[100] = (damaged[100] ?? 0) ^ 1
    for (const bytes of [others, damaged]) {
      expect(() => accept(bytes)).toThrow(expect.objectContaining({ code: 'ERR_HEAD_SIGNATURE' }))
    }
    expect(() => accept(head(5).bytes.subarray(1))).toThrow(
      expect.objectContaining({ code: 'ERR_HEAD_SIZE' }),
    )
    expect(state.releases.list(KEYS.publicKey)).toHaveLength(1)
  })

  it('are there after a restart, with the moment in which they were last seen', async () => {
    const { head: newest } = log.accept(KEYS.publicKey, head(4).bytes, 'slot')
    await clock.advance(60_000)
    log.seenAgain(newest, KEYS.publicKey)
    state.close()
    state = openState(join(folder, 'test.db'), null)
    const again = new HeadLog(state.releases, clock, silentLog)
    expect(again.newest(KEYS.publicKey)?.bytes).toEqual(newest.bytes)
    expect(again.newestRow(KEYS.publicKey)).toMatchObject({
      sequence: 4,
      receivedAt: 5_000_000,
      refreshedAt: 5_060_000,
      signedAt: 4_000,
    })
  })

  it('of one channel say nothing about another', () => {
    accept(head(1).bytes)
    expect(log.newest(keysOf(2).publicKey)).toBe(null)
  })
})
