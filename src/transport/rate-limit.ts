/**
 * One limit over many connections, in one direction: each gets the same share of
 * it, whatever the size of what it moves, and small messages do not wait behind
 * the blobs of others.
 *
 * A connection that may not pass waits for its turn (base/fair-turns.ts). Each has a
 * small allowance besides, which a quarter of the rate fills up for all together:
 * a message that fits into it passes at once and is paid for by the others later.
 * Unlimited, nothing is counted and nobody waits.
 *
 * @module transport/rate-limit
 */
import type { Clock, Timer } from '../base/clock.ts'
import { FairTurns } from '../base/fair-turns.ts'
import {
  RATE_ALLOWANCE_BYTES,
  RATE_GRANT_MS,
  RATE_PIECE_MAX_BYTES,
  RATE_PIECE_MIN_BYTES,
  RATE_PIECE_MS,
} from '../base/limits.ts'
import { RateBudget } from './rate-budget.ts'

/** Share of the rate that fills up the allowances. */
const ALLOWANCE_SHARE = 0.25
/** Timers are no more exact than that, and so many turns a second are enough. */
const MIN_WAIT_MS = 1

interface Grant {
  bytes: number
  /** Nothing of it was used yet. */
  isFresh: boolean
  readonly atMs: number
}

export class RateLimit {
  readonly #clock: Clock
  readonly #budget = new RateBudget()
  readonly #turns = new FairTurns<Flow>()
  readonly #flows = new Set<Flow>()
  readonly #waiting = new Set<Flow>()
  /** Turns that were given and not used up yet, and when they were given; the oldest first. */
  readonly #granted = new Map<Flow, Grant>()
  #timer: Timer | null = null
  #isServing = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Bytes a second; 0 is unlimited. */
  get rate(): number {
    return this.#budget.rate
  }

  get isUnlimited(): boolean {
    return this.#budget.rate === 0
  }

  /** Bytes that one turn is worth: some ms of the rate, so that turns go round often and timers do not. */
  get pieceBytes(): number {
    const bytes = Math.ceil((this.rate * RATE_PIECE_MS) / 1000)
    return Math.min(RATE_PIECE_MAX_BYTES, Math.max(RATE_PIECE_MIN_BYTES, bytes))
  }

  /** Takes effect at once, also for what waits. */
  setRate(bytesPerSecond: number): void {
    this.#budget.setRate(bytesPerSecond, this.#clock.monotonicMs())
    this.#timer?.cancel()
    this.#timer = null
    this.#serve()
  }

