/**
 * Blobs on their way in: asks peers for what the picker decides, checks and keeps
 * what comes, and tells whoever waits (STATE.md beside this file).
 *
 * Nothing is kept, counted or passed on before its hash was checked: that is what
 * `BlobSink.put` does.
 *
 * @module swarm/downloads
 */
import { equalBytes } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import { BUSY_PAUSE_MS, MAX_BLOBS_IN_FLIGHT, MAX_BLOBS_PER_RELEASE } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { BLOB_BYTES } from '../wire/constants.ts'
import type { Fetch, FetchCall, ReleaseId, SwarmChannel } from './channel.ts'
import type { Peer } from './peer.ts'
import type { Want } from './picker.ts'

/** Where blobs go. storage/blob-store.ts is one. */
export interface BlobSink {
  /** Check the hash and keep it durably. Rejects with an error of kind peer if it is not that blob. Owns `sealed`. */
  put(id: Uint8Array, sealed: Uint8Array): Promise<void>
}

export interface DownloadDeps {
  readonly clock: Clock
  readonly random: Random
  readonly sink: BlobSink
  readonly peers: ReadonlySet<Peer>
  onStored(channel: SwarmChannel, index: number): void
  /** A peer sent a blob whose hash is not the one asked for. */
  onFalse(peer: Peer, why: string): void
}

export interface FetchOptions {
  readonly signal: AbortSignal
  /** Each blob as it is held, in any order. */
  readonly onStored: (want: Want) => void
}

export class Downloads {
  readonly #deps: DownloadDeps
  /** Asked for or being written, over all channels: each may have 1 MiB in memory. */
  #busy = 0
  readonly #fetching = new Set<SwarmChannel>()

  constructor(deps: DownloadDeps) {
    this.#deps = deps
  }

  /**
   * Fetch blobs of a release from whoever has them; peers may come and go.
   *
   * Calls for the same release run side by side; a call for another release of the channel ends
   * those before it.
   *
   * @throws MegatorrentError ERR_ABORTED (signal, or another release took its place), or what the
   *   sink throws when it cannot keep a blob.
   */
  fetch(
    channel: SwarmChannel,
    release: ReleaseId,
    wants: readonly Want[],
    options: FetchOptions,
  ): Promise<void> {
    if (wants.length === 0) return Promise.resolve()
    const { signal } = options
    return new Promise((resolve, reject) => {
      const fetch = this.#join(channel, release)
      const left = new Map(wants.map((want) => [want.index, want]))
      const onAbort = (): void => call.fail(new MegatorrentError('ERR_ABORTED', 'fetching was called off'))
      const leave = (): void => {
        signal.removeEventListener('abort', onAbort)
        this.#leave(channel, fetch, call, left.keys())
      }
      const call: FetchCall = {
        stored: (index) => {
          const want = left.get(index)
          if (want === undefined) return
          left.delete(index)
          options.onStored(want)
          if (left.size > 0) return
          leave()
          resolve()
        },
        fail: (error) => {
          leave()
          reject(error)
        },
      }
      fetch.calls.add(call)
      for (const want of wants) {
        fetch.waiting.set(want.index, (fetch.waiting.get(want.index) ?? new Set<FetchCall>()).add(call))
        fetch.picker.want(want)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      if (signal.aborted) onAbort()
      else this.pump()
    })
  }

  /** Ask for all that may be asked for now. */
  pump(): void {
    const nowMs = this.#deps.clock.monotonicMs()
    let asked = true
    // Round by round, so that no peer and no channel takes all the places.
    while (asked) {
      asked = false
      for (const peer of this.#deps.peers) {
        for (const channel of this.#fetching) {
          if (this.#busy >= MAX_BLOBS_IN_FLIGHT) return
          if (this.#askOne(peer, channel, nowMs)) asked = true
        }
      }
    }
  }

  /** The peer has shown the channel while a fetch runs: its holdings are counted as they come by HAVE. */
  peerGone(peer: Peer): void {
    for (const channel of this.#fetching) {
      this.#countHoldings(peer, channel, -1)
      channel.fetch?.picker.peerGone(peer)
    }
    this.pump()
  }

  #askOne(peer: Peer, channel: SwarmChannel, nowMs: number): boolean {
    const { fetch } = channel
    if (fetch === null || !peer.hasRoom || nowMs < peer.askAfterMs || peer.connection.closed) return false
    const holdings = peer.shared.get(channel)?.holdings(fetch.release.rootId) ?? null
    if (holdings === null) return false
    const want = fetch.picker.pick(peer, holdings, nowMs)
    if (want === null) return false
    this.#busy++
    void this.#request(peer, channel, fetch, want).finally(() => {
      this.#busy--
      this.pump()
    })
    return true
  }

