/**
 * All blobs of a manifest in manifest order, each once, found by id
 * (PROTOCOL_FINAL.md §4.2, rules 6 and 7).
 *
 * Ids are what a publisher claims, so they are found through a keyed hash. 64 bytes
 * a blob and some ten for the index.
 *
 * @module wire/blob-table
 */
import { Buffer } from 'node:buffer'
import { MegatorrentError } from '../base/errors.ts'
import { MAX_MANIFEST_BLOBS } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { BLOB_ID_BYTES, BLOB_REF_BYTES } from './constants.ts'
import { GrowableBytes } from './growable.ts'
import { HashIndex, WordHash } from './hash-index.ts'

export class BlobTable {
  readonly #hash: WordHash
  readonly #index = new HashIndex()
  readonly #references = new GrowableBytes()

  constructor(random: Random) {
    this.#hash = WordHash.random(random)
  }

  get size(): number {
    return this.#index.size
  }

  /**
   * The number of a blob; the next one when its id is new.
   *
   * @param reference - BLOB_REF_BYTES, copied.
   * @throws MegatorrentError, kind 'peer': ERR_MANIFEST_BLOBS when the id is known with another
   *   key, ERR_MANIFEST_LIMIT.
   */
  add(reference: Uint8Array): number {
    const hash = this.#hashOf(reference)
    for (let blob = this.#index.first(hash); blob >= 0; blob = this.#index.next()) {
      const at = blob * BLOB_REF_BYTES
      if (!this.#isSame(reference, 0, BLOB_ID_BYTES, at)) continue
      if (!this.#isSame(reference, BLOB_ID_BYTES, BLOB_REF_BYTES, at)) {
        throw new MegatorrentError('ERR_MANIFEST_BLOBS', 'one blob id with two keys')
      }
      return blob
    }
    if (this.size >= MAX_MANIFEST_BLOBS) {
      throw new MegatorrentError('ERR_MANIFEST_LIMIT', `more than ${MAX_MANIFEST_BLOBS} blobs`)
    }
    this.#references.append(reference)
    return this.#index.add(hash)
  }

  /** All references in order. The table is not used after it. */
  finish(): Uint8Array {
    return this.#references.finish()
  }

  #isSame(reference: Uint8Array, start: number, end: number, at: number): boolean {
    const held = this.#references.array.subarray(at + start, at + end)
    return Buffer.compare(held, reference.subarray(start, end)) === 0
  }

  #hashOf(reference: Uint8Array): number {
    const view = new DataView(reference.buffer, reference.byteOffset, BLOB_ID_BYTES)
    this.#hash.start()
    for (let at = 0; at < BLOB_ID_BYTES; at += 4) this.#hash.word(view.getInt32(at))
    return this.#hash.finish()
  }
}
