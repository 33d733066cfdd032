/** Blobs kept for others, with a list and a shelf in memory: places, times, and publishers that break their word. */
import { randomBytes } from 'node:crypto'
import { getEventListeners } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { compareBytes, toHex } from '../../../../src/base/bytes.ts'
import { ManualClock } from '../../../../src/base/clock.ts'
import { MegatorrentError } from '../../../../src/base/errors.ts'
import { GATEWAY_BLOB_TIMEOUT_MS, GATEWAY_BLOBS_LOOK_MS } from '../../../../src/base/limits.ts'
import { silentLog } from '../../../../src/base/log.ts'
import type { SealedFrame } from '../../../../src/crypto/sealed-frame.ts'
import { BlobKeeper, type BlobKeeperRules } from '../../../../src/discovery/gateway/blob-keeper.ts'
import type { KeptBlob } from '../../../../src/discovery/gateway/kept-blobs.ts'
import { openState } from '../../../../src/storage/state.ts'
import { MAX_KEEP_AHEAD_MS } from '../../../../src/wire/constants.ts'
import {
  KEEP_STATES,
  type KeepAnswer,
  type KeepMessage,
  PUBLISH_OUTCOMES,
} from '../../../../src/wire/message.ts'
import { findKeepNonce } from '../../../../src/wire/publish-work.ts'
import { HOUR_MS, NOON, WORK_BITS } from './gateway-rig.ts'

const RULES: BlobKeeperRules = {
  ...{ places: 8, perHost: 4, sharedHost: 6, parallel: 2, waiting: 64, waitingPerHost: 16 },
  ...{ halfLifeMs: HOUR_MS, workBits: WORK_BITS },
}
const { held, coming, refused } = KEEP_STATES

class World {
  readonly clock = new ManualClock(NOON)
  readonly list = new Map<string, KeptBlob>()
  readonly shelf = new Set<string>()
  /** Ids that were asked of somebody. */
  readonly asked: string[] = []
  /** Those that are given, and how; others take for ever. */
  readonly given = new Map<string, 'right' | 'false' | 'not found'>()
  falseGivers = 0
  /** Called before the list changes; it may fail. */
  beforeSave: (blobs: readonly KeptBlob[]) => void = () => {}
  keeper: BlobKeeper

  constructor(rules: Partial<BlobKeeperRules> = {}) {
    this.keeper = this.start(rules)
  }

  start(rules: Partial<BlobKeeperRules> = {}): BlobKeeper {
    this.keeper = new BlobKeeper({
      list: {
        all: () => [...this.list.values()],
        save: (blobs) => {
          this.beforeSave(blobs)
          for (const blob of blobs) this.list.set(toHex(blob.id), blob)
        },
        remove: (ids) => {
          for (const id of ids) this.list.delete(toHex(id))
        },
      },
      shelf: {
        has: (id) => this.shelf.has(toHex(id)),
        put: async (id) => {
          if (this.given.get(toHex(id)) === 'false') throw new MegatorrentError('ERR_BLOB_ID', 'another blob')
          this.shelf.add(toHex(id))
        },
        release: async (ids) => {
          for (const id of ids) if (!this.list.has(toHex(id))) this.shelf.delete(toHex(id))
        },
      },
      clock: this.clock,
      log: silentLog,
      rules: { ...RULES, ...rules },
    })
    return this.keeper
  }

  /** What is answered to a list, and what it stands at when nothing is coming any more. */
  async keep(
    host: string,
    blobIds: readonly Uint8Array[],
    changes: Partial<KeepMessage> & { readonly signal?: AbortSignal; readonly isShared?: boolean } = {},
  ): Promise<{ first: KeepAnswer; last: readonly number[] }> {
    const { signal = new AbortController().signal, isShared = false, ...rest } = changes
    const handshakeHash = Uint8Array.from(randomBytes(32))
    const list = { until: NOON + 24 * HOUR_MS, blobIds, ...rest }
    const nonce = rest.nonce ?? (findKeepNonce(handshakeHash, list, WORK_BITS, 0, 1 << 20) as Uint8Array)
    const message: KeepMessage = { type: 'keep', requestId: 1, nonce, ...list }
    const source = {
      signal,
      ask: (id: Uint8Array, over: AbortSignal) => this.#give(id, over),
      onFalse: () => void this.falseGivers++,
    }
    const first = await this.keeper.keep({ host, isShared, handshakeHash }, message, source)
    await this.clock.advance(100)
    return { first, last: await this.stateOf(blobIds) }
  }

