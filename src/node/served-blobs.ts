/**
 * In safe mode a channel's peers get the blobs of its release that came by it and no others, whatever else is
 * held: who names or learns a blob's id in one channel must not find out by it that this node has another.
 *
 * So a blob of another channel is fetched again, by this one, as if it were not there. The keys in a manifest
 * prove nothing, since whoever has the other link knows them.
 *
 * What came by the channel is among them at once: parts of a manifest are told of and asked for before all of
 * it is here.
 *
 * @module node/served-blobs
 */
import type { SealedFrame } from '../crypto/sealed-frame.ts'
import type { BlobStore, PutOptions, PutResult } from '../storage/blob-store.ts'
import { IdSet } from '../storage/id-set.ts'
import type { SwarmStore } from '../swarm/swarm-deps.ts'
import type { BlobMemory } from '../transport/connection.ts'
import type { Manifest } from '../wire/manifest.ts'
import type { ChannelOrigins } from './blob-origins.ts'

export class ServedBlobs implements SwarmStore {
  readonly buffers?: BlobMemory
  readonly #store: SwarmStore & Pick<BlobStore, 'has'>
  readonly #origins: ChannelOrigins
  #ids = new IdSet()

  /** @param store - all that is held. */
  constructor(store: SwarmStore & Pick<BlobStore, 'has'>, origins: ChannelOrigins) {
    this.#store = store
    this.#origins = origins
    if (store.buffers !== undefined) this.buffers = store.buffers
  }

  /** Is it held, and did it come by this channel? Some 10 microseconds. */
  holds(id: Uint8Array): boolean {
    return this.#store.has(id) && this.#origins.has(id)
  }

  /**
   * From now on blobs of this release and no others. Cost: 0.3 us a blob.
   *
   * @param held - numbers of those that count as held.
   */
  serve(manifest: Pick<Manifest, 'blobCount' | 'blobId'>, held: readonly number[]): void {
    const ids = new IdSet()
    for (const index of held) ids.add(manifest.blobId(index))
    // What came since that was looked up.
    for (let index = 0; index < manifest.blobCount; index++) {
      const id = manifest.blobId(index)
      if (this.#ids.has(id)) ids.add(id)
    }
    this.#ids = ids
  }

  async put(id: Uint8Array, frame: SealedFrame, options: PutOptions): Promise<PutResult> {
    const result = await this.#store.put(id, frame, options)
    // Not before: who sends junk under an id must not make ours of it be given out.
    this.#ids.add(id)
    this.#origins.add(id)
    return result
  }

  /** Null also for what is held and did not come by this channel. */
  async read(id: Uint8Array): Promise<Uint8Array | null> {
    return this.#ids.has(id) ? this.#store.read(id) : null
  }
}
