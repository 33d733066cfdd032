/**
 * Which blobs of one release somebody holds, as a set of indexes in manifest
 * order (PROTOCOL_FINAL.md §4.2, §7.5).
 *
 * It grows with the highest index it is told, up to a bound, so that a peer
 * pays for what it claims and cannot make us pay more.
 *
 * @module swarm/blob-set
 */
import { MAX_BLOBS_PER_RELEASE } from '../base/limits.ts'

export interface BlobRange {
  readonly start: number
  readonly length: number
}

const FIRST_BYTES = 128

export class BlobSet {
  #bits = new Uint8Array(FIRST_BYTES)
  #size = 0

  /** How many indexes are in the set. */
  get size(): number {
    return this.#size
  }

  has(index: number): boolean {
    return ((this.#bits[index >>> 3] ?? 0) & (1 << (index & 7))) !== 0
  }

  /** @returns whether it is new. Indexes from MAX_BLOBS_PER_RELEASE on are not kept. */
  add(index: number): boolean {
    if (index < 0 || index >= MAX_BLOBS_PER_RELEASE || this.has(index)) return false
    this.#reserve(index + 1)
    this.#bits[index >>> 3] = (this.#bits[index >>> 3] ?? 0) | (1 << (index & 7))
    this.#size++
    return true
  }

  /** Add a range. @returns the indexes that are new, as ranges, for counters of availability. */
  addRange(range: BlobRange): BlobRange[] {
    const end = Math.min(range.start + range.length, MAX_BLOBS_PER_RELEASE)
    const fresh: BlobRange[] = []
    let from = -1
    for (let index = range.start; index <= end; index++) {
      if (index < end && this.add(index)) {
        if (from < 0) from = index
      } else if (from >= 0) {
        fresh.push({ start: from, length: index - from })
        from = -1
      }
    }
    return fresh
  }

  delete(index: number): boolean {
    if (!this.has(index)) return false
    this.#bits[index >>> 3] = (this.#bits[index >>> 3] ?? 0) & ~(1 << (index & 7))
    this.#size--
    return true
  }

  /** Ranges in order, at most `limit` of them. */
  ranges(limit: number): BlobRange[] {
    const out: BlobRange[] = []
    const end = this.#bits.length * 8
    let from = -1
    for (let index = 0; index <= end && out.length < limit; index++) {
      if (this.has(index)) {
        if (from < 0) from = index
      } else if (from >= 0) {
        out.push({ start: from, length: index - from })
        from = -1
      }
    }
    return out
  }

  #reserve(count: number): void {
    const bytes = (count + 7) >>> 3
    if (bytes <= this.#bits.length) return
    let length = this.#bits.length
    while (length < bytes) length *= 2
    const grown = new Uint8Array(Math.min(length, MAX_BLOBS_PER_RELEASE >>> 3))
    grown.set(this.#bits)
    this.#bits = grown
  }
}

/** Sorted indexes as ranges. */
export function toRanges(indexes: readonly number[]): BlobRange[] {
  const out: { start: number; length: number }[] = []
  for (const index of indexes) {
    const last = out.at(-1)
    if (last !== undefined && index === last.start + last.length) last.length++
    else out.push({ start: index, length: 1 })
  }
  return out
}
