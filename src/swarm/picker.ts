/**
 * Which blob of a release to ask of which peer: decisions on data, no I/O, no clock
 * of its own. STATE.md has the states of a blob and the invariants.
 *
 * Three kinds of picks, in this order. *Urgent* blobs, which somebody reads as they
 * come, in the order of reading. Else the rarest among a bounded sample, so that a
 * pick costs the same for ten blobs as for a million. Else, when nothing else can be
 * asked of a peer, a blob that another has had for its time; at the end, when nothing
 * is open at all, that time is shorter (patience.ts).
 *
 * A source that holds nothing that is open is marked dry and not searched again
 * before something of its own becomes open: with many peers and many blobs nearly
 * all looks would be in vain.
 *
 * @module swarm/picker
 */
import { MAX_MANIFEST_BLOBS, MAX_SOURCES_PER_BLOB, PICK_SAMPLE } from '../base/limits.ts'
import { type Random, randomInteger } from '../base/random.ts'
import { BlobSet } from './blob-set.ts'
import { type Patience, patienceFor } from './patience.ts'

/** Places in the set of open blobs from which a sample is taken, so that it is not all from one corner. */
const SAMPLE_PLACES = 4

interface Asked<P> {
  readonly peers: Set<P>
  /** When the last of them was asked. */
  sinceMs: number
  /** Copies that arrived and are being checked and kept. */
  arrived: number
}

/** @typeParam P - identity of a peer; compared by identity only. */
export class Picker<P> {
  readonly #random: Random
  /** Wanted, and neither asked of anybody nor being kept. */
  readonly #open = new BlobSet()
  /** Bounded by MAX_BLOBS_IN_FLIGHT: each is asked of somebody or being written. */
  readonly #asked = new Map<number, Asked<P>>()
  /** Wanted before all others, in the order of reading, and by how many. */
  readonly #urgent = new Map<number, number>()
  /** Peers and what they hold. The sets are theirs; `gained` and `lost` tell of changes. */
  readonly #sources = new Map<P, BlobSet>()
  /** Sources that hold nothing that is open. */
  readonly #dry = new Set<P>()
  /** How many sources hold a blob, for blobs below #end. */
  #holders = new Uint16Array(0)
  /** One more than the highest number wanted. */
  #end = 0

  constructor(random: Random) {
    this.#random = random
  }

  get remaining(): number {
    return this.#open.size + this.#asked.size
  }

  get openCount(): number {
    return this.#open.size
  }

  get sources(): Iterable<P> {
    return this.#sources.keys()
  }

  isSource(peer: P): boolean {
    return this.#sources.has(peer)
  }

  /** What a source holds, as it was given; undefined for others. */
  sourceSet(peer: P): BlobSet | undefined {
    return this.#sources.get(peer)
  }

  isWanted(index: number): boolean {
    return this.#open.has(index) || this.#asked.has(index)
  }

