/**
 * When is a connection dead, stalled or merely quiet? Pure decisions on moments
 * and counts; transport/connection.ts collects them and does what comes out.
 *
 * @module transport/liveness
 */
import { MegatorrentError } from '../base/errors.ts'
import {
  CANCEL_ANSWER_MS,
  IDLE_CLOSE_MS,
  IDLE_PAD_MS,
  REQUEST_TIMEOUT_MS,
  WRITE_STALL_MS,
} from '../base/limits.ts'

/** When did enough of a count of bytes last move? */
export class ProgressMark {
  readonly #enoughBytes: number
  #atMs: number
  #bytes = 0

  /** @param enoughBytes - less is a trickle: one byte a minute would hold a buffer for years. */
  constructor(nowMs: number, enoughBytes: number) {
    this.#atMs = nowMs
    this.#enoughBytes = enoughBytes
  }

  get atMs(): number {
    return this.#atMs
  }

  /** Progress, whatever the count. */
  mark(nowMs: number, bytes: number): void {
    this.#atMs = nowMs
    this.#bytes = bytes
  }

  /** Progress, if enough has moved since the last. @param bytes - a count that grows. */
  see(nowMs: number, bytes: number): void {
    if (bytes - this.#bytes >= this.#enoughBytes) this.mark(nowMs, bytes)
  }
}

/** Moments are monotonic ms. */
export interface Vitals {
  readonly nowMs: number
  /** Do we wait for an answer, or for the rest of one? */
  readonly isWaiting: boolean
  /** Last answer or progress of one, or last moment in which we waited for nothing. */
  readonly answeredMs: number
  /** When something of what we send was last taken, or last moment in which nothing was queued. */
  readonly takenMs: number
  /** When the longest unanswered request of those given up was given up; null if there is none. */
  readonly givenUpMs: number | null
  readonly receivedMs: number
  readonly sentMs: number
}

/** @returns what to do: nothing, send a PAD, or end the connection for that reason. */
export function judge(vitals: Vitals): 'fine' | 'pad' | MegatorrentError {
  const { nowMs, givenUpMs } = vitals
  if (vitals.isWaiting && nowMs - vitals.answeredMs > REQUEST_TIMEOUT_MS) return timeout('does not answer')
  if (nowMs - vitals.takenMs > WRITE_STALL_MS) return timeout('does not read what it is sent')
  if (givenUpMs !== null && nowMs - givenUpMs > CANCEL_ANSWER_MS) return timeout('does not answer a CANCEL')
  if (nowMs - vitals.receivedMs > IDLE_CLOSE_MS) return timeout('is silent')
  return nowMs - vitals.sentMs >= IDLE_PAD_MS ? 'pad' : 'fine'
}

function timeout(what: string): MegatorrentError {
  return new MegatorrentError('ERR_TIMEOUT', `the peer ${what}`)
}