  /** One blob from one peer. Never rejects: what goes wrong is dealt with here. */
  async #request(peer: Peer, channel: SwarmChannel, fetch: Fetch, want: Want): Promise<void> {
    const controller = peer.asked(channel, want.index)
    let sealed: Uint8Array
    try {
      sealed = await peer.connection.requestBlob(want.id, controller.signal)
    } catch (error) {
      this.#refused(peer, channel, fetch, want, error)
      return
    } finally {
      peer.answered(channel, want.index)
    }
    channel.download.add(BLOB_BYTES)
    try {
      await this.#deps.sink.put(want.id, sealed)
    } catch (error) {
      fetch.picker.failed(want.index, peer)
      if (isMegatorrentError(error) && error.kind === 'peer') this.#deps.onFalse(peer, 'false blob')
      else for (const call of [...fetch.calls]) call.fail(error)
      return
    }
    peer.verified++
    this.#stored(peer, channel, fetch, want)
  }

  #stored(peer: Peer, channel: SwarmChannel, fetch: Fetch, want: Want): void {
    for (const other of fetch.picker.done(want.index)) {
      if (other !== peer) other.inFlight.get(channel)?.get(want.index)?.abort()
    }
    const calls = fetch.waiting.get(want.index)
    if (calls === undefined) return // a second source was as quick, or nobody waits any more
    fetch.waiting.delete(want.index)
    if (channel.isCurrent(fetch.release.rootId)) this.#deps.onStored(channel, want.index)
    for (const call of calls) call.stored(want.index)
  }

  #refused(peer: Peer, channel: SwarmChannel, fetch: Fetch, want: Want, error: unknown): void {
    fetch.picker.failed(want.index, peer)
    const code = isMegatorrentError(error) ? error.code : null
    if (code === 'ERR_REMOTE_BUSY') peer.askAfterMs = this.#deps.clock.monotonicMs() + BUSY_PAUSE_MS
    if (code !== 'ERR_REMOTE_NOT_FOUND' && code !== 'ERR_REMOTE_REFUSED') return
    // It told of a blob that it does not give: not asked for that one again.
    const holdings = peer.shared.get(channel)?.holdings(fetch.release.rootId)
    if (holdings?.delete(want.index)) fetch.picker.countHolder(want.index, -1)
  }

  #countHoldings(peer: Peer, channel: SwarmChannel, change: 1 | -1): void {
    const { fetch } = channel
    if (fetch === null) return
    const holdings = peer.shared.get(channel)?.holdings(fetch.release.rootId)
    if (holdings === null || holdings === undefined) return
    for (const range of holdings.ranges(MAX_BLOBS_PER_RELEASE)) {
      for (let index = range.start; index < range.start + range.length; index++) {
        fetch.picker.countHolder(index, change)
      }
    }
  }

  #join(channel: SwarmChannel, release: ReleaseId): Fetch {
    if (channel.fetch !== null) {
      if (equalBytes(channel.fetch.release.rootId, release.rootId)) return channel.fetch
      const replaced = new MegatorrentError('ERR_ABORTED', 'another release took its place')
      for (const call of [...channel.fetch.calls]) call.fail(replaced)
    }
    const fetch = channel.beginFetch(release, this.#deps.random)
    this.#fetching.add(channel)
    for (const peer of this.#deps.peers) this.#countHoldings(peer, channel, 1)
    return fetch
  }

  /** A call is over: what only it waited for is not fetched any more. */
  #leave(channel: SwarmChannel, fetch: Fetch, call: FetchCall, left: Iterable<number>): void {
    fetch.calls.delete(call)
    for (const index of left) {
      const calls = fetch.waiting.get(index)
      calls?.delete(call)
      if (calls === undefined || calls.size > 0) continue
      fetch.waiting.delete(index)
      for (const peer of fetch.picker.done(index)) peer.inFlight.get(channel)?.get(index)?.abort()
    }
    if (fetch.calls.size > 0 || channel.fetch !== fetch) return
    channel.fetch = null
    this.#fetching.delete(channel)
  }
}
