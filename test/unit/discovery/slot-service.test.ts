import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { slotSigner } from '../../../src/crypto/blinding.ts'
import { channelKeys, dayOf, type PublisherKeys } from '../../../src/crypto/key-schedule.ts'
import { SlotService } from '../../../src/discovery/slot-service.ts'
import { OPEN_SLOT_DAY } from '../../../src/discovery/slots.ts'
import { DAY_MS } from '../../../src/wire/constants.ts'
import { slotVersion, verifyHead } from '../../../src/wire/head.ts'
import { signItem } from '../../../src/wire/mutable-item.ts'
import { buildSlot, slotKey } from '../../../src/wire/slot.ts'
import { type SlotSet, signSlotSet } from '../../../src/wire/slot-set.ts'
import { newChannel, newHead } from './channel-fixture.ts'
import { MemoryNetwork, MemorySlotStore } from './memory-dht.ts'

const NOON = Date.UTC(2026, 5, 1, 12)
const TODAY = dayOf(NOON)

interface Side {
  readonly service: SlotService
  readonly store: MemorySlotStore
}

function newWorld(startMs = NOON) {
  const clock = new ManualClock(startMs)
  const network = new MemoryNetwork(clock)
  const side = (store = new MemorySlotStore(), seed = 1): Side => ({
    store,
    service: new SlotService({
      dht: network.dht(),
      store,
      clock,
      random: seededRandom(seed),
      log: silentLog,
    }),
  })
  return { clock, network, side }
}

const placesToday = [0, 1, 2].map((replica) => ({ day: TODAY, replica }))

/** Put by hand the slot of one replica. */
function plantHead(
  network: MemoryNetwork,
  keys: PublisherKeys,
  replica: number,
  head: Uint8Array,
  count?: number,
): void {
  network.plant(buildSlot(keys, { day: TODAY, replica }, head), count)
}

