/**
 * How much work a peer's messages have caused, and for how long it is read more
 * slowly for it.
 *
 * Work is paid off at PEER_WORK_PER_SECOND. Unlike a token bucket it can be
 * overdrawn: messages that are here already are worked on, and paid for by waiting.
 * Those that are over their rate at a time share ALL_WORK_PER_SECOND, so that many
 * connections cannot cause what one may not.
 *
 * @module transport/work-meter
 */
import type { Clock, Timer } from '../base/clock.ts'
import { ALL_WORK_PER_SECOND, PEER_WORK_BURST, PEER_WORK_PER_SECOND } from '../base/limits.ts'
import { type Message, REQUEST_KINDS } from '../wire/message.ts'

const MS_PER_UNIT = 1000 / PEER_WORK_PER_SECOND
const BURST_MS = PEER_WORK_BURST * MS_PER_UNIT

/** What is read more slowly. */
export interface Reading {
  pauseReading(): void
  resumeReading(): void
}

/** How many connections are paying at a time, of those that share what all may cause. */
export class WorkShare {
  paying = 0

  /** ms that one of them pays for a unit. */
  get msPerUnit(): number {
    return Math.max(MS_PER_UNIT, (1000 * this.paying) / ALL_WORK_PER_SECOND)
  }
}

export class WorkMeter {
  readonly #clock: Clock
  readonly #share: WorkShare
  readonly #reading: Reading
  /** When all work so far, beyond the burst, will have been paid off; monotonic ms. */
  #paidAtMs = Number.NEGATIVE_INFINITY
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
    this.#paidAtMs = Math.max(this.#paidAtMs, nowMs - BURST_MS) + units * this.#share.msPerUnit
    if (this.#paidAtMs <= nowMs || this.#closed) return
    this.#stopPaying()
    this.#share.paying++
    this.#reading.pauseReading()
    this.#timer = this.#clock.setTimer(() => {
      this.#stopPaying()
      this.#reading.resumeReading()
    }, this.#paidAtMs - nowMs)
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
      return message.kind === REQUEST_KINDS.head ? 30 : 1
    case 'findPeers':
      return 60
    case 'announce':
      return message.statements.length
    default:
      return 1
  }
}

/** An ERROR: the look for what is not there, sealing it and sending it. */
export const REFUSAL_WORK = 10
/** A blob that was read from the disk and then cancelled: the only way to have it read for nothing. */
export const WASTED_READ_WORK = 100
