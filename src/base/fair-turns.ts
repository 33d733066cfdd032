/**
 * Whose turn is it, when each turn costs something? Start-time fair queueing as
 * pure state: everybody gets the same share of what is spent, whatever the size of
 * a turn and however many turns he asks for.
 *
 * Each has a tag: what he was charged so far, in units of the owner. Who has the
 * lowest one is next. Whoever was away comes back at the tag of the moment, so
 * that nobody saves up turns, and nobody has to make up for those before him.
 *
 * @module base/fair-turns
 */

export class FairTurns<T> {
  readonly #tags = new Map<T, number>()
  /** The tag of who was served last: the virtual time. */
  #now = 0

  /** Whoever has a tag: for tests of "nothing is left behind". */
  get size(): number {
    return this.#tags.size
  }

  /**
   * The next of these, or null if there are none. Ties go to the one that `isBefore` another, then to
   * the one that stands first. Cost: one look at each.
   */
  pick(candidates: Iterable<T>, isBefore: (a: T, b: T) => boolean = () => false): T | null {
    let best: T | null = null
    let bestTag = 0
    for (const candidate of candidates) {
      const tag = this.#tagOf(candidate)
      const isBetter = best === null || tag < bestTag || (tag === bestTag && isBefore(candidate, best))
      if (!isBetter) continue
      best = candidate
      bestTag = tag
    }
    return best
  }

  /**
   * He was served, at that cost.
   *
   * @param isTurn - false for the rest of a turn that cost something before, and for what was taken out
   *   of turn: it counts, and nobody else loses his place by it.
   */
  charge(item: T, units: number, isTurn = true): void {
    const tag = this.#tagOf(item)
    if (isTurn) this.#now = Math.max(this.#now, tag)
    this.#tags.set(item, tag + units)
  }

  /** He does not come back. */
  forget(item: T): void {
    this.#tags.delete(item)
  }

  #tagOf(item: T): number {
    return Math.max(this.#tags.get(item) ?? 0, this.#now)
  }
}
