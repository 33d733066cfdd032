/** A clock for simulations of days with many timers: as ManualClock, with a heap. */
import type { Clock, Timer } from '../../../src/base/clock.ts'

interface Entry {
  readonly dueMs: number
  readonly order: number
  callback: (() => void) | null
}

export class SimClock implements Clock {
  readonly #startMs: number
  #elapsedMs = 0
  #order = 0
  #live = 0
  readonly #heap: Entry[] = []

  readonly #grainMs: number

  /** @param grainMs - timers run at multiples of it: long simulations then have fewer moments. 0: when they are due. */
  constructor(startMs = Date.UTC(2026, 0, 1, 12), grainMs = 0) {
    this.#startMs = startMs
    this.#grainMs = grainMs
  }

  now(): number {
    return this.#startMs + this.#elapsedMs
  }

  monotonicMs(): number {
    return this.#elapsedMs
  }

  /** Timers that wait: what a closed node must have none of. */
  get pendingTimers(): number {
    return this.#live
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    const exactMs = this.#elapsedMs + Math.max(0, delayMs)
    const dueMs = this.#grainMs === 0 ? exactMs : Math.ceil(exactMs / this.#grainMs) * this.#grainMs
    const entry: Entry = { dueMs, order: this.#order++, callback }
    this.#push(entry)
    this.#live++
    return {
      cancel: () => {
        if (entry.callback !== null) this.#live--
        entry.callback = null
      },
    }
  }

  /** Run what falls due in the next `byMs`, letting promises settle after each moment. */
  async advance(byMs: number): Promise<void> {
    await this.until(() => false, byMs)
  }

  /** Let time pass until the condition holds. @returns whether it did within `maxMs`. */
  async until(condition: () => boolean, maxMs: number): Promise<boolean> {
    const endMs = this.#elapsedMs + maxMs
    await settle()
    while (!condition()) {
      const next = this.#heap[0]
      if (next === undefined || next.dueMs > endMs) {
        this.#elapsedMs = endMs
        return false
      }
      this.#elapsedMs = next.dueMs
      let ran = false
      for (let due = this.#heap[0]; due !== undefined && due.dueMs <= next.dueMs; due = this.#heap[0]) {
        this.#pop()
        const { callback } = due
        if (callback === null) continue
        due.callback = null
        this.#live--
        callback()
        ran = true
      }
      if (ran) await settle()
    }
    return true
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let at = heap.push(entry) - 1
    while (at > 0) {
      const above = (at - 1) >> 1
      if (!isBefore(entry, heap[above] as Entry)) break
      heap[at] = heap[above] as Entry
      at = above
    }
    heap[at] = entry
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && isBefore(heap[below + 1] as Entry, heap[below] as Entry)) below++
      if (!isBefore(heap[below] as Entry, last)) break
      heap[at] = heap[below] as Entry
      at = below
    }
    heap[at] = last
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order)
}

/** One turn of the event loop runs every microtask queued so far and those they queue. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
