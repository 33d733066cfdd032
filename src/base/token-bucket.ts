/**
 * Token bucket: so many units a second on average, so many at once.
 *
 * @module base/token-bucket
 */
import type { Clock } from './clock.ts'

export class TokenBucket {
  readonly #clock: Clock
  readonly #perSecond: number
  readonly #capacity: number
  #tokens: number
  #filledAtMs: number

  /** @param capacity - units that may be spent at once; the bucket begins full. */
  constructor(clock: Clock, perSecond: number, capacity: number) {
    this.#clock = clock
    this.#perSecond = perSecond
    this.#capacity = capacity
    this.#tokens = capacity
    this.#filledAtMs = clock.monotonicMs()
  }

  /** Spend `units` if they are there. */
  take(units: number): boolean {
    this.#fill()
    if (this.#tokens < units) return false
    this.#tokens -= units
    return true
  }

  /**
   * Whole ms until `units` will be there, 0 if they are: a timer for a part of one could fire at the
   * very moment at which it was set, for ever. More than the capacity never will be: Infinity.
   */
  waitMs(units: number): number {
    this.#fill()
    if (this.#tokens >= units) return 0
    if (units > this.#capacity) return Number.POSITIVE_INFINITY
    return Math.ceil(((units - this.#tokens) / this.#perSecond) * 1000)
  }

  #fill(): void {
    const nowMs = this.#clock.monotonicMs()
    const gained = ((nowMs - this.#filledAtMs) / 1000) * this.#perSecond
    this.#tokens = Math.min(this.#capacity, this.#tokens + gained)
    this.#filledAtMs = nowMs
  }
}
