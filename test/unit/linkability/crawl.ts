/**
 * What a crawler of the DHT has after some days: every item of every channel, with the hours at which
 * it was put and without who put it. The items and the times are those of the real publisher
 * (discovery/slot-service.ts) on a clock of the simulation's.
 */
import { toHex } from '../../../src/base/bytes.ts'
import { silentLog } from '../../../src/base/log.ts'
import { type Random, randomInteger, seededRandom } from '../../../src/base/random.ts'
import { type PublisherKeys, publisherKeys } from '../../../src/crypto/key-schedule.ts'
import type { Dht, DhtGetResult, DhtPutResult } from '../../../src/discovery/dht.ts'
import { SlotService } from '../../../src/discovery/slot-service.ts'
import { DAY_MS, SLOT_REPLICAS } from '../../../src/wire/constants.ts'
import type { Head } from '../../../src/wire/head.ts'
import type { MutableItem } from '../../../src/wire/mutable-item.ts'
import { slotKey } from '../../../src/wire/slot.ts'
import { newHead } from '../discovery/channel-fixture.ts'
import { MemorySlotStore } from '../discovery/memory-dht.ts'
import { SimClock } from '../swarm/sim-clock.ts'

export const HOUR_MS = 3_600_000
export const FIRST_DAY = 20_600

/** One value under a key, and the hour since 1970 in which it was put first. */
export interface SeenVersion {
  readonly seq: number
  readonly value: Uint8Array
  readonly signature: Uint8Array
  readonly hour: number
}

/** All that the crawler has of one key. */
export interface SeenKey {
  readonly publicKey: Uint8Array
  /** Oldest first; never empty. */
  readonly versions: readonly SeenVersion[]
  /** Hours in which anything was put under it. */
  readonly putHours: ReadonlySet<number>
}

/** What the crawler does not know of a key: what the statistic is held against. */
export interface Slot {
  readonly day: number
  readonly replica: number
  readonly seen: SeenKey
}

export interface CrawledChannel {
  readonly keys: PublisherKeys
  /** Of days FIRST_DAY to FIRST_DAY + days - 1, all replicas. */
  readonly slots: readonly Slot[]
}

/** When a publisher releases, and when its node runs. Times are ms since the first day began. */
export interface Habit {
  readonly releasesMs: readonly number[]
  readonly isOnline: (sinceMs: number) => boolean
}

/** What a channel's own chance makes of its habits. */
export type HabitOf = (random: Random, days: number) => Habit

const ALWAYS = (): boolean => true

export const HABITS = {
  /** Nothing new in all these days, on a node that always runs. */
  quiet: () => ({ releasesMs: [], isOnline: ALWAYS }),
  /** Releases some three days apart, at any hour. */
  irregular: (random, days) => {
    const releasesMs: number[] = []
    for (let atMs = 0; ; releasesMs.push(atMs)) {
      atMs += -Math.log(1 - random.fraction()) * 3 * DAY_MS
      if (atMs >= days * DAY_MS) return { releasesMs, isOnline: ALWAYS }
    }
  },
  /** A release each day, within an hour of one that is the channel's own. */
  sameHour: (random, days) => {
    const ownMs = random.fraction() * DAY_MS
    const releasesMs = Array.from({ length: days }, (_, day) => {
      return day * DAY_MS + ownMs + random.fraction() * HOUR_MS
    })
    return { releasesMs, isOnline: ALWAYS }
  },
  /** No news, on a node that runs for eight hours a day, the same each day, and that no reader helps. */
  partTime: (random) => {
    const ownMs = random.fraction() * DAY_MS
    return {
      releasesMs: [],
      isOnline: (sinceMs) => (sinceMs - ownMs + DAY_MS) % DAY_MS < 8 * HOUR_MS,
    }
  },
} satisfies Record<string, HabitOf>

export interface CrawlOptions {
  readonly channels: number
  readonly days: number
  readonly habit: HabitOf
  readonly seed: number
}

/** The same seed gives the same crawl. */
export async function crawl({ channels, days, habit, seed }: CrawlOptions): Promise<CrawledChannel[]> {
  const crawled: CrawledChannel[] = []
  for (let channel = 0; channel < channels; channel++) {
    crawled.push(await crawlChannel(seededRandom(seed * 100_003 + channel), days, habit))
  }
  return crawled
}

