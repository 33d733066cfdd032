/**
 * Typed arrays that grow: a million numbers in a few megabytes, where an array of
 * objects would take a hundred.
 *
 * @module wire/growable
 */
import { Buffer } from 'node:buffer'

const FIRST_CAPACITY = 1024
/** One and a half: twice would leave half of a large array unused. */
const GROWTH = 1.5
/** A finished array keeps its memory when at least this share of it is used, and is copied otherwise. */
const KEEP_SHARE = 0.8

interface NumberArray<A> {
  readonly length: number
  [index: number]: number
  set(source: A, offset?: number): void
  slice(start: number, end: number): A
  subarray(start: number, end: number): A
}

abstract class Growable<A extends NumberArray<A>> {
  #array: A
  #length = 0

  constructor(first: A) {
    this.#array = first
  }

  /** Numbers held. */
  get length(): number {
    return this.#length
  }

  /** The memory as it is now: replaced by the next `push` or `append`, and longer than `length`. */
  get array(): A {
    return this.#array
  }

  /** @returns the index of the new number. */
  push(value: number): number {
    const at = this.#length
    if (at === this.#array.length) this.#grow(at + 1)
    this.#array[at] = value
    this.#length = at + 1
    return at
  }

  append(values: A): void {
    const end = this.#length + values.length
    if (end > this.#array.length) this.#grow(end)
    this.#array.set(values, this.#length)
    this.#length = end
  }

  /** @param index - below `length`. */
  at(index: number): number {
    return this.#array[index] as number
  }

  put(index: number, value: number): void {
    this.#array[index] = value
  }

  /** Exactly what is held. This object is not used after it. */
  finish(): A {
    return this.#length >= this.#array.length * KEEP_SHARE
      ? this.#array.subarray(0, this.#length)
      : this.#array.slice(0, this.#length)
  }

  protected abstract make(length: number): A

  #grow(atLeast: number): void {
    const larger = this.make(Math.max(atLeast, Math.ceil(this.#array.length * GROWTH)))
    larger.set(this.#array)
    this.#array = larger
  }
}

export class GrowableUint16 extends Growable<Uint16Array> {
  constructor() {
    super(new Uint16Array(FIRST_CAPACITY))
  }

  protected make(length: number): Uint16Array {
    return new Uint16Array(length)
  }
}

export class GrowableUint32 extends Growable<Uint32Array> {
  constructor() {
    super(new Uint32Array(FIRST_CAPACITY))
  }

  protected make(length: number): Uint32Array {
    return new Uint32Array(length)
  }
}

export class GrowableFloat64 extends Growable<Float64Array> {
  constructor() {
    super(new Float64Array(FIRST_CAPACITY))
  }

  protected make(length: number): Float64Array {
    return new Float64Array(length)
  }
}

export class GrowableBytes extends Growable<Uint8Array> {
  constructor() {
    super(new Uint8Array(FIRST_CAPACITY))
  }

  /** Order of the bytes from `start` to `end` against others. */
  compare(start: number, end: number, other: Uint8Array): number {
    return Buffer.compare(this.array.subarray(start, end), other)
  }

  protected make(length: number): Uint8Array {
    return new Uint8Array(length)
  }
}