  async stateOf(blobIds: readonly Uint8Array[]): Promise<readonly number[]> {
    const asker = { host: 'anybody', isShared: false, handshakeHash: new Uint8Array(32) }
    const message = { type: 'keep', requestId: 1, nonce: new Uint8Array(8), until: 0, blobIds } as const
    const source = { signal: new AbortController().signal, ask: () => Promise.reject(), onFalse: () => {} }
    return [...(await this.keeper.keep(asker, message, source)).states]
  }

  #give(id: Uint8Array, signal: AbortSignal): Promise<SealedFrame> {
    const key = toHex(id)
    this.asked.push(key)
    const how = this.given.get(key)
    if (how === 'not found') {
      return Promise.reject(new MegatorrentError('ERR_REMOTE_NOT_FOUND', 'the peer does not hold it'))
    }
    if (how !== undefined) return Promise.resolve({} as SealedFrame)
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  }

  /** Ids, ascending, all of which are given. */
  make(count: number, how: 'right' | 'false' | 'not found' | 'never' = 'right'): Uint8Array[] {
    const ids = Array.from({ length: count }, () => Uint8Array.from(randomBytes(32))).sort(compareBytes)
    if (how !== 'never') for (const id of ids) this.given.set(toHex(id), how)
    return ids
  }
}

const repeat = (state: number, count: number): number[] => new Array<number>(count).fill(state)

