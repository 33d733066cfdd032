/**
 * How much work first messages may make us do: so much a second, so much at a
 * time, and in turns between the hosts that they come from.
 *
 * Over the rate a message waits rather than fails: an honest peer is then late,
 * not refused. Turns by host, so that one that floods waits behind itself; behind
 * a proxy or an onion all are one host, and only the rate helps.
 *
 * @module transport/handshake-gate
 */
import type { Clock, Timer } from '../base/clock.ts'
import { HANDSHAKE_UNITS_PER_TURN } from '../base/limits.ts'
import type { TokenBucket } from '../base/token-bucket.ts'

interface Waiting {
  readonly units: number
  readonly isGone: () => boolean
  readonly resolve: (mayGoOn: boolean) => void
}

export class HandshakeGate {
  readonly #clock: Clock
  readonly #bucket: TokenBucket
  /** Host -> its messages, the next one first. The host that has waited longest for its turn is first. */
  readonly #waiting = new Map<string, Waiting[]>()
  #timer: Timer | null = null
  /** Units spent since the event loop last went round. */
  #spent = 0

  /** @param bucket - in units of one trial of a key; holds at least those of one call of `pass`. */
  constructor(clock: Clock, bucket: TokenBucket) {
    this.#clock = clock
    this.#bucket = bucket
  }

  /** Messages that wait: as many as there are half-open connections, at most. */
  get waiting(): number {
    let count = 0
    for (const list of this.#waiting.values()) count += list.length
    return count
  }

  /**
   * Ask to spend `units` for a message from `host`.
   *
   * @param isGone - true once the answer matters to nobody: then it costs nothing.
   * @param isBegun - it has spent before: it goes on before others of its host, or all would
   *   be half done and none finished.
   * @returns true at once or later, false if it has gone meanwhile.
   */
  pass(host: string, units: number, isGone: () => boolean, isBegun: boolean): true | Promise<boolean> {
    if (!Number.isFinite(this.#bucket.waitMs(units))) {
      throw new RangeError(`"units" expected what the bucket can hold, got ${units}`)
    }
    if (this.#waiting.size === 0 && this.#spend(units)) return true
    return new Promise((resolve) => {
      const list = this.#waiting.get(host) ?? []
      this.#waiting.set(host, list)
      const waiting = { units, isGone, resolve }
      if (isBegun) list.unshift(waiting)
      else list.push(waiting)
      this.#serve()
    })
  }

  #serve(): void {
    for (const [host, list] of this.#waiting) {
      const next = list[0]
      if (next === undefined) {
        this.#waiting.delete(host)
        continue
      }
      const isGone = next.isGone()
      if (!isGone && !this.#spend(next.units)) {
        this.#serveLater(next.units)
        return
      }
      list.shift()
      // To the end of the round: this loop comes to it again after the other hosts.
      this.#waiting.delete(host)
      if (list.length > 0) this.#waiting.set(host, list)
      next.resolve(!isGone)
    }
  }

  #serveLater(units: number): void {
    if (this.#timer !== null) return
    this.#timer = this.#clock.setTimer(
      () => {
        this.#timer = null
        this.#serve()
      },
      Math.max(1, this.#bucket.waitMs(units)),
    )
  }

  /** Spend, if the rate and the turn of the event loop have room for it. */
  #spend(units: number): boolean {
    if (this.#spent + units > HANDSHAKE_UNITS_PER_TURN && this.#spent > 0) return false
    if (!this.#bucket.take(units)) return false
    if (this.#spent === 0) {
      setImmediate(() => {
        this.#spent = 0
      })
    }
    this.#spent += units
    return true
  }
}
