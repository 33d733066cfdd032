/**
 * The clock is passed in, so that tests and simulations own time.
 *
 * `now` is wall time and may jump; `monotonicMs` never goes back. Deadlines and
 * intervals use timers or `monotonicMs`, dates that leave the process use `now`.
 *
 * @module base/clock
 */

const MS_PER_HOUR = 3_600_000

export interface Timer {
  /** Idempotent; after it the callback does not run. */
  cancel(): void
}

export interface Clock {
  /** Milliseconds since 1970, wall time. */
  now(): number
  /** Milliseconds since some moment, never decreasing. */
  monotonicMs(): number
  /** Run once after `delayMs`. A timer does not keep the process alive. */
  setTimer(callback: () => void, delayMs: number): Timer
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(callback, delayMs) {
    const handle = setTimeout(callback, delayMs)
    handle.unref()
    return { cancel: () => clearTimeout(handle) }
  },
}

/** Wall time to the hour: it does not tell how well the clock of this machine goes. */
export function hourClock(clock: Pick<Clock, 'now'>): Pick<Clock, 'now'> {
  return { now: () => Math.floor(clock.now() / MS_PER_HOUR) * MS_PER_HOUR }
}

/** Resolves after `delayMs`, or rejects with the signal's reason. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    const onAbort = (): void => {
      timer.cancel()
      reject(signal?.reason)
    }
    const timer = clock.setTimer(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, delayMs)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

interface Pending {
  readonly dueMs: number
  readonly order: number
  readonly callback: () => void
}

/** A clock that moves only when told: for tests and simulations. */
export class ManualClock implements Clock {
  #wallMs: number
  #elapsedMs = 0
  #order = 0
  readonly #pending = new Set<Pending>()

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#wallMs = startMs
  }

  now(): number {
    return this.#wallMs
  }

  monotonicMs(): number {
    return this.#elapsedMs
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    const entry = { dueMs: this.#elapsedMs + Math.max(0, delayMs), order: this.#order++, callback }
    this.#pending.add(entry)
    return { cancel: () => void this.#pending.delete(entry) }
  }

  /** Timers waiting: a test of "leaves no timer behind" reads it. */
  get pendingTimers(): number {
    return this.#pending.size
  }

  /** Move wall time alone, as an administrator or NTP would. */
  jumpWall(byMs: number): void {
    this.#wallMs += byMs
  }

  /** Move time on and run what falls due, in order, letting promises settle between timers. */
  async advance(byMs: number): Promise<void> {
    const endMs = this.#elapsedMs + byMs
    for (;;) {
      await settle()
      const next = this.#earliest(endMs)
      if (next === null) break
      this.#pending.delete(next)
      this.#wallMs += next.dueMs - this.#elapsedMs
      this.#elapsedMs = next.dueMs
      next.callback()
    }
    this.#wallMs += endMs - this.#elapsedMs
    this.#elapsedMs = endMs
    await settle()
  }

  #earliest(endMs: number): Pending | null {
    let best: Pending | null = null
    for (const entry of this.#pending) {
      if (entry.dueMs > endMs) continue
      if (
        best === null ||
        entry.dueMs < best.dueMs ||
        (entry.dueMs === best.dueMs && entry.order < best.order)
      ) {
        best = entry
      }
    }
    return best
  }
}

// One turn of the event loop runs every microtask queued so far and those they queue.
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
