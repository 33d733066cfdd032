/**
 * Whose blob is read next, and who has to go so that others are served: pure
 * decisions on who waits and what is queued for whom.
 *
 * Hosts take turns, and the connections of one host among themselves, so that
 * neither many requests nor many connections of one get more than its share.
 * Where two have had the same, who gave us more goes first, then who follows a
 * channel that we publish. Blobs that were
 * read and that the system has not taken yet are bounded over all connections, a
 * part of them kept for those that are trusted: whoever does not read what he asked for
 * fills a place, and loses it with his connection when others wait.
 *
 * @module swarm/upload-slots
 */
import { FairTurns } from '../base/fair-turns.ts'
import {
  MAX_QUEUED_UPLOADS,
  MAX_UPLOADS,
  TRUSTED_UPLOADS_SHARE,
  UPLOAD_AHEAD_MS,
  UPLOAD_PATIENCE_MS,
  UPLOAD_PRESSURE_MS,
  UPLOAD_STALL_FACTOR,
  UPLOAD_STALL_MS,
} from '../base/limits.ts'
import { BLOB_BYTES } from '../wire/constants.ts'

/** Bytes of which the system tells when it has taken them: no progress is seen below. */
const PROGRESS_BYTES = 262_144

export interface Asker {
  /** Its host: transport/host-group.ts. */
  readonly group: string
  /** Blobs that it gave us and that were right; 0 for a newcomer. */
  readonly trust: number
  /** It follows a channel that we publish. */
  readonly followsUs: boolean
}

interface Waiting extends Asker {
  readonly sinceMs: number
}

/** What one connection holds of the places. */
interface Held {
  blobs: number
  /** One of them is being read. */
  isReading: boolean
  /** Queued for it when it was last looked at. */
  queuedBytes: number
  /** When something of that was last taken. */
  movedMs: number
}

export class UploadSlots<P> {
  readonly #hosts = new FairTurns<string>()
  readonly #peers = new FairTurns<P>()
  readonly #groupOf = new Map<P, string>()
  readonly #waiting = new Map<P, Waiting>()
  readonly #held = new Map<P, Held>()
  readonly #most: () => number
  #reading = 0
  #heldBlobs = 0

  /** @param most - blobs that may be held now, at least 1. */
  constructor(most: () => number = () => MAX_QUEUED_UPLOADS) {
    this.#most = most
  }

