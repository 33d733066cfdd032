/**
 * In safe mode a channel's peers get the blobs of its release and no others, whatever else is held: who
 * learnt a blob's id in one channel must not find out by it that this node has another.
 *
 * @module node/served-blobs
 */
import { IdSet } from '../storage/id-set.ts'
import type { BlobSource } from '../swarm/uploads.ts'
import type { Manifest } from '../wire/manifest.ts'

export class ServedBlobs implements BlobSource {
  readonly #source: BlobSource
  #ids = new IdSet()

  /** @param source - all that is held. */
  constructor(source: BlobSource) {
    this.#source = source
  }

  /** From now on these and no others. Cost: 0.3 us a blob. */
  serve(manifest: Pick<Manifest, 'blobCount' | 'blobId'>): void {
    const ids = new IdSet()
    for (let index = 0; index < manifest.blobCount; index++) ids.add(manifest.blobId(index))
    this.#ids = ids
  }

  /** Null also for what is held and is of another channel. */
  async read(id: Uint8Array): Promise<Uint8Array | null> {
    return this.#ids.has(id) ? this.#source.read(id) : null
  }
}
