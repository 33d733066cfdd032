/**
 * Waiting that something else can end.
 *
 * @module channels/rest
 */
import { type Clock, sleep } from '../base/clock.ts'
import { VERIFY_LOOK_MS, VERIFY_UNOFFERED_MS } from '../base/limits.ts'

/** The pause of one loop: over when its time is, or when there is news. */
export class Rest {
  readonly #clock: Clock
  readonly #stopping: AbortSignal
  #wake: () => void = () => {}

  /** @param stopping - from then on there is no rest; who aborts it wakes the one under way. */
  constructor(clock: Clock, stopping: AbortSignal) {
    this.#clock = clock
    this.#stopping = stopping
  }

  /** End the wait under way, if there is one. */
  wake(): void {
    this.#wake()
  }

  async wait(delayMs: number): Promise<void> {
    if (this.#stopping.aborted) return
    await new Promise<void>((resolve) => {
      const timer = this.#clock.setTimer(resolve, delayMs)
      this.#wake = () => {
        timer.cancel()
        resolve()
      }
    })
    this.#wake = () => {}
  }
}

/** Wait for what never rejects, or until waiting is called off. */
export function untilOver(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      signal.removeEventListener('abort', end)
      resolve()
    }
    signal.addEventListener('abort', end, { once: true })
    void work.then(end)
  })
}

/** Abort `over` once nobody has offered for too long what is waited for. Ends with `over`; never rejects. */
export async function abortUnoffered(
  clock: Clock,
  isOffered: () => boolean,
  over: AbortController,
): Promise<void> {
  let offeredMs = clock.monotonicMs()
  while (clock.monotonicMs() - offeredMs < VERIFY_UNOFFERED_MS) {
    await sleep(clock, VERIFY_LOOK_MS, over.signal).catch(() => {}) // it is over: seen below
    if (over.signal.aborted) return
    if (isOffered()) offeredMs = clock.monotonicMs()
  }
  over.abort()
}
