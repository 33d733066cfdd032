/**
 * Hash index for things that strangers choose: blob ids and path names of a
 * manifest.
 *
 * Numbers 0, 1, 2... are stored under a hash; the owner keeps the things
 * themselves and compares them. The hash is keyed with random bytes, so that nobody
 * can prepare names that all fall into one place and make each look-up walk
 * through all of them. Half the memory of a Map of texts, or less.
 *
 * HalfSipHash-1-3 (Aumasson and Bernstein; the Linux kernel's hsiphash) with an
 * output of 32 bits: made for hash tables. It is no MAC: not for anything a secret
 * or a signature hangs on.
 *
 * @module wire/hash-index
 */
import type { Random } from '../base/random.ts'
import { SegmentedUint32 } from './segmented.ts'

const MIN_SLOTS = 64

/** A keyed hash over 32-bit words: `start`, `word` for each, `finish`. One hash at a time. */
export class WordHash {
  readonly #key0: number
  readonly #key1: number
  readonly #rounds: number
  readonly #finalRounds: number
  #v0 = 0
  #v1 = 0
  #v2 = 0
  #v3 = 0
  #count = 0

  /** @param rounds, finalRounds - 1 and 3; 2 and 4 for the published vectors. */
  constructor(key0: number, key1: number, rounds = 1, finalRounds = 3) {
    this.#key0 = key0 | 0
    this.#key1 = key1 | 0
    this.#rounds = rounds
    this.#finalRounds = finalRounds
  }

  static random(random: Random): WordHash {
    const view = new DataView(random.bytes(8).buffer)
    return new WordHash(view.getUint32(0, true), view.getUint32(4, true))
  }

  start(): void {
    this.#v0 = this.#key0
    this.#v1 = this.#key1
    this.#v2 = this.#key0 ^ 0x6c796765
    this.#v3 = this.#key1 ^ 0x74656462
    this.#count = 0
  }

  word(value: number): void {
    this.#v3 ^= value
    for (let i = 0; i < this.#rounds; i++) this.#round()
    this.#v0 ^= value
    this.#count++
  }

  /** @returns a u32. The last word holds the length, as the original has it, and no bytes. */
  finish(): number {
    this.word((this.#count << 26) | 0)
    this.#v2 ^= 0xff
    for (let i = 0; i < this.#finalRounds; i++) this.#round()
    return (this.#v1 ^ this.#v3) >>> 0
  }

  #round(): void {
    let v0 = this.#v0
    let v1 = this.#v1
    let v2 = this.#v2
    let v3 = this.#v3
    v0 = (v0 + v1) | 0
    v1 = (v1 << 5) | (v1 >>> 27)
    v1 ^= v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = (v3 << 8) | (v3 >>> 24)
    v3 ^= v2
    v0 = (v0 + v3) | 0
    v3 = (v3 << 7) | (v3 >>> 25)
    v3 ^= v0
    v2 = (v2 + v1) | 0
    v1 = (v1 << 13) | (v1 >>> 19)
    v1 ^= v2
    v2 = (v2 << 16) | (v2 >>> 16)
    this.#v0 = v0
    this.#v1 = v1
    this.#v2 = v2
    this.#v3 = v3
  }
}

/**
 * Numbers by hash: open addressing, at most half full.
 *
 * To look something up: `for (let n = index.first(hash); n >= 0; n = index.next()) if (same(n)) ...`.
 */
export class HashIndex {
  readonly #hashes = new SegmentedUint32()
  /** Number + 1, or 0 for a free place. */
  #slots: Uint32Array
  #hash = 0
  #at = 0

  /**
   * @param expected - how many numbers will come. A guess: with a good one the table never moves,
   *   which takes a tenth of a second for a million. Memory that is not written to is not used.
   */
  constructor(expected = 0) {
    this.#slots = new Uint32Array(slotsFor(expected))
  }

  /** Numbers stored: the next one. */
  get size(): number {
    return this.#hashes.length
  }

  /** The first number stored under this hash, or -1. */
  first(hash: number): number {
    this.#hash = hash
    this.#at = hash & (this.#slots.length - 1)
    return this.#candidate()
  }

  /** The one after the last that `first` or `next` gave, or -1. */
  next(): number {
    this.#at = (this.#at + 1) & (this.#slots.length - 1)
    return this.#candidate()
  }

  /** Store the next number. @returns that number. */
  add(hash: number): number {
    if ((this.size + 1) * 2 > this.#slots.length) this.#grow()
    const number = this.#hashes.push(hash)
    place(this.#slots, hash, number)
    return number
  }

  #candidate(): number {
    for (;;) {
      const stored = this.#slots[this.#at] as number
      if (stored === 0) return -1
      if (this.#hashes.at(stored - 1) === this.#hash) return stored - 1
      this.#at = (this.#at + 1) & (this.#slots.length - 1)
    }
  }

  #grow(): void {
    const slots = new Uint32Array(this.#slots.length * 2)
    for (let number = 0; number < this.size; number++) place(slots, this.#hashes.at(number), number)
    this.#slots = slots
  }
}

/** A power of two that is at most half full with that many numbers. */
function slotsFor(expected: number): number {
  return Math.max(MIN_SLOTS, 2 ** Math.ceil(Math.log2(expected * 2 + 1)))
}

function place(slots: Uint32Array, hash: number, number: number): void {
  const mask = slots.length - 1
  let at = hash & mask
  while (slots[at] !== 0) at = (at + 1) & mask
  slots[at] = number + 1
}
