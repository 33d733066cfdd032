/**
 * The peer book: addresses at which peers of a channel may be found, and when to
 * try each again. Data and pure decisions. Addresses are hints from others; nothing
 * is believed of them but that dialling them is allowed (`acceptable` was asked before).
 *
 * Whoever knows a topic can fill it. So no source has more than half of it, no one
 * who told of addresses more than a few, and where one has to go it is of the
 * network that has the most, and never one that has proved good before one that has
 * not. Networks are dialled in turns, so that hundreds of addresses in one of them
 * weigh as much as one in another. Anchors, the members that we were connected to
 * the longest, are dialled first: they were there before whoever began to fill the book.
 *
 * @module discovery/peer-book
 */
import {
  ANCHOR_AGE_MS,
  DIAL_BACKOFF_FIRST_MS,
  DIAL_BACKOFF_MAX_MS,
  DIAL_BACKOFF_TRUSTED_MS,
  MAX_ADDRESSES_PER_CHANNEL,
  MAX_ADDRESSES_PER_ORIGIN,
  MAX_ADDRESSES_PER_SOURCE,
  MAX_ANCHORS,
  MAX_DIAL_FAILURES,
  PEX_FRESH_MS,
} from '../base/limits.ts'
import { type Random, shuffle } from '../base/random.ts'
import type { Address } from '../wire/address.ts'
import { addressGroup } from './address-group.ts'

/**
 * Where an address came from; the word of a user or of a link outlives failures. `claim`: a peer that
 * came in said that it accepts connections there; `anchor`: we were connected to it before a restart.
 */
export type AddressSource = 'user' | 'link' | 'head' | 'topic' | 'pex' | 'claim' | 'anchor'

export interface KnownAddress<A> {
  readonly key: string
  readonly address: A
  /** What belongs to one owner, most likely. */
  readonly group: string
  source: AddressSource
  /** Who told of it: the source, or one of many tellers. */
  readonly origin: string
  /** Failures in a row. */
  failures: number
  /** Not to be dialled before this, monotonic ms. */
  notBeforeMs: number
  /** Being dialled, or connected. */
  busy: boolean
  /** A connection to it was good once. */
  isProven: boolean
  /** When a member of the channel was last met at it, monotonic ms. */
  reachedMs: number
  /** Since when we are connected to it as a member, monotonic ms, or null. */
  memberSinceMs: number | null
  lastSeenMs: number
}

/** @typeParam A - the address as the dialler takes it. */
export class PeerBook<A extends Address> {
  readonly #random: Random
  readonly #groupOf: (address: Address) => string
  readonly #known = new Map<string, KnownAddress<A>>()

  /** @param groupOf - another one in tests only: what the book would be without groups. */
  constructor(random: Random, groupOf: (address: Address) => string = addressGroup) {
    this.#random = random
    this.#groupOf = groupOf
  }

  get size(): number {
    return this.#known.size
  }

  /** How many are being dialled or connected. */
  get busyCount(): number {
    let count = 0
    for (const { busy } of this.#known.values()) if (busy) count++
    return count
  }

  /**
   * @param key - text that is the same for the same address.
   * @param origin - who told of it, where several tell.
   * @returns whether it was news.
   */
  add(key: string, address: A, source: AddressSource, nowMs: number, origin: string = source): boolean {
    const known = this.#known.get(key)
    if (known !== undefined) {
      known.lastSeenMs = nowMs
      if (!outlivesFailures(known.source) || isTrusted(source)) known.source = source
      return false
    }
    if (!this.#makeRoom(source, origin)) return false
    this.#known.set(key, {
      key,
      address,
      group: this.#groupOf(address),
      source,
      origin,
      failures: 0,
      notBeforeMs: Number.NEGATIVE_INFINITY,
      busy: false,
      isProven: false,
      reachedMs: Number.NEGATIVE_INFINITY,
      memberSinceMs: null,
      lastSeenMs: nowMs,
    })
    return true
  }

