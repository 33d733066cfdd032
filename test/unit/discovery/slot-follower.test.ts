/**
 * Channels followed over simulated days: a DHT of nodes that forget after two hours and
 * come and go, on a clock that the test moves.
 */
import { describe, expect, it } from 'vitest'
import { SLOT_SPREAD_MS } from '../../../src/base/limits.ts'
import { dayOf } from '../../../src/crypto/key-schedule.ts'
import { readingStartsMs } from '../../../src/discovery/slots.ts'
import { DAY_MS } from '../../../src/wire/constants.ts'
import { buildOpenItem, buildSlot, openSlot, type SlotPlace, slotKey } from '../../../src/wire/slot.ts'
import { type SlotSet, signSlotSet } from '../../../src/wire/slot-set.ts'
import { newChannel, newHead } from './channel-fixture.ts'
import { HOUR, MINUTE, TEN, TODAY, World } from './slot-world.ts'

describe('a publisher that stays', () => {
  it('keeps every day findable, and puts the slots of other days apart from each other', async () => {
    const world = new World()
    const keys = newChannel()
    const publisher = world.party()
    world.follow(publisher, keys, { publisher: keys })
    await world.publish(publisher, keys, newHead(keys, 1))
    let misses = 0
    for (let hour = 0; hour < 36; hour += 2) {
      await world.clock.advance(2 * HOUR)
      if ((await world.newcomer(keys)) === null) misses++
    }
    expect(misses).toBe(0)
    for (const day of [TODAY + 1, TODAY + 2]) {
      const firsts = world.putTimes(keys, day).map((times) => times[0] as number)
      // Before anyone reads them, and at no moment shared with each other.
      for (const first of firsts) expect(first).toBeLessThanOrEqual(readingStartsMs(day))
      // And not long before: a slot that is there all day shows each release.
      for (const first of firsts) expect(first).toBeGreaterThan(readingStartsMs(day) - SLOT_SPREAD_MS)
      for (const [i, first] of firsts.entries()) {
        for (const other of firsts.slice(i + 1)) expect(Math.abs(first - other)).toBeGreaterThan(MINUTE)
      }
    }
    await publisher.service.close()
    expect(world.clock.pendingTimers).toBe(0)
  })

  it('goes on after a restart, with the store alone', async () => {
    const world = new World()
    const keys = newChannel()
    const before = world.party()
    const head = newHead(keys, 1)
    await world.publish(before, keys, head)
    await before.service.close() // crashed before tomorrow's slots were put
    await world.clock.advance(6 * HOUR)
    expect(await world.newcomer(keys)).toBeNull()
    const after = world.party(before.store)
    after.head = head
    world.follow(after, keys, { publisher: keys })
    await world.clock.advance(2 * MINUTE)
    expect(await world.newcomer(keys)).toEqual(head)
    await world.clock.advance(12 * HOUR)
    expect(dayOf(world.clock.now())).toBe(TODAY + 1)
    expect(await world.newcomer(keys)).toEqual(head)
    await after.service.close()
  })

  it('brings a new release into the slots of tomorrow too', async () => {
    const world = new World()
    const keys = newChannel()
    const publisher = world.party()
    world.follow(publisher, keys, { publisher: keys })
    await world.publish(publisher, keys, newHead(keys, 1))
    await world.clock.advance(7 * HOUR)
    await world.publish(publisher, keys, newHead(keys, 2))
    await world.clock.advance(7 * HOUR + MINUTE)
    const releases = [0, 1, 2].map((replica) => {
      const place = { day: TODAY + 1, replica }
      const item = world.network.read(slotKey(keys, place)).candidates[0]?.item
      return item === undefined ? null : openSlot(keys, place, item).releaseNumber
    })
    expect(releases).toEqual([2, 2, 2])
    await publisher.service.close()
  })

  it('lets no release move the slots of tomorrow, whether they are put already or not', async () => {
    const world = new World()
    const channels = [1, 2, 3, 4].map(() => ({ keys: newChannel(), party: world.party() }))
    for (const { keys, party } of channels) {
      world.follow(party, keys, { publisher: keys })
      await world.publish(party, keys, newHead(keys, 1))
    }
    const slots = (): number[][] => channels.flatMap(({ keys }) => world.putTimes(keys, TODAY + 1))
    await world.clock.advance(8.5 * HOUR) // 18:30
    for (const { keys, party } of channels) await world.publish(party, keys, newHead(keys, 2))
    await world.clock.advance(HOUR / 2)
    expect(slots().filter((times) => times.length > 0).length).toBeLessThan(8)
    await world.clock.advance(HOUR / 2)
    const before = slots()
    const early = before.filter((times) => times.length > 0).length
    expect(early).toBeGreaterThan(2)
    expect(early).toBeLessThan(11)
    // At 19:30; those that are there are looked at again when readers come, at 21:00.
    for (const { keys, party } of channels) await world.publish(party, keys, newHead(keys, 3))
    await world.clock.advance(1.4 * HOUR)
    for (const [at, times] of slots().entries()) {
      if (before[at]?.length !== 0) expect(times).toHaveLength(1)
    }
    await Promise.all(channels.map(({ party }) => party.service.close()))
  })

  it('that begins just before tomorrow is read does not put it all at once', async () => {
    const world = new World(TEN + 11 * HOUR - MINUTE) // 20:59
    const channels = [1, 2, 3].map(() => ({ keys: newChannel(), party: world.party() }))
    for (const { keys, party } of channels) {
      party.head = newHead(keys, 1)
      world.follow(party, keys, { publisher: keys })
    }
    await world.clock.advance(HOUR)
    for (const { keys } of channels) {
      const firsts = world.putTimes(keys, TODAY + 1).map((times) => times[0] ?? Number.NaN)
      expect(Math.max(...firsts) - Math.min(...firsts)).toBeGreaterThan(MINUTE)
    }
    await Promise.all(channels.map(({ party }) => party.service.close()))
  })

  it('leaves the slots of yesterday as they are, since who reads them reads those of today', async () => {
    const world = new World(TEN + 11 * HOUR) // 21:00
    const keys = newChannel()
    const publisher = world.party()
    world.follow(publisher, keys, { publisher: keys })
    await world.publish(publisher, keys, newHead(keys, 1))
    await world.clock.advance(4 * HOUR)
    await world.publish(publisher, keys, newHead(keys, 2))
    await world.clock.advance(1.9 * HOUR)
    expect(await world.newcomer(keys)).toMatchObject({ releaseNumber: 2 })
    for (const replica of [0, 1, 2]) {
      const place = { day: TODAY, replica }
      const key = slotKey(keys, place)
      const puts = world.network.puts.filter(({ item }) => Buffer.compare(item.publicKey, key) === 0)
      expect(puts.length).toBeGreaterThan(0)
      // Nor is what is not the newest any more put again.
      for (const { item, atMs } of puts) {
        expect(openSlot(keys, place, item).releaseNumber).toBe(1)
        expect(atMs).toBeLessThanOrEqual(TEN + 15 * HOUR)
      }
    }
    await publisher.service.close()
  })

  it('lets go of days that its clock took for today by mistake', async () => {
    const world = new World()
    const keys = newChannel()
    const publisher = world.party()
    world.follow(publisher, keys, { publisher: keys })
    await world.publish(publisher, keys, newHead(keys, 1))
    const farMs = 300 * DAY_MS
    world.clock.jumpWall(farMs)
    await world.clock.advance(2 * HOUR)
    const far = (): number[] => world.putTimes(keys, TODAY + 300).flat()
    expect(far().length).toBeGreaterThan(0)
    world.clock.jumpWall(-farMs)
    await world.clock.advance(HOUR)
    const before = far()
    world.network.replaceAll()
    await world.clock.advance(24 * HOUR)
    expect(far()).toEqual(before)
    expect(await world.newcomer(keys)).toMatchObject({ releaseNumber: 1 })
    await publisher.service.close()
  })

  it('keeps the item of an open channel', async () => {
    const world = new World()
    const keys = newChannel()
    const publisher = world.party()
    world.follow(publisher, keys, { publisher: keys, isOpen: true })
    publisher.head = newHead(keys, 1)
    await publisher.service.publish(keys, publisher.head.bytes, { isOpen: true })
    for (let hour = 0; hour < 30; hour += 3) {
      world.network.replaceAll()
      await world.clock.advance(3 * HOUR)
      expect(world.network.holders(keys.publicKey)).toBe(10)
    }
    await publisher.service.close()
  })
})

