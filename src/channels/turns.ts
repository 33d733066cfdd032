/**
 * Pauses in long synchronous work, so that connections and timers get their turn:
 * a release may have two million entries, and whoever made it may be hostile.
 *
 * @module channels/turns
 */

/** Steps between two pauses: some milliseconds of the work done here. */
export const STEPS_A_TURN = 4_096

/** Blobs looked up in the store between two pauses: some 5 ms, nearly all of it the database's. */
export const LOOKUPS_A_TURN = 1_000

/** Resolves after pending I/O callbacks and timers had a turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

/** Counts steps: `if (pacer.due()) await nextTurn()`. */
export class Pacer {
  readonly #stepsATurn: number
  #steps = 0

  constructor(stepsATurn = STEPS_A_TURN) {
    this.#stepsATurn = stepsATurn
  }

  due(): boolean {
    this.#steps += 1
    return this.#steps % this.#stepsATurn === 0
  }
}

/** Run work that yields when a pause is due. */
export async function runInTurns<T>(work: Generator<void, T, void>): Promise<T> {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
    await nextTurn()
  }
}
