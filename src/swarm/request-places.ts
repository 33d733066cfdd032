/**
 * Places for requests over all peers: each may come to have a blob of 1 MiB in
 * memory, so there are MAX_BLOBS_IN_FLIGHT, and fewer where receiving is limited. Decisions on data.
 *
 * Identities are free, so peers that gave nothing yet share half of the places; and
 * whoever holds places without giving loses them when others could.
 *
 * @module swarm/request-places
 */
import { LATE_BLOB_FACTOR, LATE_BLOB_MIN_MS, MAX_TRIAL_REQUESTS } from '../base/limits.ts'
import { type Pace, paceOf } from './download-pace.ts'
import type { BlobRequest } from './fetch.ts'
import { patienceFor } from './patience.ts'
import type { Peer } from './peer.ts'

export class RequestPlaces {
  readonly #peers: Iterable<Peer>
  readonly #pace: () => Pace
  readonly #taken = new Set<BlobRequest>()
  #trials = 0
  /** How long blobs took lately, ms. */
  #usualMs = 0

  /** @param pace - of now: fewer places where receiving is limited. */
  constructor(peers: Iterable<Peer>, pace: () => Pace = () => paceOf(0)) {
    this.#peers = peers
    this.#pace = pace
  }

  get taken(): number {
    return this.#taken.size
  }

  hasRoom(peer: Peer): boolean {
    return this.#taken.size < this.#pace().places && (peer.isProven || this.#trials < MAX_TRIAL_REQUESTS)
  }

  /** False: nobody of its kind can be asked now. */
  canMakeRoom(peer: Peer, nowMs: number): boolean {
    return this.hasRoom(peer) || this.toCallOff(peer, nowMs) !== null
  }

  take(request: BlobRequest): void {
    this.#taken.add(request)
    if (request.isTrial) this.#trials++
  }

  /** Idempotent. */
  give(request: BlobRequest): void {
    if (this.#taken.delete(request) && request.isTrial) this.#trials--
  }

  /** How long blobs took lately, ms; 0 while none came. */
  get usualMs(): number {
    return this.#usualMs
  }

  /** A blob came after that time. */
  answered(tookMs: number): void {
    this.#usualMs = this.#usualMs === 0 ? tookMs : (this.#usualMs * 7 + tookMs) / 8
  }

  /**
   * The request to give up so that `peer` can be asked, or null: one of a peer that has stalled and has
   * more open than it works off, the last it was asked; else the one that is latest, by far later than usual.
   *
   * A peer that is merely slower than it was is left alone: where several share our own line all of them
   * are, and what was asked of them is on its way.
   */
  toCallOff(peer: Peer, nowMs: number): BlobRequest | null {
    const isInTheWay = (request: BlobRequest): boolean =>
      request.peer !== peer && (peer.isProven || request.isTrial)
    const stalledMs = patienceFor(this.#usualMs).lateMs
    let latest: BlobRequest | null = null
    for (const other of this.#peers) {
      const requests = [...other.inFlight].filter(isInTheWay)
      const [first] = requests
      const last = requests.at(-1)
      const hasStalled = first !== undefined && nowMs - first.sinceMs >= stalledMs
      if (last !== undefined && hasStalled && requests.length > other.window(nowMs)) return last
      if (first !== undefined && (latest === null || first.sinceMs < latest.sinceMs)) latest = first
    }
    const lateMs = Math.max(LATE_BLOB_MIN_MS, this.#usualMs * LATE_BLOB_FACTOR, this.#pace().lateMs)
    return latest !== null && nowMs - latest.sinceMs > lateMs ? latest : null
  }
}
