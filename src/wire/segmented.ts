/**
 * Long lists of numbers and of byte strings that grow without being copied: a
 * million of them in a few megabytes, and no pause while a large array moves.
 *
 * The first segment doubles until it has its full size, so that short lists stay
 * small; after it, segments of that size are added.
 *
 * @module wire/segmented
 */
import { Buffer } from 'node:buffer'

const SEGMENT_BITS = 16
const SEGMENT_LENGTH = 1 << SEGMENT_BITS
const SEGMENT_MASK = SEGMENT_LENGTH - 1
const FIRST_LENGTH = 64

interface Segment<A> {
  readonly length: number
  [index: number]: number
  set(source: A): void
}

abstract class SegmentedNumbers<A extends Segment<A>> {
  readonly #segments: A[] = []
  #length = 0

  /** Numbers held. */
  get length(): number {
    return this.#length
  }

  /** @returns the index of the new number. */
  push(value: number): number {
    const index = this.#length
    const place = index & SEGMENT_MASK
    let segment = this.#segments[index >>> SEGMENT_BITS]
    if (segment === undefined || place >= segment.length) segment = this.#extend(segment)
    segment[place] = value
    this.#length = index + 1
    return index
  }

  /** @param index - below `length`. */
  at(index: number): number {
    return (this.#segments[index >>> SEGMENT_BITS] as A)[index & SEGMENT_MASK] as number
  }

  /** @param index - below `length`. */
  put(index: number, value: number): void {
    const segment = this.#segments[index >>> SEGMENT_BITS] as A
    segment[index & SEGMENT_MASK] = value
  }

  protected abstract make(length: number): A

  #extend(full: A | undefined): A {
    const first = this.#length < SEGMENT_LENGTH
    const segment = this.make(first ? Math.max(FIRST_LENGTH, this.#length * 2) : SEGMENT_LENGTH)
    if (full !== undefined) segment.set(full)
    if (first) this.#segments[0] = segment
    else this.#segments.push(segment)
    return segment
  }
}

export class SegmentedUint16 extends SegmentedNumbers<Uint16Array> {
  protected make(length: number): Uint16Array {
    return new Uint16Array(length)
  }
}

export class SegmentedUint32 extends SegmentedNumbers<Uint32Array> {
  protected make(length: number): Uint32Array {
    return new Uint32Array(length)
  }
}

export class SegmentedFloat64 extends SegmentedNumbers<Float64Array> {
  protected make(length: number): Float64Array {
    return new Float64Array(length)
  }
}

/** Bytes of one segment of strings; no string goes over its end. */
const STRING_SEGMENT_BITS = 20
const STRING_SEGMENT_BYTES = 1 << STRING_SEGMENT_BITS
const STRING_SEGMENT_MASK = STRING_SEGMENT_BYTES - 1
const FIRST_STRING_BYTES = 1024
/** Starts are u32. Manifests end far below it (base/limits.ts). */
const MAX_STRINGS_BYTES = 2 ** 32

/** Byte strings of up to 65,535 bytes each, 4 GiB together: six bytes more than they hold. */
export class ByteStrings {
  readonly #segments: Uint8Array[] = []
  /** Segment number and place in it, in one number. */
  readonly #starts = new SegmentedUint32()
  readonly #lengths = new SegmentedUint16()
  #end = 0
  #byteLength = 0

  /** Strings held. */
  get length(): number {
    return this.#starts.length
  }

  /** Bytes of all of them. */
  get byteLength(): number {
    return this.#byteLength
  }

  /** @param bytes - at most 65,535, copied. @returns the index of the string. */
  push(bytes: Uint8Array): number {
    if (bytes.length > 0xffff) throw new RangeError(`"bytes" expected <= 65535 bytes, got ${bytes.length}`)
    this.#reserve(bytes.length)
    this.#segments[this.#end >>> STRING_SEGMENT_BITS]?.set(bytes, this.#end & STRING_SEGMENT_MASK)
    this.#starts.push(this.#end)
    this.#end += bytes.length
    this.#byteLength += bytes.length
    return this.#lengths.push(bytes.length)
  }

  /** A view of one string. @param index - below `length`. */
  at(index: number): Uint8Array {
    const start = this.#starts.at(index)
    const place = start & STRING_SEGMENT_MASK
    return (this.#segments[start >>> STRING_SEGMENT_BITS] as Uint8Array).subarray(
      place,
      place + this.#lengths.at(index),
    )
  }

  /** One string read as UTF-8. */
  text(index: number): string {
    const { buffer, byteOffset, byteLength } = this.at(index)
    return Buffer.from(buffer, byteOffset, byteLength).toString('utf8')
  }

  /** Order of one string against other bytes, as `compareBytes` has it. */
  compare(index: number, other: Uint8Array): number {
    return Buffer.compare(this.at(index), other)
  }

  /** Make room for the next string and move on to the next segment where it would not fit. */
  #reserve(count: number): void {
    const number = this.#end >>> STRING_SEGMENT_BITS
    const place = this.#end & STRING_SEGMENT_MASK
    const segment = this.#segments[number]
    if (segment !== undefined && place + count <= segment.length) return
    if (number === 0 && place + count <= STRING_SEGMENT_BYTES) {
      const length = Math.min(STRING_SEGMENT_BYTES, Math.max(FIRST_STRING_BYTES, 2 * (place + count)))
      const larger = new Uint8Array(length)
      if (segment !== undefined) larger.set(segment)
      this.#segments[0] = larger
      return
    }
    if (place > 0 && place + count > STRING_SEGMENT_BYTES) this.#end = (number + 1) * STRING_SEGMENT_BYTES
    if (this.#end + count > MAX_STRINGS_BYTES) throw new RangeError('"bytes" expected 4 GiB at most together')
    this.#segments[this.#end >>> STRING_SEGMENT_BITS] ??= new Uint8Array(STRING_SEGMENT_BYTES)
  }
}
