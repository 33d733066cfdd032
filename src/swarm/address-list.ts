/**
 * Addresses at which peers of a channel may be found, and when to try each again:
 * data and pure decisions. Addresses are hints from others; nothing is believed of
 * them but that dialling them is allowed (`acceptable` was asked before).
 *
 * Whoever knows a topic can fill the list. So when it is full, one goes of the
 * network that has the most in it, and never one that has proved good before one
 * that has not.
 *
 * @module swarm/address-list
 */
import { toHex } from '../base/bytes.ts'
import {
  DIAL_BACKOFF_FIRST_MS,
  DIAL_BACKOFF_MAX_MS,
  DIAL_BACKOFF_TRUSTED_MS,
  MAX_ADDRESSES_PER_CHANNEL,
  MAX_DIAL_FAILURES,
} from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import type { Address } from '../wire/address.ts'
import { parseIpv4, parseIpv6 } from '../wire/ip.ts'

/** Where an address came from; the word of a user or of a link outlives failures. */
export type AddressSource = 'user' | 'link' | 'head' | 'topic' | 'pex'

export interface KnownAddress<A> {
  readonly key: string
  readonly address: A
  /** What belongs to one owner, most likely. */
  readonly group: string
  source: AddressSource
  /** Failures in a row. */
  failures: number
  /** Not to be dialled before this, monotonic ms. */
  notBeforeMs: number
  /** Being dialled, or connected. */
  busy: boolean
  /** A connection to it was good once. */
  isProven: boolean
  lastSeenMs: number
}

/** @typeParam A - the address as the dialler takes it. */
export class AddressList<A extends Address> {
  readonly #random: Random
  readonly #known = new Map<string, KnownAddress<A>>()

  constructor(random: Random) {
    this.#random = random
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

  /** @param key - text that is the same for the same address. @returns whether it was news. */
  add(key: string, address: A, source: AddressSource, nowMs: number): boolean {
    const known = this.#known.get(key)
    if (known !== undefined) {
      known.lastSeenMs = nowMs
      if (!isTrusted(known.source)) known.source = source
      return false
    }
    if (this.#known.size >= MAX_ADDRESSES_PER_CHANNEL && !this.#evict()) return false
    this.#known.set(key, {
      key,
      address,
      group: groupOf(address),
      source,
      failures: 0,
      notBeforeMs: Number.NEGATIVE_INFINITY,
      busy: false,
      isProven: false,
      lastSeenMs: nowMs,
    })
    return true
  }

  /** Those that may be dialled now, the most promising first; among equals by chance, so that none is favoured. */
  due(nowMs: number, limit: number, mayDial: (known: KnownAddress<A>) => boolean): KnownAddress<A>[] {
    return [...this.#known.values()]
      .filter((known) => !known.busy && known.notBeforeMs <= nowMs && mayDial(known))
      .map((known) => ({ known, lot: this.#random.fraction() }))
      .sort((a, b) => promise(a.known) - promise(b.known) || a.lot - b.lot)
      .slice(0, Math.max(0, limit))
      .map(({ known }) => known)
  }

  setBusy(key: string, busy: boolean): void {
    const known = this.#known.get(key)
    if (known !== undefined) known.busy = busy
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
    known.busy = false
    known.failures = wasGood ? 0 : known.failures + 1
    known.isProven ||= wasGood
    known.notBeforeMs = nowMs + backoffMs(known, this.#random.fraction())
    if (known.failures > MAX_DIAL_FAILURES && !isTrusted(known.source)) this.#known.delete(key)
  }

  /** Never to be dialled: it leads to ourselves. Remembered, since others keep telling us of it. */
  retire(key: string): void {
    const known = this.#known.get(key)
    if (known === undefined) return
    known.busy = false
    known.notBeforeMs = Number.POSITIVE_INFINITY
  }

  /** Make room. @returns false if everything here is in use or was given by hand. */
  #evict(): boolean {
    const spare = [...this.#known.values()].filter(({ busy, source }) => !busy && !isTrusted(source))
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

function isTrusted(source: AddressSource): boolean {
  return source === 'user' || source === 'link'
}

/** Lower is better. */
function promise({ failures, isProven }: KnownAddress<unknown>): number {
  return failures - (isProven ? 1 : 0)
}

const IPV4_GROUP_BYTES = 2
const IPV6_GROUP_BYTES = 4

/** A /16 of IPv4, a /32 of IPv6, else the host alone. */
function groupOf({ kind, host }: Address): string {
  const bytes = kind === 'ipv4' ? parseIpv4(host) : kind === 'ipv6' ? parseIpv6(host) : null
  return bytes === null
    ? host
    : toHex(bytes.subarray(0, kind === 'ipv4' ? IPV4_GROUP_BYTES : IPV6_GROUP_BYTES))
}
