/**
 * Hashes, MAC and key derivation on node:crypto (PROTOCOL_FINAL.md §1).
 *
 * All functions take their input in parts, hashed as if they were one byte
 * string: whoever needs parts to be told apart gives them fixed lengths. SHA-1
 * is here for DHT targets and blob announcements alone; nothing of ours relies on it.
 *
 * Results are fresh, plain Uint8Array (not Buffer, whose `slice` shares memory)
 * and belong to the caller.
 *
 * @module crypto/hash
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { EMPTY_BYTES } from '../base/bytes.ts'

export const SHA256_BYTES = 32
export const SHA512_BYTES = 64
export const SHA1_BYTES = 20

/** RFC 5869 section 2.3: the block number is one byte. */
const MAX_HKDF_BYTES = 255 * SHA256_BYTES

/** @returns 32 bytes. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  return digest('sha256', parts)
}

/** @returns 64 bytes. */
export function sha512(...parts: readonly Uint8Array[]): Uint8Array {
  return digest('sha512', parts)
}

/** For DHT targets only. @returns 20 bytes. */
export function sha1(...parts: readonly Uint8Array[]): Uint8Array {
  return digest('sha1', parts)
}

/** HMAC-SHA-256, RFC 2104. @returns 32 bytes. */
export function hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const mac = createHmac('sha256', key)
  for (const part of parts) mac.update(part)
  return plainBytes(mac.digest())
}

/**
 * HKDF-SHA-256, RFC 5869. Written out, because node's own refuses an `info`
 * over 1,024 bytes and takes three times as long for short outputs.
 *
 * @param length - bytes wanted, 0..8160.
 * @param salt - none in the key schedule (§1); Noise passes its chaining key.
 */
export function hkdfSha256(
  ikm: Uint8Array,
  info: Uint8Array,
  length: number,
  salt: Uint8Array = EMPTY_BYTES,
): Uint8Array {
  if (!Number.isSafeInteger(length) || length < 0 || length > MAX_HKDF_BYTES) {
    throw new RangeError(`"length" expected 0..${MAX_HKDF_BYTES}, got ${length}`)
  }
  const pseudoRandomKey = hmacSha256(salt, ikm)
  const out = new Uint8Array(length)
  let block: Uint8Array = EMPTY_BYTES
  for (let offset = 0, count = 1; offset < length; offset += SHA256_BYTES, count++) {
    block = hmacSha256(pseudoRandomKey, block, info, Uint8Array.of(count))
    out.set(block.subarray(0, length - offset), offset)
  }
  return out
}

/** Same bytes? Takes equally long wherever they differ. The lengths are not secret. */
export function constantTimeEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

function digest(algorithm: string, parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash(algorithm)
  for (const part of parts) hash.update(part)
  return plainBytes(hash.digest())
}

/** The same memory seen as a plain Uint8Array. */
function plainBytes(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}
