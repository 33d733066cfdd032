/**
 * The SymmetricState of Noise (revision 34, section 5.2) for SHA-256 and
 * ChaChaPoly: chaining key, handshake hash, and the cipher of the moment.
 *
 * Every value is replaced, never written to, so a copy is three references:
 * this is what makes trying many pre-shared keys on one message cheap
 * (crypto/noise.ts). Not for anything but a handshake.
 *
 * @module crypto/noise-state
 */
import { EMPTY_BYTES, utf8Bytes } from '../base/bytes.ts'
import { KEY_BYTES, open, seal } from './aead.ts'
import { counterNonce } from './counter-cipher.ts'
import { hkdfSha256, SHA256_BYTES, sha256 } from './hash.ts'

export class SymmetricState {
  #chainingKey: Uint8Array
  #hash: Uint8Array
  /** null until the first key is mixed in: what is written before that is in clear. */
  #key: Uint8Array | null = null
  /** A handshake of three messages counts to 2 at most. */
  #counter = 0n

  /** InitializeSymmetric. */
  constructor(protocolName: string) {
    const name = utf8Bytes(protocolName)
    const padded = new Uint8Array(SHA256_BYTES)
    if (name.length <= SHA256_BYTES) padded.set(name)
    this.#hash = name.length <= SHA256_BYTES ? padded : sha256(name)
    this.#chainingKey = this.#hash
  }

  /** An independent state with the same content. */
  clone(): SymmetricState {
    const copy = new SymmetricState('')
    copy.#chainingKey = this.#chainingKey
    copy.#hash = this.#hash
    copy.#key = this.#key
    copy.#counter = this.#counter
    return copy
  }

  /** 32 bytes. Not to be written to. */
  get hash(): Uint8Array {
    return this.#hash
  }

  get hasKey(): boolean {
    return this.#key !== null
  }

  mixHash(data: Uint8Array): void {
    this.#hash = sha256(this.#hash, data)
  }

  mixKey(material: Uint8Array): void {
    const [chainingKey, key] = this.#derive(material, 2)
    this.#chainingKey = chainingKey
    this.#initializeKey(key)
  }

  /** For pre-shared keys (section 9.2). */
  mixKeyAndHash(material: Uint8Array): void {
    const [chainingKey, hash, key] = this.#derive(material, 3)
    this.#chainingKey = chainingKey
    this.mixHash(hash)
    this.#initializeKey(key)
  }

  /** @returns what goes on the wire: sealed once there is a key, in clear before. */
  encryptAndHash(plaintext: Uint8Array): Uint8Array {
    const sealed =
      this.#key === null ? plaintext : seal(this.#key, counterNonce(this.#counter++), plaintext, this.#hash)
    this.mixHash(sealed)
    return sealed
  }

  /** @returns the plaintext, or null if it does not open; the state is then of no more use. */
  decryptAndHash(sealed: Uint8Array): Uint8Array | null {
    const plaintext =
      this.#key === null
        ? new Uint8Array(sealed)
        : open(this.#key, counterNonce(this.#counter++), sealed, this.#hash)
    if (plaintext !== null) this.mixHash(sealed)
    return plaintext
  }

  /** @returns the key of the initiator's frames and that of the responder's, 32 fresh bytes each. */
  split(): readonly [Uint8Array, Uint8Array] {
    const [first, second] = this.#derive(EMPTY_BYTES, 2)
    return [first, second]
  }

  #initializeKey(key: Uint8Array): void {
    this.#key = key
    this.#counter = 0n
  }

  /** The HKDF of section 4.3. With 2 outputs the third is empty. */
  #derive(material: Uint8Array, outputs: 2 | 3): readonly [Uint8Array, Uint8Array, Uint8Array] {
    const okm = hkdfSha256(material, EMPTY_BYTES, outputs * KEY_BYTES, this.#chainingKey)
    const part = (index: number): Uint8Array => okm.slice(index * KEY_BYTES, (index + 1) * KEY_BYTES)
    return [part(0), part(1), part(2)]
  }
}
