/**
 * Byte strings: checks, text forms and bounded cursors.
 *
 * Everything here takes and gives Uint8Array; Buffer is one, and is used inside
 * where it is faster. Integers on the wire are big-endian.
 *
 * @module base/bytes
 */
import { Buffer } from 'node:buffer'

/** Shared empty byte string. Nothing can be written to it. */
export const EMPTY_BYTES: Uint8Array = new Uint8Array(0)

/**
 * Throws unless `value` is a byte string of that length.
 *
 * @throws TypeError or RangeError that names the argument, what was expected and what came.
 */
export function assertBytes(value: unknown, length: number, name: string): asserts value is Uint8Array {
  if (!(value instanceof Uint8Array)) throw new TypeError(`"${name}" expected bytes, got ${typeof value}`)
  if (value.length !== length) throw new RangeError(`"${name}" expected ${length} bytes, got ${value.length}`)
}

/** A fresh byte string with the parts one after the other. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const out = new Uint8Array(length)
  let offset = 0
  for (const part of parts) {
    out.set(part, offset)
    offset += part.length
  }
  return out
}

/** Same bytes? Not constant-time: for public values only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

/** Order of byte strings as unsigned bytes, as `Array.prototype.sort` wants it. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b)
}

const ZERO_BLOCK = new Uint8Array(65_536)

/** Are all bytes zero? Early exit: for public or already authenticated bytes. */
export function isZeroBytes(bytes: Uint8Array): boolean {
  for (let offset = 0; offset < bytes.length; offset += ZERO_BLOCK.length) {
    const part = bytes.subarray(offset, offset + ZERO_BLOCK.length)
    if (Buffer.compare(part, ZERO_BLOCK.subarray(0, part.length)) !== 0) return false
  }
  return true
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

/** Bytes of a hex text of either case, or null when it is not exactly `length` bytes of hex. */
export function fromHex(text: string, length: number): Uint8Array | null {
  if (text.length !== length * 2 || !/^[0-9a-fA-F]*$/.test(text)) return null
  return new Uint8Array(Buffer.from(text, 'hex'))
}

const UTF8_ENCODER = new TextEncoder()
const UTF8_DECODER = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function utf8Bytes(text: string): Uint8Array {
  return UTF8_ENCODER.encode(text)
}

/** Text of strictly valid UTF-8 (a byte order mark is kept), or null. */
export function utf8Text(bytes: Uint8Array): string | null {
  try {
    return UTF8_DECODER.decode(bytes)
  } catch {
    return null // the decoder throws for invalid UTF-8 and for nothing else
  }
}

/** Fixed-length writer: fill a byte string from front to back. */
export class ByteWriter {
  readonly bytes: Uint8Array
  readonly #view: DataView
  #offset = 0

  /** @param length - bytes; what is not written stays zero. */
  constructor(length: number) {
    this.bytes = new Uint8Array(length)
    this.#view = new DataView(this.bytes.buffer)
  }

  get offset(): number {
    return this.#offset
  }

  u8(value: number): this {
    this.#view.setUint8(this.#advance(1), value)
    return this
  }

  u16(value: number): this {
    this.#view.setUint16(this.#advance(2), value)
    return this
  }

  u32(value: number): this {
    this.#view.setUint32(this.#advance(4), value)
    return this
  }

  /** @param value - a safe integer >= 0. */
  u64(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RangeError(`"value" expected 0..2^53-1, got ${value}`)
    this.#view.setBigUint64(this.#advance(8), BigInt(value))
    return this
  }

  put(bytes: Uint8Array): this {
    this.bytes.set(bytes, this.#advance(bytes.length))
    return this
  }

  /** Leave `count` zero bytes. */
  skip(count: number): this {
    this.#advance(count)
    return this
  }

  #advance(count: number): number {
    const at = this.#offset
    if (at + count > this.bytes.length) {
      throw new RangeError(`"writer" expected ${this.bytes.length} bytes at most, got ${at + count}`)
    }
    this.#offset = at + count
    return at
  }
}

/** Bounded reader: every read past the end throws RangeError, so callers check the total length first. */
export class ByteReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #offset = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get offset(): number {
    return this.#offset
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1))
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2))
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4))
  }

  /** The value as a bigint: whether it fits 2^53-1 is for the caller to decide. */
  u64(): bigint {
    return this.#view.getBigUint64(this.#advance(8))
  }

  /** A view, not a copy: copy it to keep it. */
  take(count: number): Uint8Array {
    const at = this.#advance(count)
    return this.#bytes.subarray(at, at + count)
  }

  rest(): Uint8Array {
    return this.take(this.remaining)
  }

  #advance(count: number): number {
    const at = this.#offset
    if (at + count > this.#bytes.length) throw new RangeError(`read of ${count} bytes past the end`)
    this.#offset = at + count
    return at
  }
}
