/**
 * Bytes that may pass at a rate that can change at any time: a token bucket that
 * may be overdrawn, as pure state on moments that are passed in.
 *
 * What has been read from a socket has passed already, and a piece is never cut
 * to the last byte that is left, so the bucket goes below zero and what follows
 * waits until that is paid off. Over any time t no more than rate * t passes,
 * plus what RATE_BURST_MS gives and one piece.
 *
 * @module transport/rate-budget
 */
import { RATE_BURST_MS } from '../base/limits.ts'

export class RateBudget {
  /** Bytes a second; 0 is unlimited. */
  #rate = 0
  #tokens = 0
  /** Monotonic ms. */
  #atMs = 0

  get rate(): number {
    return this.#rate
  }

  /** From now on. What was overdrawn is paid off at the new rate; what was saved is kept as far as it fits. */
  setRate(bytesPerSecond: number, nowMs: number): void {
    if (!(Number.isFinite(bytesPerSecond) && bytesPerSecond >= 0)) {
      throw new RangeError(`"bytesPerSecond" expected >= 0, got ${bytesPerSecond}`)
    }
    if (this.#rate === 0) this.#tokens = 0
    else this.#fill(nowMs)
    this.#rate = bytesPerSecond
    this.#tokens = Math.min(this.#tokens, this.#capacity)
    // Nobody waits a minute for what passed under another rate.
    this.#tokens = Math.max(this.#tokens, -bytesPerSecond)
    this.#atMs = nowMs
  }

  /** Bytes that may pass before anything has to wait; negative while something is to be paid off. */
  balance(nowMs: number): number {
    if (this.#rate === 0) return Number.POSITIVE_INFINITY
    this.#fill(nowMs)
    return this.#tokens
  }

  /** These have passed. */
  spend(bytes: number, nowMs: number): void {
    if (this.#rate === 0) return
    this.#fill(nowMs)
    this.#tokens -= bytes
  }

  /** ms until the balance is that much, 0 if it is. */
  waitMs(balance: number, nowMs: number): number {
    const lacking = Math.min(balance, this.#capacity) - this.balance(nowMs)
    return lacking <= 0 ? 0 : (lacking * 1000) / this.#rate
  }

  get #capacity(): number {
    return (this.#rate * RATE_BURST_MS) / 1000
  }

  #fill(nowMs: number): void {
    const gained = ((nowMs - this.#atMs) * this.#rate) / 1000
    this.#tokens = Math.min(this.#capacity, this.#tokens + gained)
    this.#atMs = nowMs
  }
}
