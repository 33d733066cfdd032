/**
 * When channels begin to be seen after a start: each at a random time of its own, and what a user asks for
 * at once.
 *
 * A node with one channel has nothing to hide by it, and does not wait.
 *
 * @module node/start-times
 */
import type { Clock, Timer } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import { Quiet } from '../swarm/quiet.ts'

export interface StartTimesDeps {
  readonly clock: Clock
  readonly random: Random
  /** ms over which they are spread. */
  readonly spreadMs: number
}

export class StartTimes {
  readonly #deps: StartTimesDeps
  /** Of what the node goes on with. */
  readonly #quiet = new Set<Quiet>()
  readonly #timers = new Map<Quiet, Timer>()
  #isStarting = true

  constructor(deps: StartTimesDeps) {
    this.#deps = deps
  }

  /** For a channel that is joined now; null: it may be seen at once. */
  join(): Quiet | null {
    if (!this.#isStarting) return null
    const quiet = new Quiet()
    this.#quiet.add(quiet)
    return quiet
  }

  /** What the node goes on with has been joined. */
  started(): void {
    this.#isStarting = false
    const { clock, random, spreadMs } = this.#deps
    for (const quiet of this.#quiet) {
      if (this.#quiet.size === 1) quiet.end()
      if (quiet.isOver) continue
      const timer = clock.setTimer(() => this.#end(quiet), random.fraction() * spreadMs)
      this.#timers.set(quiet, timer)
      void quiet.over.then(() => this.leave(quiet))
    }
  }

  /** The channel was left. */
  leave(quiet: Quiet): void {
    this.#timers.get(quiet)?.cancel()
    this.#timers.delete(quiet)
    this.#quiet.delete(quiet)
  }

  close(): void {
    for (const quiet of [...this.#quiet]) this.leave(quiet)
  }

  #end(quiet: Quiet): void {
    this.#timers.delete(quiet)
    quiet.end()
  }
}
