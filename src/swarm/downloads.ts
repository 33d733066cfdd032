/**
 * Blobs on their way in: asks peers for what the pickers decide, checks and keeps
 * what comes, and tells whoever waits (STATE.md beside this file).
 *
 * Nothing is kept, counted or passed on before its hash was checked: that is what
 * `BlobSink.put` does, away from here, together with opening the frame that the blob
 * came in and writing its content to where a call wants it.
 *
 * @module swarm/downloads
 */
import { toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { SealedFrame } from '../crypto/sealed-frame.ts'
import type { PutOptions, PutResult } from '../storage/blob-store.ts'
import { BLOB_BYTES } from '../wire/constants.ts'
import type { BlobRange } from './blob-set.ts'
import type { ReleaseId, SwarmChannel } from './channel.ts'
import type { Pace } from './download-pace.ts'
import {
  type BlobRequest,
  Fetch,
  FetchCall,
  type FetchOptions,
  type PlaceLease,
  type Wants,
} from './fetch.ts'
import { type Patience, patienceFor } from './patience.ts'
import type { Peer } from './peer.ts'
import { RequestPlaces } from './request-places.ts'

/** Where blobs go. storage/blob-store.ts is one. */
export interface BlobSink {
  /** As `BlobStore.put`. */
  put(id: Uint8Array, frame: SealedFrame, options: PutOptions): Promise<PutResult>
}

export interface DownloadDeps {
  readonly clock: Clock
  readonly random: Random
  readonly sink: BlobSink
  readonly peers: ReadonlySet<Peer>
  /** How much may be asked for at a time; where absent, MAX_BLOBS_IN_FLIGHT. */
  readonly pace?: () => Pace
  onStored(channel: SwarmChannel, release: ReleaseId, index: number): void
  /** A peer sent a blob whose hash is not the one asked for. */
  onFalse(peer: Peer, why: string): void
}

export class Downloads {
  readonly #deps: DownloadDeps
  readonly #fetches = new Set<Fetch>()
  readonly #places: RequestPlaces
  #isPumpPlanned = false
  /** Whose turn it is first: one further each time. */
  #turn = 0

  constructor(deps: DownloadDeps) {
    this.#deps = deps
    this.#places = new RequestPlaces(deps.peers, deps.pace)
  }

  /**
   * Fetch blobs of a release from whoever has them; peers may come and go. Calls run side by side,
   * also for several releases of a channel, and what two of them want is fetched once.
   *
   * @throws MegatorrentError ERR_ABORTED (the signal, or the channel was left), what the sink throws
   *   when it cannot keep a blob, or what `onStored` throws.
   */
  fetch(channel: SwarmChannel, release: ReleaseId, wants: Wants, options: FetchOptions): Promise<void> {
    const { signal, isUrgent = false } = options
    return new Promise((resolve, reject) => {
      if (signal.aborted) throw calledOff('fetching was called off')
      const fetch = this.#fetchOf(channel, release)
      const onAbort = (): void => call.end(calledOff('fetching was called off'))
      const call = new FetchCall(wants, options, (error) => {
        signal.removeEventListener('abort', onAbort)
        this.#leave(fetch, call)
        if (error === null) resolve()
        else reject(error)
      })
      fetch.calls.add(call)
      if (call.left.size === 0) {
        call.end(null)
        return
      }
      signal.addEventListener('abort', onAbort, { once: true })
      fetch.picker.want(call.left)
      if (isUrgent) for (const index of call.left) fetch.picker.urge(index)
      this.pump()
    })
  }

  /** Has a connected peer told of one of these blobs, and not failed to give it when it was asked? */
  isOffered(channel: SwarmChannel, release: ReleaseId, indexes: Iterable<number>): boolean {
    const picker = channel.fetches.get(toHex(release.rootId))?.picker
    if (picker === undefined) return false
    for (const index of indexes) if (picker.holders(index) > 0) return true
    return false
  }

  /** Ask for all that may be asked for, when what is happening now is over: many things happen at once. */
  pump(): void {
    if (this.#isPumpPlanned) return
    this.#isPumpPlanned = true
    queueMicrotask(() => {
      this.#isPumpPlanned = false
      this.#ask()
    })
  }

  /** A peer told that it holds these blobs of a release. */
  told(peer: Peer, channel: SwarmChannel, rootId: Uint8Array, ranges: readonly BlobRange[]): void {
    const picker = channel.fetches.get(toHex(rootId))?.picker
    const isInUse = (set: unknown): boolean => {
      for (const fetch of this.#fetches) if (fetch.picker.sourceSet(peer) === set) return true
      return false
    }
    const onNew = picker?.isSource(peer) ? (index: number) => picker.gained(peer, index) : undefined
    const holdings = peer.holdings.add(channel, rootId, ranges, isInUse, onNew)
    if (picker === undefined) return
    if (holdings !== null && onNew === undefined) picker.addSource(peer, holdings)
    this.pump()
  }

  peerGone(peer: Peer): void {
    for (const fetch of this.#fetches) this.#removeSource(fetch, peer)
    this.pump()
  }

  /** We take no part in the channel any more: whoever waits for blobs of it is told. */
  channelLeft(channel: SwarmChannel): void {
    for (const fetch of channel.fetches.values()) {
      for (const call of [...fetch.calls]) call.end(calledOff('the channel was left'))
    }
  }

  #ask(): void {
    const nowMs = this.#deps.clock.monotonicMs()
    for (const fetch of rotated(this.#fetches, this.#turn)) this.#askUrgent(fetch, nowMs)
    // Those that gave before first: of the others there can be any number.
    this.#askAll(true, nowMs)
    this.#askAll(false, nowMs)
  }

  get #patience(): Patience {
    return patienceFor(this.#places.usualMs)
  }

  /** What is being read, in its order, each of the peer that will have it soonest. */
  #askUrgent(fetch: Fetch, nowMs: number): void {
    const { picker } = fetch
    for (const index of picker.urgent(nowMs, this.#patience)) {
      const able = [...picker.sources].filter(
        (peer) =>
          picker.canGive(peer, index) && peer.mayBeUrged(nowMs) && this.#places.canMakeRoom(peer, nowMs),
      )
      const peer = soonest(able, nowMs)
      if (peer === null) continue
      picker.ask(peer, index, nowMs)
      this.#request(fetch, peer, index, nowMs)
    }
  }

  /** Round by round, so that no peer and no release takes all the places. */
  #askAll(isProven: boolean, nowMs: number): void {
    for (let asked = true; asked; ) {
      asked = false
      for (const fetch of rotated(this.#fetches, this.#turn++)) {
        for (const peer of rotated(fetch.picker.sources, this.#turn)) {
          if (peer.isProven !== isProven || !peer.mayBeAsked(nowMs)) continue
          if (!this.#places.canMakeRoom(peer, nowMs)) return
          if (this.#askOne(fetch, peer, nowMs)) asked = true
        }
      }
    }
  }

  /** @returns whether a request was made. */
  #askOne(fetch: Fetch, peer: Peer, nowMs: number): boolean {
    const index = fetch.picker.pick(peer, nowMs, this.#patience)
    return index !== null && this.#request(fetch, peer, index, nowMs)
  }

  /** Ask for a blob that the picker has marked as asked of this peer. @returns whether there was a place. */
  #request(fetch: Fetch, peer: Peer, index: number, nowMs: number): boolean {
    const call = fetch.callFor(index)
    const late = this.#places.hasRoom(peer) ? null : this.#places.toCallOff(peer, nowMs)
    if (call === null || (late === null && !this.#places.hasRoom(peer))) {
      fetch.picker.failed(index, peer)
      return false
    }
    if (late !== null) this.#callOff(late)
    const isTrial = !peer.isProven
    const request = { fetch, peer, index, sinceMs: nowMs, isTrial, controller: new AbortController() }
    peer.inFlight.add(request)
    this.#places.take(request)
    void this.#run(request, call.idOf(index))
    return true
  }

  /** One blob from one peer. Never rejects: what goes wrong is dealt with here. */
  async #run(request: BlobRequest, id: Uint8Array): Promise<void> {
    const { peer, fetch, index } = request
    try {
      const frame = await peer.connection.requestBlob(id, request.controller.signal)
      const nowMs = this.#deps.clock.monotonicMs()
      this.#places.answered(nowMs - request.sinceMs)
      peer.blobArrived(nowMs, request.sinceMs)
      // Who has proven nothing yet waits for the hash of its first blob: more junk than that nobody takes.
      if (peer.isProven) peer.inFlight.delete(request)
      fetch.channel.download.add(BLOB_BYTES)
      if (fetch.isWanted(index)) await this.#keep(request, id, frame)
    } catch (error) {
      this.#refused(request, error)
    } finally {
      peer.inFlight.delete(request)
      this.#places.give(request)
      this.pump()
    }
  }

  /** Never rejects. */
  async #keep(request: BlobRequest, id: Uint8Array, frame: SealedFrame): Promise<void> {
    const { peer, fetch, index } = request
    const notKept = fetch.picker.arrived(index, peer)
    this.pump() // a proven peer has room again
    const { call, lease } = await placeFor(fetch, index)
    const onWritten = (): void => {
      peer.blobVerified()
      peer.inFlight.delete(request)
      this.#places.give(request)
      this.pump()
    }
    let placeError: Error | null = null
    try {
      const place = lease?.placement ?? null
      placeError = (await this.#deps.sink.put(id, frame, { place, onWritten })).placeError
    } catch (error) {
      notKept()
      this.#notKept(request, error)
      return
    } finally {
      lease?.release()
    }
    this.#abandon(fetch, index)
    this.#deps.onStored(fetch.channel, fetch.release, index)
    if (placeError !== null) call?.end(placeError)
    for (const each of [...fetch.calls]) each.stored(index, each === call)
  }

  /** What came was not kept: by whose fault? */
  #notKept({ peer, fetch }: BlobRequest, error: unknown): void {
    // Changed on its way, perhaps not by the peer: the connection ends as with any frame that does not open.
    if (isMegatorrentError(error, 'ERR_FRAME_OPEN')) peer.connection.destroy(error)
    else if (isMegatorrentError(error) && error.kind === 'peer') this.#deps.onFalse(peer, 'false blob')
    else for (const call of [...fetch.calls]) call.end(error)
  }

  #refused({ peer, fetch, index, controller }: BlobRequest, error: unknown): void {
    if (controller.signal.aborted) return // by us, who have seen to the rest
    const { picker, channel, release } = fetch
    picker.failed(index, peer)
    switch (isMegatorrentError(error) ? error.code : 'ERR_BUG') {
      case 'ERR_REMOTE_NOT_FOUND':
      case 'ERR_REMOTE_REFUSED':
        // It told of a blob that it does not give: not asked for that one again, and in the end for none.
        picker.lost(peer, index)
        peer.misses++
        if (!peer.isUnreliable) return
        this.#removeSource(fetch, peer)
        peer.holdings.forget(channel, release.rootId)
        return
      case 'ERR_CONNECTION_CLOSED':
        return
      default:
        peer.pause(this.#deps.clock.monotonicMs())
    }
  }

  /** Whoever keeps us waiting has to begin anew. */
  #callOff(request: BlobRequest): void {
    const { peer, fetch, index } = request
    if (peer.inFlight.size <= 1) peer.verified = 0
    fetch.picker.failed(index, peer)
    this.#abort(request)
  }

  /** Forget a request; its answer, should it come, is dropped unread. */
  #abort(request: BlobRequest): void {
    request.peer.inFlight.delete(request)
    this.#places.give(request)
    request.controller.abort()
  }

  /** Nobody wants this blob any more, or it is held: whoever was asked for it may forget it. */
  #abandon(fetch: Fetch, index: number): void {
    const nowMs = this.#deps.clock.monotonicMs()
    for (const peer of fetch.picker.done(index)) {
      for (const request of peer.inFlight) {
        if (request.fetch !== fetch || request.index !== index) continue
        this.#abort(request)
        // Others were asked because it did not answer: it must not hold up the next blob as well.
        if (nowMs - request.sinceMs >= this.#patience.lateMs) peer.pause(nowMs)
      }
    }
  }

  #removeSource(fetch: Fetch, peer: Peer): void {
    fetch.picker.removeSource(peer)
    for (const request of peer.inFlight) if (request.fetch === fetch) this.#abort(request)
  }

  #fetchOf(channel: SwarmChannel, release: ReleaseId): Fetch {
    const key = toHex(release.rootId)
    const known = channel.fetches.get(key)
    if (known !== undefined) return known
    const fetch = new Fetch(channel, release, this.#deps.random)
    channel.fetches.set(key, fetch)
    this.#fetches.add(fetch)
    for (const peer of this.#deps.peers) {
      const holdings = peer.holdings.of(channel, release.rootId)
      if (holdings !== null) fetch.picker.addSource(peer, holdings)
    }
    return fetch
  }

  /** A call is over: what only it waited for is not fetched any more. */
  #leave(fetch: Fetch, call: FetchCall): void {
    fetch.calls.delete(call)
    if (call.isUrgent) for (const index of call.left) fetch.picker.relax(index)
    if (fetch.calls.size > 0) {
      for (const index of call.left) if (!fetch.isWanted(index)) this.#abandon(fetch, index)
      return
    }
    for (const peer of [...fetch.picker.sources]) this.#removeSource(fetch, peer)
    this.#fetches.delete(fetch)
    const key = toHex(fetch.release.rootId)
    if (fetch.channel.fetches.get(key) === fetch) fetch.channel.fetches.delete(key)
  }
}

/** Of those that could be asked: who has proven itself, and of these who will be first to give one more. */
function soonest(peers: readonly Peer[], nowMs: number): Peer | null {
  let best: Peer | null = null
  for (const peer of peers) {
    const isBetter =
      best === null ||
      (peer.isProven !== best.isProven ? peer.isProven : peer.expectedMs(nowMs) < best.expectedMs(nowMs))
    if (isBetter) best = peer
  }
  return best
}

/** The call that says where the content of a blob goes, and where that is. Never rejects: a call that fails has ended. */
async function placeFor(
  fetch: Fetch,
  index: number,
): Promise<{ readonly call: FetchCall | null; readonly lease: PlaceLease | null }> {
  for (const call of [...fetch.calls]) {
    if (!call.left.has(index)) continue
    try {
      const lease = await call.placeOf(index)
      if (lease !== null) return { call, lease }
    } catch (error) {
      call.end(error)
    }
  }
  return { call: null, lease: null }
}

/** In a circle, from another one each time. */
function rotated<T>(items: Iterable<T>, turn: number): T[] {
  const all = [...items]
  const from = all.length === 0 ? 0 : turn % all.length
  return [...all.slice(from), ...all.slice(0, from)]
}

function calledOff(why: string): MegatorrentError {
  return new MegatorrentError('ERR_ABORTED', why)
}