describe('publishing', () => {
  it('puts the three replicas of today, and readers with the link alone resolve them', async () => {
    const { network, side } = newWorld()
    const keys = newChannel(new Uint8Array(32).fill(9))
    const head = newHead(keys, 1)
    const { storedBy, replicas, open } = await side().service.publish(keys, head.bytes)
    expect([storedBy, open]).toEqual([10, null])
    expect(replicas.map(({ replica, readBackFrom }) => [replica, readBackFrom])).toEqual([
      [0, 10],
      [1, 10],
      [2, 10],
    ])
    expect(network.puts).toHaveLength(3)
    const link = channelKeys(keys.publicKey, keys.readKey)
    const { newest, conflicts, stale, invalid, slotsRead } = await side().service.resolve(link)
    expect(newest?.head).toEqual(head)
    expect({ conflicts, stale, invalid, slotsRead }).toEqual({
      conflicts: [],
      stale: 0,
      invalid: 0,
      slotsRead: 2,
    })
    // Without the read key there is nothing to be found.
    expect(await side().service.resolve(channelKeys(keys.publicKey))).toMatchObject({
      newest: null,
      slotsRead: 3,
    })
  })

  it('saves what it signed before anything is put', async () => {
    const { network, side } = newWorld()
    const publisher = side()
    const putsAtSave: number[] = []
    publisher.store.onSave = () => putsAtSave.push(network.puts.length)
    const keys = newChannel()
    await publisher.service.publish(keys, newHead(keys, 1).bytes, { isOpen: true })
    expect(putsAtSave).toEqual([0, 0, 0, 0])
    expect(publisher.store.records.size).toBe(4)
  })

  it('can be done again, and changes nothing then', async () => {
    const { side } = newWorld()
    const publisher = side()
    const keys = newChannel()
    const head = newHead(keys, 1)
    await publisher.service.publish(keys, head.bytes)
    expect(await publisher.service.publish(keys, head.bytes)).toMatchObject({ storedBy: 10 })
  })

  it('never goes below what this node signed before, nor says something else under the same number', async () => {
    const { network, side } = newWorld()
    const publisher = side()
    const keys = newChannel()
    await publisher.service.publish(keys, newHead(keys, 2).bytes)
    const puts = network.puts.length
    for (const head of [newHead(keys, 1), newHead(keys, 2, { root: 9 })]) {
      await expect(publisher.service.publish(keys, head.bytes)).rejects.toMatchObject({
        code: 'ERR_SLOT_NEWER_KNOWN',
        kind: 'integrity',
      })
    }
    expect(network.puts).toHaveLength(puts)
  })

  it('never goes below what the network has: a copy of the key may have published elsewhere', async () => {
    const { network, side } = newWorld()
    const keys = newChannel()
    await side().service.publish(keys, newHead(keys, 7).bytes)
    const puts = network.puts.length
    await expect(side().service.publish(keys, newHead(keys, 3).bytes)).rejects.toMatchObject({
      code: 'ERR_SLOT_NEWER_KNOWN',
      message: expect.stringContaining('release 7'),
    })
    expect(network.puts).toHaveLength(puts)
  })

  it('tells of another head under the same number', async () => {
    const { network, side } = newWorld()
    const keys = newChannel()
    const other = newHead(keys, 1, { root: 50 })
    plantHead(network, keys, 1, other.bytes, 4)
    const { replicas, storedBy } = await side().service.publish(keys, newHead(keys, 1).bytes)
    expect(replicas.map(({ conflicts }) => conflicts)).toEqual([[], [other], []])
    expect([storedBy, replicas[1]?.readBackFrom]).toEqual([10, 6])
  })

  it('counts nobody when the network is not reached', async () => {
    const { clock, network } = newWorld()
    const dht = network.dht()
    dht.isReachable = false
    const service = new SlotService({
      dht,
      store: new MemorySlotStore(),
      clock,
      random: seededRandom(1),
      log: silentLog,
    })
    const keys = newChannel()
    expect(await service.publish(keys, newHead(keys, 1).bytes)).toMatchObject({ storedBy: 0 })
    expect(await service.resolve(keys)).toMatchObject({ replied: 0, asked: 0 })
  })

  it('refuses a head of another channel', async () => {
    const { side } = newWorld()
    await expect(side().service.publish(newChannel(), newHead(newChannel(), 1).bytes)).rejects.toThrow(
      TypeError,
    )
  })

  it('puts what was signed elsewhere, as its signer would have put it', async () => {
    const { network, side } = newWorld()
    const keys = newChannel(new Uint8Array(32).fill(9))
    const link = channelKeys(keys.publicKey, keys.readKey)
    const head = newHead(keys, 1)
    const set = [...signSlotSet(keys, head.bytes, TODAY, 2)].at(-1) as SlotSet
    const carrier = side()
    const result = await carrier.service.publishSigned(link, set, null)
    expect(result).toMatchObject({ storedBy: 10, open: null })
    expect(network.puts).toHaveLength(3)
    expect((await side().service.resolve(link)).newest?.head).toEqual(head)
    // Of a release that is older than what is known nothing is put.
    await side().service.publish(keys, newHead(keys, 2).bytes)
    await expect(side().service.publishSigned(link, set, null)).rejects.toMatchObject({
      code: 'ERR_SLOT_NEWER_KNOWN',
    })
  })

  it('puts nothing of a set that has no slots of today', async () => {
    const { network, side } = newWorld()
    const keys = newChannel()
    const set = [...signSlotSet(keys, newHead(keys, 1).bytes, TODAY + 1, 1)].at(-1) as SlotSet
    await expect(side().service.publishSigned(keys, set, null)).rejects.toMatchObject({
      code: 'ERR_BUNDLE_DAYS',
    })
    expect(network.puts).toHaveLength(0)
  })

  it('of an open channel also puts the head in clear under the plain key', async () => {
    const { network, side } = newWorld()
    const publisher = side()
    const keys = newChannel()
    const head = newHead(keys, 3)
    const { open } = await publisher.service.publish(keys, head.bytes, { isOpen: true })
    expect(open).toMatchObject({ storedBy: 10, readBackFrom: 10 })
    const item = network.read(keys.publicKey).candidates[0]?.item
    expect(item).toMatchObject({ seq: slotVersion(head) })
    expect(verifyHead(item?.value ?? new Uint8Array(0), keys.publicKey)).toEqual(head)
    expect(publisher.store.highest(keys.publicKey)).toMatchObject({
      day: OPEN_SLOT_DAY,
      seq: slotVersion(head),
    })
    // A channel that is not open has nothing there.
    const closed = newChannel()
    await side().service.publish(closed, newHead(closed, 1).bytes)
    expect(network.holders(closed.publicKey)).toBe(0)
  })
})

