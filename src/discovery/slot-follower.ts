/**
 * Looks after the slots of one channel: each at times of its own, so that nothing links
 * them (PROTOCOL_FINAL.md §5.2).
 *
 * A look reads the slot afresh, gives out what is newer, and puts the newest back when
 * too few nodes hold it. The publisher signs what is missing; that is how tomorrow's slots
 * come to be, and how it goes on after a restart. Others can put only what the publisher
 * signed: the slots of a set that it signed ahead, and where they have none, what they
 * saw. So without a set they look at tomorrow's slots ahead, until they have seen them, and
 * can keep the channel findable for one day after the publisher has gone.
 *
 * Never below the highest version known: a slot whose newest signature is older than the
 * head that the node acts on is left alone.
 *
 * @module discovery/slot-follower
 */
import { equalBytes } from '../base/bytes.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { errorMessage } from '../base/errors.ts'
import { DHT_RETRY_MS } from '../base/limits.ts'
import { type Log, short } from '../base/log.ts'
import type { Semaphore } from '../base/queue.ts'
import type { Random } from '../base/random.ts'
import { dayOf } from '../crypto/key-schedule.ts'
import { type Head, slotVersion, verifyHead } from '../wire/head.ts'
import type { MutableItem } from '../wire/mutable-item.ts'
import { buildOpenItem, buildSlot, rebuildSlot, type SlotPlace, slotKey } from '../wire/slot.ts'
import { slotSetItem } from '../wire/slot-set.ts'
import type { Dht, DhtGetResult } from './dht.ts'
import {
  type FollowedChannel,
  recordOf,
  type SlotRecord,
  type SlotStore,
  type SlotTiming,
} from './slot-record.ts'
import {
  chooseHead,
  daysToFollow,
  isSameItem,
  needsPutBack,
  newerHead,
  nextLookMs,
  OPEN_SLOT_DAY,
  placesOfDay,
  readingStartsMs,
  readSlot,
  type SlotPhase,
  slotPhase,
} from './slots.ts'

export interface SlotFollowerOptions {
  readonly dht: Dht
  readonly store: SlotStore
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly timing: SlotTiming
  /** Shared by all channels: how many looks run at a time. */
  readonly places: Semaphore
}

/** An item that we can put, and the head in it. */
interface KeptSlot {
  readonly item: MutableItem
  readonly head: Head
}

/** One slot that is looked after. Times are monotonic. */
interface Slot {
  readonly place: SlotPlace
  /** Computed when it is first needed: 1 ms each, and many channels start at once. */
  key: Uint8Array | null
  kept: KeptSlot | null
  phase: SlotPhase
  dueMs: number
  /** When it was last refreshed, as far as we know: by us, or by the one of all who drew the lot. */
  refreshedMs: number
  isRunning: boolean
}

/** The set of slots is looked over at least so often, ms: days change, and wall time may jump. */
const LOOK_OVER_MS = 600_000

/** Today's slots of a channel of ours are looked at so soon after a start, ms. */
const URGENT_MS = 60_000

export class SlotFollower {
  readonly #channel: FollowedChannel
  readonly #options: SlotFollowerOptions
  readonly #slots = new Map<string, Slot>()
  readonly #stopping = new AbortController()
  readonly #running = new Set<Promise<void>>()
  #timer: Timer | null = null

  constructor(channel: FollowedChannel, options: SlotFollowerOptions) {
    this.#channel = channel
    this.#options = options
  }

  start(): void {
    this.#wake()
  }

  /** Idempotent. Resolves when no look runs any more. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#timer?.cancel()
    await Promise.all(this.#running)
  }

  /**
   * A release has just been put into today's slots: those are fresh. Tomorrow's follow apart from each other
   * if they are read already, else when their own time comes, which no release moves.
   */
  onPublished(): void {
    const { clock, random, timing } = this.#options
    const nowMs = clock.monotonicMs()
    const today = dayOf(clock.now())
    for (const slot of this.#slots.values()) {
      if (slot.place.day === today || slot.place.day === OPEN_SLOT_DAY) {
        slot.refreshedMs = nowMs
        slot.dueMs = this.#nextLookMs(slot)
      } else if (slot.phase === 'reading') slot.dueMs = nowMs + random.fraction() * timing.checkMinMs
    }
    this.#schedule()
  }

