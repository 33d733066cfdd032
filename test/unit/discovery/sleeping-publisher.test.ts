/**
 * Slots signed ahead, put by holders while the publisher is away, over simulated days: a DHT of
 * nodes that forget after two hours and come and go, on a clock that the test moves.
 */
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { channelKeys, dayOf } from '../../../src/crypto/key-schedule.ts'
import { SlotService } from '../../../src/discovery/slot-service.ts'
import { DAY_MS, MAX_SLOT_SET_DAYS, SLOT_REPLICAS } from '../../../src/wire/constants.ts'
import type { Head } from '../../../src/wire/head.ts'
import { buildSlot, openSlot, slotKey } from '../../../src/wire/slot.ts'
import { type SlotSet, signSlotSet } from '../../../src/wire/slot-set.ts'
import { loops } from '../../loops.ts'
import { newChannel, newHead } from './channel-fixture.ts'
import { MemoryNetwork, MemorySlotStore } from './memory-dht.ts'

const HOUR = 3_600_000
const START = Date.UTC(2026, 5, 1, 10)
const TODAY = dayOf(START)

const KEYS = newChannel()
const LINK = channelKeys(KEYS.publicKey, KEYS.readKey)
const HEAD = newHead(KEYS, 3, { signedAt: START })
const SET = [...signSlotSet(KEYS, HEAD.bytes, TODAY, MAX_SLOT_SET_DAYS)].at(-1) as SlotSet

class World {
  readonly clock = new ManualClock(START)
  readonly network = new MemoryNetwork(this.clock)
  readonly #services: SlotService[] = []

