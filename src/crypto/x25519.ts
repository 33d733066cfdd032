/**
 * X25519 key agreement on node:crypto (RFC 7748), for the handshake alone.
 *
 * A shared secret of zeros is refused: it means that the other side sent one
 * of the few public keys that give the same secret with every key of ours.
 *
 * @module crypto/x25519
 */
import { Buffer } from 'node:buffer'
import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto'
import { assertBytes, isZeroBytes } from '../base/bytes.ts'
import type { Random } from '../base/random.ts'

export const X25519_KEY_BYTES = 32

/** A secret key and its public key. The secret one stays in memory of OpenSSL. */
export class X25519KeyPair {
  /** 32 bytes. Not to be written to. */
  readonly publicKey: Uint8Array
  readonly #key: KeyObject

  /** @param secretKey - any 32 bytes (clamped in use), copied; the caller may wipe its own. */
  constructor(secretKey: Uint8Array) {
    assertBytes(secretKey, X25519_KEY_BYTES, 'secretKey')
    // Importing a JWK takes a tenth of the time of ASN.1. Its `x` has to be there and is not
    // looked at: OpenSSL computes the public key from `d`, and that is what is exported.
    const jwk = { kty: 'OKP', crv: 'X25519', d: base64url(secretKey), x: base64url(ZERO_KEY) }
    this.#key = createPrivateKey({ key: jwk, format: 'jwk' })
    const { x } = createPublicKey(this.#key).export({ format: 'jwk' })
    const publicKey = new Uint8Array(Buffer.from(x ?? '', 'base64url'))
    assertBytes(publicKey, X25519_KEY_BYTES, 'publicKey')
    this.publicKey = publicKey
  }

  /** A new pair from the randomness that is passed in. */
  static generate(random: Random): X25519KeyPair {
    const secretKey = random.bytes(X25519_KEY_BYTES)
    const pair = new X25519KeyPair(secretKey)
    secretKey.fill(0)
    return pair
  }

  /**
   * @param remotePublicKey - any 32 bytes, as they came.
   * @returns the shared secret, 32 fresh bytes; or null when it is zero, and the exchange must end.
   */
  dh(remotePublicKey: Uint8Array): Uint8Array | null {
    assertBytes(remotePublicKey, X25519_KEY_BYTES, 'remotePublicKey')
    const jwk = { kty: 'OKP', crv: 'X25519', x: base64url(remotePublicKey) }
    try {
      const shared = diffieHellman({
        privateKey: this.#key,
        publicKey: createPublicKey({ key: jwk, format: 'jwk' }),
      })
      return isZeroBytes(shared) ? null : new Uint8Array(shared)
    } catch {
      return null // OpenSSL itself refuses a zero result; any 32 bytes are a key, so nothing else can fail
    }
  }
}

const ZERO_KEY = new Uint8Array(X25519_KEY_BYTES)

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url')
}
