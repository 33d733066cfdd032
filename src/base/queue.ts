/**
 * Bounded concurrency: the one back-pressure primitive for asynchronous work.
 *
 * @module base/queue
 */

/**
 * Let at most `limit` holders through at a time, in the order they came.
 *
 * Used to bound open files, requests in flight and queued writes: whoever
 * produces work waits in `acquire` and so cannot run ahead of whoever does it.
 */
export class Semaphore {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(limit: number) {
    if (!Number.isSafeInteger(limit) || limit < 1) throw new RangeError(`"limit" expected >= 1, got ${limit}`)
    this.#free = limit
  }

  get waiting(): number {
    return this.#waiting.length
  }

  async acquire(): Promise<void> {
    if (this.#free > 0) {
      this.#free--
      return
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  /** Call exactly once for each `acquire`. */
  release(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free++
    else next()
  }

  /** Run one piece of work while holding a place. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    await this.acquire()
    try {
      return await work()
    } finally {
      this.release()
    }
  }
}

/**
 * Run `work` on each item, at most `limit` at once. The first failure is
 * thrown after what had begun has ended, so that nothing runs on unseen.
 */
export async function forEachLimited<T>(
  items: Iterable<T> | AsyncIterable<T>,
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const gate = new Semaphore(limit)
  const running = new Set<Promise<void>>()
  let failure: { readonly error: unknown } | null = null
  for await (const item of items) {
    await gate.acquire()
    if (failure !== null) break
    const task = work(item)
      .catch((error: unknown) => {
        failure ??= { error }
      })
      .finally(() => {
        gate.release()
        running.delete(task)
      })
    running.add(task)
  }
  await Promise.all(running)
  if (failure !== null) throw (failure as { error: unknown }).error
}

/** The items in runs of at most `size`, read as they are asked for. */
export function* batchesOf<T>(items: Iterable<T>, size: number): Generator<T[], void, void> {
  let batch: T[] = []
  for (const item of items) {
    batch.push(item)
    if (batch.length < size) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}
