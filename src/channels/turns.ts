/**
 * Pauses in long synchronous work, so that connections and timers get their turn.
 *
 * @module channels/turns
 */

/** Resolves after pending I/O callbacks and timers had a turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