  /** Blobs that were begun and that the system has not taken. */
  get heldBlobs(): number {
    return this.#heldBlobs
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** It wants a blob, the next one once this was begun. */
  ask(peer: P, asker: Asker, nowMs: number): void {
    this.#groupOf.set(peer, asker.group)
    this.#waiting.set(peer, { ...asker, sinceMs: nowMs })
  }

  /**
   * Begin with the next that may be served: its place is taken.
   *
   * @param rate - bytes a second that may be sent, 0 is unlimited: no more is queued than goes out soon.
   */
  begin(rate: number, nowMs: number): P | null {
    if (this.#reading >= MAX_UPLOADS) return null
    const { room, open } = this.#places(rate)
    if (this.#heldBlobs >= room) return null
    const mayBegin = ({ trust }: Waiting): boolean => trust > 0 || this.#heldBlobs < open
    const groups = new Map<string, P[]>()
    for (const [peer, waiting] of this.#waiting) {
      if (!mayBegin(waiting)) continue
      const members = groups.get(waiting.group)
      if (members === undefined) groups.set(waiting.group, [peer])
      else members.push(peer)
    }
    const isBefore = (a: P | null, b: P | null): boolean => a !== null && b !== null && this.#isBefore(a, b)
    const best = (group: string): P | null => this.#peers.pick(groups.get(group) ?? [], isBefore)
    const group = this.#hosts.pick(groups.keys(), (a, b) => isBefore(best(a), best(b)))
    const peer = group === null ? null : best(group)
    if (group === null || peer === null) return null
    this.#waiting.delete(peer)
    this.#hosts.charge(group, 1)
    this.#peers.charge(peer, 1)
    this.#reading++
    this.#heldBlobs++
    const held = this.#held.get(peer)
    if (held === undefined) {
      this.#held.set(peer, { blobs: 1, isReading: true, queuedBytes: 0, movedMs: nowMs })
    } else {
      held.blobs++
      held.isReading = true
    }
    return peer
  }

  /** What was begun is read. @param isSent - false: there was nothing to send. */
  read(peer: P, isSent: boolean, nowMs: number): void {
    this.#reading--
    const held = this.#held.get(peer)
    if (held === undefined) return
    held.isReading = false
    if (!isSent) this.#give(peer, held, 1)
    // It begins to be slow when it has something to read.
    else if (held.blobs === 1) held.movedMs = nowMs
    held.queuedBytes += isSent ? BLOB_BYTES : 0
  }

  /** A blob of it was taken. */
  taken(peer: P, nowMs: number): void {
    const held = this.#held.get(peer)
    if (held === undefined) return
    held.movedMs = nowMs
    held.queuedBytes = Math.max(0, held.queuedBytes - BLOB_BYTES)
    this.#give(peer, held, 1)
  }

  /**
   * What is queued for a connection now. Not between the end of `read` and the moment when what was
   * read is queued.
   */
  look(peer: P, queuedBytes: number, nowMs: number): void {
    const held = this.#held.get(peer)
    if (held === undefined) return
    if (queuedBytes < held.queuedBytes) held.movedMs = nowMs
    held.queuedBytes = queuedBytes
    // What was called off while it was read was never queued.
    const blobs = Math.ceil(queuedBytes / BLOB_BYTES) + (held.isReading ? 1 : 0)
    if (blobs < held.blobs) this.#give(peer, held, held.blobs - blobs)
  }

  /** Those that hold places. */
  holders(): P[] {
    return [...this.#held.keys()]
  }

  /** Those that have waited so long that they should ask elsewhere: they wait no more. */
  late(nowMs: number): P[] {
    const late = [...this.#waiting].filter(([, { sinceMs }]) => nowMs - sinceMs >= UPLOAD_PATIENCE_MS)
    for (const [peer] of late) this.#waiting.delete(peer)
    return late.map(([peer]) => peer)
  }

  /**
   * Holders that should go, the slowest first and no more than wait: only when all places are held
   * and somebody has waited for one; and only those that move far less than their part of what goes
   * out, so that a slow line of ours costs nobody his connection.
   *
   * @param rate - as for `begin`.
   * @param sentPerSecond - bytes that holders took lately.
   */
  stalled(rate: number, sentPerSecond: number, nowMs: number): P[] {
    const { room, open } = this.#places(rate)
    const waits = [...this.#waiting.values()].filter(
      ({ sinceMs, trust }) =>
        nowMs - sinceMs >= UPLOAD_PRESSURE_MS && this.#heldBlobs >= (trust > 0 ? room : open),
    ).length
    if (waits === 0) return []
    const partMs = sentPerSecond > 0 ? (PROGRESS_BYTES * this.#held.size * 1000) / sentPerSecond : 0
    const stallMs = Math.max(UPLOAD_STALL_MS, partMs * UPLOAD_STALL_FACTOR)
    return [...this.#held]
      .filter(([, { queuedBytes, movedMs }]) => queuedBytes > 0 && nowMs - movedMs >= stallMs)
      .sort(([, a], [, b]) => a.movedMs - b.movedMs)
      .slice(0, waits)
      .map(([peer]) => peer)
  }

  /** The connection is over. @returns whether it waited. */
  gone(peer: P): boolean {
    const held = this.#held.get(peer)
    if (held !== undefined) this.#give(peer, held, held.blobs)
    this.#peers.forget(peer)
    const group = this.#groupOf.get(peer)
    this.#groupOf.delete(peer)
    if (group !== undefined && ![...this.#groupOf.values()].includes(group)) this.#hosts.forget(group)
    return this.#waiting.delete(peer)
  }

  /** Of two that wait and have had the same. */
  #isBefore(a: P, b: P): boolean {
    const [first, second] = [this.#waiting.get(a), this.#waiting.get(b)]
    if (first === undefined || second === undefined) return false
    if (first.trust !== second.trust) return first.trust > second.trust
    return first.followsUs && !second.followsUs
  }

  /** `open` of the places are for everybody. */
  #places(rate: number): { readonly room: number; readonly open: number } {
    const soon = rate === 0 ? MAX_QUEUED_UPLOADS : Math.ceil((rate * UPLOAD_AHEAD_MS) / 1000 / BLOB_BYTES)
    const room = Math.min(this.#most(), Math.max(2, soon))
    return { room, open: Math.max(1, Math.floor(room * (1 - TRUSTED_UPLOADS_SHARE))) }
  }

  #give(peer: P, held: Held, blobs: number): void {
    const given = Math.min(blobs, held.blobs)
    held.blobs -= given
    this.#heldBlobs -= given
    if (held.blobs === 0) this.#held.delete(peer)
  }
}