  #wake(): void {
    if (this.#stopping.signal.aborted) return
    this.#lookOver()
    const nowMs = this.#options.clock.monotonicMs()
    for (const slot of this.#slots.values()) {
      if (slot.dueMs > nowMs || slot.isRunning) continue
      slot.isRunning = true
      const look = this.#look(slot).finally(() => {
        slot.isRunning = false
        this.#running.delete(look)
        this.#schedule()
      })
      this.#running.add(look)
    }
    this.#schedule()
  }

  #schedule(): void {
    this.#timer?.cancel()
    if (this.#stopping.signal.aborted) return
    const nowMs = this.#options.clock.monotonicMs()
    let delayMs = LOOK_OVER_MS
    for (const slot of this.#slots.values()) {
      if (!slot.isRunning) delayMs = Math.min(delayMs, slot.dueMs - nowMs)
    }
    this.#timer = this.#options.clock.setTimer(() => this.#wake(), Math.max(0, delayMs))
  }

  /** Take in the slots of days that have come, drop those of others, and move on those that are read from now. */
  #lookOver(): void {
    const { clock, random, timing } = this.#options
    const wallMs = clock.now()
    const nowMs = clock.monotonicMs()
    const days = daysToFollow(wallMs)
    for (const [name, slot] of this.#slots) {
      if (slot.place.day === OPEN_SLOT_DAY) continue
      const phase = slotPhase(slot.place.day, wallMs)
      // Days further ahead, too: the clock may have gone back.
      if (!days.includes(slot.place.day)) this.#slots.delete(name)
      else if (phase === 'reading' && slot.phase === 'ahead') {
        slot.dueMs = Math.min(slot.dueMs, nowMs + random.fraction() * timing.checkMinMs)
      }
      slot.phase = phase
    }
    const places = days.flatMap(placesOfDay)
    if (this.#isOpen) places.push({ day: OPEN_SLOT_DAY, replica: 0 })
    for (const place of places) {
      const name = `${place.day}/${place.replica}`
      if (this.#slots.has(name)) continue
      const isOpen = place.day === OPEN_SLOT_DAY
      const phase = isOpen ? 'reading' : slotPhase(place.day, wallMs)
      this.#slots.set(name, {
        place,
        key: null,
        kept: null,
        phase,
        dueMs: nowMs + this.#firstDelayMs(place.day, phase),
        refreshedMs: nowMs,
        isRunning: false,
      })
    }
  }

  #firstDelayMs(day: number, phase: SlotPhase): number {
    const { clock, random, timing } = this.#options
    if (phase === 'ahead') return this.#isOurs ? this.#untilPutMs(day) : random.fraction() * timing.aheadMaxMs
    // Ours may have been forgotten while we were away. Today's are known to belong together, other days' are not.
    const isUrgent = this.#isOurs && (day === dayOf(clock.now()) || day === OPEN_SLOT_DAY)
    return random.fraction() * (isUrgent ? Math.min(URGENT_MS, timing.checkMinMs) : timing.checkMinMs)
  }

  #nextLookMs(slot: Slot): number {
    const { clock, random, timing } = this.#options
    const nowMs = clock.monotonicMs()
    if (slot.phase !== 'ahead') {
      return nextLookMs({ nowMs, refreshedMs: slot.refreshedMs }, timing, random.fraction())
    }
    return nowMs + timing.aheadMinMs + random.fraction() * (timing.aheadMaxMs - timing.aheadMinMs)
  }

  /**
   * When tomorrow's slot is put first: at a time of its own in the last hours before readers come. One that is
   * there all day changes with each release, and so shows with which one of today it goes.
   */
  #untilPutMs(day: number): number {
    const { clock, random, timing } = this.#options
    const untilReadMs = readingStartsMs(day) - clock.now()
    const fromMs = Math.max(0, untilReadMs - timing.spreadMs)
    // Who begins late takes as long as who begins when they are read already.
    const toMs = Math.max(untilReadMs, fromMs + timing.checkMinMs)
    return fromMs + random.fraction() * (toMs - fromMs)
  }

  /** Its item under the plain key is looked after: by us who can sign it, or by us who were given it. */
  get #isOpen(): boolean {
    const { isOpen, publisher, keys } = this.#channel
    return publisher === undefined ? this.#options.store.highest(keys.publicKey) !== null : isOpen === true
  }

  get #isOurs(): boolean {
    return this.#channel.publisher !== undefined
  }

  async #look(slot: Slot): Promise<void> {
    const { places, log, clock } = this.#options
    let isReached = false
    try {
      await places.run(async () => {
        if (this.#stopping.signal.aborted) return
        isReached = this.#isIdle(slot) || (await this.#check(slot))
      })
    } catch (error) {
      log.debug('look at a slot failed', {
        channel: short(this.#channel.keys.publicKey),
        error: errorMessage(error),
      })
    }
    const nextMs = this.#nextLookMs(slot)
    slot.dueMs = isReached ? nextMs : Math.min(nextMs, clock.monotonicMs() + DHT_RETRY_MS)
  }

  /** A subscriber that has tomorrow's newest slot has nothing to do with it before it is read. */
  #isIdle(slot: Slot): boolean {
    const head = this.#channel.head()
    if (slot.phase !== 'ahead' || this.#isOurs || head === null) return false
    this.#itemToKeep(slot)
    const kept = this.#kept(slot)
    return kept !== null && slotVersion(kept.head) >= slotVersion(head)
  }

  /** @returns whether any node answered. */
  async #check(slot: Slot): Promise<boolean> {
    const { dht, clock } = this.#options
    const decide = (read: DhtGetResult): MutableItem | null => {
      this.#takeNews(slot, read)
      return this.#itemToPutBack(slot, read)
    }
    const { read, put } = await dht.updateMutable(this.#keyOf(slot), decide, {
      signal: this.#stopping.signal,
    })
    if (put !== null && put.storedBy + put.alreadyHeldBy > 0) slot.refreshedMs = clock.monotonicMs()
    return read.replied > 0
  }

  #itemToPutBack(slot: Slot, read: DhtGetResult): MutableItem | null {
    const { clock, random, timing } = this.#options
    // Nobody reads tomorrow's slots yet; only who made them keeps them, so that others can see them.
    if (read.replied === 0 || (slot.phase === 'ahead' && !this.#isOurs)) return null
    const item = this.#itemToKeep(slot)
    const highest = read.candidates[0]
    if (item === null || (highest !== undefined && highest.item.seq > item.seq)) return null
    const nowMs = clock.monotonicMs()
    const state = {
      holders: read.candidates.find((candidate) => isSameItem(candidate.item, item))?.holders ?? 0,
      nearest: read.nearest,
      sinceRefreshMs: nowMs - slot.refreshedMs,
      knownHolders: this.#channel.knownHolders(),
    }
    // All who look after the slot draw once in this time, and one of them refreshes it.
    if (state.sinceRefreshMs >= timing.refreshMs) slot.refreshedMs = nowMs
    return needsPutBack(state, timing.refreshMs, random.fraction()) ? item : null
  }

  #keyOf(slot: Slot): Uint8Array {
    const { keys } = this.#channel
    const key = slot.key ?? (slot.place.day === OPEN_SLOT_DAY ? keys.publicKey : slotKey(keys, slot.place))
    slot.key = key
    return key
  }

  /** What is saved of the slot, built again once for each version: that is curve arithmetic. */
  #kept(slot: Slot): KeptSlot | null {
    const record = this.#options.store.highest(this.#keyOf(slot))
    if (record === null) slot.kept = null
    else if (slot.kept?.item.seq !== record.seq) slot.kept = this.#rebuild(slot, record)
    return slot.kept
  }

  #rebuild({ place }: Slot, record: SlotRecord): KeptSlot {
    const { keys } = this.#channel
    const head = verifyHead(record.head, keys.publicKey)
    const unsigned =
      place.day === OPEN_SLOT_DAY
        ? { publicKey: record.slotKey, seq: record.seq, value: record.head }
        : rebuildSlot(keys, place, record.head)
    return { head, item: { ...unsigned, signature: record.signature } }
  }

  /** Save and give out what the slot says. The item of an open channel is ours, and is only kept up. */
  #takeNews(slot: Slot, result: DhtGetResult): void {
    if (slot.place.day === OPEN_SLOT_DAY) return
    const { store, clock } = this.#options
    const { keys } = this.#channel
    const held = this.#channel.head()
    const kept = this.#kept(slot)
    const known = newerHead(held, kept?.head ?? null)
    const { newest, conflicts } = chooseHead(readSlot(keys, slot.place, result, kept).found, known)
    if (newest !== null) store.save(recordOf(keys, slot.place, newest.item, newest.head.bytes, clock.now()))
    const isNews = newest !== null && (held === null || slotVersion(newest.head) > slotVersion(held))
    if (isNews || conflicts.length > 0) this.#channel.onFound({ newest: isNews ? newest : null, conflicts })
  }

  /** The newest item of the slot that we can put, or null. Saved before it is returned. */
  #itemToKeep(slot: Slot): MutableItem | null {
    const head = this.#channel.head()
    const kept = this.#kept(slot)
    const isBehind = head !== null && (kept === null || slotVersion(head) > slotVersion(kept.head))
    if (!isBehind) return kept?.item ?? null
    // Who reads yesterday's slots reads today's too: no release need show in both.
    const isOver = slot.place.day < dayOf(this.#options.clock.now())
    return isOver && kept !== null ? null : this.#sign(slot, head)
  }

  /** By our key, or as it was signed ahead. Null where neither is there: only the publisher can sign. */
  #sign({ place }: Slot, head: Head): MutableItem | null {
    const { store, clock } = this.#options
    const { keys, publisher } = this.#channel
    const isOpen = place.day === OPEN_SLOT_DAY
    let item: MutableItem | null
    if (publisher === undefined) item = isOpen ? null : this.#signedAhead(place, head)
    else item = isOpen ? buildOpenItem(publisher, head.bytes) : buildSlot(publisher, place, head.bytes)
    if (item !== null) store.save(recordOf(keys, place, item, head.bytes, clock.now()))
    return item
  }

  #signedAhead(place: SlotPlace, head: Head): MutableItem | null {
    const set = this.#channel.slotSet?.() ?? null
    if (set === null || !equalBytes(set.head, head.bytes)) return null
    return slotSetItem(this.#channel.keys, set, place)
  }
}
