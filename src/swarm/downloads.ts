/**
 * Blobs on their way in: asks peers for what the picker decides, checks and keeps
 * what comes, and tells whoever waits (STATE.md beside this file).
 *
 * Nothing is kept, counted or passed on before its hash was checked: that is what
 * `BlobSink.put` does.
 *
 * @module swarm/downloads
 */
import type { Clock } from '../base/clock.ts'
import { isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import { BUSY_PAUSE_MS, MAX_BLOBS_IN_FLIGHT } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { BLOB_BYTES } from '../wire/constants.ts'
import type { Fetch, ReleaseId, SwarmChannel } from './channel.ts'
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
   * One fetch a channel at a time: a new one of the same release adds to it, one of another
   * release takes its place.
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
    const { signal } = options
    return new Promise((resolve, reject) => {
      if (wants.length === 0) {
        resolve()
        return
      }
      const finish = (error: unknown): void => {
        signal.removeEventListener('abort', onAbort)
        this.#stop(channel, current)
        if (error === null) resolve()
        else reject(error)
      }
      const onAbort = (): void => finish(new MegatorrentError('ERR_ABORTED', 'fetching was called off'))
      channel.fetch?.fail(new MegatorrentError('ERR_ABORTED', 'another fetch took its place'))
      const current = channel.beginFetch(release, this.#deps.random, finish)
      let left = wants.length
      for (const want of wants) {
        current.waiting.set(want.index, () => {
          options.onStored(want)
          if (--left === 0) finish(null)
        })
        current.picker.want(want)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      this.#fetching.add(channel)
      for (const peer of this.#deps.peers) this.#countHoldings(peer, channel, 1)
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
      else fetch.fail(error)
      return
    }
    peer.verified++
    this.#stored(peer, channel, fetch, want)
  }

  #stored(peer: Peer, channel: SwarmChannel, fetch: Fetch, want: Want): void {
    for (const other of fetch.picker.done(want.index)) {
      if (other !== peer) other.inFlight.get(channel)?.get(want.index)?.abort()
    }
    const tell = fetch.waiting.get(want.index)
    if (!fetch.waiting.delete(want.index)) return // a second source was as quick
    if (channel.isCurrent(fetch.release.rootId)) this.#deps.onStored(channel, want.index)
    tell?.(want.index)
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
    for (const index of fetch.waiting.keys()) if (holdings.has(index)) fetch.picker.countHolder(index, change)
  }

  #stop(channel: SwarmChannel, fetch: Fetch): void {
    if (channel.fetch !== fetch) return
    channel.fetch = null
    this.#fetching.delete(channel)
    for (const peer of this.#deps.peers) {
      for (const controller of peer.inFlight.get(channel)?.values() ?? []) controller.abort()
    }
  }
}