async function crawlChannel(random: Random, days: number, habitOf: HabitOf): Promise<CrawledChannel> {
  const keys = publisherKeys(random.bytes(32))
  // A day before and one after: what is at the edges is only half there.
  const habit = habitOf(random, days + 2)
  const startMs = (FIRST_DAY - 1) * DAY_MS
  const clock = new SimClock(startMs, 60_000)
  const dht = new CrawledDht(clock)
  let release = randomInteger(random, 1, 1_000)
  const headOf = (number: number): Head => newHead(keys, number, { root: 1 + (number % 255) })
  let head = headOf(release)
  const service = new SlotService({ dht, store: new MemorySlotStore(), clock, random, log: silentLog })
  const follow = (): (() => void) =>
    service.follow({ keys, publisher: keys, head: () => head, knownHolders: () => 1, onFound: () => {} })
  let stop: (() => void) | null = null
  const due = [...habit.releasesMs]
  for (let sinceMs = 0; sinceMs < (days + 2) * DAY_MS; sinceMs += HOUR_MS / 4) {
    const isOnline = habit.isOnline(sinceMs)
    if (isOnline && stop === null) stop = follow()
    if (!isOnline) stop = stop?.() ?? null
    await clock.advance(startMs + sinceMs + HOUR_MS / 4 - clock.now())
    if (!isOnline || (due[0] ?? Number.POSITIVE_INFINITY) > sinceMs) continue
    due.shift()
    head = headOf(++release)
    await service.publish(keys, head.bytes)
  }
  await service.close()
  const slots: Slot[] = []
  for (let day = FIRST_DAY; day < FIRST_DAY + days; day++) {
    for (let replica = 0; replica < SLOT_REPLICAS; replica++) {
      const seen = dht.seen.get(toHex(slotKey(keys, { day, replica })))
      if (seen !== undefined) slots.push({ day, replica, seen })
    }
  }
  return { keys, slots }
}

interface Noting extends SeenKey {
  readonly versions: SeenVersion[]
  readonly putHours: Set<number>
}

/** Eight nodes that hold what was put last for two hours, and a note of each put, to the hour. */
class CrawledDht implements Dht {
  readonly nodeCount = 8
  readonly isServer = false
  readonly seen = new Map<string, Noting>()
  readonly #held = new Map<string, { readonly item: MutableItem; readonly untilMs: number }>()
  readonly #clock: SimClock

  constructor(clock: SimClock) {
    this.#clock = clock
  }

  async getMutable(publicKey: Uint8Array): Promise<DhtGetResult> {
    const held = this.#held.get(toHex(publicKey))
    const isHeld = held !== undefined && held.untilMs > this.#clock.now()
    const candidates = isHeld ? [{ item: held.item, holders: this.nodeCount }] : []
    return { candidates, refused: 0, asked: 8, replied: 8, nearest: 8 }
  }

  async putMutable(item: MutableItem): Promise<DhtPutResult> {
    const key = toHex(item.publicKey)
    const hour = Math.floor(this.#clock.now() / HOUR_MS)
    this.#held.set(key, { item, untilMs: this.#clock.now() + 2 * HOUR_MS })
    const noted = this.seen.get(key) ?? { publicKey: item.publicKey, versions: [], putHours: new Set() }
    this.seen.set(key, noted)
    noted.putHours.add(hour)
    const { seq, value, signature } = item
    if (noted.versions.at(-1)?.seq !== seq) noted.versions.push({ seq, value, signature, hour })
    return { storedBy: 8, alreadyHeldBy: 0, asked: 8, newer: null }
  }

  async updateMutable(
    publicKey: Uint8Array,
    decide: (read: DhtGetResult) => MutableItem | null,
  ): Promise<{ read: DhtGetResult; put: DhtPutResult | null }> {
    const read = await this.getMutable(publicKey)
    const item = decide(read)
    return { read, put: item === null ? null : await this.putMutable(item) }
  }

  async announce(): Promise<{ storedBy: number }> {
    return { storedBy: 0 }
  }

  async lookup(): Promise<{ peers: number }> {
    return { peers: 0 }
  }

  async addNode(): Promise<boolean> {
    return true
  }

  nodes(): readonly [] {
    return []
  }

  async close(): Promise<void> {}
}