  /**
   * A connection takes part.
   *
   * @param onTurn - it waited, and may go on. Not called within `wait`.
   */
  open(onTurn: () => void): Flow {
    const flow = new Flow(this, onTurn, this.#clock.monotonicMs())
    this.#flows.add(flow)
    return flow
  }

  /** @internal May so much pass now? If so it is paid for. */
  take(flow: Flow, bytes: number): boolean {
    if (this.isUnlimited) return true
    const nowMs = this.#clock.monotonicMs()
    const mayPass =
      flow.refill(nowMs, (this.rate * ALLOWANCE_SHARE) / this.#flows.size) >= bytes ||
      (this.#granted.get(flow)?.bytes ?? 0) > 0 ||
      (this.#waiting.size === 0 && this.#free(nowMs) > 0)
    if (mayPass) this.#pay(flow, bytes, nowMs)
    return mayPass
  }

  /** @internal So much has passed already. @returns whether more may. */
  passed(flow: Flow, bytes: number): boolean {
    if (this.isUnlimited) return true
    const nowMs = this.#clock.monotonicMs()
    const isSmall = flow.refill(nowMs, (this.rate * ALLOWANCE_SHARE) / this.#flows.size) >= bytes
    this.#pay(flow, bytes, nowMs)
    if (isSmall || (this.#granted.get(flow)?.bytes ?? 0) > 0) return true
    return this.#waiting.size === 0 && this.#free(nowMs) > 0
  }

  /** @internal */
  wait(flow: Flow): void {
    if (!this.#flows.has(flow)) return
    this.#waiting.add(flow)
    if (!this.#isServing) this.#serveLater()
  }

  /** @internal */
  close(flow: Flow): void {
    this.#flows.delete(flow)
    this.#waiting.delete(flow)
    this.#granted.delete(flow)
    this.#turns.forget(flow)
    if (this.#waiting.size > 0) return
    this.#timer?.cancel()
    this.#timer = null
  }

  #pay(flow: Flow, bytes: number, nowMs: number): void {
    if (!this.#flows.has(flow)) return // closed: what it still moves is for nobody
    const grant = this.#granted.get(flow)
    this.#budget.spend(bytes, nowMs)
    this.#turns.charge(flow, bytes, grant?.isFresh ?? this.#waiting.size === 0)
    flow.useAllowance(bytes)
    if (grant === undefined) return
    grant.isFresh = false
    grant.bytes -= bytes
    if (grant.bytes <= 0) this.#granted.delete(flow)
  }

  /** What may pass beyond the turns that were given already. */
  #free(nowMs: number): number {
    let granted = 0
    for (const [flow, { bytes, atMs }] of this.#granted) {
      // Whoever has nothing to move does not hold up the others.
      if (nowMs - atMs >= RATE_GRANT_MS) this.#granted.delete(flow)
      else granted += bytes
    }
    return this.#budget.balance(nowMs) - granted
  }

  #serve(): void {
    this.#isServing = true
    /** Those that had a turn and used nothing of it: not again in this round. */
    const idle: Flow[] = []
    for (;;) {
      const nowMs = this.#clock.monotonicMs()
      if (this.#waiting.size === 0 || this.#free(nowMs) <= 0) break
      const flow = this.#turns.pick(this.#waiting)
      if (flow === null) break
      this.#waiting.delete(flow)
      const grant = { bytes: this.pieceBytes, isFresh: true, atMs: nowMs }
      if (!this.isUnlimited) this.#granted.set(flow, grant)
      flow.onTurn()
      if (!this.#waiting.has(flow) || !this.#granted.get(flow)?.isFresh) continue
      this.#granted.delete(flow)
      this.#waiting.delete(flow)
      idle.push(flow)
    }
    for (const flow of idle) if (this.#flows.has(flow)) this.#waiting.add(flow)
    this.#isServing = false
    this.#serveLater()
  }

  #serveLater(): void {
    if (this.#timer !== null || this.#waiting.size === 0) return
    const nowMs = this.#clock.monotonicMs()
    const isFree = this.#free(nowMs) > 0
    const oldest = this.#granted.values().next().value
    const grantMs = oldest === undefined ? Number.POSITIVE_INFINITY : oldest.atMs + RATE_GRANT_MS - nowMs
    const waitMs = isFree ? 0 : Math.min(this.#budget.waitMs(1, nowMs) || grantMs, grantMs)
    this.#timer = this.#clock.setTimer(
      () => {
        this.#timer = null
        this.#serve()
      },
      Math.max(MIN_WAIT_MS, waitMs),
    )
  }
}

/** One direction of one connection. */
export class Flow {
  readonly #limit: RateLimit
  readonly onTurn: () => void
  #allowance = RATE_ALLOWANCE_BYTES
  #filledMs: number

  /** By `RateLimit.open`. */
  constructor(limit: RateLimit, onTurn: () => void, nowMs: number) {
    this.#limit = limit
    this.onTurn = onTurn
    this.#filledMs = nowMs
  }

  /** May so much pass now? Then it has, and is paid for. */
  take(bytes: number): boolean {
    return this.#limit.take(this, bytes)
  }

  /** So much has passed. @returns false when the rest should `wait`. */
  passed(bytes: number): boolean {
    return this.#limit.passed(this, bytes)
  }

  /** Wait for a turn: `onTurn` is called once. */
  wait(): void {
    this.#limit.wait(this)
  }

  close(): void {
    this.#limit.close(this)
  }

  /** @internal @returns bytes that may pass whatever else waits. */
  refill(nowMs: number, rate: number): number {
    const gained = ((nowMs - this.#filledMs) * rate) / 1000
    this.#allowance = Math.min(RATE_ALLOWANCE_BYTES, this.#allowance + gained)
    this.#filledMs = nowMs
    return this.#allowance
  }

  /** @internal Large ones leave it alone: they wait for their turn. */
  useAllowance(bytes: number): void {
    if (bytes <= this.#allowance) this.#allowance -= bytes
  }
}

/** Both directions. */
export interface TransferLimits {
  readonly upload: RateLimit
  readonly download: RateLimit
}

export function transferLimits(clock: Clock): TransferLimits {
  return { upload: new RateLimit(clock), download: new RateLimit(clock) }
}
