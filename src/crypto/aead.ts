/**
 * ChaCha20-Poly1305 (RFC 8439) on node:crypto, whole or into given memory.
 *
 * Used with a constant nonce for blobs, whose key seals one plaintext only
 * (PROTOCOL_FINAL.md §4.1), and through crypto/counter-cipher.ts for frames. Not to
 * be called with a nonce that could come twice under one key.
 *
 * node's `update` gives out plaintext before the tag is checked, and accepts
 * short tags if it is told to. So the tag is always 16 bytes here, and
 * what was written before a check fails is wiped before anyone sees it.
 *
 * @module crypto/aead
 */
import {
  type CipherChaCha20Poly1305,
  createCipheriv,
  createDecipheriv,
  type DecipherChaCha20Poly1305,
} from 'node:crypto'
import { assertBytes, EMPTY_BYTES } from '../base/bytes.ts'
import { usedScratch } from './scratch.ts'
import { wipe } from './wipe.ts'

export const KEY_BYTES = 32
export const NONCE_BYTES = 12
/** Poly1305 tag at the end of everything sealed. */
export const TAG_BYTES = 16

const ALGORITHM = 'chacha20-poly1305'
const OPTIONS = { authTagLength: TAG_BYTES } as const

/**
 * Bytes given to the cipher at once. node allocates the result of every `update`:
 * pieces of this size are recycled by the allocator, where 1 MiB at once comes from
 * fresh pages every time, and smaller ones cost more calls and more garbage.
 */
const PIECE_BYTES = 262_144

/** @returns plaintext.length + 16 fresh bytes. */
export function seal(
  key: Uint8Array,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  aad: Uint8Array = EMPTY_BYTES,
): Uint8Array {
  const out = new Uint8Array(plaintext.length + TAG_BYTES)
  sealInto(key, nonce, plaintext, out, aad)
  return out
}

/** @returns the plaintext, fresh, or null if it is not what was sealed under this key, nonce and aad. */
export function open(
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  aad: Uint8Array = EMPTY_BYTES,
): Uint8Array | null {
  const out = new Uint8Array(Math.max(0, sealed.length - TAG_BYTES))
  return openInto(key, nonce, sealed, out, aad) ? out : null
}

/**
 * Seal into memory of the caller.
 *
 * @param out - exactly plaintext.length + 16 bytes. It may begin at the same byte of
 *   the same memory as `plaintext` (sealing in place); no other overlap is allowed.
 */
export function sealInto(
  key: Uint8Array,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  out: Uint8Array,
  aad: Uint8Array = EMPTY_BYTES,
): void {
  assertBytes(key, KEY_BYTES, 'key')
  assertBytes(nonce, NONCE_BYTES, 'nonce')
  assertBytes(out, plaintext.length + TAG_BYTES, 'out')
  const cipher = createCipheriv(ALGORITHM, key, nonce, OPTIONS)
  if (aad.length > 0) cipher.setAAD(aad, { plaintextLength: plaintext.length })
  transform(cipher, plaintext, out)
  cipher.final()
  out.set(cipher.getAuthTag(), plaintext.length)
}

/**
 * Open into memory of the caller.
 *
 * @param sealed - at least 16 bytes; shorter is simply not valid.
 * @param out - exactly sealed.length - 16 bytes; it may begin at the same byte as `sealed`.
 * @returns true and the plaintext in `out`; or false and `out` is zero, never what failed the check.
 */
export function openInto(
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  out: Uint8Array,
  aad: Uint8Array = EMPTY_BYTES,
): boolean {
  assertBytes(key, KEY_BYTES, 'key')
  assertBytes(nonce, NONCE_BYTES, 'nonce')
  if (sealed.length < TAG_BYTES) {
    out.fill(0)
    return false
  }
  const length = sealed.length - TAG_BYTES
  assertBytes(out, length, 'out')
  const decipher = createDecipheriv(ALGORITHM, key, nonce, OPTIONS)
  if (aad.length > 0) decipher.setAAD(aad, { plaintextLength: length })
  decipher.setAuthTag(sealed.subarray(length))
  const pieces = transform(decipher, sealed.subarray(0, length), out)
  if (isGenuine(decipher)) return true
  wipe(out, ...pieces)
  return false
}

/** Is the tag right? `final` throws where it is not, and for nothing else: keys, nonces and lengths were checked. */
function isGenuine(decipher: DecipherChaCha20Poly1305): boolean {
  const { stackTraceLimit } = Error
  // Nobody reads the trace, and a flood of first messages would have one made for each key that is tried.
  Error.stackTraceLimit = 0
  try {
    decipher.final()
    return true
  } catch {
    return false
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

/** @returns what the cipher gave out piece by piece, besides the copy in `out`. */
function transform(
  cipher: CipherChaCha20Poly1305 | DecipherChaCha20Poly1305,
  input: Uint8Array,
  out: Uint8Array,
): readonly Uint8Array[] {
  const pieces: Uint8Array[] = []
  for (let offset = 0; offset < input.length; offset += PIECE_BYTES) {
    const piece = cipher.update(input.subarray(offset, offset + PIECE_BYTES))
    out.set(piece, offset)
    pieces.push(piece)
  }
  usedScratch(input.length)
  return pieces
}
