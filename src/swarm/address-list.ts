/**
 * Addresses at which peers of a channel may be found, and when to try each again:
 * data and pure decisions. Addresses are hints from others; nothing is believed of
 * them but that dialling them is allowed (`acceptable` was asked before).
 *
 * @module swarm/address-list
 */
import {
  DIAL_BACKOFF_FIRST_MS,
  DIAL_BACKOFF_MAX_MS,
  MAX_ADDRESSES_PER_CHANNEL,
  MAX_DIAL_FAILURES,
} from '../base/limits.ts'

/** Where an address came from; a user's word outlives failures. */
export type AddressSource = 'user' | 'link' | 'head' | 'topic' | 'pex'

export interface KnownAddress<A> {
  readonly key: string
  readonly address: A
  source: AddressSource
  /** Failures in a row. */
  failures: number
  /** Not to be dialled before this, monotonic ms. */
  notBeforeMs: number
  /** Being dialled, or connected. */
  busy: boolean
  lastSeenMs: number
}

/** @typeParam A - the address as the dialler takes it. */
export class AddressList<A> {
  readonly #known = new Map<string, KnownAddress<A>>()

  get size(): number {
    return this.#known.size
  }

  /** @param key - text that is the same for the same address. @returns whether it was news. */
  add(key: string, address: A, source: AddressSource, nowMs: number): boolean {
    const known = this.#known.get(key)
    if (known !== undefined) {
      known.lastSeenMs = nowMs
      if (source === 'user') known.source = 'user'
      return false
    }
    if (this.#known.size >= MAX_ADDRESSES_PER_CHANNEL && !this.#evict()) return false
    this.#known.set(key, {
      key,
      address,
      source,
      failures: 0,
      notBeforeMs: 0,
      busy: false,
      lastSeenMs: nowMs,
    })
    return true
  }

  /** Those that may be dialled now, the most promising first. */
  due(nowMs: number, limit: number): KnownAddress<A>[] {
    return [...this.#known.values()]
      .filter((known) => !known.busy && known.notBeforeMs <= nowMs)
      .sort((a, b) => a.failures - b.failures || b.lastSeenMs - a.lastSeenMs)
      .slice(0, limit)
  }

  /** Earliest moment at which `due` gives something more, or null. */
  nextDueMs(): number | null {
    let earliest: number | null = null
    for (const known of this.#known.values()) {
      if (!known.busy && (earliest === null || known.notBeforeMs < earliest)) earliest = known.notBeforeMs
    }
    return earliest
  }

  setBusy(key: string, busy: boolean): void {
    const known = this.#known.get(key)
    if (known !== undefined) known.busy = busy
  }

  succeeded(key: string): void {
    const known = this.#known.get(key)
    if (known !== undefined) known.failures = 0
  }

  /**
   * Dialling failed or the connection ended badly: wait twice as long as before.
   *
   * @param jitter - in [0, 1): spreads the retries of many nodes.
   */
  failed(key: string, nowMs: number, jitter: number): void {
    const known = this.#known.get(key)
    if (known === undefined) return
    known.failures++
    known.notBeforeMs = nowMs + backoffMs(known.failures, jitter)
    if (known.failures > MAX_DIAL_FAILURES && known.source !== 'user' && known.source !== 'link') {
      this.#known.delete(key)
    }
  }

  /** The connection ended well: it may be dialled again after the first back-off. */
  ended(key: string, nowMs: number, jitter: number): void {
    const known = this.#known.get(key)
    if (known !== undefined) known.notBeforeMs = nowMs + backoffMs(1, jitter)
  }

  remove(key: string): void {
    this.#known.delete(key)
  }

  /** Make room: the worst address that nobody asked for by hand. */
  #evict(): boolean {
    let worst: KnownAddress<A> | null = null
    for (const known of this.#known.values()) {
      if (known.busy || known.source === 'user' || known.source === 'link') continue
      if (
        worst === null ||
        known.failures > worst.failures ||
        (known.failures === worst.failures && known.lastSeenMs < worst.lastSeenMs)
      ) {
        worst = known
      }
    }
    if (worst === null) return false
    this.#known.delete(worst.key)
    return true
  }
}

/** Half to the whole of a delay that doubles with each failure, ms. */
export function backoffMs(failures: number, jitter: number): number {
  const whole = Math.min(DIAL_BACKOFF_FIRST_MS * 2 ** Math.min(failures - 1, 30), DIAL_BACKOFF_MAX_MS)
  return whole / 2 + (whole / 2) * jitter
}
