/**
 * Ed25519: signing, and the one verifier of the project (PROTOCOL_FINAL.md §3.1).
 *
 * Verifiers in the wild disagree: with small-order keys every message verifies
 * under OpenSSL and under noble's default; noble checks its equation with the cofactor
 * even in its strict mode; newer releases of Node refuse an R of small order and
 * older ones do not. What is valid here is what §3.1 says, no more and no less.
 * Every check on an encoding is ours, and what is left to OpenSSL is the equation
 * (without the cofactor, R compared as bytes), ten times as fast as noble's.
 * test/reference/ed25519-naive.ts is the same rule on noble's points.
 *
 * Blinded keys sign in crypto/blinding.ts, since they have no seed.
 *
 * @module crypto/ed25519
 */

import { Buffer } from 'node:buffer'
import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign as nodeSign,
  verify as nodeVerify,
} from 'node:crypto'
import { ed25519 } from '@noble/curves/ed25519.js'
import { assertBytes, fromHex, toHex } from '../base/bytes.ts'

export const SEED_BYTES = 32
export const PUBLIC_KEY_BYTES = 32
export const SIGNATURE_BYTES = 64

const SIGN_BIT = 0x80

/** RFC 8032, section 5.1.5: what a seed becomes. */
export interface ExpandedSeed {
  /** The clamped scalar modulo L. */
  readonly scalar: bigint
  /** 32 bytes that make signing nonces. As secret as the seed. */
  readonly prefix: Uint8Array
  readonly publicKey: Uint8Array
}

/** Cost: one multiplication of the base point in JavaScript, about 0.3 ms. */
export function expandSeed(seed: Uint8Array): ExpandedSeed {
  assertBytes(seed, SEED_BYTES, 'seed')
  const { scalar, prefix, pointBytes } = ed25519.utils.getExtendedPublicKey(seed)
  return { scalar, prefix, publicKey: pointBytes }
}

/** A seed made ready to sign: the key object is built once. */
export class SigningKey {
  /** 32 bytes. Not to be written to. */
  readonly publicKey: Uint8Array
  readonly #key: KeyObject

  /** @param seed - 32 bytes, copied into memory of OpenSSL; the caller may wipe its own. */
  constructor(seed: Uint8Array) {
    assertBytes(seed, SEED_BYTES, 'seed')
    const der = Buffer.concat([PKCS8_PREFIX, seed])
    this.#key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    der.fill(0)
    const spki = createPublicKey(this.#key).export({ format: 'der', type: 'spki' })
    this.publicKey = new Uint8Array(spki.subarray(spki.length - PUBLIC_KEY_BYTES))
  }

  /** @returns 64 fresh bytes, the deterministic signature of RFC 8032. */
  sign(message: Uint8Array): Uint8Array {
    return new Uint8Array(nodeSign(null, message, this.#key))
  }
}

/** One signature. Whoever signs more than once keeps a SigningKey. @returns 64 fresh bytes. */
export function sign(seed: Uint8Array, message: Uint8Array): Uint8Array {
  return new SigningKey(seed).sign(message)
}

/**
 * Is it valid under §3.1? Never throws, whatever the bytes.
 *
 * It does not ask whether the key is acceptable as the key of a channel or a node:
 * that is `checkPublicKey`, once, when the key is first seen.
 *
 * Cost: about 0.15 ms. Source: PROTOCOL_FINAL.md §3.1.
 */
export function verifySignature(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES || publicKey.length !== PUBLIC_KEY_BYTES) return false
  const commitment = signature.subarray(0, PUBLIC_KEY_BYTES)
  if (!isBelow(signature.subarray(PUBLIC_KEY_BYTES), GROUP_ORDER)) return false
  if (!isCanonicalLargeOrder(publicKey) || !isCanonicalLargeOrder(commitment)) return false
  try {
    return nodeVerify(null, message, importPublicKey(publicKey), signature)
  } catch {
    return false // OpenSSL may refuse to import bytes that are not on the curve
  }
}

/**
 * May this be the key of a channel or a node? Canonical, torsion-free, not the identity (§3.1).
 * Asked once, when a key is first seen: in a link, an import, a handshake, an address.
 *
 * Cost: about 1 ms. Never throws, whatever the bytes.
 */
export function checkPublicKey(publicKey: Uint8Array): boolean {
  if (publicKey.length !== PUBLIC_KEY_BYTES || !isCanonicalLargeOrder(publicKey)) return false
  try {
    return ed25519.Point.fromBytes(publicKey, false).isTorsionFree()
  } catch {
    return false // noble throws for bytes that are not on the curve
  }
}

/** ASN.1 in front of a 32-byte seed, RFC 8410 section 7. */
const PKCS8_PREFIX = bytesOf('302e020100300506032b657004220420')

// A key as JWK is imported in 5 us, one in ASN.1 in 100 us.
function importPublicKey(publicKey: Uint8Array): KeyObject {
  const x = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.byteLength).toString('base64url')
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
}

/** L, little-endian. */
const GROUP_ORDER = bytesOf('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010')
/** p = 2^255 - 19, little-endian. */
const FIELD_PRIME = bytesOf('edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f')

/**
 * The y of all eight points of small order, in hex: 1 (the identity), -1, 0, and the two
 * of the points of order 8. Either sign of x is of small order too, or (x = 0) no
 * canonical encoding, so the sign bit is left out of the comparison.
 */
const SMALL_ORDER_Y: ReadonlySet<string> = new Set([
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
])

/** Of an encoded point that is on the curve: is it the canonical encoding, and not of small order? */
function isCanonicalLargeOrder(encoded: Uint8Array): boolean {
  const y = new Uint8Array(encoded)
  y[PUBLIC_KEY_BYTES - 1] = (y[PUBLIC_KEY_BYTES - 1] ?? 0) & ~SIGN_BIT
  return isBelow(y, FIELD_PRIME) && !SMALL_ORDER_Y.has(toHex(y))
}

/** Compare little-endian integers of one length. Only of public values: it stops early. */
function isBelow(value: Uint8Array, bound: Uint8Array): boolean {
  for (let i = bound.length - 1; i >= 0; i--) {
    const difference = (value[i] ?? 0) - (bound[i] ?? 0)
    if (difference !== 0) return difference < 0
  }
  return false
}

function bytesOf(hex: string): Uint8Array {
  const bytes = fromHex(hex, hex.length / 2)
  if (bytes === null) throw new TypeError('"hex" expected hex digits')
  return bytes
}
