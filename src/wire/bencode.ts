/**
 * Canonical bencode: exactly one encoding for each value (PROTOCOL_FINAL.md §4.2.1).
 *
 * Two ways to read. `decodeBencode` builds a tree of values and suits small
 * inputs such as DHT messages. `BencodeReader` walks the bytes without building
 * anything and suits manifests, where a part holds tens of thousands of entries.
 * Both accept canonical input only, so re-encoding what was accepted gives back
 * the same bytes: nobody can make two byte strings that mean the same value.
 *
 * Not for torrent files in the wild, which are often not canonical.
 *
 * Vectors and hostile sets: test/unit/wire/bencode.test.ts.
 *
 * @module wire/bencode
 */
import { Buffer } from 'node:buffer'
import { EMPTY_BYTES } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'

/** A decoded value. Dictionary keys are byte strings as latin1 text: one character a byte. */
export type BencodeValue = number | Uint8Array | readonly BencodeValue[] | BencodeDictionary
/** A Map, so that no key (`__proto__`) means anything to the language. Keys ascend. */
export type BencodeDictionary = ReadonlyMap<string, BencodeValue>

/** What one decode may cost. */
export interface BencodeLimits {
  /** Lists and dictionaries inside each other; 0 admits a plain integer or byte string only. */
  readonly maxDepth: number
  /** Values in all, each list, dictionary, integer and byte string counted once; keys are not. */
  readonly maxItems: number
}

/** Recursion goes as deep as the caller's bound, so that bound has one too: 100 frames of the stack. */
const MAX_SUPPORTED_DEPTH = 100

const CODE_0 = 0x30
const CODE_9 = 0x39
const CODE_COLON = 0x3a
const CODE_MINUS = 0x2d
const CODE_D = 0x64
const CODE_E = 0x65
const CODE_I = 0x69
const CODE_L = 0x6c

/** Digits of 2^53 - 1. */
const MAX_INTEGER_DIGITS = 16

export type BencodeKind = 'integer' | 'bytes' | 'list' | 'dictionary'

/**
 * A cursor over canonical bencode.
 *
 * The caller says what it expects next and gets it or an error; it knows the shape
 * of its format, so depth is bounded by the caller's code and not by the input.
 * Key order inside dictionaries is the caller's to check (`decodeBencode` does).
 *
 * Every method throws MegatorrentError of kind 'peer': ERR_BENCODE_TRUNCATED when
 * the input ends too early, ERR_BENCODE_CANONICAL for a second spelling of a value,
 * ERR_BENCODE_SYNTAX for everything else.
 */
export class BencodeReader {
  readonly #bytes: Uint8Array
  /** The same memory. */
  #text: Buffer | null = null
  #at: number

  /** @param bytes - read, not copied; what `bytes()` gives are views into it. */
  constructor(bytes: Uint8Array, offset = 0) {
    // Not the Buffer that it may be: views into that would be Buffers, whose slice does not copy.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#at = offset
  }

  /** Bytes read so far, counted from the start of the input. */
  get offset(): number {
    return this.#at
  }

  /** What stands next, without taking it. */
  peek(): BencodeKind {
    const code = this.#code()
    if (code === CODE_I) return 'integer'
    if (code >= CODE_0 && code <= CODE_9) return 'bytes'
    if (code === CODE_L) return 'list'
    if (code === CODE_D) return 'dictionary'
    throw this.#syntax('a value')
  }

  /** True when the list or dictionary at hand ends here. */
  atEnd(): boolean {
    return this.#code() === CODE_E
  }

  openList(): void {
    this.#take(CODE_L, 'a list')
  }

  openDictionary(): void {
    this.#take(CODE_D, 'a dictionary')
  }

  /** Leave the list or dictionary at hand. */
  close(): void {
    this.#take(CODE_E, 'an end')
  }

  /** An integer with absolute value at most 2^53 - 1. */
  integer(): number {
    this.#take(CODE_I, 'an integer')
    const bytes = this.#bytes
    let at = this.#at
    const negative = bytes[at] === CODE_MINUS
    if (negative) at++
    const first = bytes[at]
    let value = 0
    const start = at
    for (;;) {
      const code = bytes[at]
      if (code === undefined) throw this.#truncated()
      if (code === CODE_E) break
      if (code < CODE_0 || code > CODE_9) throw this.#syntax('a digit')
      if (at - start >= MAX_INTEGER_DIGITS) {
        throw new MegatorrentError('ERR_BENCODE_SYNTAX', `integer at ${this.#at} has too many digits`)
      }
      value = value * 10 + (code - CODE_0)
      at++
    }
    if (at === start) throw this.#syntax('a digit')
    if (first === CODE_0 && (negative || at - start > 1)) {
      throw new MegatorrentError('ERR_BENCODE_CANONICAL', `integer at ${this.#at} has a leading zero`)
    }
    // Sixteen digits may pass 2^53; rounding never brings such a value back below the bound.
    if (value > Number.MAX_SAFE_INTEGER) {
      throw new MegatorrentError('ERR_BENCODE_SYNTAX', `integer at ${this.#at} is beyond 2^53 - 1`)
    }
    this.#at = at + 1
    return negative ? -value : value
  }

