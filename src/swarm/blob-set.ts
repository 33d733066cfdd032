/**
 * Which blobs of one release somebody holds or wants, as a set of numbers in
 * manifest order (PROTOCOL_FINAL.md §4.2, §7.5).
 *
 * A bit a blob, looked at 32 at a time: peers claim ranges of millions, and a claim
 * must cost us no more than it takes to note it. The memory follows the highest
 * number, up to MAX_MANIFEST_BLOBS; who else bounds it is peer-holdings.ts.
 *
 * @module swarm/blob-set
 */
import { MAX_MANIFEST_BLOBS } from '../base/limits.ts'

export interface BlobRange {
  readonly start: number
  readonly length: number
}

const WORD_BITS = 32
const FIRST_WORDS = 8
const ALL = 0xffff_ffff

export class BlobSet {
  #words = new Uint32Array(FIRST_WORDS)
  #size = 0

  /** Bytes that a set takes whose numbers are all below `end`. */
  static bytesFor(end: number): number {
    return wordsFor(Math.min(end, MAX_MANIFEST_BLOBS)) * Uint32Array.BYTES_PER_ELEMENT
  }

  /** How many numbers are in the set. */
  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#words.byteLength
  }

  has(index: number): boolean {
    return ((this.#words[index >>> 5] ?? 0) & (1 << (index & 31))) !== 0
  }

  /** @returns whether it is new. Numbers from MAX_MANIFEST_BLOBS on are not kept. */
  add(index: number): boolean {
    if (index < 0 || index >= MAX_MANIFEST_BLOBS || this.has(index)) return false
    this.#reserve(index + 1)
    this.#words[index >>> 5] = (this.#words[index >>> 5] ?? 0) | (1 << (index & 31))
    this.#size++
    return true
  }

  /** Add a range. @param onNew - told of each number that was not there. */
  addRange(range: BlobRange, onNew?: (index: number) => void): void {
    const end = Math.min(range.start + range.length, MAX_MANIFEST_BLOBS)
    if (range.start >= end) return
    this.#reserve(end)
    for (let word = range.start >>> 5; word << 5 < end; word++) {
      const old = this.#words[word] ?? 0
      const fresh = maskOf(word, range.start, end) & ~old
      if (fresh === 0) continue
      this.#words[word] = old | fresh
      this.#size += countBits(fresh)
      if (onNew === undefined) continue
      for (let rest = fresh; rest !== 0; rest &= rest - 1) onNew((word << 5) + lowestBit(rest))
    }
  }

  /** @returns whether it was there. */
  delete(index: number): boolean {
    if (!this.has(index)) return false
    this.#words[index >>> 5] = (this.#words[index >>> 5] ?? 0) & ~(1 << (index & 31))
    this.#size--
    return true
  }

  /** The first number from `from` on that is in this set and in the other, or -1. */
  nextCommon(other: BlobSet, from: number): number {
    return this.#find(from, Math.min(this.#words.length, other.#words.length), (word) => {
      return (this.#words[word] ?? 0) & (other.#words[word] ?? 0)
    })
  }

  hasAll(range: BlobRange): boolean {
    return this.#nextMissing(range.start) >= range.start + range.length
  }

  /** In ascending order. The set may change meanwhile: what is added behind is not given. */
  *[Symbol.iterator](): Generator<number> {
    for (let at = this.nextCommon(this, 0); at >= 0; at = this.nextCommon(this, at + 1)) yield at
  }

  /** The ranges from `from` on, in order. */
  *rangesFrom(from: number): Generator<BlobRange> {
    for (let start = this.nextCommon(this, from); start >= 0; ) {
      const end = this.#nextMissing(start)
      yield { start, length: end - start }
      start = this.nextCommon(this, end)
    }
  }

  /** The first number from `from` on that is not in the set. */
  #nextMissing(from: number): number {
    const found = this.#find(from, this.#words.length, (word) => ~(this.#words[word] ?? 0))
    return found >= 0 ? found : Math.max(from, this.#words.length * WORD_BITS)
  }

  /** The first number from `from` on whose bit is set in what `wordAt` gives, or -1. */
  #find(from: number, endWord: number, wordAt: (word: number) => number): number {
    let word = from >>> 5
    if (word >= endWord) return -1
    let bits = wordAt(word) & (ALL << (from & 31))
    while (bits === 0) {
      if (++word >= endWord) return -1
      bits = wordAt(word)
    }
    return (word << 5) + lowestBit(bits)
  }

  #reserve(end: number): void {
    const needed = wordsFor(end)
    if (needed <= this.#words.length) return
    const grown = new Uint32Array(needed)
    grown.set(this.#words)
    this.#words = grown
  }
}

/** Powers of two, so that a set that grows blob by blob is not copied each time. */
function wordsFor(end: number): number {
  let words = FIRST_WORDS
  while (words * WORD_BITS < end) words *= 2
  return Math.min(words, MAX_MANIFEST_BLOBS / WORD_BITS)
}

/** The bits of a word that lie in [start, end). */
function maskOf(word: number, start: number, end: number): number {
  const first = word << 5
  const low = start > first ? ALL << (start - first) : ALL
  const high = end < first + WORD_BITS ? ~(ALL << (end - first)) : ALL
  return low & high
}

function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits)
}

/** Adds up pairs, then fours, then bytes: peers claim millions of bits at a time. */
function countBits(bits: number): number {
  const pairs = bits - ((bits >>> 1) & 0x5555_5555)
  const fours = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333)
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24
}
