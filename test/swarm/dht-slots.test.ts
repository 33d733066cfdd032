/**
 * Slots over a real DHT: published, resolved by the link alone, put back by subscribers
 * after every node that held them is gone, and never set back.
 */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { channelKeys, dayOf, type PublisherKeys } from '../../src/crypto/key-schedule.ts'
import type { Dht } from '../../src/discovery/dht.ts'
import type { MainlineDht } from '../../src/discovery/mainline.ts'
import { SlotService } from '../../src/discovery/slot-service.ts'
import type { Head } from '../../src/wire/head.ts'
import { buildSlot, slotKey } from '../../src/wire/slot.ts'
import { newChannel, newHead } from '../unit/discovery/channel-fixture.ts'
import { MemorySlotStore } from '../unit/discovery/memory-dht.ts'
import { plantItem } from '../unit/discovery/plant-item.ts'
import { DhtNet } from './harness/dht-net.ts'
import { waitUntil } from './harness/wait.ts'

let net: DhtNet
const services: SlotService[] = []

beforeAll(async () => {
  net = await DhtNet.start(12, { queryTimeoutMs: 300 })
})

afterAll(async () => {
  await Promise.all(services.map((service) => service.close()))
  await net.dispose()
})

/** Looks every tenth of a second where the world has an hour. */
const FAST = {
  checkMinMs: 100,
  checkMaxMs: 300,
  refreshMs: 600,
  aheadMinMs: 500,
  aheadMaxMs: 900,
  spreadMs: 300,
}

function newService(dht: Dht, store = new MemorySlotStore()): SlotService {
  const service = new SlotService({
    dht,
    store,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    timing: FAST,
  })
  services.push(service)
  return service
}

/** A newcomer with the link alone. */
async function resolveByLink(keys: PublisherKeys): Promise<Head | null> {
  const reader = newService(await net.addReader())
  const { newest } = await reader.resolve(channelKeys(keys.publicKey, keys.readKey))
  return newest?.head ?? null
}

const today = (): number => dayOf(Date.now())

describe('slots', () => {
  it('are published and resolved by others, and DHT nodes see neither channel nor head', async () => {
    const keys = newChannel(Uint8Array.from(randomBytes(32)))
    const head = newHead(keys, 3)
    const { storedBy, replicas } = await newService(await net.addReader()).publish(keys, head.bytes)
    expect(replicas).toHaveLength(3)
    expect(storedBy).toBeGreaterThanOrEqual(8)
    expect(await resolveByLink(keys)).toEqual(head)
    const stored = await Promise.all(
      [0, 1, 2].map((replica) =>
        (net.servers[0] as MainlineDht).getMutable(slotKey(keys, { day: today(), replica })),
      ),
    )
    for (const { candidates } of stored) {
      const value = Buffer.from(candidates[0]?.item.value ?? [])
      expect(value.includes(Buffer.from(keys.publicKey))).toBe(false)
      expect(value.includes(Buffer.from(head.root))).toBe(false)
    }
  })

  it('with another value under the same seq are shown as a conflict, and the first stays', async () => {
    const keys = newChannel()
    const [first, other] = [newHead(keys, 1), newHead(keys, 1, { root: 44 })]
    // Patient: a node that seems silent twice is left alone for minutes, and this one must ask those that join.
    const reader = newService(await net.addReader({ tuning: { queryTimeoutMs: 5_000 } }))
    await newService(await net.addReader()).publish(keys, first.bytes)
    expect((await reader.resolve(keys)).newest?.head).toEqual(first)
    // Another holder of the key: nodes that had nothing take it, and nodes that join.
    const fresh = await net.addServers(6)
    for (const replica of [0, 1, 2]) {
      const item = buildSlot(keys, { day: today(), replica }, other.bytes)
      const planted = await Promise.all(fresh.map(({ port }) => plantItem(port, item)))
      expect(planted).toEqual(fresh.map(() => true))
    }
    const seen = await waitUntil(
      async () => {
        const resolution = await reader.resolve(keys)
        return resolution.conflicts.length > 0 ? resolution : null
      },
      10_000,
      'the conflict is seen',
    )
    expect(seen?.conflicts.map(({ head }) => head)).toEqual([other])
    expect(seen?.newest?.head).toEqual(first)
  })

  it('are put back by a subscriber after every node that held them is gone, and the publisher too', async () => {
    const keys = newChannel()
    const head = newHead(keys, 1)
    const publisher = newService(await net.addReader())
    await publisher.publish(keys, head.bytes)
    const node = await net.addReader()
    const subscriber = newService(node)
    let held: Head | null = (await subscriber.resolve(keys)).newest?.head ?? null
    subscriber.follow({
      keys: channelKeys(keys.publicKey),
      head: () => held,
      knownHolders: () => 1,
      onFound: ({ newest }) => {
        held = newest?.head ?? held
      },
    })
    await publisher.close()
    // It has seen two replicas; the third it sees by looking.
    const places = [0, 1, 2].map((replica) => ({ day: today(), replica }))
    await net.replaceAll([node])
    const observer = await net.addReader()
    const isBack = async (): Promise<boolean> => {
      const reads = await Promise.all(places.map((place) => observer.getMutable(slotKey(keys, place))))
      // Each looks for the nearest from where it stands: they need not agree on all ten.
      return reads.filter(({ candidates }) => (candidates[0]?.holders ?? 0) >= 6).length >= 2
    }
    await waitUntil(isBack, 20_000, 'two replicas are back on most of the nearest nodes')
    expect(await resolveByLink(keys)).toEqual(head)
  })

  it('never go back: an older head from all nodes changes nothing, after a restart either', async () => {
    const keys = newChannel()
    const [older, newer] = [newHead(keys, 1), newHead(keys, 2)]
    const store = new MemorySlotStore()
    await newService(await net.addReader()).publish(keys, newer.bytes)
    expect((await newService(await net.addReader(), store).resolve(keys)).newest?.head).toEqual(newer)
    await net.replaceAll()
    await newService(await net.addReader()).publish(keys, older.bytes)
    const { newest, stale } = await newService(await net.addReader(), store).resolve(keys)
    expect(newest?.head).toEqual(newer)
    expect(stale).toBeGreaterThan(0)
  })

  it('of an open channel can be read under its plain key by any DHT client', async () => {
    const keys = newChannel()
    const head = newHead(keys, 1)
    await newService(await net.addReader()).publish(keys, head.bytes, { isOpen: true })
    const { candidates } = await (await net.addReader()).getMutable(keys.publicKey)
    expect(candidates).toMatchObject([{ item: { value: head.bytes } }])
  })
})
