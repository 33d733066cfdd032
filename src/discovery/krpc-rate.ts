/**
 * How many queries of strangers are answered: a bucket of tokens for each address.
 *
 * Sources of UDP are easily forged, so the bound is what a victim whose address is
 * forged can be sent through us. Pure but for the map: the time is passed in.
 *
 * @module discovery/krpc-rate
 */

export interface RateLimits {
  /** Tokens per second. */
  readonly perSecond: number
  /** Tokens that a silent address has. */
  readonly burst: number
  /** Addresses remembered. */
  readonly maxAddresses: number
}

interface Bucket {
  tokens: number
  atMs: number
}

/** Buckets of tokens by key, the longest silent forgotten first. */
export class RateTable {
  readonly #limits: RateLimits
  readonly #buckets = new Map<string, Bucket>()

  constructor(limits: RateLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#buckets.size
  }

  /**
   * Take a token of that key. False when it has none left.
   *
   * @param nowMs - monotonic.
   */
  take(key: string, nowMs: number): boolean {
    const { perSecond, burst, maxAddresses } = this.#limits
    const bucket = this.#buckets.get(key) ?? { tokens: burst, atMs: nowMs }
    // Deleted and set again, so that the order of the map is the order of last use.
    this.#buckets.delete(key)
    if (this.#buckets.size >= maxAddresses) {
      const oldest = this.#buckets.keys().next()
      if (oldest.done !== true) this.#buckets.delete(oldest.value)
    }
    this.#buckets.set(key, bucket)
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) * perSecond) / 1_000)
    bucket.atMs = nowMs
    if (bucket.tokens < 1) return false
    bucket.tokens--
    return true
  }
}
