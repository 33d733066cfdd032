/**
 * Many writers or one remover: files are removed only while nothing is being
 * written, so that no write finds a file that is about to go.
 *
 * A waiting remover goes before writers that come later, so that it is not
 * starved; removers are short (one batch of deletions each).
 *
 * @module storage/write-gate
 */

export class WriteGate {
  #writers = 0
  #removing = false
  readonly #waitingRemovers: (() => void)[] = []
  readonly #waitingWriters: (() => void)[] = []

  /** Run `work` beside other writers. */
  async write<T>(work: () => Promise<T>): Promise<T> {
    if (this.#removing || this.#waitingRemovers.length > 0) {
      await new Promise<void>((resolve) => this.#waitingWriters.push(resolve))
    } else {
      this.#writers++
    }
    try {
      return await work()
    } finally {
      this.#writers--
      this.#next()
    }
  }

  /** Run `work` while nobody writes. */
  async remove<T>(work: () => Promise<T>): Promise<T> {
    if (this.#removing || this.#writers > 0) {
      await new Promise<void>((resolve) => this.#waitingRemovers.push(resolve))
    } else {
      this.#removing = true
    }
    try {
      return await work()
    } finally {
      this.#removing = false
      // Writers that waited go first now, so that removers in a row do not starve them either.
      if (this.#waitingWriters.length > 0) this.#admitWriters()
      else this.#next()
    }
  }

  #next(): void {
    if (this.#removing || this.#writers > 0) return
    const remover = this.#waitingRemovers.shift()
    if (remover === undefined) {
      this.#admitWriters()
      return
    }
    this.#removing = true
    remover()
  }

  #admitWriters(): void {
    const admitted = this.#waitingWriters.splice(0)
    this.#writers += admitted.length
    for (const writer of admitted) writer()
  }
}
