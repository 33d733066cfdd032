/**
 * How much work a peer's messages have caused, and for how long it should be read
 * more slowly (THREATS: floods of small messages).
 *
 * Work is paid off at PEER_WORK_PER_SECOND. Unlike a token bucket it can be
 * overdrawn: messages that are here already are worked on, and paid for by waiting.
 *
 * @module transport/work-meter
 */
import { PEER_WORK_BURST, PEER_WORK_PER_SECOND } from '../base/limits.ts'
import { type Message, REQUEST_KINDS } from '../wire/message.ts'

const MS_PER_UNIT = 1000 / PEER_WORK_PER_SECOND
const BURST_MS = PEER_WORK_BURST * MS_PER_UNIT

export class WorkMeter {
  /** When all work so far, beyond the burst, will have been paid off. */
  #paidAtMs = Number.NEGATIVE_INFINITY

  /** @returns ms to wait before more work is taken, 0 mostly. */
  spend(units: number, nowMs: number): number {
    this.#paidAtMs = Math.max(this.#paidAtMs, nowMs - BURST_MS) + units * MS_PER_UNIT
    return Math.max(0, this.#paidAtMs - nowMs)
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
    default:
      return 1
  }
}

/** A blob that was read from the disk and then cancelled: the only way to have it read for nothing. */
export const WASTED_READ_WORK = 100