  /** Want blobs; those that are wanted already stay as they are. */
  want(indexes: Iterable<number>): void {
    let end = this.#end
    for (const index of indexes) {
      if (index < 0 || index >= MAX_MANIFEST_BLOBS) {
        throw new RangeError(`"index" expected 0..${MAX_MANIFEST_BLOBS - 1}, got ${index}`)
      }
      if (!this.#asked.has(index)) this.#open.add(index)
      end = Math.max(end, index + 1)
    }
    this.#dry.clear()
    this.#grow(end)
  }

  /** It is held now, or wanted no more. @returns the peers that were asked for it. */
  done(index: number): P[] {
    const asked = this.#asked.get(index)
    this.#asked.delete(index)
    this.#open.delete(index)
    this.#urgent.delete(index)
    return asked === undefined ? [] : [...asked.peers]
  }

  /** A blob that is wanted is wanted before all others, after those that are so already. */
  urge(index: number): void {
    if (this.isWanted(index)) this.#urgent.set(index, (this.#urgent.get(index) ?? 0) + 1)
  }

  /** One of those who urged does not any more. */
  relax(index: number): void {
    const urging = this.#urgent.get(index) ?? 0
    if (urging > 1) this.#urgent.set(index, urging - 1)
    else this.#urgent.delete(index)
  }

  /** A peer that holds something of this release. */
  addSource(peer: P, holdings: BlobSet): void {
    this.removeSource(peer)
    this.#sources.set(peer, holdings)
    this.#count(holdings, 1)
  }

  /** The peer is gone, or not believed any more: what was asked of it alone is open again. */
  removeSource(peer: P): void {
    const holdings = this.#sources.get(peer)
    if (holdings === undefined) return
    this.#sources.delete(peer)
    this.#dry.delete(peer)
    this.#count(holdings, -1)
    for (const index of [...this.#asked.keys()]) this.failed(index, peer)
  }

  /** A source holds one more blob; its set has it already. */
  gained(peer: P, index: number): void {
    if (index < this.#end) this.#holders[index] = (this.#holders[index] ?? 0) + 1
    if (this.#open.has(index)) this.#dry.delete(peer)
  }

  /** A source does not hold it after all: taken from its set. */
  lost(peer: P, index: number): void {
    if (!this.#sources.get(peer)?.delete(index) || index >= this.#end) return
    this.#holders[index] = (this.#holders[index] ?? 1) - 1
  }

  /** How many sources hold a blob that is or was wanted. */
  holders(index: number): number {
    return this.#holders[index] ?? 0
  }

  /** Urgent blobs that may be asked of one more peer now, the most urgent first. May be asked meanwhile. */
  *urgent(nowMs: number, patience: Patience = patienceFor(0)): Generator<number> {
    for (const index of this.#urgent.keys()) {
      if (this.#open.has(index) || this.#isLate(index, nowMs, patience.urgentMs)) yield index
    }
  }

  /** Does this source hold that blob, and was it not asked for it yet? */
  canGive(peer: P, index: number): boolean {
    return this.#sources.get(peer)?.has(index) === true && this.#asked.get(index)?.peers.has(peer) !== true
  }

  /** The next blob to ask of this source, urgent or not, marked as asked; null when there is none now. */
  pick(peer: P, nowMs: number, patience: Patience = patienceFor(0)): number | null {
    const holdings = this.#sources.get(peer)
    if (holdings === undefined) return null
    const index =
      this.#mostUrgent(peer, nowMs, patience) ??
      this.#rarestOpen(peer, holdings) ??
      this.#secondSource(peer, holdings, nowMs, this.#open.size === 0 ? patience.endMs : patience.lateMs)
    if (index !== null) this.ask(peer, index, nowMs)
    return index
  }

  /** Mark one as asked: it is wanted, and `canGive` says yes. */
  ask(peer: P, index: number, nowMs: number): void {
    this.#open.delete(index)
    const asked = this.#asked.get(index) ?? { peers: new Set<P>(), sinceMs: nowMs, arrived: 0 }
    asked.peers.add(peer)
    asked.sinceMs = nowMs
    this.#asked.set(index, asked)
  }

  /**
   * The peer sent it: nobody else is asked while it is checked and kept. Also when the peer was given up
   * meanwhile and the blob was opened for others: a goodbye may come right behind the last bytes.
   *
   * @returns what to call if it is not kept: the blob is then as if that peer had never sent it.
   */
  arrived(index: number, peer: P): () => void {
    if (!this.isWanted(index)) return () => {}
    const asked = this.#asked.get(index) ?? { peers: new Set<P>(), sinceMs: 0, arrived: 0 }
    this.#open.delete(index)
    this.#asked.set(index, asked)
    asked.arrived++
    return () => {
      asked.arrived--
      asked.peers.delete(peer)
      this.#reopenIfIdle(index, asked)
    }
  }

  /** This peer will not deliver it: open again unless others were asked too, or a copy is being kept. */
  failed(index: number, peer: P): void {
    const asked = this.#asked.get(index)
    if (asked?.peers.delete(peer)) this.#reopenIfIdle(index, asked)
  }

  #reopenIfIdle(index: number, asked: Asked<P>): void {
    if (asked.peers.size > 0 || asked.arrived > 0 || this.#asked.get(index) !== asked) return
    this.#asked.delete(index)
    this.#open.add(index)
    for (const peer of this.#dry) if (this.#sources.get(peer)?.has(index)) this.#dry.delete(peer)
  }

  #mostUrgent(peer: P, nowMs: number, patience: Patience): number | null {
    for (const index of this.urgent(nowMs, patience)) if (this.canGive(peer, index)) return index
    return null
  }

  /** Asked of somebody who has had that time, and of few enough. */
  #isLate(index: number, nowMs: number, afterMs: number): boolean {
    const asked = this.#asked.get(index)
    if (asked === undefined || asked.arrived > 0 || asked.peers.size >= MAX_SOURCES_PER_BLOB) return false
    return nowMs - asked.sinceMs >= afterMs
  }

  /** Of a sample from several places, the open blob of this peer that the fewest hold. */
  #rarestOpen(peer: P, holdings: BlobSet): number | null {
    if (this.#open.size === 0 || this.#dry.has(peer)) return null
    let best: number | null = null
    for (let place = 0; place < SAMPLE_PLACES; place++) {
      const start = randomInteger(this.#random, 0, this.#end - 1)
      const { rarest, isAll } = this.#sample(holdings, start)
      if (rarest !== null && (best === null || this.holders(rarest) < this.holders(best))) best = rarest
      if (isAll) break
    }
    if (best === null) this.#dry.add(peer)
    return best
  }

  /** @returns the rarest of the next few from `start` on, around the end; and whether these were all there are. */
  #sample(holdings: BlobSet, start: number): { rarest: number | null; isAll: boolean } {
    let rarest: number | null = null
    let at = start
    let isRound = false
    for (let seen = 0; seen < PICK_SAMPLE / SAMPLE_PLACES; seen++) {
      let index = this.#open.nextCommon(holdings, at)
      if (index < 0 && !isRound) {
        isRound = true
        index = this.#open.nextCommon(holdings, 0)
      }
      if (index < 0 || (isRound && index >= start)) return { rarest, isAll: true }
      if (rarest === null || this.holders(index) < this.holders(rarest)) rarest = index
      at = index + 1
    }
    return { rarest, isAll: false }
  }

  /** Of the blobs that have been asked for longest, one that this source holds too. */
  #secondSource(peer: P, holdings: BlobSet, nowMs: number, afterMs: number): number | null {
    let oldest: { readonly index: number; readonly sinceMs: number } | null = null
    for (const [index, { peers, sinceMs }] of this.#asked) {
      if (peers.has(peer) || !this.#isLate(index, nowMs, afterMs) || !holdings.has(index)) continue
      if (oldest === null || sinceMs < oldest.sinceMs) oldest = { index, sinceMs }
    }
    return oldest?.index ?? null
  }

  #grow(end: number): void {
    if (end <= this.#end) return
    const grown = new Uint16Array(end)
    grown.set(this.#holders)
    for (const holdings of this.#sources.values()) countInto(grown, holdings, this.#end, 1)
    this.#holders = grown
    this.#end = end
  }

  #count(holdings: BlobSet, change: 1 | -1): void {
    countInto(this.#holders, holdings, 0, change)
  }
}

/** One more or one less holder for each number of the set from `from` to the end of `holders`. */
function countInto(holders: Uint16Array, holdings: BlobSet, from: number, change: 1 | -1): void {
  for (const range of holdings.rangesFrom(from)) {
    const end = Math.min(range.start + range.length, holders.length)
    for (let index = range.start; index < end; index++) holders[index] = (holders[index] ?? 0) + change
    if (end === holders.length) return
  }
}
