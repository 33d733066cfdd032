import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { EPHEMERAL_FLUSH_MS } from '../../../src/base/limits.ts'
import { hourOf } from '../../../src/crypto/key-schedule.ts'
import { BatchedEphemeralStore, banStore } from '../../../src/node/stores.ts'
import { openState, type State } from '../../../src/storage/state.ts'
import { Bans } from '../../../src/swarm/bans.ts'
import { EPHEMERAL_MEMORY_HOURS } from '../../../src/wire/constants.ts'

describe('stores over the database', () => {
  let folder: string
  let state: State
  let clock: ManualClock

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'megatorrent-stores-'))
    state = openState(join(folder, 'test.db'), null)
    clock = new ManualClock()
  })

  afterEach(() => {
    state.close()
    rmSync(folder, { recursive: true })
  })

  const bytes = (length: number, fill: number): Uint8Array => new Uint8Array(length).fill(fill)

  it('gather ephemeral keys into one write, and give back those of the last hours', async () => {
    const store = new BatchedEphemeralStore(state.ephemerals, clock)
    const hour = hourOf(clock.now())
    store.add(bytes(16, 1), bytes(32, 1), hour)
    store.add(bytes(16, 1), bytes(32, 2), hour - EPHEMERAL_MEMORY_HOURS - 1)
    expect([...store.load()]).toEqual([])
    await clock.advance(EPHEMERAL_FLUSH_MS)
    expect([...store.load()].map(({ ephemeral }) => ephemeral[0])).toEqual([1])
    expect(clock.pendingTimers).toBe(0)
    store.add(bytes(16, 1), bytes(32, 3), hour)
    store.flush()
    store.flush()
    expect([...store.load()]).toHaveLength(2)
    expect(clock.pendingTimers).toBe(0)
  })

  it('keep bans over a restart, those of the user for good', async () => {
    const bans = new Bans(clock, banStore(state.bans, clock))
    const key = bytes(32, 7)
    bans.banNode(key)
    bans.banPeer({ remoteNodeKey: null, address: null, remote: { host: '192.0.2.1', port: 1 } }, 'false blob')
    await clock.advance(10 * 365 * 86_400_000)
    const again = new Bans(clock, banStore(state.bans, clock))
    expect(again.list()).toHaveLength(1)
    expect(again.liftNode(key)).toBe(true)
    expect(new Bans(clock, banStore(state.bans, clock)).list()).toEqual([])
  })
})