describe('a gateway that keeps blobs', () => {
  it('fetches what it is told of, and has it then', async () => {
    const world = new World()
    const ids = world.make(3)
    const { first, last } = await world.keep('a', ids)
    expect(first).toEqual({ outcome: PUBLISH_OUTCOMES.stored, workBits: 0, states: Uint8Array.of(1, 1, 1) })
    expect(last).toEqual(repeat(held, 3))
    expect(world.keeper.counts).toEqual({ kept: 3, places: 8 })
    expect(ids.every((id) => world.keeper.has(id))).toBe(true)
    expect(world.list.size).toBe(3)
  })

  it('asks for work first, and for a time that it can keep', async () => {
    const world = new World()
    const [id] = world.make(1) as [Uint8Array]
    const outcomes: number[] = []
    const list = { until: NOON + HOUR_MS, blobIds: [id] }
    const hash = new Uint8Array(32)
    let at = 0
    while (findKeepNonce(hash, list, WORK_BITS, at, 1) !== null) at++
    const source = { signal: new AbortController().signal, ask: () => Promise.reject(), onFalse: () => {} }
    const message: KeepMessage = { type: 'keep', requestId: 1, ...list, nonce: new Uint8Array(8) }
    message.nonce[7] = at
    const answer = await world.keeper.keep(
      { host: 'a', isShared: false, handshakeHash: hash },
      message,
      source,
    )
    expect(answer).toEqual({ outcome: PUBLISH_OUTCOMES.work, workBits: WORK_BITS, states: new Uint8Array() })
    for (const until of [NOON, NOON - 1, NOON + MAX_KEEP_AHEAD_MS + 1000]) {
      outcomes.push((await world.keep('a', [id], { until })).first.outcome)
    }
    expect(outcomes).toEqual(repeat(PUBLISH_OUTCOMES.window, 3))
    expect([world.asked, world.list.size]).toEqual([[], 0])
  })

  it('gives no host more than its part, and a newcomer some of the one that has most', async () => {
    const world = new World()
    expect((await world.keep('a', world.make(6))).last).toEqual([...repeat(held, 4), ...repeat(refused, 2)])
    expect((await world.keep('b', world.make(6))).last.filter((state) => state === held)).toHaveLength(4)
    const newcomer = await world.keep('c', world.make(4))
    const got = newcomer.last.filter((state) => state === held).length
    expect(got).toBeGreaterThanOrEqual(2)
    expect([world.list.size, world.shelf.size]).toEqual([8, 8]) // what had to go is gone
    expect(world.keeper.counts.kept).toBe(8)
  })

  it('frees the places of what does not come: not found, false, too late, or the publisher gone', async () => {
    const world = new World()
    const mixed = [...world.make(1), ...world.make(1, 'not found')].sort(compareBytes)
    const { last } = await world.keep('a', mixed)
    expect([...last].sort()).toEqual([held, refused])
    expect((await world.keep('b', world.make(1, 'false'))).last).toEqual([refused])
    expect(world.falseGivers).toBe(1)
    const slow = world.make(2, 'never')
    expect((await world.keep('c', slow)).last).toEqual(repeat(coming, 2))
    await world.clock.advance(GATEWAY_BLOB_TIMEOUT_MS + 1000)
    expect(await world.stateOf(slow)).toEqual(repeat(refused, 2))
    const over = new AbortController()
    const gone = world.make(2, 'never')
    expect((await world.keep('d', gone, { signal: over.signal })).last).toEqual(repeat(coming, 2))
    over.abort()
    await world.clock.advance(100)
    expect(await world.stateOf(gone)).toEqual(repeat(refused, 2))
    expect([world.list.size, world.shelf.size, world.keeper.counts.kept]).toEqual([1, 1, 1])
  })

  it('asks for what it holds for itself as well: else anybody could test for that', async () => {
    const world = new World()
    const [id] = world.make(1) as [Uint8Array]
    world.shelf.add(toHex(id))
    expect(world.keeper.has(id)).toBe(false)
    const { first } = await world.keep('a', [id])
    expect([...first.states]).toEqual([coming])
    expect(world.asked).toEqual([toHex(id)])
  })

  it('changes nothing when the list cannot be written, and takes the same blobs once it can', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'megatorrent-keeper-'))
    const { database, gatewayBlobs, close } = openState(join(folder, 'test.db'), null)
    const world = new World()
    world.beforeSave = (blobs) => gatewayBlobs.save(blobs)
    const old = [...world.make(4), ...world.make(4)]
    await world.keep('a', old.slice(0, 4))
    await world.keep('b', old.slice(4))
    const newer = world.make(2)
    const list = [old[7] as Uint8Array, ...newer].sort(compareBytes)
    database.run('PRAGMA query_only = ON')
    await expect(world.keep('c', list)).rejects.toMatchObject({ kind: 'storage' })
    const longer = { until: NOON + 48 * HOUR_MS }
    await expect(world.keep('a', old.slice(0, 1), longer)).rejects.toMatchObject({ kind: 'storage' })
    expect([await world.stateOf(newer), await world.stateOf(old)]).toEqual([
      repeat(refused, 2),
      repeat(held, 8),
    ])
    expect(world.keeper.counts).toEqual({ kept: 8, places: 8 })
    expect([world.asked.length, world.list.size, world.shelf.size]).toEqual([8, 8, 8])
    // Hosts have what they had: one that has four is given no more.
    expect((await world.keep('a', world.make(1))).last).toEqual([refused])
    database.run('PRAGMA query_only = OFF')
    expect((await world.keep('c', newer)).last).toEqual(repeat(held, 2))
    expect([world.list.size, world.shelf.size]).toEqual([8, 8])
    // Nor was the time changed of what is kept.
    await world.clock.advance(24 * HOUR_MS + GATEWAY_BLOBS_LOOK_MS)
    expect([await world.stateOf(old), world.list.size]).toEqual([repeat(refused, 8), 0])
    close()
    rmSync(folder, { recursive: true })
  })

  it('keeps until the later time, and no longer', async () => {
    const world = new World()
    const ids = world.make(1)
    await world.keep('a', ids, { until: NOON + 3 * HOUR_MS })
    await world.keep('b', ids, { until: NOON + 2 * HOUR_MS })
    await world.clock.advance(2.5 * HOUR_MS)
    expect(await world.stateOf(ids)).toEqual([held])
    await world.clock.advance(HOUR_MS + GATEWAY_BLOBS_LOOK_MS)
    expect([await world.stateOf(ids), world.list.size, world.shelf.size]).toEqual([[refused], 0, 0])
    expect(world.asked).toHaveLength(1)
  })

  it('has after a crash what it held, forgets what was on its way, and keeps to a smaller quota', async () => {
    const world = new World()
    const ids = world.make(3)
    await world.keep('a', ids)
    const lost = world.make(1, 'never')
    await world.keep('a', lost)
    expect(world.list.size).toBe(4)
    world.start() // the one before was killed
    await world.clock.advance(100)
    expect([await world.stateOf(ids), await world.stateOf(lost)]).toEqual([repeat(held, 3), [refused]])
    expect(world.list.size).toBe(3)
    world.start({ places: 2 })
    await world.clock.advance(100)
    expect([world.list.size, world.shelf.size]).toEqual([2, 2])
  })

  it('leaves nothing in a connection that lives on', async () => {
    const world = new World()
    const { signal } = new AbortController()
    await world.keep('a', world.make(2), { signal })
    await world.keep('a', world.make(1, 'not found'), { signal })
    const late = world.make(1, 'never')
    await world.keep('b', late, { signal })
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    await world.clock.advance(GATEWAY_BLOB_TIMEOUT_MS)
    expect(await world.stateOf(late)).toEqual([refused])
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
    expect(world.clock.pendingTimers).toBe(1) // the look at what is over
  })

  it('leaves nothing running when it is closed', async () => {
    const world = new World()
    const going = world.make(2, 'never')
    await world.keep('a', going)
    await world.keeper.close()
    expect([world.clock.pendingTimers, world.list.size]).toEqual([0, 0])
  })
})
