/**
 * Blobs on their way out: what a REQUEST is answered with.
 *
 * Connections take turns, each with one blob at a time, and only so many are read at
 * once (transport/blob-server.ts has the queue of each connection).
 *
 * @module swarm/uploads
 */
import { errorMessage, isMegatorrentError } from '../base/errors.ts'
import { MAX_UPLOADS } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { Semaphore } from '../base/queue.ts'
import { BLOB_BYTES } from '../wire/constants.ts'
import type { Peer } from './peer.ts'
import type { RateMeter } from './rate-meter.ts'

/** Where blobs are read. storage/blob-store.ts is one. */
export interface BlobSource {
  /** Sealed bytes, or null when it is not held. */
  read(id: Uint8Array): Promise<Uint8Array | null>
}

export class Uploads {
  readonly #source: BlobSource
  readonly #total: RateMeter
  readonly #log: Log
  readonly #places = new Semaphore(MAX_UPLOADS)

  constructor(source: BlobSource, total: RateMeter, log: Log) {
    this.#source = source
    this.#total = total
    this.#log = log
  }

  /**
   * The blob that a peer asked for, or null for "not found". Blobs are for peers that have shown a
   * channel of ours: others would only probe what we hold.
   *
   * @throws what goes wrong on our side: the peer is told that we are busy.
   */
  async read(peer: Peer, id: Uint8Array): Promise<Uint8Array | null> {
    if (peer.shared.size === 0) return null
    try {
      const sealed = await this.#places.run(() => this.#source.read(id))
      if (sealed !== null) this.#count(peer)
      return sealed
    } catch (error) {
      this.#log.warn('a blob could not be read', { why: errorMessage(error) })
      // Ours is damaged: whoever asks again would get no other answer.
      if (isMegatorrentError(error, 'ERR_BLOB_DAMAGED')) return null
      throw error
    }
  }

  /** Of which channel a blob is, only a connection with a single one tells. */
  #count(peer: Peer): void {
    this.#total.add(BLOB_BYTES)
    const [only, ...others] = peer.shared.keys()
    if (only !== undefined && others.length === 0) only.upload.add(BLOB_BYTES)
  }
}