  /** A byte string, as a view into the input: copy it to keep it. */
  bytes(): Uint8Array {
    const length = this.#length()
    if (length === 0) return EMPTY_BYTES
    const at = this.#at
    this.#at = at + length
    return this.#bytes.subarray(at, at + length)
  }

  /** A byte string as latin1 text, one character a byte: for keys. */
  latin1(): string {
    const length = this.#length()
    const at = this.#at
    this.#at = at + length
    // Made once, when first needed: one for each key would cost more than the keys.
    this.#text ??= Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength)
    return this.#text.toString('latin1', at, at + length)
  }

  #length(): number {
    const bytes = this.#bytes
    const start = this.#at
    const first = bytes[start]
    if (first === undefined) throw this.#truncated()
    if (first < CODE_0 || first > CODE_9) throw this.#syntax('a byte string')
    let at = start
    let length = 0
    for (;;) {
      const code = bytes[at]
      if (code === undefined) throw this.#truncated()
      if (code === CODE_COLON) break
      if (code < CODE_0 || code > CODE_9) throw this.#syntax('a digit or a colon')
      if (at > start && first === CODE_0) {
        throw new MegatorrentError('ERR_BENCODE_CANONICAL', `length at ${start} has a leading zero`)
      }
      length = length * 10 + (code - CODE_0)
      // Checked at each digit, so that no run of digits can wrap or grow without end.
      if (length > bytes.length) throw this.#truncated()
      at++
    }
    at++
    if (length > bytes.length - at) throw this.#truncated()
    this.#at = at
    return length
  }

  #code(): number {
    const code = this.#bytes[this.#at]
    if (code === undefined) throw this.#truncated()
    return code
  }

  #take(code: number, what: string): void {
    if (this.#code() !== code) throw this.#syntax(what)
    this.#at++
  }

  #syntax(expected: string): MegatorrentError {
    return new MegatorrentError('ERR_BENCODE_SYNTAX', `expected ${expected} at offset ${this.#at}`)
  }

  #truncated(): MegatorrentError {
    return new MegatorrentError(
      'ERR_BENCODE_TRUNCATED',
      `the value at offset ${this.#at} goes past the end of ${this.#bytes.length} bytes`,
    )
  }
}

/**
 * Decode one value that fills the input.
 *
 * @param bytes - read, not copied: byte strings in the result are views into it.
 * @throws MegatorrentError, kind 'peer': ERR_BENCODE_TRUNCATED, ERR_BENCODE_CANONICAL,
 *   ERR_BENCODE_SYNTAX, ERR_BENCODE_LIMIT (deeper or more items than `limits`) or
 *   ERR_BENCODE_TRAILING (bytes after the value).
 *
 * Cost: O(bytes). Source: PROTOCOL_FINAL.md §4.2.1.
 */
export function decodeBencode(bytes: Uint8Array, limits: BencodeLimits): BencodeValue {
  const { value, length } = decodeBencodePrefix(bytes, limits)
  if (length !== bytes.length) {
    throw new MegatorrentError('ERR_BENCODE_TRAILING', `${bytes.length - length} bytes after the value`)
  }
  return value
}

/** As `decodeBencode`, for a value that other bytes may follow; `length` is how many bytes it took. */
export function decodeBencodePrefix(
  bytes: Uint8Array,
  limits: BencodeLimits,
): { readonly value: BencodeValue; readonly length: number } {
  if (limits.maxDepth > MAX_SUPPORTED_DEPTH) {
    throw new RangeError(`"maxDepth" expected <= ${MAX_SUPPORTED_DEPTH}, got ${limits.maxDepth}`)
  }
  const reader = new BencodeReader(bytes)
  const budget = { items: limits.maxItems }
  const value = readValue(reader, limits.maxDepth, budget)
  return { value, length: reader.offset }
}

