/**
 * Asynchronous work with several items under way and results in the order of the
 * items: what keeps worker threads busy where order matters.
 *
 * @module channels/in-order
 */

/**
 * Results of `work` on each item, at most `limit` begun at a time.
 *
 * When one fails, or the consumer stops, nothing more is begun, and what had begun
 * has ended before the failure is thrown or the loop is left.
 */
export async function* inOrder<I, O>(
  items: Iterable<I>,
  limit: number,
  work: (item: I) => Promise<O>,
): AsyncGenerator<O, void, void> {
  const running: Promise<O>[] = []
  try {
    for (const item of items) {
      if (running.length >= limit) {
        const oldest = running.shift()
        if (oldest !== undefined) yield await oldest
      }
      const task = work(item)
      // Looked at only when its turn comes: until then a failure must not count as unhandled.
      task.catch(() => {})
      running.push(task)
    }
    for (let oldest = running.shift(); oldest !== undefined; oldest = running.shift()) yield await oldest
  } finally {
    await Promise.allSettled(running)
  }
}
