/**
 * XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): a 24-byte nonce, so that
 * nonces may be random or hashes. For slot values (PROTOCOL_FINAL.md §5.1) and
 * secrets on disk.
 *
 * HChaCha20 of noble makes a key of the first 16 bytes of the nonce; the rest
 * is ChaCha20-Poly1305 of crypto/aead.ts. Several times faster than noble's own
 * XChaCha20-Poly1305, which is its twin in the tests.
 *
 * @module crypto/xchacha
 */
import { hchacha } from '@noble/ciphers/chacha.js'
import { assertBytes } from '../base/bytes.ts'
import { KEY_BYTES, NONCE_BYTES, open, seal } from './aead.ts'
import { wipe } from './wipe.ts'

export const XNONCE_BYTES = 24

const HCHACHA_NONCE_BYTES = 16
/** 'expand 32-byte k' as four little-endian words, RFC 8439 section 2.3. */
const SIGMA = Uint32Array.of(0x61707865, 0x3320646e, 0x79622d32, 0x6b206574)

/** @param nonce - 24 bytes. @returns plaintext.length + 16 fresh bytes. */
export function sealXChaCha(
  key: Uint8Array,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  aad?: Uint8Array,
): Uint8Array {
  const inner = deriveInner(key, nonce)
  try {
    return seal(inner.key, inner.nonce, plaintext, aad)
  } finally {
    wipe(inner.key)
  }
}

/** @returns the plaintext, fresh, or null if it is not what was sealed under this key, nonce and aad. */
export function openXChaCha(
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  aad?: Uint8Array,
): Uint8Array | null {
  const inner = deriveInner(key, nonce)
  try {
    return open(inner.key, inner.nonce, sealed, aad)
  } finally {
    wipe(inner.key)
  }
}

function deriveInner(key: Uint8Array, nonce: Uint8Array): { key: Uint8Array; nonce: Uint8Array } {
  assertBytes(key, KEY_BYTES, 'key')
  assertBytes(nonce, XNONCE_BYTES, 'nonce')
  const subkey = new Uint32Array(KEY_BYTES / 4)
  const keyWords = wordsOf(key)
  hchacha(SIGMA, keyWords, wordsOf(nonce.subarray(0, HCHACHA_NONCE_BYTES)), subkey)
  keyWords.fill(0)
  const innerNonce = new Uint8Array(NONCE_BYTES)
  innerNonce.set(nonce.subarray(HCHACHA_NONCE_BYTES), NONCE_BYTES - (XNONCE_BYTES - HCHACHA_NONCE_BYTES))
  return { key: new Uint8Array(subkey.buffer), nonce: innerNonce }
}

// noble reads words in the byte order of the machine, so a copy of the bytes is what it wants.
function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(new Uint8Array(bytes).buffer)
}
