/**
 * Bytes a second over the last few seconds, as people read it.
 *
 * @module swarm/rate-meter
 */
import type { Clock } from '../base/clock.ts'

const SLOT_MS = 1000
const SLOTS = 5

export class RateMeter {
  readonly #clock: Clock
  readonly #bytes: number[] = new Array<number>(SLOTS).fill(0)
  #slot: number
  #total = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.#slot = this.#now()
  }

  add(bytes: number): void {
    this.#total += bytes
    this.#turn()
    const at = this.#slot % SLOTS
    this.#bytes[at] = (this.#bytes[at] ?? 0) + bytes
  }

  /** Bytes since the start. */
  get total(): number {
    return this.#total
  }

  /** Bytes a second, an integer. */
  get rate(): number {
    this.#turn()
    const sum = this.#bytes.reduce((total, bytes) => total + bytes, 0)
    return Math.round((sum * 1000) / (SLOTS * SLOT_MS))
  }

  #now(): number {
    return Math.floor(this.#clock.monotonicMs() / SLOT_MS)
  }

  #turn(): void {
    const now = this.#now()
    for (let step = 0; this.#slot < now && step < SLOTS; step++) this.#bytes[++this.#slot % SLOTS] = 0
    this.#slot = now
  }
}