describe('who was given what was signed ahead of an open channel', () => {
  it('keeps its slots and its item, and lets the item be when a newer head is known', async () => {
    const world = new World()
    const keys = newChannel()
    const head = newHead(keys, 1)
    const set = [...signSlotSet(keys, head.bytes, TODAY, 3)].at(-1) as SlotSet
    const carrier = world.party()
    carrier.head = head
    world.follow(carrier, keys, { slotSet: () => set })
    await carrier.service.publishSigned(keys, set, buildOpenItem(keys, head.bytes))
    for (let hour = 0; hour < 30; hour += 3) {
      world.network.replaceAll()
      await world.clock.advance(3 * HOUR)
      expect(world.network.holders(keys.publicKey)).toBe(10)
      expect(await world.newcomer(keys)).toEqual(head)
    }
    carrier.head = newHead(keys, 2)
    world.network.replaceAll()
    await world.clock.advance(3 * HOUR)
    expect(world.network.holders(keys.publicKey)).toBe(0)
    await carrier.service.close()
  })
})

describe('subscribers', () => {
  /** A release, an hour in which all see it, and the publisher is gone. */
  async function abandoned(subscribers: number) {
    const world = new World()
    const keys = newChannel()
    const head = newHead(keys, 1)
    const publisher = world.party()
    world.follow(publisher, keys, { publisher: keys })
    await world.publish(publisher, keys, head)
    const parties = Array.from({ length: subscribers }, () => world.party())
    for (const party of parties) {
      party.head = (await party.service.resolve(keys)).newest?.head ?? null
      world.follow(party, keys, { knownHolders: () => subscribers })
    }
    await world.clock.advance(11 * HOUR)
    await publisher.service.close()
    return { world, keys, head, parties }
  }

  it('keep a channel findable through today and tomorrow, while all nodes are replaced again and again', async () => {
    const { world, keys, head, parties } = await abandoned(2)
    let looks = 0
    let misses = 0
    // From 21 o'clock to the end of the next day, in which no publisher ever signs.
    for (let round = 0; round < 12; round++) {
      if (round % 3 === 2) world.network.replaceAll()
      await world.clock.advance(2 * HOUR)
      looks++
      if ((await world.newcomer(keys)) === null) misses++
    }
    expect(dayOf(world.clock.now())).toBe(TODAY + 1)
    expect([misses, looks]).toEqual([0, 12])
    expect(await world.newcomer(keys)).toEqual(head)
    // The day after that nobody can sign: then peers are found by topic, not here.
    await world.clock.advance(9 * HOUR)
    expect(dayOf(world.clock.now())).toBe(TODAY + 2)
    expect(await world.newcomer(keys)).toBeNull()
    await Promise.all(parties.map((party) => party.service.close()))
    expect(world.clock.pendingTimers).toBe(0)
  })

  it('without whom the channel is lost within hours: the test before can fail', async () => {
    const { world, keys, parties } = await abandoned(1)
    await Promise.all(parties.map((party) => party.service.close()))
    await world.clock.advance(3 * HOUR)
    expect(await world.newcomer(keys)).toBeNull()
  })

  it('put back nothing that enough nodes hold and someone has just refreshed', async () => {
    const world = new World()
    const keys = newChannel()
    const publisher = world.party()
    await world.publish(publisher, keys, newHead(keys, 1))
    const subscriber = world.party()
    subscriber.head = (await subscriber.service.resolve(keys)).newest?.head ?? null
    world.follow(subscriber, keys)
    const puts = world.network.puts.length
    await world.clock.advance(HOUR)
    expect(world.network.reads).toBeGreaterThan(5) // they looked
    expect(world.network.puts).toHaveLength(puts)
    await subscriber.service.close()
  })

  it('share the refreshing: of ten that know each other, about one in a round', async () => {
    const world = new World()
    const keys = newChannel()
    const publisher = world.party()
    await world.publish(publisher, keys, newHead(keys, 1))
    const parties = Array.from({ length: 10 }, () => world.party())
    for (const party of parties) {
      party.head = newHead(keys, 1)
      world.follow(party, keys, { knownHolders: () => 10 })
    }
    const before = world.network.puts.length
    await world.clock.advance(6 * HOUR)
    const perReplica = (world.network.puts.length - before) / 3
    // Alone, one would put three times; ten that do not share, thirty times.
    expect(perReplica).toBeGreaterThan(1)
    expect(perReplica).toBeLessThan(12)
    await Promise.all(parties.map((party) => party.service.close()))
  })

  it('learn of a release by looking, and have saved it when they are told', async () => {
    const world = new World()
    const keys = newChannel()
    const publisher = world.party()
    await world.publish(publisher, keys, newHead(keys, 1))
    const subscriber = world.party()
    subscriber.head = newHead(keys, 1)
    const savedWhenTold: boolean[] = []
    world.follow(subscriber, keys, {
      onFound: ({ newest }) => {
        const saved = [...subscriber.store.records.values()].some(({ head }) => head === newest?.head.bytes)
        savedWhenTold.push(saved)
        subscriber.head = newest?.head ?? subscriber.head
      },
    })
    await world.publish(publisher, keys, newHead(keys, 2))
    await world.clock.advance(1.6 * HOUR)
    expect(subscriber.head.releaseNumber).toBe(2)
    expect(savedWhenTold).toEqual([true])
    await subscriber.service.close()
  })

  it('are told of a head that contradicts theirs', async () => {
    const world = new World()
    const keys = newChannel()
    const [theirs, other] = [newHead(keys, 1), newHead(keys, 1, { root: 60 })]
    for (const replica of [0, 1, 2]) {
      world.network.plant(buildSlot(keys, { day: TODAY, replica }, other.bytes))
    }
    const subscriber = world.party()
    subscriber.head = theirs
    world.follow(subscriber, keys)
    await world.clock.advance(HOUR)
    expect(subscriber.conflicts[0]).toEqual(other)
    expect([subscriber.head, subscriber.seen, subscriber.store.records.size]).toEqual([theirs, [], 0])
    await subscriber.service.close()
  })

  it('put nothing back below the newest head that they know', async () => {
    const world = new World()
    const keys = newChannel()
    const publisher = world.party()
    await world.publish(publisher, keys, newHead(keys, 1))
    const subscriber = world.party()
    subscriber.head = (await subscriber.service.resolve(keys)).newest?.head ?? null
    // Release 2 comes by a peer, with no signature for any slot.
    subscriber.head = newHead(keys, 2)
    world.follow(subscriber, keys)
    const puts = world.network.puts.length
    world.network.replaceAll()
    await world.clock.advance(6 * HOUR)
    expect(world.network.puts).toHaveLength(puts)
    await subscriber.service.close()
  })

  it('look at tomorrow until they have seen it, and then leave it alone until it is read', async () => {
    const world = new World(Date.UTC(2026, 5, 1, 3))
    const keys = newChannel()
    const tomorrow: SlotPlace[] = [0, 1, 2].map((replica) => ({ day: TODAY + 1, replica }))
    for (const place of tomorrow) world.network.plant(buildSlot(keys, place, newHead(keys, 1).bytes))
    const subscriber = world.party()
    subscriber.head = newHead(keys, 1)
    // Only the slots of tomorrow exist: every read of one of them is counted.
    const reads: string[] = []
    const read = world.network.read.bind(world.network)
    const keysOfTomorrow = tomorrow.map((place) => slotKey(keys, place))
    world.network.read = (key) => {
      if (keysOfTomorrow.some((other) => Buffer.compare(other, key) === 0))
        reads.push(Buffer.from(key).toString('hex'))
      return read(key)
    }
    world.follow(subscriber, keys)
    // They are kept alive for the subscriber to find.
    for (let hour = 0; hour < 17; hour++) {
      for (const place of tomorrow) world.network.plant(buildSlot(keys, place, newHead(keys, 1).bytes))
      await world.clock.advance(HOUR)
    }
    expect([...new Set(reads)]).toHaveLength(3)
    expect(reads).toHaveLength(3)
    world.network.replaceAll()
    await world.clock.advance(4 * HOUR) // the reading of tomorrow begins at 21 o'clock
    for (const key of keysOfTomorrow) expect(world.network.holders(key)).toBe(10)
    await subscriber.service.close()
  })

  it('try again soon when no node was reached', async () => {
    const world = new World()
    const keys = newChannel()
    const publisher = world.party()
    await world.publish(publisher, keys, newHead(keys, 1))
    const subscriber = world.party()
    subscriber.dht.isReachable = false
    world.follow(subscriber, keys)
    await world.clock.advance(0.9 * HOUR)
    expect(subscriber.head).toBeNull()
    subscriber.dht.isReachable = true
    await world.clock.advance(2 * MINUTE)
    expect(subscriber.head).toMatchObject({ releaseNumber: 1 })
    await subscriber.service.close()
  })
})

describe('following', () => {
  it('ends when it is stopped, and begins anew when it is asked for twice', async () => {
    const world = new World()
    const keys = newChannel()
    const party = world.party()
    world.follow(party, keys)
    const stop = world.follow(party, keys)
    expect(world.clock.pendingTimers).toBe(1)
    stop()
    expect(world.clock.pendingTimers).toBe(0)
    await world.clock.advance(3 * HOUR)
    expect(world.network.reads).toBe(0)
    await party.service.close()
  })

  it('goes on when wall time jumps by days, with the slots of the new day', async () => {
    const world = new World()
    const keys = newChannel()
    const publisher = world.party()
    world.follow(publisher, keys, { publisher: keys })
    await world.publish(publisher, keys, newHead(keys, 1))
    await world.clock.advance(HOUR)
    world.clock.jumpWall(5 * 24 * HOUR)
    await world.clock.advance(15 * MINUTE)
    expect(await world.newcomer(keys)).toMatchObject({ releaseNumber: 1 })
    await publisher.service.close()
  })
})
