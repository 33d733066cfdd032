import { ed25519 } from '@noble/curves/ed25519.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { slotSigner } from '../../src/crypto/blinding.ts'
import { checkPublicKey, SigningKey, verifySignature } from '../../src/crypto/ed25519.ts'
import { publisherKeys } from '../../src/crypto/key-schedule.ts'
import { X25519KeyPair } from '../../src/crypto/x25519.ts'
import {
  naiveCheckPublicKey,
  naiveSign,
  naiveVerify,
  Point,
  SMALL_ORDER_POINTS,
} from '../reference/ed25519-naive.ts'
import { naiveDh, naivePair } from '../reference/noise-naive.ts'

const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length })
const text = fc.uint8Array({ maxLength: 200 })

describe('the fast verifier and the naive one', () => {
  it('accept what a seed signs, and agree on it after any change', () => {
    fc.assert(
      fc.property(bytes(32), text, fc.nat(), fc.integer({ min: 1, max: 255 }), (seed, message, at, mask) => {
        const key = new SigningKey(seed)
        const signature = key.sign(message)
        expect(Buffer.compare(signature, ed25519.sign(message, seed))).toBe(0)
        expect(verifySignature(signature, message, key.publicKey)).toBe(true)
        const both = Buffer.concat([signature, key.publicKey])
        both[at % 96] = (both[at % 96] ?? 0) ^ mask
        const [damaged, publicKey] = [both.subarray(0, 64), both.subarray(64)]
        expect(verifySignature(damaged, message, publicKey)).toBe(false)
        expect(naiveVerify(damaged, message, publicKey)).toBe(false)
      }),
      { numRuns: 30 },
    )
  })

  it('agree on signatures whose key and R carry any torsion', () => {
    const torsion = fc.constantFrom(...SMALL_ORDER_POINTS)
    fc.assert(
      fc.property(
        fc.bigInt(1n, 2n ** 251n),
        fc.bigInt(1n, 2n ** 251n),
        torsion,
        torsion,
        text,
        (scalar, nonce, atKey, atR, message) => {
          const publicKey = Point.BASE.multiply(scalar).add(atKey).toBytes()
          const signature = naiveSign(scalar, publicKey, nonce, message, atR)
          expect(verifySignature(signature, message, publicKey)).toBe(
            naiveVerify(signature, message, publicKey),
          )
          expect(checkPublicKey(publicKey)).toBe(naiveCheckPublicKey(publicKey))
        },
      ),
      { numRuns: 40 },
    )
  })

  it('agree on bytes that nobody signed, and never throw', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 70 }),
        text,
        fc.uint8Array({ maxLength: 40 }),
        (signature, message, publicKey) => {
          expect(verifySignature(signature, message, publicKey)).toBe(false)
          expect(checkPublicKey(publicKey)).toBe(naiveCheckPublicKey(publicKey))
        },
      ),
      { numRuns: 200 },
    )
    fc.assert(
      fc.property(bytes(64), text, bytes(32), (signature, message, publicKey) => {
        expect(verifySignature(signature, message, publicKey)).toBe(
          naiveVerify(signature, message, publicKey),
        )
        expect(checkPublicKey(publicKey)).toBe(naiveCheckPublicKey(publicKey))
      }),
      { numRuns: 60 },
    )
  })
})

describe('blinded signatures', () => {
  it('are accepted by our verifier, the naive one and noble, for any slot', () => {
    const day = fc.integer({ min: 0, max: 2 ** 32 - 1 })
    fc.assert(
      fc.property(bytes(32), bytes(32), day, fc.nat(255), text, (seed, readKey, t, i, message) => {
        const signer = slotSigner(publisherKeys(seed, readKey), t, i)
        const signature = signer.sign(message)
        expect(verifySignature(signature, message, signer.publicKey)).toBe(true)
        expect(naiveVerify(signature, message, signer.publicKey)).toBe(true)
        expect(ed25519.verify(signature, message, signer.publicKey, { zip215: false })).toBe(true)
      }),
      { numRuns: 20 },
    )
  })
})

describe('X25519', () => {
  it('is the same in node:crypto and noble, for any two keys', () => {
    fc.assert(
      fc.property(bytes(32), bytes(32), (secretKey, publicKey) => {
        const pair = new X25519KeyPair(secretKey)
        expect(Buffer.compare(pair.publicKey, naivePair(secretKey).publicKey)).toBe(0)
        expect(Buffer.compare(pair.dh(publicKey) ?? new Uint8Array(32), naiveDh(secretKey, publicKey))).toBe(
          0,
        )
      }),
      { numRuns: 60 },
    )
  })
})
