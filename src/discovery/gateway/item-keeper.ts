/**
 * Items that a gateway keeps for others: put when their time has come, read again and
 * put back as holders of a link do (slots.ts), forgotten when it is over.
 *
 * A value newer than ours that the DHT has takes the place of ours, since its owner
 * signed it: so nothing is ever put below the highest seq that was met. What is kept
 * is written down before it counts.
 *
 * @module discovery/gateway/item-keeper
 */
import { fromHex, toHex } from '../../base/bytes.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import { errorMessage, MegatorrentError } from '../../base/errors.ts'
import {
  DHT_RETRY_MS,
  GATEWAY_PARALLEL_LOOKS,
  GATEWAY_SAVE_MS,
  SLOT_CHECK_MAX_MS,
  SLOT_CHECK_MIN_MS,
  SLOT_REFRESH_MS,
} from '../../base/limits.ts'
import type { Log } from '../../base/log.ts'
import { Semaphore } from '../../base/queue.ts'
import type { Random } from '../../base/random.ts'
import { PUBLIC_KEY_BYTES } from '../../crypto/ed25519.ts'
import type { MutableItem } from '../../wire/mutable-item.ts'
import type { Dht, DhtGetResult } from '../dht.ts'
import type { SlotTiming } from '../slot-record.ts'
import { isSameItem, needsPutBack, nextLookMs } from '../slots.ts'
import { isSlotSize } from './gateway-rules.ts'
import type { GatewayStore, KeptItem } from './gateway-store.ts'

export type KeeperTiming = Pick<SlotTiming, 'checkMinMs' | 'checkMaxMs' | 'refreshMs'>

const DEFAULT_TIMING: KeeperTiming = {
  checkMinMs: SLOT_CHECK_MIN_MS,
  checkMaxMs: SLOT_CHECK_MAX_MS,
  refreshMs: SLOT_REFRESH_MS,
}

/** What is due is looked over at least so often, ms: wall time may jump. */
const LOOK_OVER_MS = 600_000

/** ms at least until what is due is looked over again: what cannot be forgotten, since the disk fails, stays due. */
const LEAST_WAIT_MS = 1000

export interface ItemKeeperOptions {
  readonly dht: Dht
  readonly store: GatewayStore
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly timing?: Partial<KeeperTiming>
  /** It is kept no more, or could not be: before anybody who waits for it hears. */
  readonly onForgotten: (key: Uint8Array) => void
}

/** What putting an item came to. */
export interface PutOutcome {
  /** Nodes that gave it back afterwards. */
  readonly nodes: number
  /** The highest seq of its key that is known now. */
  readonly newestSeq: number
}

/** Times are monotonic but those of `kept`. */
interface Entry {
  kept: KeptItem
  dueMs: number
  refreshedMs: number
  isRunning: boolean
}

