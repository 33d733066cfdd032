/**
 * Is a datagram canonical bencode within bounds? Asked of every datagram, before anything else.
 *
 * The rule is that of PROTOCOL_FINAL.md §4.2.1, which wire/bencode.ts decodes by; here it
 * is held without building a value and without throwing: an exception with its stack
 * costs 8 us, and whoever floods a UDP port pays nothing. What passes here, decodes there
 * (test/property/discovery-krpc.prop.ts holds the two together).
 *
 * Not for manifests or anything long: depth is a bit set in one integer.
 *
 * @module discovery/krpc-scan
 */

const CODE_0 = 0x30
const CODE_9 = 0x39
const CODE_COLON = 0x3a
const CODE_MINUS = 0x2d
const CODE_D = 0x64
const CODE_E = 0x65
const CODE_I = 0x69
const CODE_L = 0x6c

/** Levels that the bit set of open dictionaries has room for. */
const MAX_SUPPORTED_DEPTH = 24

const MAX_INTEGER_DIGITS = 16

/**
 * @param bytes - read, not kept.
 * @param maxDepth - lists and dictionaries inside each other, at most 24.
 * @param maxItems - values in all, keys not counted.
 *
 * Cost: O(bytes), no allocation but for one array of `maxDepth` offsets.
 */
export function isCanonicalBencode(bytes: Uint8Array, maxDepth: number, maxItems: number): boolean {
  if (maxDepth > MAX_SUPPORTED_DEPTH) {
    throw new RangeError(`"maxDepth" expected <= ${MAX_SUPPORTED_DEPTH}, got ${maxDepth}`)
  }
  const end = bytes.length
  // Bit d is set when the container at depth d is a dictionary; lastKey[d] is where its last key begins.
  let dictionaries = 0
  let depth = 0
  let items = 0
  let wantsKey = false
  const lastKey: number[] = []
  let at = 0
  for (;;) {
    const code = bytes[at]
    if (code === undefined) return false
    if (code === CODE_E) {
      if (depth === 0 || (isDictionary(dictionaries, depth) && !wantsKey)) return false
      depth--
      at++
    } else if (wantsKey) {
      const next = skipString(bytes, at, end)
      if (next < 0) return false
      const previous = lastKey[depth] ?? -1
      if (previous >= 0 && !keyAscends(bytes, previous, at)) return false
      lastKey[depth] = at
      wantsKey = false
      at = next
      continue
    } else {
      if (++items > maxItems) return false
      if (code === CODE_D || code === CODE_L) {
        if (++depth > maxDepth) return false
        if (code === CODE_D) dictionaries |= 1 << depth
        else dictionaries &= ~(1 << depth)
        lastKey[depth] = -1
        wantsKey = code === CODE_D
        at++
        continue
      }
      at = code === CODE_I ? skipInteger(bytes, at, end) : skipString(bytes, at, end)
      if (at < 0) return false
    }
    // A value ended.
    if (depth === 0) return at === end
    wantsKey = isDictionary(dictionaries, depth)
  }
}

function isDictionary(dictionaries: number, depth: number): boolean {
  return (dictionaries & (1 << depth)) !== 0
}

/** Offset after the integer at `at`, or -1. */
function skipInteger(bytes: Uint8Array, at: number, end: number): number {
  let next = at + 1
  const negative = bytes[next] === CODE_MINUS
  if (negative) next++
  const start = next
  let value = 0
  for (; next < end; next++) {
    const code = bytes[next] ?? 0
    if (code === CODE_E) break
    if (code < CODE_0 || code > CODE_9 || next - start >= MAX_INTEGER_DIGITS) return -1
    value = value * 10 + (code - CODE_0)
  }
  if (next >= end || next === start || value > Number.MAX_SAFE_INTEGER) return -1
  if (bytes[start] === CODE_0 && (negative || next - start > 1)) return -1
  return next + 1
}

/** Offset after the byte string at `at`, or -1. */
function skipString(bytes: Uint8Array, at: number, end: number): number {
  const colon = lengthEnd(bytes, at, end)
  if (colon < 0) return -1
  const next = colon + 1 + lengthOf(bytes, at, colon)
  return next > end ? -1 : next
}

/** Offset of the colon of a canonical length that begins at `at`, or -1. */
function lengthEnd(bytes: Uint8Array, at: number, end: number): number {
  let next = at
  // Lengths that fit a datagram have few digits; more of them cannot be canonical and in bounds.
  for (; next < end && next - at <= MAX_INTEGER_DIGITS; next++) {
    const code = bytes[next] ?? 0
    if (code === CODE_COLON) return next === at || (bytes[at] === CODE_0 && next - at > 1) ? -1 : next
    if (code < CODE_0 || code > CODE_9) return -1
  }
  return -1
}

function lengthOf(bytes: Uint8Array, at: number, colon: number): number {
  let length = 0
  for (let i = at; i < colon; i++) length = length * 10 + ((bytes[i] ?? 0) - CODE_0)
  return length
}

/** Is the key at `b` greater than the key at `a`? Both have been skipped over before, so both are sound. */
function keyAscends(bytes: Uint8Array, a: number, b: number): boolean {
  const colonA = bytes.indexOf(CODE_COLON, a)
  const colonB = bytes.indexOf(CODE_COLON, b)
  const lengthA = lengthOf(bytes, a, colonA)
  const lengthB = lengthOf(bytes, b, colonB)
  const shared = Math.min(lengthA, lengthB)
  for (let i = 1; i <= shared; i++) {
    const difference = (bytes[colonB + i] ?? 0) - (bytes[colonA + i] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return lengthB > lengthA
}
