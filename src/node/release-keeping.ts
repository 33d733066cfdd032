/**
 * Has gateways keep the blobs of our newest releases, so that readers complete without
 * us (PROTOCOL_FINAL.md §7.9). Only where the user said so: a gateway that is given the
 * blobs of two releases sees by those that they share that one channel made both.
 *
 * @module node/release-keeping
 */
import { compareBytes, toHex } from '../base/bytes.ts'
import { type Clock, sleep } from '../base/clock.ts'
import { errorMessage } from '../base/errors.ts'
import { KEEP_AGAIN_MS, KEEP_RETRY_MS, MAX_KEPT_RELEASE_BLOBS } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { DialledGateways } from '../swarm/gateway-link.ts'
import { formatPeerAddress, type PeerAddress } from '../wire/address.ts'
import { MAX_KEEP_AHEAD_MS, MAX_KEEP_IDS } from '../wire/constants.ts'
import type { Manifest } from '../wire/manifest.ts'
import { KEEP_STATES } from '../wire/message.ts'

export interface ReleaseKeepingDeps {
  readonly gateways: readonly PeerAddress[]
  readonly link: Pick<DialledGateways, 'keep'>
  /** As `BlobStore.read`. */
  readonly readBlob: (id: Uint8Array) => Promise<Uint8Array | null>
  readonly clock: Clock
  readonly log: Log
}

/** In whole hours, as of slots: the milliseconds of a clock tell nodes apart. */
const HOUR_MS = 3_600_000
/** Our clock may be ahead of that of the gateway. */
const CLOCK_MARGIN_MS = 6 * HOUR_MS

export class ReleaseKeeping {
  readonly #deps: ReleaseKeepingDeps
  /** What goes on for each channel, by its key as hex. */
  readonly #channels = new Map<string, AbortController>()
  readonly #running = new Set<Promise<void>>()

  constructor(deps: ReleaseKeepingDeps) {
    this.#deps = deps
  }

  /** From now on the blobs of this release, and no other's of the channel; null: of none any more. */
  serve(publicKey: Uint8Array, manifest: Pick<Manifest, 'blobCount' | 'blobId'> | null): void {
    const key = toHex(publicKey)
    this.#channels.get(key)?.abort()
    this.#channels.delete(key)
    if (manifest === null) return
    if (manifest.blobCount > MAX_KEPT_RELEASE_BLOBS) {
      this.#deps.log.warn('a release is too large for gateways to keep', { blobs: manifest.blobCount })
      return
    }
    const over = new AbortController()
    this.#channels.set(key, over)
    const ids = Array.from({ length: manifest.blobCount }, (_, i) => new Uint8Array(manifest.blobId(i)))
    ids.sort(compareBytes)
    for (const [index, gateway] of this.#deps.gateways.entries()) {
      const run = this.#run(key, gateway, index + 1, ids, over.signal).finally(() => {
        this.#running.delete(run)
      })
      this.#running.add(run)
    }
  }

  async close(): Promise<void> {
    for (const over of this.#channels.values()) over.abort()
    this.#channels.clear()
    await Promise.all(this.#running)
  }

  /** Never rejects. @param place - of the gateway: the log names no addresses. */
  async #run(
    channel: string,
    gateway: PeerAddress,
    place: number,
    ids: readonly Uint8Array[],
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, log } = this.#deps
    while (!signal.aborted) {
      let isAllKept = false
      try {
        const held = await this.#keepAll(channel, gateway, ids, signal)
        isAllKept = held === ids.length
        log.info('a gateway was given blobs to keep', { gateway: place, held, of: ids.length })
      } catch (error) {
        if (!signal.aborted)
          log.info('a gateway keeps no blobs', { gateway: place, why: errorMessage(error) })
      }
      // Called off: seen above.
      await sleep(clock, isAllKept ? KEEP_AGAIN_MS : KEEP_RETRY_MS, signal).catch(() => {})
    }
  }

  /** @returns how many it holds. */
  async #keepAll(
    channel: string,
    gateway: PeerAddress,
    ids: readonly Uint8Array[],
    signal: AbortSignal,
  ): Promise<number> {
    const { link, readBlob, clock } = this.#deps
    const errand = { purpose: 'blobs', subject: `${formatPeerAddress(gateway)} ${channel}` } as const
    let held = 0
    for (let at = 0; at < ids.length; at += MAX_KEEP_IDS) {
      const until = Math.floor(clock.now() / HOUR_MS) * HOUR_MS + MAX_KEEP_AHEAD_MS - CLOCK_MARGIN_MS
      const list = { until, blobIds: ids.slice(at, at + MAX_KEEP_IDS) }
      const states = await link.keep(gateway, errand, list, readBlob, signal)
      held += states.filter((state) => state === KEEP_STATES.held).length
    }
    return held
  }
}
