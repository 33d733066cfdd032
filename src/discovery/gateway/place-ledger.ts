/**
 * Who has which places of a gateway's store: pure bookkeeping, so that nobody fills it.
 *
 * A host has a part of the places at most, and when all are taken, a newcomer gets
 * one of the host that has most, if he then has no more than that one. So places
 * are shared out evenly among those who want them, whatever each of them tries.
 * Behind loopback and onions all are one host, which gets a larger part.
 *
 * Whose an item is is known here alone, and gone with the process: it is written down
 * nowhere. What was kept before a restart counts as one host's, until it is given again.
 *
 * @module discovery/gateway/place-ledger
 */

/** Items whose owner was forgotten. */
export const BEFORE_RESTART = ''

export interface PlaceRules {
  /** Places in all. */
  readonly places: number
  /** Places of one host. */
  readonly perHost: number
  /** Places of those that come through loopback or an onion. */
  readonly sharedHost: number
}

/** May it have a place? `evict` names the key that has to go for it. */
export type PlaceVerdict =
  | { readonly granted: false }
  | { readonly granted: true; readonly evict: string | null }

export class PlaceLedger {
  readonly #rules: PlaceRules
  /** Key -> its host. */
  readonly #owners = new Map<string, string>()
  /** Host -> its keys, the oldest first. */
  readonly #keys = new Map<string, Set<string>>()

  constructor(rules: PlaceRules) {
    this.#rules = rules
  }

  get taken(): number {
    return this.#owners.size
  }

  /** Share of the places that is taken, 0 to 1. */
  get fill(): number {
    return this.#owners.size / this.#rules.places
  }

  /** @param isShared - are many behind that host? A key that has a place keeps it. */
  judge(key: string, host: string, isShared: boolean): PlaceVerdict {
    if (this.#owners.has(key)) return { granted: true, evict: null }
    const own = this.#countOf(host)
    if (own >= this.#partOf(isShared)) return { granted: false }
    if (this.#owners.size < this.#rules.places) return { granted: true, evict: null }
    const largest = this.#largest()
    if (largest.size <= own + 1) return { granted: false }
    // The youngest: what has been kept for long is looked for by somebody.
    return { granted: true, evict: [...largest].at(-1) ?? null }
  }

  /**
   * It has a place from now on. One that it has goes over to this host if that has fewer: so whoever gives
   * his item again has it as his own after a restart, or if a stranger was first to give it.
   */
  take(key: string, host: string, isShared: boolean): void {
    const owner = this.#owners.get(key)
    if (owner !== undefined) {
      const own = this.#countOf(host)
      if (own >= this.#partOf(isShared) || own + 1 >= this.#countOf(owner)) return
      this.free(key)
    }
    this.#owners.set(key, host)
    const keys = this.#keys.get(host) ?? new Set()
    this.#keys.set(host, keys.add(key))
  }

  /** Null for what has no place. */
  ownerOf(key: string): string | null {
    return this.#owners.get(key) ?? null
  }

  free(key: string): void {
    const host = this.#owners.get(key)
    if (host === undefined) return
    this.#owners.delete(key)
    const keys = this.#keys.get(host)
    keys?.delete(key)
    if (keys?.size === 0) this.#keys.delete(host)
  }

  #countOf(host: string): number {
    return this.#keys.get(host)?.size ?? 0
  }

  #partOf(isShared: boolean): number {
    return isShared ? this.#rules.sharedHost : this.#rules.perHost
  }

  #largest(): ReadonlySet<string> {
    let largest: ReadonlySet<string> = new Set()
    for (const keys of this.#keys.values()) if (keys.size > largest.size) largest = keys
    return largest
  }
}
