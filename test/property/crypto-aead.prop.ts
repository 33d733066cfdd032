import { chacha20poly1305, xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { open, seal } from '../../src/crypto/aead.ts'
import { CounterCipher } from '../../src/crypto/counter-cipher.ts'
import { openXChaCha, sealXChaCha } from '../../src/crypto/xchacha.ts'

const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length })
const text = fc.uint8Array({ maxLength: 300 })
const RUNS = { numRuns: 200 }

describe('node:crypto and noble agree', () => {
  it('on ChaCha20-Poly1305', () => {
    fc.assert(
      fc.property(bytes(32), bytes(12), text, text, (key, nonce, plaintext, aad) => {
        const sealed = seal(key, nonce, plaintext, aad)
        expect(sealed).toEqual(chacha20poly1305(key, nonce, aad).encrypt(plaintext))
        expect(open(key, nonce, sealed, aad)).toEqual(plaintext)
      }),
      RUNS,
    )
  })

  it('on XChaCha20-Poly1305, from memory at any alignment', () => {
    fc.assert(
      fc.property(bytes(35), bytes(27), fc.nat(3), text, text, (keyPlus, noncePlus, at, plaintext, aad) => {
        const key = keyPlus.subarray(at, at + 32)
        const nonce = noncePlus.subarray(at, at + 24)
        const sealed = sealXChaCha(key, nonce, plaintext, aad)
        expect(sealed).toEqual(xchacha20poly1305(key.slice(), nonce.slice(), aad).encrypt(plaintext))
        expect(openXChaCha(key, nonce, sealed, aad)).toEqual(plaintext)
        expect(keyPlus.subarray(at, at + 32)).toEqual(key)
      }),
      RUNS,
    )
  })
})

describe('opening', () => {
  it('never throws for bytes from outside, and gives nothing for what was not sealed', () => {
    fc.assert(
      fc.property(bytes(32), bytes(12), text, (key, nonce, junk) => {
        expect(open(key, nonce, junk)).toBeNull()
        expect(new CounterCipher(key, 4).open(junk)).toBeNull()
      }),
      RUNS,
    )
  })

  it('follows a stream of frames whatever the interval and the sizes', () => {
    fc.assert(
      fc.property(
        bytes(32),
        fc.integer({ min: 1, max: 5 }),
        fc.array(text, { maxLength: 12 }),
        (key, interval, frames) => {
          const sender = new CounterCipher(key, interval)
          const receiver = new CounterCipher(key, interval)
          for (const frame of frames) expect(receiver.open(sender.seal(frame))).toEqual(frame)
        },
      ),
      { numRuns: 60 },
    )
  })
})
