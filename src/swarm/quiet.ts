/**
 * A channel that is not seen on the network yet. After a start in safe mode each begins at a time of its own,
 * so that a restart does not show which belong together (ADR 0019).
 *
 * @module swarm/quiet
 */
export class Quiet {
  /** Resolves when it may be seen. */
  readonly over: Promise<void>
  #isOver = false
  #end: () => void = () => {}

  constructor() {
    this.over = new Promise((resolve) => {
      this.#end = resolve
    })
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** It may be seen from now on. Idempotent. */
  end(): void {
    this.#isOver = true
    this.#end()
  }
}
