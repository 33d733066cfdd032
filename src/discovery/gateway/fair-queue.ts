/**
 * Walks of the DHT that others ask a gateway for: a few at a time, and of those that
 * wait the one first whose host has had least lately.
 *
 * So a thousand that ask all the time wait for each other, and one that asks now and
 * then goes before them. When too many wait, it is the host with most that is told
 * we are busy, even if it was here first.
 *
 * @module discovery/gateway/fair-queue
 */
import type { Clock } from '../../base/clock.ts'
import { MegatorrentError } from '../../base/errors.ts'

export interface FairQueueRules {
  /** Walks that run at a time. */
  readonly parallel: number
  /** That wait at a time, all together. */
  readonly waiting: number
  /** Of one host. */
  readonly waitingPerHost: number
  /** ms after which what a host has had counts half. */
  readonly halfLifeMs: number
}

interface Waiting {
  readonly host: string
  /** Monotonic ms. */
  readonly untilMs: number
  readonly begin: () => void
  readonly refuse: (error: MegatorrentError) => void
}

export class FairQueue {
  readonly #rules: FairQueueRules
  readonly #clock: Clock
  /** In the order in which they came. */
  readonly #waiting = new Set<Waiting>()
  /** What each host has had, at the time of the last halving. */
  readonly #used = new Map<string, number>()
  #halvedMs: number
  #running = 0
  #closed = false
  /** Called when nothing runs any more, after `close`. */
  #onIdle: () => void = () => {}

  constructor(rules: FairQueueRules, clock: Clock) {
    this.#rules = rules
    this.#clock = clock
    this.#halvedMs = clock.monotonicMs()
  }

  /** Share of the places for those that wait, 0 to 1. */
  get load(): number {
    return this.#waiting.size / this.#rules.waiting
  }

  /**
   * @param patienceMs - for which it waits: else what has waited too long would be done in the stead of what
   *   somebody still waits for, and under load everything would be too late.
   * @throws MegatorrentError ERR_DHT_BUSY when others come first, ERR_DHT_CLOSED after `close`.
   */
  async run<T>(host: string, work: () => Promise<T>, patienceMs = Number.POSITIVE_INFINITY): Promise<T> {
    await this.#turn(host, patienceMs)
    this.#used.set(host, this.#usedBy(host) + 1)
    try {
      return await work()
    } finally {
      this.#running--
      this.#next()
      if (this.#running === 0) this.#onIdle()
    }
  }

  /** Nothing begins any more. Call once. Resolves when what runs has ended: stopping it is the caller's matter. */
  async close(): Promise<void> {
    this.#closed = true
    for (const { refuse } of this.#waiting) refuse(closed())
    this.#waiting.clear()
    if (this.#running > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve))
  }

  async #turn(host: string, patienceMs: number): Promise<void> {
    if (this.#closed) throw closed()
    if (this.#running < this.#rules.parallel) {
      this.#running++
      return
    }
    this.#halve()
    const own = [...this.#waiting].filter((waiting) => waiting.host === host).length
    if (own >= this.#rules.waitingPerHost) throw busy()
    if (this.#waiting.size >= this.#rules.waiting) this.#makeRoom(host)
    const untilMs = this.#clock.monotonicMs() + patienceMs
    await new Promise<void>((begin, refuse) => this.#waiting.add({ host, untilMs, begin, refuse }))
  }

  /** @throws ERR_DHT_BUSY if nobody that waits has had more than this host. */
  #makeRoom(host: string): void {
    let most: Waiting | null = null
    for (const waiting of this.#waiting) {
      if (most === null || this.#usedBy(waiting.host) >= this.#usedBy(most.host)) most = waiting
    }
    if (most === null || this.#usedBy(most.host) <= this.#usedBy(host)) throw busy()
    this.#waiting.delete(most)
    most.refuse(busy())
  }

  #next(): void {
    this.#halve()
    const nowMs = this.#clock.monotonicMs()
    let least: Waiting | null = null
    for (const waiting of this.#waiting) {
      if (waiting.untilMs <= nowMs) {
        this.#waiting.delete(waiting)
        waiting.refuse(busy())
      } else if (least === null || this.#usedBy(waiting.host) < this.#usedBy(least.host)) least = waiting
    }
    if (least === null) return
    this.#waiting.delete(least)
    this.#running++
    least.begin()
  }

  #usedBy(host: string): number {
    return this.#used.get(host) ?? 0
  }

  #halve(): void {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#halvedMs < this.#rules.halfLifeMs) return
    this.#halvedMs = nowMs
    for (const [host, used] of this.#used) {
      if (used <= 1) this.#used.delete(host)
      else this.#used.set(host, used / 2)
    }
  }
}

function busy(): MegatorrentError {
  return new MegatorrentError('ERR_DHT_BUSY', 'others come first')
}

/** What is asked of a gateway that is stopping. */
export function closed(): MegatorrentError {
  return new MegatorrentError('ERR_DHT_CLOSED', 'the gateway is stopping')
}
