/**
 * Which blob to ask of which peer: decisions on data, no I/O, no clock of its own
 * (DESIGN of the swarm: STATE.md beside this file).
 *
 * A blob is wanted, then asked of one or more peers, then arrived, then done or
 * wanted again. Rarest first among a bounded sample, so that a pick costs the
 * same for ten blobs as for a million. A blob is asked of a second peer only when
 * nothing else can be asked of that peer and the first has had its time.
 *
 * @module swarm/picker
 */
import { PICK_SAMPLE, SECOND_SOURCE_MS } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { randomInteger } from '../base/random.ts'

export interface Want {
  /** Place in manifest order. */
  readonly index: number
  readonly id: Uint8Array
}

interface Asked<P> {
  readonly peers: Set<P>
  sinceMs: number
}

/** What a peer holds, as the picker sees it. */
export interface Holdings {
  has(index: number): boolean
}

/**
 * @typeParam P - identity of a peer; compared by identity only.
 */
export class Picker<P> {
  readonly #random: Random
  /** Wanted and asked of nobody; order does not matter, removal is O(1). */
  readonly #open: Want[] = []
  readonly #openAt = new Map<number, number>()
  readonly #asked = new Map<number, { want: Want; state: Asked<P> }>()
  /** index -> how many connected peers hold it. */
  readonly #holders = new Map<number, number>()

  constructor(random: Random) {
    this.#random = random
  }

  /** Blobs not yet done: open and asked. */
  get remaining(): number {
    return this.#open.length + this.#asked.size
  }

  get openCount(): number {
    return this.#open.length
  }

  /** Want a blob. Wanting it twice is the same as once. */
  want(want: Want): void {
    if (this.#openAt.has(want.index) || this.#asked.has(want.index)) return
    this.#openAt.set(want.index, this.#open.length)
    this.#open.push(want)
  }

  /** It is held now, from wherever it came. @returns the other peers that were asked for it. */
  done(index: number): P[] {
    const asked = this.#asked.get(index)
    this.#asked.delete(index)
    this.#removeOpen(index)
    return asked === undefined ? [] : [...asked.state.peers]
  }

  /** A connected peer holds it, or no longer. Called for each index that changes. */
  countHolder(index: number, change: 1 | -1): void {
    const count = (this.#holders.get(index) ?? 0) + change
    if (count <= 0) this.#holders.delete(index)
    else this.#holders.set(index, count)
  }

  holders(index: number): number {
    return this.#holders.get(index) ?? 0
  }

  /** The next blob to ask of this peer, marked as asked; null when there is none now. */
  pick(peer: P, holdings: Holdings, nowMs: number): Want | null {
    const want = this.#rarestOpen(holdings) ?? this.#secondSource(peer, holdings, nowMs)
    if (want === null) return null
    const asked = this.#asked.get(want.index)
    if (asked === undefined) {
      this.#removeOpen(want.index)
      this.#asked.set(want.index, { want, state: { peers: new Set([peer]), sinceMs: nowMs } })
    } else {
      asked.state.peers.add(peer)
      asked.state.sinceMs = nowMs
    }
    return want
  }

  /** This peer will not deliver it: open again unless others were asked too. */
  failed(index: number, peer: P): void {
    const asked = this.#asked.get(index)
    if (asked === undefined || !asked.state.peers.delete(peer)) return
    if (asked.state.peers.size > 0) return
    this.#asked.delete(index)
    this.want(asked.want)
  }

  /** The peer is gone: all that was asked of it alone is open again. */
  peerGone(peer: P): void {
    for (const index of [...this.#asked.keys()]) this.failed(index, peer)
  }

  /** Of a sample that starts anywhere, the open blob that the fewest hold and this peer does. */
  #rarestOpen(holdings: Holdings): Want | null {
    const count = this.#open.length
    if (count === 0) return null
    const start = randomInteger(this.#random, 0, count - 1)
    let best: Want | null = null
    let bestHolders = Number.POSITIVE_INFINITY
    let seen = 0
    for (let step = 0; step < count && seen < PICK_SAMPLE; step++) {
      const want = this.#open[(start + step) % count] as Want
      if (!holdings.has(want.index)) continue
      seen++
      const holders = this.holders(want.index)
      if (holders < bestHolders) {
        best = want
        bestHolders = holders
      }
    }
    return best
  }

  #secondSource(peer: P, holdings: Holdings, nowMs: number): Want | null {
    let oldest: { want: Want; state: Asked<P> } | null = null
    for (const entry of this.#asked.values()) {
      if (entry.state.peers.has(peer) || !holdings.has(entry.want.index)) continue
      if (nowMs - entry.state.sinceMs < SECOND_SOURCE_MS) continue
      if (oldest === null || entry.state.sinceMs < oldest.state.sinceMs) oldest = entry
    }
    return oldest === null ? null : oldest.want
  }

  #removeOpen(index: number): void {
    const at = this.#openAt.get(index)
    if (at === undefined) return
    this.#openAt.delete(index)
    const last = this.#open.pop() as Want
    if (last.index === index) return
    this.#open[at] = last
    this.#openAt.set(last.index, at)
  }
}
