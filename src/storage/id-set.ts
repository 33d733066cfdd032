/**
 * A set of blob ids in little memory: eight bytes of each id, in a table that is at
 * most half full. A million ids take 16 MiB where a Set of texts takes 150.
 *
 * Two ids with the same first eight bytes are one here. So it is for questions where
 * a false "yes" does no harm ("might it still be needed?"), never for what is held.
 *
 * Places are found by a keyed hash, since a publisher may claim any ids that he likes.
 *
 * @module storage/id-set
 */
import { assertBytes } from '../base/bytes.ts'
import { type Random, systemRandom } from '../base/random.ts'
import { BLOB_ID_BYTES } from '../wire/constants.ts'
import { WordHash } from '../wire/hash-index.ts'

const MIN_PLACES = 64

export class IdSet {
  readonly #hash: WordHash
  /** Two words a place; both zero for a free one. */
  #words = new Uint32Array(2 * MIN_PLACES)
  #size = 0
  /** Is an id there that begins with eight zero bytes? Its words would look like a free place. */
  #hasZero = false

  /** @param random - keys the table; the operating system's outside tests. */
  constructor(random: Random = systemRandom) {
    this.#hash = WordHash.random(random)
  }

  get size(): number {
    return this.#size + (this.#hasZero ? 1 : 0)
  }

  /** @param id - BLOB_ID_BYTES, or a longer view that begins with them: not kept. */
  add(id: Uint8Array): void {
    const [high, low] = wordsOf(id)
    if (high === 0 && low === 0) {
      this.#hasZero = true
      return
    }
    const at = this.#find(high, low)
    if (this.#words[at] !== 0 || this.#words[at + 1] !== 0) return
    this.#words[at] = high
    this.#words[at + 1] = low
    this.#size++
    if (this.#size * 4 > this.#words.length) this.#grow()
  }

  has(id: Uint8Array): boolean {
    const [high, low] = wordsOf(id)
    if (high === 0 && low === 0) return this.#hasZero
    const at = this.#find(high, low)
    return this.#words[at] === high && this.#words[at + 1] === low
  }

  /** Where these words are, or would be. */
  #find(high: number, low: number): number {
    this.#hash.start()
    this.#hash.word(high)
    this.#hash.word(low)
    const mask = this.#words.length / 2 - 1
    for (let place = this.#hash.finish() & mask; ; place = (place + 1) & mask) {
      const at = 2 * place
      const isFree = this.#words[at] === 0 && this.#words[at + 1] === 0
      if (isFree || (this.#words[at] === high && this.#words[at + 1] === low)) return at
    }
  }

  #grow(): void {
    const old = this.#words
    this.#words = new Uint32Array(old.length * 2)
    for (let from = 0; from < old.length; from += 2) {
      const high = old[from] as number
      const low = old[from + 1] as number
      if (high === 0 && low === 0) continue
      const at = this.#find(high, low)
      this.#words[at] = high
      this.#words[at + 1] = low
    }
  }
}

function wordsOf(id: Uint8Array): readonly [number, number] {
  if (id.length < BLOB_ID_BYTES) assertBytes(id, BLOB_ID_BYTES, 'id')
  const view = new DataView(id.buffer, id.byteOffset, 8)
  return [view.getUint32(0), view.getUint32(4)]
}
