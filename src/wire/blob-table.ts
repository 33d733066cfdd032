/**
 * All blobs of a manifest in manifest order, each once, found by id
 * (PROTOCOL_FINAL.md §4.2, rules 6 and 7).
 *
 * Ids are what a publisher claims, so they are found through a keyed hash. 64 bytes
 * a blob and some ten for the index.
 *
 * @module wire/blob-table
 */
import { equalBytes } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { MAX_MANIFEST_BLOBS } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { referenceId, referenceKey } from './blob.ts'
import { BLOB_ID_BYTES } from './constants.ts'
import { HashIndex, WordHash } from './hash-index.ts'
import { ByteStrings } from './segmented.ts'

export class BlobTable {
  readonly #hash: WordHash
  readonly #index: HashIndex
  readonly #references = new ByteStrings()

  /** @param expected - how many blobs will come, by what the publisher says: it only sizes the index. */
  constructor(expected: number, random: Random) {
    this.#hash = WordHash.random(random)
    this.#index = new HashIndex(Math.min(expected, MAX_MANIFEST_BLOBS))
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
      const held = this.#references.at(blob)
      if (!equalBytes(referenceId(held), referenceId(reference))) continue
      if (!equalBytes(referenceKey(held), referenceKey(reference))) {
        throw new MegatorrentError('ERR_MANIFEST_BLOBS', 'one blob id with two keys')
      }
      return blob
    }
    if (this.size >= MAX_MANIFEST_BLOBS) {
      throw new MegatorrentError('ERR_MANIFEST_LIMIT', `more than ${MAX_MANIFEST_BLOBS} blobs`)
    }
    this.#references.push(reference)
    return this.#index.add(hash)
  }

  /** All references in order: the table's own, not a copy. */
  get references(): ByteStrings {
    return this.#references
  }

  #hashOf(reference: Uint8Array): number {
    const view = new DataView(reference.buffer, reference.byteOffset, BLOB_ID_BYTES)
    this.#hash.start()
    for (let at = 0; at < BLOB_ID_BYTES; at += 4) this.#hash.word(view.getInt32(at))
    return this.#hash.finish()
  }
}
