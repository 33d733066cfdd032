/**
 * Noise_XX and Noise_XXpsk0 (25519, ChaChaPoly, SHA256) as the specification
 * tells it, on noble's ciphers and curve: the readable twin of src/crypto/noise.ts.
 *
 * It checks nothing that an attacker would not check, so that tests can use it
 * as one: a zero shared secret is accepted, and a public key can be claimed that nobody
 * has the secret of.
 *
 * @module test/reference/noise-naive
 */

import { createHash, createHmac } from 'node:crypto'
import { chacha20poly1305 } from '@noble/ciphers/chacha.js'
import { x25519 } from '@noble/curves/ed25519.js'

export interface NaivePair {
  /** null for a public key that nobody has the secret of: its shared secrets are then taken to be zeros. */
  readonly secretKey: Uint8Array | null
  readonly publicKey: Uint8Array
}

export interface NaiveInit {
  readonly psk?: Uint8Array
  readonly prologue: Uint8Array
  readonly initiator: boolean
  readonly s: NaivePair
  readonly e: NaivePair
}

export function naivePair(secretKey: Uint8Array): NaivePair {
  return { secretKey, publicKey: x25519.getPublicKey(secretKey) }
}

/** X25519 that gives zeros instead of refusing them. */
export function naiveDh(secretKey: Uint8Array | null, publicKey: Uint8Array): Uint8Array {
  if (secretKey === null) return new Uint8Array(32)
  try {
    return x25519.getSharedSecret(secretKey, publicKey)
  } catch {
    return new Uint8Array(32) // noble throws for a zero result
  }
}

export function naiveNonce(n: bigint): Uint8Array {
  const nonce = Buffer.alloc(12)
  nonce.writeBigUInt64LE(n, 4)
  return nonce
}

const sha256 = (...parts: Uint8Array[]): Uint8Array =>
  createHash('sha256').update(Buffer.concat(parts)).digest()
const hmac = (key: Uint8Array, ...parts: Uint8Array[]): Uint8Array =>
  createHmac('sha256', key).update(Buffer.concat(parts)).digest()

function hkdf(chainingKey: Uint8Array, material: Uint8Array): [Uint8Array, Uint8Array, Uint8Array] {
  const temp = hmac(chainingKey, material)
  const one = hmac(temp, Uint8Array.of(1))
  const two = hmac(temp, one, Uint8Array.of(2))
  return [one, two, hmac(temp, two, Uint8Array.of(3))]
}

const PATTERN = [['e'], ['e', 'ee', 's', 'es'], ['s', 'se']]

export class NaiveNoise {
  readonly #init: NaiveInit
  #ck: Uint8Array
  h: Uint8Array
  #k: Uint8Array | null = null
  #n = 0n
  re = new Uint8Array(32)
  rs = new Uint8Array(32)
  #turn = 0

  constructor(init: NaiveInit) {
    this.#init = init
    const name = Buffer.from(`Noise_XX${init.psk ? 'psk0' : ''}_25519_ChaChaPoly_SHA256`)
    this.h = name.length <= 32 ? Buffer.concat([name, Buffer.alloc(32 - name.length)]) : sha256(name)
    this.#ck = this.h
    this.#mixHash(init.prologue)
  }

  write(payload: Uint8Array): Uint8Array {
    const out: Uint8Array[] = []
    this.#startMessage()
    for (const token of PATTERN[this.#turn] ?? []) {
      if (token === 'e') {
        out.push(this.#init.e.publicKey)
        this.#mixEphemeral(this.#init.e.publicKey)
      } else if (token === 's') {
        out.push(this.#encrypt(this.#init.s.publicKey))
      } else {
        this.#dh(token)
      }
    }
    out.push(this.#encrypt(payload))
    this.#turn++
    return Buffer.concat(out)
  }

  read(message: Uint8Array): Uint8Array {
    let rest = message
    const take = (n: number): Uint8Array => {
      const part = rest.slice(0, n)
      rest = rest.slice(n)
      return part
    }
    this.#startMessage()
    for (const token of PATTERN[this.#turn] ?? []) {
      if (token === 'e') {
        this.re = new Uint8Array(take(32))
        this.#mixEphemeral(this.re)
      } else if (token === 's') {
        this.rs = new Uint8Array(this.#decrypt(take(this.#k ? 48 : 32)))
      } else {
        this.#dh(token)
      }
    }
    const payload = this.#decrypt(rest)
    this.#turn++
    return payload
  }

  /** The keys of the initiator's and the responder's transport messages. */
  split(): [Uint8Array, Uint8Array] {
    const [first, second] = hkdf(this.#ck, new Uint8Array(0))
    return [first, second]
  }

  #startMessage(): void {
    if (this.#turn > 0 || !this.#init.psk) return
    const [ck, hash, key] = hkdf(this.#ck, this.#init.psk)
    this.#ck = ck
    this.#mixHash(hash)
    this.#k = key
    this.#n = 0n
  }

  #mixHash(data: Uint8Array): void {
    this.h = sha256(this.h, data)
  }

  #mixKey(material: Uint8Array): void {
    const [ck, key] = hkdf(this.#ck, material)
    this.#ck = ck
    this.#k = key
    this.#n = 0n
  }

  #mixEphemeral(publicKey: Uint8Array): void {
    this.#mixHash(publicKey)
    if (this.#init.psk) this.#mixKey(publicKey)
  }

  #dh(token: string): void {
    const mine = this.#init.initiator ? token[0] : token[1]
    const theirs = this.#init.initiator ? token[1] : token[0]
    const pair = mine === 'e' ? this.#init.e : this.#init.s
    this.#mixKey(naiveDh(pair.secretKey, theirs === 'e' ? this.re : this.rs))
  }

  #encrypt(plaintext: Uint8Array): Uint8Array {
    const out = this.#k
      ? chacha20poly1305(this.#k, naiveNonce(this.#n++), this.h).encrypt(plaintext)
      : plaintext
    this.#mixHash(out)
    return out
  }

  #decrypt(sealed: Uint8Array): Uint8Array {
    const out = this.#k ? chacha20poly1305(this.#k, naiveNonce(this.#n++), this.h).decrypt(sealed) : sealed
    this.#mixHash(sealed)
    return out
  }
}