  /**
   * Those that may be dialled now: anchors, then the most promising, of each network one after the other,
   * those networks last that we are in already; among equals by chance, so that none is favoured.
   */
  due(nowMs: number, limit: number, mayDial: (known: KnownAddress<A>) => boolean): KnownAddress<A>[] {
    if (limit <= 0) return []
    const candidates = [...this.#known.values()].filter(
      (known) => !known.busy && known.notBeforeMs <= nowMs && mayDial(known),
    )
    const inUse = new Map<string, number>()
    for (const { group, busy } of this.#known.values()) {
      if (busy) inUse.set(group, (inUse.get(group) ?? 0) + 1)
    }
    // A stable sort leaves equals in the order that was drawn.
    const ranked = shuffle(this.#random, candidates)
      .sort((a, b) => promise(a) - promise(b))
      .map((known) => {
        const turn = inUse.get(known.group) ?? 0
        inUse.set(known.group, turn + 1)
        return { known, turn }
      })
    return ranked
      .sort((a, b) => promise(a.known) - promise(b.known) || a.turn - b.turn)
      .slice(0, limit)
      .map(({ known }) => known)
  }

  /** All that are known, in no order that says anything. */
  list(): KnownAddress<A>[] {
    return shuffle(this.#random, [...this.#known.values()])
  }

  setBusy(key: string, busy: boolean): void {
    const known = this.#known.get(key)
    if (known !== undefined) known.busy = busy
  }

  /** A member of the channel answers there: what PEX may tell of. */
  reached(key: string, nowMs: number): void {
    const known = this.#known.get(key)
    if (known === undefined) return
    known.reachedMs = nowMs
    known.memberSinceMs ??= nowMs
  }

  /** At which we are connected to a member, or were lately. */
  fresh(nowMs: number): KnownAddress<A>[] {
    return [...this.#known.values()].filter((known) => isFresh(known, nowMs))
  }

  /**
   * The connections that are worth most after a restart: members that we dialled and have been connected
   * to the longest, of different networks, MAX_ANCHORS at most; what is left over goes to earlier anchors.
   */
  anchors(nowMs: number): A[] {
    const held = [...this.#known.values()]
      .filter(({ memberSinceMs }) => memberSinceMs !== null && nowMs - memberSinceMs >= ANCHOR_AGE_MS)
      .sort((a, b) => (a.memberSinceMs ?? 0) - (b.memberSinceMs ?? 0))
    const earlier = [...this.#known.values()].filter(
      (known) => known.source === 'anchor' && !held.includes(known),
    )
    const groups = new Set<string>()
    const chosen: A[] = []
    for (const { group, address } of [...held, ...earlier]) {
      if (groups.has(group) || chosen.length >= MAX_ANCHORS) continue
      groups.add(group)
      chosen.push(address)
    }
    return chosen
  }

  /**
   * The connection is over, or never came up: the address is free again after a while, twice as long
   * after each failure.
   *
   * @param wasGood - it lasted, and was of use.
   */
  ended(key: string, wasGood: boolean, nowMs: number): void {
    const known = this.#known.get(key)
    if (known === undefined) return
    if (known.memberSinceMs !== null) known.reachedMs = nowMs
    known.memberSinceMs = null
    known.busy = false
    known.failures = wasGood ? 0 : known.failures + 1
    known.isProven ||= wasGood
    known.notBeforeMs = nowMs + backoffMs(known, this.#random.fraction())
    if (known.failures > MAX_DIAL_FAILURES && !outlivesFailures(known.source)) this.#known.delete(key)
  }

  /** Never to be dialled: it leads to ourselves. Remembered, since others keep telling us of it. */
  retire(key: string): void {
    const known = this.#known.get(key)
    if (known === undefined) return
    known.busy = false
    known.notBeforeMs = Number.POSITIVE_INFINITY
  }

  /** Make room among those of the same teller, then of the same source, then in all. */
  #makeRoom(source: AddressSource, origin: string): boolean {
    if (this.#known.size < MAX_ADDRESSES_PER_ORIGIN) return true
    const all = [...this.#known.values()]
    if (!isTrusted(source)) {
      const ofOrigin = all.filter((known) => known.origin === origin && known.source === source)
      const perOrigin = origin === source ? MAX_ADDRESSES_PER_SOURCE : MAX_ADDRESSES_PER_ORIGIN
      if (ofOrigin.length >= perOrigin) return this.#evict(ofOrigin)
      const ofSource = all.filter((known) => known.source === source)
      if (ofSource.length >= MAX_ADDRESSES_PER_SOURCE) return this.#evict(ofSource)
    }
    return all.length < MAX_ADDRESSES_PER_CHANNEL || this.#evict(all)
  }

  /** @returns false if all of them are in use, or were given by hand. */
  #evict(from: readonly KnownAddress<A>[]): boolean {
    const spare = from.filter(({ busy, source }) => !busy && !outlivesFailures(source))
    const sizes = new Map<string, number>()
    for (const { group } of this.#known.values()) sizes.set(group, (sizes.get(group) ?? 0) + 1)
    const size = ({ group }: KnownAddress<A>): number => sizes.get(group) ?? 0
    const worst = spare.reduce<KnownAddress<A> | null>((a, b) => {
      if (a === null) return b
      const order =
        Number(a.isProven) - Number(b.isProven) ||
        size(b) - size(a) ||
        b.failures - a.failures ||
        a.lastSeenMs - b.lastSeenMs
      return order <= 0 ? a : b
    }, null)
    return worst !== null && this.#known.delete(worst.key)
  }
}

/** Half to the whole of a delay that doubles with each failure, ms. */
export function backoffMs(
  known: Pick<KnownAddress<unknown>, 'failures' | 'source'>,
  fraction: number,
): number {
  const maxMs = isTrusted(known.source) ? DIAL_BACKOFF_TRUSTED_MS : DIAL_BACKOFF_MAX_MS
  const doublings = Math.min(Math.max(0, known.failures - 1), 30)
  const whole = Math.min(DIAL_BACKOFF_FIRST_MS * 2 ** doublings, maxMs)
  return whole / 2 + (whole / 2) * fraction
}

/** Was a member met there lately? */
export function isFresh({ memberSinceMs, reachedMs }: KnownAddress<unknown>, nowMs: number): boolean {
  return memberSinceMs !== null || nowMs - reachedMs <= PEX_FRESH_MS
}

function isTrusted(source: AddressSource): boolean {
  return source === 'user' || source === 'link'
}

/** While our own line is down, all dials fail: that must not cost us the anchors. */
function outlivesFailures(source: AddressSource): boolean {
  return isTrusted(source) || source === 'anchor'
}

/** Lower is better: an anchor before all others until it fails. */
function promise({ failures, isProven, source }: KnownAddress<unknown>): number {
  if (source === 'anchor' && failures === 0) return -2
  return failures - (isProven ? 1 : 0)
}