describe('resolving', () => {
  it('finds the newest although one node alone has it', async () => {
    const { network, side } = newWorld()
    const keys = newChannel()
    for (const { replica } of placesToday) plantHead(network, keys, replica, newHead(keys, 5).bytes)
    for (const { replica } of placesToday) plantHead(network, keys, replica, newHead(keys, 6).bytes, 1)
    const { newest, stale } = await side().service.resolve(keys)
    expect(newest).toMatchObject({ head: { releaseNumber: 6 }, holders: 1 })
    expect(stale).toBe(2)
  })

  it('reads the third replica when two give nothing', async () => {
    for (const replica of [0, 1, 2]) {
      const { network, side } = newWorld()
      const keys = newChannel()
      plantHead(network, keys, replica, newHead(keys, 1).bytes)
      expect((await side().service.resolve(keys)).newest?.place).toEqual({ day: TODAY, replica })
    }
  })

  it('reads both days around midnight', async () => {
    const { clock, side } = newWorld(Date.UTC(2026, 5, 1, 23, 30))
    const keys = newChannel()
    await side().service.publish(keys, newHead(keys, 1).bytes)
    await clock.advance(3_600_000) // half past midnight: nothing is in the new day's slots
    const { newest, slotsRead } = await side().service.resolve(keys)
    expect(newest?.place.day).toBe(TODAY)
    expect(slotsRead).toBe(4)
  })

  it('saves what it found before it gives it out', async () => {
    const { network, side } = newWorld()
    const keys = newChannel()
    const head = newHead(keys, 4)
    for (const { replica } of placesToday) plantHead(network, keys, replica, head.bytes)
    const reader = side()
    let isResolved = false
    const savedAfter: boolean[] = []
    reader.store.onSave = () => savedAfter.push(isResolved)
    await reader.service.resolve(keys).then(() => {
      isResolved = true
    })
    expect(savedAfter).toEqual([false, false])
    const [record] = reader.store.records.values()
    expect(record).toMatchObject({ head: head.bytes, publicKey: keys.publicKey, day: TODAY })
  })

  it('never gives out less than it saw before, after a restart too', async () => {
    const { network, side } = newWorld()
    const keys = newChannel()
    const [older, newer] = [newHead(keys, 4), newHead(keys, 5)]
    for (const { replica } of placesToday) plantHead(network, keys, replica, newer.bytes)
    const { store, service } = side()
    await service.resolve(keys)
    // All nodes now show the older one, as nodes that freeze a channel would.
    for (const { replica } of placesToday) plantHead(network, keys, replica, older.bytes)
    for (const reader of [service, side(store, 2).service]) {
      const { newest, stale } = await reader.resolve(keys)
      expect(newest?.head).toEqual(newer)
      expect(stale).toBeGreaterThanOrEqual(2)
    }
    // A node that has heard of release 6 by other ways takes neither.
    expect(await side().service.resolve(keys, { known: newHead(keys, 6) })).toMatchObject({
      newest: null,
      stale: 2,
    })
  })

  it('gives out after a restart what was saved and not acted on, when the network has forgotten it', async () => {
    const { network, side } = newWorld()
    const keys = newChannel()
    const head = newHead(keys, 4)
    for (const { replica } of placesToday) plantHead(network, keys, replica, head.bytes)
    const { store, service } = side()
    await service.resolve(keys)
    network.replaceAll()
    expect((await side(store, 2).service.resolve(keys)).newest?.head).toEqual(head)
  })

  it('shows a head that contradicts the one it knows, and keeps to that', async () => {
    const { network, side } = newWorld()
    const keys = newChannel()
    const [first, other] = [newHead(keys, 2), newHead(keys, 2, { root: 77 })]
    plantHead(network, keys, 0, first.bytes)
    plantHead(network, keys, 1, other.bytes)
    plantHead(network, keys, 2, other.bytes)
    const { newest, conflicts } = await side().service.resolve(keys, { known: first })
    expect(conflicts.map(({ head }) => head)).toEqual([other])
    expect(newest === null || newest.head.root[0] === 2).toBe(true)
    // Seen first and saved, it stays, whatever the others say.
    const { store, service } = side()
    for (const { replica } of placesToday) plantHead(network, keys, replica, first.bytes)
    await service.resolve(keys)
    for (const { replica } of placesToday) plantHead(network, keys, replica, other.bytes)
    const again = await side(store, 3).service.resolve(keys)
    expect(again.newest?.head).toEqual(first)
    expect(again.conflicts.map(({ head }) => head)).toEqual([other])
    expect([...store.records.values()].every(({ head }) => head[19] === 2)).toBe(true)
  })

  it('counts values that only the publisher could have signed and that open to nothing', async () => {
    const { network, side } = newWorld()
    const keys = newChannel()
    for (const { replica } of placesToday) {
      network.plant(signItem(slotSigner(keys, TODAY, replica), 2 ** 50, new Uint8Array(608)))
    }
    expect(await side().service.resolve(keys)).toMatchObject({ newest: null, invalid: 3 })
  })

  it('does not ask for the plain key: that would show which channel is read', async () => {
    const { network, side } = newWorld()
    const keys = newChannel()
    await side().service.publish(keys, newHead(keys, 1).bytes, { isOpen: true })
    network.nodes = []
    network.addNodes(30)
    network.plant(signItem(keys.signingKey, 65_536, newHead(keys, 1).bytes))
    expect(await side().service.resolve(keys)).toMatchObject({ newest: null })
  })
})

describe('the service', () => {
  it('forgets slots of days that are over', async () => {
    const { clock, side } = newWorld()
    const publisher = side()
    const keys = newChannel()
    await publisher.service.publish(keys, newHead(keys, 1).bytes, { isOpen: true })
    await clock.advance(DAY_MS)
    expect(publisher.service.prune()).toBe(0)
    await clock.advance(DAY_MS)
    expect(publisher.service.prune()).toBe(3)
    expect(publisher.store.highest(slotKey(keys, { day: TODAY, replica: 0 }))).toBeNull()
    expect(publisher.store.highest(keys.publicKey)).not.toBeNull()
  })
})