  service(store = new MemorySlotStore()): SlotService {
    const service = new SlotService({
      ...{ dht: this.network.dht(), store, clock: this.clock },
      ...{ random: seededRandom(this.#services.length + 1), log: silentLog },
    })
    this.#services.push(service)
    return service
  }

  /** Somebody with the link who looks after the slots. */
  holder(head: Head, set: SlotSet | null, holders = 1): { newest: Head } {
    const state = { newest: head }
    this.service().follow({
      keys: LINK,
      head: () => state.newest,
      slotSet: () => set,
      knownHolders: () => holders,
      onFound: ({ newest }) => {
        if (newest !== null) state.newest = newest.head
      },
    })
    return state
  }

  /** What a newcomer with nothing but the link finds in the slots. */
  async newcomer(clockErrorMs = 0): Promise<Head | null> {
    const { clock } = this
    const reader = new SlotService({
      ...{ dht: this.network.dht(), store: new MemorySlotStore(), random: seededRandom(99), log: silentLog },
      clock: {
        now: () => clock.now() + clockErrorMs,
        monotonicMs: () => clock.monotonicMs(),
        setTimer: (callback, delayMs) => clock.setTimer(callback, delayMs),
      },
    })
    return (await reader.resolve(LINK)).newest?.head ?? null
  }

  async close(): Promise<void> {
    await Promise.all(this.#services.map((service) => service.close()))
    expect(this.clock.pendingTimers).toBe(0)
  }
}

/** Long enough for all that held it first to be gone once. */
const DAYS = loops(24, 60)

describe('when the publisher has gone', () => {
  it(`two holders with its set keep the channel findable for ${DAYS} days`, async () => {
    const world = new World()
    for (let n = 0; n < 2; n++) world.holder(HEAD, SET, 2)
    await world.clock.advance(2 * HOUR)
    let misses = 0
    for (let day = 0; day < DAYS; day++) {
      // All that held it are gone at once.
      if (day % 20 === 19) world.network.replaceAll()
      for (let n = 0; n < 4; n++) {
        await world.clock.advance(6 * HOUR)
        if ((await world.newcomer()) === null) misses++
      }
    }
    expect(misses).toBe(0)
    const dayOfKey = new Map<string, number>()
    for (let day = TODAY - 1; day < TODAY + DAYS + 3; day++) {
      for (let replica = 0; replica < SLOT_REPLICAS; replica++) {
        dayOfKey.set(Buffer.from(slotKey(LINK, { day, replica })).toString('hex'), day)
      }
    }
    const { puts } = world.network
    for (const { item, atMs } of puts) {
      const day = dayOfKey.get(Buffer.from(item.publicKey).toString('hex'))
      // Nothing further ahead than what readers ask for, three hours before midnight.
      expect(day).toBeGreaterThanOrEqual(dayOf(atMs - 3 * HOUR))
      expect(day).toBeLessThanOrEqual(dayOf(atMs + 3 * HOUR))
    }
    // Each slot is read for 30 hours and must be refreshed every 1.5: with few to spare for two who draw lots.
    expect(puts.length / DAYS).toBeLessThan(SLOT_REPLICAS * (30 / 1.5) * 2)
    await world.close()
  })

  it('so do holders that slept, until the set has run out, and no longer', async () => {
    const world = new World()
    world.holder(HEAD, SET)
    for (const [days, expected] of [
      [60, HEAD],
      [MAX_SLOT_SET_DAYS - 2, HEAD],
      [MAX_SLOT_SET_DAYS + 2, null],
      [500, null],
    ] as const) {
      world.clock.jumpWall(START + days * DAY_MS - world.clock.now())
      await world.clock.advance(3 * HOUR)
      expect([days, await world.newcomer()]).toEqual([days, expected])
    }
    await world.close()
  })

  it('clocks of readers may be three hours off, at any hour', async () => {
    const world = new World()
    world.holder(HEAD, SET)
    await world.clock.advance(3 * HOUR)
    for (let hour = 0; hour < 24; hour++) {
      await world.clock.advance(HOUR)
      for (const errorMs of [-3 * HOUR, 0, 3 * HOUR]) {
        expect([hour, errorMs, await world.newcomer(errorMs)]).toEqual([hour, errorMs, HEAD])
      }
    }
    await world.close()
  })

  it('holders without its set cannot: it is gone the day after', async () => {
    const world = new World()
    const head = newHead(KEYS, 3, { signedAt: START })
    world.network.plant(buildSlot(KEYS, { day: TODAY, replica: 0 }, head.bytes))
    world.network.plant(buildSlot(KEYS, { day: TODAY, replica: 1 }, head.bytes))
    world.holder(head, null)
    await world.clock.advance(HOUR)
    expect(await world.newcomer()).toEqual(head)
    await world.clock.advance(2 * 24 * HOUR)
    expect(await world.newcomer()).toBeNull()
    await world.close()
  })

  it('a set of a head that is not the newest is left alone', async () => {
    const world = new World()
    const newer = newHead(KEYS, 4)
    world.holder(newer, SET)
    await world.clock.advance(6 * HOUR)
    expect(world.network.puts).toEqual([])
    await world.close()
  })

  it('it is never put below a newer one that is found, which is put back instead', async () => {
    const world = new World()
    const newer = newHead(KEYS, 4)
    const place = { day: TODAY, replica: 1 }
    world.network.plant(buildSlot(KEYS, place, newer.bytes), 2)
    const holder = world.holder(HEAD, SET)
    await world.clock.advance(3 * HOUR)
    expect(holder.newest).toEqual(newer)
    const here = Buffer.from(slotKey(LINK, place))
    const put = world.network.puts.filter(({ item }) => here.equals(item.publicKey)).map(({ item }) => item)
    expect(put.length).toBeGreaterThan(0)
    for (const item of put) expect(openSlot(LINK, place, item)).toEqual(newer)
    await world.close()
  })

  it('nothing is put that enough nodes hold already', async () => {
    const world = new World()
    for (let replica = 0; replica < SLOT_REPLICAS; replica++) {
      world.network.plant(buildSlot(KEYS, { day: TODAY, replica }, HEAD.bytes))
    }
    world.holder(HEAD, SET)
    await world.clock.advance(1.4 * HOUR)
    expect(world.network.puts).toEqual([])
    await world.close()
  })
})