function readValue(reader: BencodeReader, depth: number, budget: { items: number }): BencodeValue {
  if (--budget.items < 0) throw new MegatorrentError('ERR_BENCODE_LIMIT', 'too many items')
  const kind = reader.peek()
  if (kind === 'integer') return reader.integer()
  if (kind === 'bytes') return reader.bytes()
  if (depth === 0) throw new MegatorrentError('ERR_BENCODE_LIMIT', 'nested too deep')
  if (kind === 'list') {
    reader.openList()
    const list: BencodeValue[] = []
    while (!reader.atEnd()) list.push(readValue(reader, depth - 1, budget))
    reader.close()
    return list
  }
  reader.openDictionary()
  const dictionary = new Map<string, BencodeValue>()
  let last: string | null = null
  while (!reader.atEnd()) {
    const key = reader.latin1()
    // One character a byte, so the order of the texts is the order of the bytes.
    if (last !== null && key <= last) {
      throw new MegatorrentError('ERR_BENCODE_CANONICAL', 'dictionary keys do not ascend')
    }
    last = key
    dictionary.set(key, readValue(reader, depth - 1, budget))
  }
  reader.close()
  return dictionary
}

/** Length in bytes of the encoding of `value`. */
export function measureBencode(value: BencodeValue): number {
  if (typeof value === 'number') return measureInteger(value)
  if (value instanceof Uint8Array) return measureBytes(value.length)
  let length = 2
  if (isList(value)) {
    for (const item of value) length += measureBencode(item)
    return length
  }
  for (const [key, item] of value) length += measureBytes(key.length) + measureBencode(item)
  return length
}

/** Length of the encoding of an integer: `i`, sign, digits, `e`. */
export function measureInteger(value: number): number {
  return 2 + integerText(value).length
}

/** Length of the encoding of a byte string of `length` bytes: digits, `:`, bytes. */
export function measureBytes(length: number): number {
  return String(length).length + 1 + length
}

/**
 * Encode a value in its one canonical form; dictionaries may be given in any order.
 *
 * @returns fresh bytes, owned by the caller.
 * @throws TypeError or RangeError for a number that is no safe integer, or a key that is not latin1.
 */
export function encodeBencode(value: BencodeValue): Uint8Array {
  const writer = new BencodeWriter(measureBencode(value))
  writeValue(writer, value)
  return writer.bytes
}

function writeValue(writer: BencodeWriter, value: BencodeValue): void {
  if (typeof value === 'number') {
    writer.integer(value)
  } else if (value instanceof Uint8Array) {
    writer.string(value)
  } else if (isList(value)) {
    writer.openList()
    for (const item of value) writeValue(writer, item)
    writer.close()
  } else {
    writer.openDictionary()
    // Plain comparison of code units: keys are latin1, so that is the order of their bytes.
    for (const [key, item] of [...value].sort(([a], [b]) => (a < b ? -1 : 1))) {
      writer.key(key)
      writeValue(writer, item)
    }
    writer.close()
  }
}

/** Writes canonical bencode into a byte string whose length was measured before. */
export class BencodeWriter {
  readonly bytes: Uint8Array
  #at = 0

  /** @param length - exact length of what will be written. */
  constructor(length: number) {
    this.bytes = new Uint8Array(length)
  }

  /** Bytes written so far. */
  get offset(): number {
    return this.#at
  }

  openList(): this {
    return this.#text('l')
  }

  openDictionary(): this {
    return this.#text('d')
  }

  close(): this {
    return this.#text('e')
  }

  integer(value: number): this {
    return this.#text('i').#text(integerText(value)).#text('e')
  }

  string(bytes: Uint8Array): this {
    this.#text(String(bytes.length)).#text(':')
    this.bytes.set(bytes, this.#at)
    this.#at += bytes.length
    return this
  }

  /** A dictionary key, latin1. Keys must be written in ascending order. */
  key(text: string): this {
    for (let i = 0; i < text.length; i++) {
      if (text.charCodeAt(i) > 0xff) throw new TypeError('"key" expected latin1 text')
    }
    return this.#text(`${text.length}:${text}`)
  }

  // Byte by byte: for texts this short a call into the runtime costs more.
  #text(text: string): this {
    const end = this.#at + text.length
    if (end > this.bytes.length) {
      throw new RangeError(`"writer" expected ${this.bytes.length} bytes at most, got ${end}`)
    }
    for (let i = 0; i < text.length; i++) this.bytes[this.#at + i] = text.charCodeAt(i)
    this.#at = end
    return this
  }
}

function integerText(value: number): string {
  if (!Number.isSafeInteger(value)) throw new RangeError(`"value" expected a safe integer, got ${value}`)
  return String(value === 0 ? 0 : value) // also for -0
}

function isList(value: readonly BencodeValue[] | BencodeDictionary): value is readonly BencodeValue[] {
  return Array.isArray(value)
}