interface Unsaved {
  readonly kept: KeptItem
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export class ItemKeeper {
  readonly #options: ItemKeeperOptions
  readonly #timing: KeeperTiming
  /** By key, as hex. */
  readonly #entries = new Map<string, Entry>()
  readonly #looks = new Semaphore(GATEWAY_PARALLEL_LOOKS)
  readonly #stopping = new AbortController()
  readonly #running = new Set<Promise<void>>()
  readonly #unsaved: Unsaved[] = []
  #saveTimer: Timer | null = null
  #timer: Timer | null = null

  constructor(options: ItemKeeperOptions) {
    this.#options = options
    this.#timing = { ...DEFAULT_TIMING, ...options.timing }
    const { clock, random, store } = options
    for (const kept of store.all()) {
      // The DHT may have forgotten it while we were away; all at once would be a flood.
      const dueMs = clock.monotonicMs() + random.fraction() * this.#timing.checkMinMs
      this.#entries.set(toHex(kept.item.publicKey), this.#entryOf(kept, dueMs))
    }
    this.#schedule()
  }

  keys(): Iterable<string> {
    return this.#entries.keys()
  }

  /** The newest value that is kept under a key, or null. */
  newest(key: Uint8Array): MutableItem | null {
    return this.#entries.get(toHex(key))?.kept.item ?? null
  }

  /**
   * Keep it from now on: of two under one key the newer, no shorter than either; of the same value the earlier
   * begin. Durable when it resolves: what comes within a moment is written down at once, so that a flood
   * costs no more syncs of the disk than a trickle.
   *
   * @throws MegatorrentError of kind storage: then it is not kept.
   */
  keep(kept: KeptItem): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#unsaved.push({ kept, resolve, reject })
      this.#saveTimer ??= this.#options.clock.setTimer(() => this.#save(), GATEWAY_SAVE_MS)
    })
  }

  /** Also those that are not written down yet: whoever waits for that is told that we are busy. @param keys - as hex. */
  forget(keys: readonly string[]): void {
    const asBytes = keys.map((key) => fromHex(key, PUBLIC_KEY_BYTES)).filter((key) => key !== null)
    this.#options.store.remove(asBytes)
    for (const key of keys) this.#entries.delete(key)
    for (const waiting of [...this.#unsaved]) {
      if (!keys.includes(toHex(waiting.kept.item.publicKey))) continue
      this.#unsaved.splice(this.#unsaved.indexOf(waiting), 1)
      waiting.reject(new MegatorrentError('ERR_DHT_BUSY', 'it had to make room for another'))
    }
    for (const key of asBytes) this.#options.onForgotten(key)
  }

  /** Put what is kept under a key now, and read it back. Errors as `Dht.updateMutable`. */
  async put(key: Uint8Array): Promise<PutOutcome> {
    const entry = this.#entries.get(toHex(key))
    if (entry === undefined) return { nodes: 0, newestSeq: 0 } // it had to make room for another
    const { dht, clock, random } = this.#options
    const { signal } = this.#stopping
    let newestSeq = 0
    const decide = (read: DhtGetResult): MutableItem | null => {
      const item = this.#unlessNewer(entry, read)
      newestSeq = item?.seq ?? read.candidates[0]?.item.seq ?? 0
      return item
    }
    const { put } = await dht.updateMutable(key, decide, { signal })
    if (put === null) return { nodes: 0, newestSeq }
    const { item } = entry.kept
    const back = await dht.getMutable(key, { signal })
    const nodes = back.candidates.find((candidate) => isSameItem(candidate.item, item))?.holders ?? 0
    if (nodes > 0) {
      entry.refreshedMs = clock.monotonicMs()
      entry.dueMs = this.#nextLookMs(entry, random.fraction())
      this.#schedule()
    }
    return { nodes, newestSeq }
  }

  /** Resolves when no look runs any more. */
  async close(): Promise<void> {
    this.#stopping.abort()
    this.#timer?.cancel()
    if (this.#unsaved.length > 0) this.#save()
    await Promise.all(this.#running)
  }

  /** Write down what waits for it. */
  #save(): void {
    this.#saveTimer?.cancel()
    this.#saveTimer = null
    const waiting = this.#unsaved.splice(0)
    const merged = new Map<string, KeptItem>()
    for (const { kept } of waiting) {
      const key = toHex(kept.item.publicKey)
      merged.set(key, mergeKept(merged.get(key) ?? this.#entries.get(key)?.kept ?? null, kept))
    }
    // The same again is work once and free after that, on one connection: it costs us no sync.
    const changed = [...merged].filter(([key, kept]) => kept !== this.#entries.get(key)?.kept)
    try {
      if (changed.length > 0) this.#options.store.save(changed.map(([, kept]) => kept))
    } catch (error) {
      this.#options.log.warn('items could not be kept', { why: errorMessage(error) })
      for (const { kept, reject } of waiting) {
        const { publicKey } = kept.item
        if (!this.#entries.has(toHex(publicKey))) this.#options.onForgotten(publicKey)
        reject(error)
      }
      return
    }
    for (const [key, kept] of changed) this.#begin(key, kept)
    for (const { resolve } of waiting) resolve()
    this.#schedule()
  }

  /** Whoever gave it has it put now; if that fails it is ours to do soon. */
  #begin(key: string, kept: KeptItem): void {
    const { clock } = this.#options
    const dueMs = clock.monotonicMs() + DHT_RETRY_MS
    const known = this.#entries.get(key)
    if (known === undefined) this.#entries.set(key, this.#entryOf(kept, dueMs))
    else {
      if (!isSameItem(known.kept.item, kept.item)) known.dueMs = dueMs
      known.kept = kept
    }
  }

  #entryOf(kept: KeptItem, dueMs: number): Entry {
    return { kept, dueMs, refreshedMs: this.#options.clock.monotonicMs(), isRunning: false }
  }

  #schedule(): void {
    this.#timer?.cancel()
    if (this.#stopping.signal.aborted || this.#entries.size === 0) return
    const { clock } = this.#options
    const nowMs = clock.monotonicMs()
    const wallMs = clock.now()
    let delayMs = LOOK_OVER_MS
    for (const { kept, dueMs, isRunning } of this.#entries.values()) {
      const untilMs = Math.max(dueMs - nowMs, kept.notBefore - wallMs)
      delayMs = Math.min(delayMs, kept.notAfter - wallMs, isRunning ? LOOK_OVER_MS : untilMs)
    }
    this.#timer = clock.setTimer(() => this.#wake(), Math.max(LEAST_WAIT_MS, delayMs))
  }

  #wake(): void {
    const { clock, log } = this.#options
    const wallMs = clock.now()
    const over = [...this.#entries].filter(([, { kept }]) => kept.notAfter <= wallMs).map(([key]) => key)
    try {
      if (over.length > 0) this.forget(over)
    } catch (error) {
      log.warn('items that are over could not be forgotten', { why: errorMessage(error) })
    }
    const nowMs = clock.monotonicMs()
    for (const entry of this.#entries.values()) {
      if (entry.dueMs > nowMs || entry.isRunning || entry.kept.notBefore > wallMs) continue
      entry.isRunning = true
      const look = this.#look(entry).finally(() => {
        entry.isRunning = false
        this.#running.delete(look)
        this.#schedule()
      })
      this.#running.add(look)
    }
    this.#schedule()
  }

  /** Never rejects. */
  async #look(entry: Entry): Promise<void> {
    const { dht, clock, random, log } = this.#options
    const { signal } = this.#stopping
    const key = entry.kept.item.publicKey
    let isReached = false
    try {
      await this.#looks.run(async () => {
        if (signal.aborted || this.#entries.get(toHex(key)) !== entry) return
        const decide = (read: DhtGetResult): MutableItem | null => this.#toPutBack(entry, read)
        const { read, put } = await dht.updateMutable(key, decide, { signal })
        if (put !== null && put.storedBy + put.alreadyHeldBy > 0) entry.refreshedMs = clock.monotonicMs()
        isReached = read.replied > 0
      })
    } catch (error) {
      log.debug('look at a kept item failed', { why: errorMessage(error) })
    }
    const nextMs = this.#nextLookMs(entry, random.fraction())
    entry.dueMs = isReached ? nextMs : Math.min(nextMs, clock.monotonicMs() + DHT_RETRY_MS)
  }

  #toPutBack(entry: Entry, read: DhtGetResult): MutableItem | null {
    const { clock, random } = this.#options
    const item = this.#unlessNewer(entry, read)
    if (item === null) return null
    const nowMs = clock.monotonicMs()
    const state = {
      holders: read.candidates.find((candidate) => isSameItem(candidate.item, item))?.holders ?? 0,
      nearest: read.nearest,
      sinceRefreshMs: nowMs - entry.refreshedMs,
      knownHolders: 1, // a gateway knows of nobody else
    }
    return needsPutBack(state, this.#timing.refreshMs, random.fraction()) ? item : null
  }

  /** What is kept; null when the DHT has a newer value, which is kept from now on. */
  #unlessNewer(entry: Entry, read: DhtGetResult): MutableItem | null {
    const { item } = entry.kept
    const newest = read.candidates[0]?.item
    if (newest === undefined || newest.seq <= item.seq) return item
    // It may have had to make room while the DHT was asked: then nothing of it is written down again.
    if (this.#entries.get(toHex(item.publicKey)) !== entry) return null
    if (isSlotSize(newest.value.length)) {
      const kept = { ...entry.kept, item: newest }
      this.#options.store.save([kept])
      entry.kept = kept
    } else this.forget([toHex(item.publicKey)]) // no value of a channel: nothing for us
    return null
  }

  #nextLookMs(entry: Entry, fraction: number): number {
    const nowMs = this.#options.clock.monotonicMs()
    return nextLookMs({ nowMs, refreshedMs: entry.refreshedMs }, this.#timing, fraction)
  }
}

/**
 * Of two under one key the newer; of one value the longer time. Whoever reads the DHT can give an item with a
 * window of his own, since no signature covers that: no window makes us drop what we said we would keep.
 *
 * @returns `known` itself when that stays as it is.
 */
function mergeKept(known: KeptItem | null, kept: KeptItem): KeptItem {
  if (known === null) return kept
  const notAfter = Math.max(kept.notAfter, known.notAfter)
  if (known.item.seq < kept.item.seq) return { ...kept, notAfter }
  const notBefore = Math.min(kept.notBefore, known.notBefore)
  const isLonger = notBefore < known.notBefore || notAfter > known.notAfter
  return isLonger && isSameItem(known.item, kept.item) ? { ...known, notBefore, notAfter } : known
}
