/**
 * Keys on disk under a passphrase: scrypt (RFC 7914) makes the key,
 * XChaCha20-Poly1305 seals the secret. The file format is the keystore's.
 *
 * @module crypto/passphrase
 */
import { scrypt } from 'node:crypto'
import { concatBytes, utf8Bytes } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { MAX_SCRYPT_MEMORY_BYTES, MAX_SCRYPT_PARALLEL } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { KEY_BYTES, TAG_BYTES } from './aead.ts'
import { openXChaCha, sealXChaCha, XNONCE_BYTES } from './xchacha.ts'

export const PASSPHRASE_SALT_BYTES = 32
/** What sealing adds: nonce and tag. */
export const SEALED_SECRET_OVERHEAD_BYTES = XNONCE_BYTES + TAG_BYTES

/** The cost of one guess. Stored beside what it protects. */
export interface ScryptCost {
  /** N = 2^logN passes over memory. */
  readonly logN: number
  /** Block size: memory is 128 * r * N bytes. */
  readonly r: number
  readonly p: number
}

/** 128 MiB and some 0.4 s for one guess: what OWASP asks of scrypt. */
export const DEFAULT_SCRYPT_COST: ScryptCost = { logN: 17, r: 8, p: 1 }

/**
 * Derive a key from a passphrase, away from the main thread.
 *
 * @param passphrase - any text; NFC makes the same text typed on two systems the same bytes.
 * @param salt - random, kept beside the cost: PASSPHRASE_SALT_BYTES where it is made here.
 * @returns 32 fresh bytes; the caller wipes them.
 * @throws MegatorrentError ERR_KDF_PARAMETERS for a cost out of bounds, which a damaged or hostile
 *   key file may hold: nothing has been spent then.
 */
export async function passphraseKey(
  passphrase: string,
  salt: Uint8Array,
  cost: ScryptCost,
): Promise<Uint8Array> {
  assertCost(cost, salt)
  const { logN, r, p } = cost
  const options = { N: 2 ** logN, r, p, maxmem: 2 * MAX_SCRYPT_MEMORY_BYTES }
  return await new Promise((resolve, reject) => {
    scrypt(utf8Bytes(passphrase.normalize('NFC')), salt, KEY_BYTES, options, (error, key) => {
      if (error === null) resolve(new Uint8Array(key))
      else reject(error)
    })
  })
}

/**
 * Seal a secret under a key, bound to `context` (what it is and whose).
 *
 * @returns nonce 24 || sealed: secret.length + 40 fresh bytes.
 */
export function sealSecret(
  key: Uint8Array,
  secret: Uint8Array,
  context: Uint8Array,
  random: Random,
): Uint8Array {
  const nonce = random.bytes(XNONCE_BYTES)
  return concatBytes(nonce, sealXChaCha(key, nonce, secret, context))
}

/** @returns the secret, fresh; null under a wrong key or context, or when it was changed. */
export function openSecret(key: Uint8Array, sealed: Uint8Array, context: Uint8Array): Uint8Array | null {
  if (sealed.length < SEALED_SECRET_OVERHEAD_BYTES) return null
  return openXChaCha(key, sealed.subarray(0, XNONCE_BYTES), sealed.subarray(XNONCE_BYTES), context)
}

const MIN_SALT_BYTES = 8
const MAX_SALT_BYTES = 64

function assertCost({ logN, r, p }: ScryptCost, salt: Uint8Array): void {
  const whole = [logN, r, p].every((value) => Number.isSafeInteger(value) && value >= 1)
  if (!whole || logN > 40 || 128 * r * 2 ** logN > MAX_SCRYPT_MEMORY_BYTES || p > MAX_SCRYPT_PARALLEL) {
    throw new MegatorrentError('ERR_KDF_PARAMETERS', 'scrypt parameters are out of bounds')
  }
  if (salt.length < MIN_SALT_BYTES || salt.length > MAX_SALT_BYTES) {
    throw new MegatorrentError('ERR_KDF_PARAMETERS', 'scrypt salt has a wrong length')
  }
}
