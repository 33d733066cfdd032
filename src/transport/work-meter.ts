/**
 * How much work a peer's messages have caused, and for how long it is read more
 * slowly for it.
 *
 * Each has a credit of PEER_WORK_BURST that fills at PEER_WORK_PER_SECOND. Unlike a
 * token bucket it can be overdrawn: messages that are here already are worked on,
 * and paid for by waiting. While all together cause more than ALL_WORK_PER_SECOND,
 * that is what fills the credits, in equal parts: many connections cannot cause
 * what one may not, be each of them within its own rate.
 *
 * @module transport/work-meter
 */
import type { Clock, Timer } from '../base/clock.ts'
import { ALL_WORK_BURST, ALL_WORK_PER_SECOND, PEER_WORK_BURST, PEER_WORK_PER_SECOND } from '../base/limits.ts'
import { type Message, REQUEST_KINDS } from '../wire/message.ts'

const SECOND_MS = 1000
/** ms in which those that share the work are counted: longer than a thousand of them wait until they have paid. */
const PERIOD_MS = 10_000

/** What is read more slowly. */
export interface Reading {
  pauseReading(): void
  resumeReading(): void
}

/** Units of work that may be caused; below zero, what is still to be paid off. */
class Credit {
  readonly #most: number
  #units: number
  #atMs = Number.POSITIVE_INFINITY

  constructor(most: number) {
    this.#most = most
    this.#units = most
  }

  /** @param perSecond - what filled it since it was looked at last. */
  fill(perSecond: number, nowMs: number): number {
    const gained = (Math.max(0, nowMs - this.#atMs) * perSecond) / SECOND_MS
    this.#units = Math.min(this.#most, this.#units + gained)
    this.#atMs = nowMs
    return this.#units
  }

  spend(units: number): number {
    this.#units -= units
    return this.#units
  }
}

/** What connections share of the work that all may cause. */
export class WorkShare {
  /** How many wait until they have paid. */
  paying = 0
  readonly #credit = new Credit(ALL_WORK_BURST)
  /** How many caused any in this period, and in the one before. */
  #period = 0
  #active = 0
  #activeBefore = 0

  /** Units per second that each of them may cause now. */
  perSecond(nowMs: number): number {
    if (this.#credit.fill(ALL_WORK_PER_SECOND, nowMs) >= 0) return PEER_WORK_PER_SECOND
    const count = Math.max(this.paying, this.#active, this.#activeBefore)
    return Math.min(PEER_WORK_PER_SECOND, ALL_WORK_PER_SECOND / count)
  }

  /**
   * One of them has caused work.
   *
   * @param period - in which the same one did last, as this gave it.
   */
  caused(units: number, period: number, nowMs: number): number {
    this.#credit.fill(ALL_WORK_PER_SECOND, nowMs)
    this.#credit.spend(units)
    const now = Math.floor(nowMs / PERIOD_MS)
    if (now !== this.#period) {
      this.#activeBefore = now === this.#period + 1 ? this.#active : 0
      this.#active = 0
      this.#period = now
    }
    if (period !== now) this.#active++
    return now
  }
}

export class WorkMeter {
  readonly #clock: Clock
  readonly #share: WorkShare
  readonly #reading: Reading
  readonly #credit = new Credit(PEER_WORK_BURST)
  /** In which it caused work last: `WorkShare.caused`. */
  #period = Number.NEGATIVE_INFINITY
  #timer: Timer | null = null
  #closed = false

  constructor(clock: Clock, reading: Reading, share = new WorkShare()) {
    this.#clock = clock
    this.#reading = reading
    this.#share = share
  }

  /** Work was done for the peer: over its rate it is not read until that is paid off, and TCP makes it wait. */
  charge(units: number): void {
    const nowMs = this.#clock.monotonicMs()
    this.#credit.fill(this.#share.perSecond(nowMs), nowMs)
    const left = this.#credit.spend(units)
    this.#period = this.#share.caused(units, this.#period, nowMs)
    if (left >= 0 || this.#closed) return
    this.#stopPaying()
    this.#share.paying++
    this.#reading.pauseReading()
    this.#timer = this.#clock.setTimer(
      () => {
        this.#stopPaying()
        this.#reading.resumeReading()
      },
      (-left * SECOND_MS) / this.#share.perSecond(nowMs),
    )
  }

  close(): void {
    this.#closed = true
    this.#stopPaying()
  }

  #stopPaying(): void {
    if (this.#timer === null) return
    this.#timer.cancel()
    this.#timer = null
    this.#share.paying--
  }
}

/** Ranges of a HAVE that cost one unit. */
const RANGES_PER_UNIT = 32

/**
 * What a message costs us, in units of 10 us, with 100 channels: those that name a channel are
 * compared with the tag of each. Reading a blob is not counted: whoever gets one pays with his line.
 *
 * @param message - null is a fragment of one that is not complete.
 */
export function workOf(message: Message | null): number {
  switch (message?.type) {
    case 'hello':
      return 100
    case 'have':
      return 30 + message.ranges.length / RANGES_PER_UNIT
    case 'request':
      if (message.kind === REQUEST_KINDS.slot) return GATEWAY_QUESTION_WORK
      return message.kind === REQUEST_KINDS.head || message.kind === REQUEST_KINDS.slotSet ? 30 : 1
    case 'findPeers':
      return 60
    case 'publish':
    case 'keep':
      return GATEWAY_QUESTION_WORK
    case 'announce':
      return message.statements.length
    default:
      return 1
  }
}

/** What a gateway does itself for a question: a signature, a row. What the DHT does is bounded by its quotas. */
const GATEWAY_QUESTION_WORK = 60

/** An ERROR: the look for what is not there, sealing it and sending it. */
export const REFUSAL_WORK = 10
/** A blob that was read from the disk and then cancelled: the only way to have it read for nothing. */
export const WASTED_READ_WORK = 100
