/** Parties that follow channels on a DHT in memory, and a clock that the test moves. */
import { ManualClock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { channelKeys, dayOf, type PublisherKeys } from '../../../src/crypto/key-schedule.ts'
import type { FollowedChannel } from '../../../src/discovery/slot-record.ts'
import { SlotService } from '../../../src/discovery/slot-service.ts'
import type { Head } from '../../../src/wire/head.ts'
import { slotKey } from '../../../src/wire/slot.ts'
import { type MemoryDht, MemoryNetwork, MemorySlotStore } from './memory-dht.ts'

export const HOUR = 3_600_000
export const MINUTE = 60_000
export const TEN = Date.UTC(2026, 5, 1, 10)
export const TODAY = dayOf(TEN)

export interface Party {
  readonly service: SlotService
  readonly store: MemorySlotStore
  readonly dht: MemoryDht
  readonly seen: Head[]
  readonly conflicts: Head[]
  head: Head | null
}

export class World {
  readonly clock: ManualClock
  readonly network: MemoryNetwork
  #seed = 1

  constructor(startMs = TEN) {
    this.clock = new ManualClock(startMs)
    this.network = new MemoryNetwork(this.clock)
  }

  party(store = new MemorySlotStore()): Party {
    const dht = this.network.dht()
    const service = new SlotService({
      dht,
      store,
      clock: this.clock,
      random: seededRandom(this.#seed++),
      log: silentLog,
    })
    return { service, store, dht, seen: [], conflicts: [], head: null }
  }

  publish(party: Party, keys: PublisherKeys, head: Head): Promise<unknown> {
    party.head = head
    return party.service.publish(keys, head.bytes)
  }

  follow(party: Party, keys: PublisherKeys, options: Partial<FollowedChannel> = {}): () => void {
    return party.service.follow({
      keys: channelKeys(keys.publicKey, keys.readKey),
      head: () => party.head,
      knownHolders: () => 1,
      onFound: ({ newest, conflicts }) => {
        if (newest !== null) {
          party.seen.push(newest.head)
          party.head = newest.head
        }
        party.conflicts.push(...conflicts.map(({ head }) => head))
      },
      ...options,
    })
  }

  /** A newcomer with nothing but the link: what does it resolve? */
  async newcomer(keys: PublisherKeys): Promise<Head | null> {
    const { newest } = await this.party().service.resolve(channelKeys(keys.publicKey, keys.readKey))
    return newest?.head ?? null
  }

  /** When each slot of a day was put, as ms since the start. */
  putTimes(keys: PublisherKeys, day: number): number[][] {
    return [0, 1, 2].map((replica) => {
      const key = slotKey(keys, { day, replica })
      return this.network.puts
        .filter(({ item }) => Buffer.compare(item.publicKey, key) === 0)
        .map(({ atMs }) => atMs)
    })
  }
}
