/**
 * Slots on the DHT: resolve a channel, publish a head, follow a channel
 * (PROTOCOL_FINAL.md §5). The driver; what is decided stands in slots.ts.
 *
 * Two orders are kept, whatever fails in between: what is read is saved before it is
 * given out, and what is signed is saved before it is put. So after a restart
 * nothing older is taken for news, and no seq is signed with two values.
 *
 * It does not know releases, manifests or peers: a head goes in or comes out.
 *
 * @module discovery/slot-service
 */
import { equalBytes, toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import {
  SLOT_AHEAD_MAX_MS,
  SLOT_AHEAD_MIN_MS,
  SLOT_CHECK_MAX_MS,
  SLOT_CHECK_MIN_MS,
  SLOT_PARALLEL_CHECKS,
  SLOT_REFRESH_MS,
  SLOT_SPREAD_MS,
} from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { Semaphore } from '../base/queue.ts'
import type { Random } from '../base/random.ts'
import { type ChannelKeys, dayOf, type PublisherKeys } from '../crypto/key-schedule.ts'
import { type Head, slotVersion, verifyHead } from '../wire/head.ts'
import type { MutableItem } from '../wire/mutable-item.ts'
import {
  buildOpenItem,
  buildSlot,
  openOpenItem,
  openSlot,
  rebuildSlot,
  type SlotPlace,
  slotKey,
} from '../wire/slot.ts'
import { type SlotSet, slotSetItem } from '../wire/slot-set.ts'
import type { Dht, DhtOptions } from './dht.ts'
import { SlotFollower } from './slot-follower.ts'
import { type FollowedChannel, recordOf, type SlotStore, type SlotTiming } from './slot-record.ts'
import {
  chooseHead,
  type FoundHead,
  isSameItem,
  newerHead,
  OPEN_SLOT_DAY,
  placesOfDay,
  placesToRead,
  readSlot,
} from './slots.ts'

export type { SlotTiming }

const DEFAULT_TIMING: SlotTiming = {
  checkMinMs: SLOT_CHECK_MIN_MS,
  checkMaxMs: SLOT_CHECK_MAX_MS,
  refreshMs: SLOT_REFRESH_MS,
  aheadMinMs: SLOT_AHEAD_MIN_MS,
  aheadMaxMs: SLOT_AHEAD_MAX_MS,
  spreadMs: SLOT_SPREAD_MS,
}

export interface SlotServiceOptions {
  readonly dht: Dht
  readonly store: SlotStore
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly timing?: Partial<SlotTiming>
}

/** What a channel's slots say at this moment. */
export interface Resolution {
  /** The head to act on, saved; null when no slot gave one at least as new as what was known. */
  readonly newest: FoundHead | null
  /** Heads that contradict it, or the one known before: kept and shown. */
  readonly conflicts: readonly FoundHead[]
  /** All valid heads, newest first. */
  readonly candidates: readonly FoundHead[]
  /** Valid, but older than what is known. */
  readonly stale: number
  readonly invalid: number
  readonly slotsRead: number
  /** Queries sent and answered: none answered means that the network was not reached. */
  readonly asked: number
  readonly replied: number
}

export interface ReplicaResult {
  readonly replica: number
  /** Nodes that took it, and that had it already. */
  readonly storedBy: number
  readonly alreadyHeldBy: number
  /** Nodes that gave it back when it was read again. */
  readonly readBackFrom: number
  /** Heads under the same number that contradict it: another holder of the key has published, too. */
  readonly conflicts: readonly Head[]
}

export interface PublishResult {
  /** Nodes that gave back the replica that most of them hold: at least so many have the head. */
  readonly storedBy: number
  readonly replicas: readonly ReplicaResult[]
  /** The same for the item of an open channel; null for others. */
  readonly open: ReplicaResult | null
}

/** What is put of a head. */
interface SignedItems {
  readonly head: Head
  readonly signed: readonly { readonly place: SlotPlace; readonly item: MutableItem }[]
  readonly open: MutableItem | null
}

export class SlotService {
  readonly #options: SlotServiceOptions
  readonly #timing: SlotTiming
  readonly #checks = new Semaphore(SLOT_PARALLEL_CHECKS)
  readonly #followers = new Map<string, SlotFollower>()

  constructor(options: SlotServiceOptions) {
    this.#options = options
    this.#timing = { ...DEFAULT_TIMING, ...options.timing }
  }

  /**
   * Ask the DHT for the newest head of a channel: two replicas of each day that is read, the
   * third when those give nothing. Saved before it is returned.
   *
   * @param options.known - the newest head that the caller holds, however it came; what is older counts as stale.
   * @throws MegatorrentError as `Dht.getMutable`.
   */
  async resolve(
    keys: ChannelKeys,
    options: DhtOptions & { readonly known?: Head | null } = {},
  ): Promise<Resolution> {
    const { clock, random } = this.#options
    const { first, spare } = placesToRead(clock.now(), random)
    const counts = { asked: 0, replied: 0, invalid: 0, slotsRead: 0 }
    const found: FoundHead[] = []
    const saved: FoundHead[] = []
    const read = async (places: readonly SlotPlace[]): Promise<void> => {
      await Promise.all(
        places.map(async (place) => {
          const key = slotKey(keys, place)
          const kept = this.#savedHead(keys, place, key)
          if (kept !== null) saved.push(kept)
          const result = await this.#options.dht.getMutable(key, options)
          const reading = readSlot(keys, place, result)
          found.push(...reading.found)
          counts.invalid += reading.invalid
          counts.asked += result.asked
          counts.replied += result.replied
          counts.slotsRead++
        }),
      )
    }
    await read(first)
    if (found.length === 0) await read(spare)
    // What was saved before a crash may not have been acted on: it is still news.
    const known = saved.reduce((newest, { head }) => newerHead(newest, head), options.known ?? null)
    for (const kept of saved) {
      if (!found.some(({ head }) => equalBytes(head.bytes, kept.head.bytes))) found.push(kept)
    }
    const choice = chooseHead(found, known)
    this.#saveFound(keys, found, choice.conflicts)
    const candidates = [...found].sort((a, b) => slotVersion(b.head) - slotVersion(a.head))
    return { ...choice, ...counts, candidates }
  }

  /**
   * Put a head into today's slots: sign, save, put, read back. The slots of the neighbouring
   * days follow at random times while the channel is followed.
   *
   * @param head - HEAD_BYTES, signed by the channel.
   * @throws MegatorrentError ERR_SLOT_NEWER_KNOWN when a newer head is in a slot already, here or in
   *   the network: the next release number must be higher. Else as `Dht.putMutable`.
   * @throws TypeError for a head that the channel did not sign.
   */
  async publish(
    keys: PublisherKeys,
    head: Uint8Array,
    options: DhtOptions & { readonly isOpen?: boolean } = {},
  ): Promise<PublishResult> {
    const signed = this.#placesOfToday().map((place) => ({ place, item: buildSlot(keys, place, head) }))
    const verified = verifyHead(head, keys.publicKey)
    const open = options.isOpen === true ? buildOpenItem(keys, head) : null
    return this.#putAll(keys, { head: verified, signed, open }, options)
  }

  /**
   * The same with items that were signed elsewhere: of a set of slots, and for an open channel the item
   * under its plain key, which is looked after from then on.
   *
   * @param set - verified.
   * @param open - verified; null for a channel that is not open.
   * @throws MegatorrentError as `publish`; ERR_BUNDLE_DAYS when the set has no slots of today.
   */
  async publishSigned(
    keys: ChannelKeys,
    set: SlotSet,
    open: MutableItem | null,
    options: DhtOptions = {},
  ): Promise<PublishResult> {
    const signed = this.#placesOfToday().map((place) => {
      const item = slotSetItem(keys, set, place)
      if (item !== null) return { place, item }
      throw new MegatorrentError(
        'ERR_BUNDLE_DAYS',
        'no slots of today were signed for this release: sign it again, or set the clock',
      )
    })
    return this.#putAll(keys, { head: verifyHead(set.head, keys.publicKey), signed, open }, options)
  }

  #placesOfToday(): readonly SlotPlace[] {
    return placesOfDay(dayOf(this.#options.clock.now()))
  }

  /** Save, put, read back. */
  async #putAll(
    keys: ChannelKeys,
    { head, signed, open }: SignedItems,
    options: DhtOptions,
  ): Promise<PublishResult> {
    for (const { place, item } of signed) this.#saveSigned(keys, place, item, head.bytes)
    if (open !== null) this.#saveSigned(keys, { day: OPEN_SLOT_DAY, replica: 0 }, open, head.bytes)
    const putting = signed.map(({ place, item }) => this.#putReplica(keys, place, item, head, options))
    const puttingOpen = open === null ? null : this.#putReplica(keys, null, open, head, options)
    const replicas = await Promise.all(putting)
    const openResult = await puttingOpen
    this.#followers.get(toHex(keys.publicKey))?.onPublished()
    return {
      storedBy: Math.max(...replicas.map((replica) => replica.readBackFrom)),
      replicas,
      open: openResult,
    }
  }

  /**
   * Look after the slots of a channel until it is stopped: poll them, put them back, and for a
   * channel of ours keep those of the neighbouring days. Following it again replaces the first.
   *
   * @returns a function that ends it.
   */
  follow(channel: FollowedChannel): () => void {
    const key = toHex(channel.keys.publicKey)
    void this.#followers.get(key)?.stop()
    const follower = new SlotFollower(channel, {
      ...this.#options,
      timing: this.#timing,
      places: this.#checks,
    })
    this.#followers.set(key, follower)
    follower.start()
    return () => {
      void follower.stop() // it ends by itself and never rejects
      if (this.#followers.get(key) === follower) this.#followers.delete(key)
    }
  }

  /** Forget saved slots of days that nobody reads any more. @returns how many. */
  prune(): number {
    return this.#options.store.prune(dayOf(this.#options.clock.now()) - 1)
  }

  /** Ends all following. Resolves when nothing of it runs any more. */
  async close(): Promise<void> {
    const followers = [...this.#followers.values()]
    this.#followers.clear()
    await Promise.all(followers.map((follower) => follower.stop()))
  }

  async #putReplica(
    keys: ChannelKeys,
    place: SlotPlace | null,
    item: MutableItem,
    head: Head,
    options: DhtOptions,
  ): Promise<ReplicaResult> {
    const { dht } = this.#options
    const put = await dht.putMutable(item, options)
    if (put.newer !== null) {
      // Signed by the slot's key, so it is ours or of a copy of our key; a damaged one would be a bug of that copy.
      const newer =
        place === null ? openOpenItem(keys.publicKey, put.newer) : openSlot(keys, place, put.newer)
      throw newerKnown(newer, 'the network')
    }
    const back = await dht.getMutable(item.publicKey, options)
    // What nobody took is not in the network: a gateway that put nothing could give it back all the same.
    const isTaken = put.storedBy + put.alreadyHeldBy > 0
    const held = back.candidates.find((candidate) => isTaken && isSameItem(candidate.item, item))
    const others = place === null ? [] : readSlot(keys, place, back).found
    return {
      replica: place?.replica ?? 0,
      storedBy: put.storedBy,
      alreadyHeldBy: put.alreadyHeldBy,
      readBackFrom: held?.holders ?? 0,
      conflicts: chooseHead(others, head).conflicts.map((conflict) => conflict.head),
    }
  }

  #savedHead(keys: ChannelKeys, place: SlotPlace, key: Uint8Array): FoundHead | null {
    const record = this.#options.store.highest(key)
    if (record === null) return null
    const head = verifyHead(record.head, keys.publicKey)
    return {
      head,
      place,
      item: { ...rebuildSlot(keys, place, record.head), signature: record.signature },
      holders: 0,
    }
  }

  /** Save what we signed, unless that would lower a slot or give one seq two values. */
  #saveSigned(keys: ChannelKeys, place: SlotPlace, item: MutableItem, head: Uint8Array): void {
    const { store, clock } = this.#options
    const saved = store.highest(item.publicKey)
    if (
      saved !== null &&
      (saved.seq > item.seq || (saved.seq === item.seq && !equalBytes(saved.head, head)))
    ) {
      throw newerKnown(verifyHead(saved.head, keys.publicKey), 'this node')
    }
    store.save(recordOf(keys, place, item, head, clock.now()))
  }

  #saveFound(keys: ChannelKeys, found: readonly FoundHead[], conflicts: readonly FoundHead[]): void {
    const { store, clock } = this.#options
    for (const { head, place, item } of found) {
      if (conflicts.some((conflict) => equalBytes(conflict.head.bytes, head.bytes))) continue
      store.save(recordOf(keys, place, item, head.bytes, clock.now()))
    }
  }
}

function newerKnown(head: Head, where: string): MegatorrentError {
  return new MegatorrentError(
    'ERR_SLOT_NEWER_KNOWN',
    `${where} has release ${head.releaseNumber} (revision ${head.revision}) of this channel already`,
  )
}
