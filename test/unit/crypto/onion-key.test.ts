import { ed25519 } from '@noble/curves/ed25519.js'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../../src/base/random.ts'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import { sha512 } from '../../../src/crypto/hash.ts'
import { onionSecretKey } from '../../../src/crypto/onion-key.ts'

const scalarOf = (key: Uint8Array): bigint =>
  BigInt(`0x${Buffer.from(key.subarray(0, 32)).reverse().toString('hex')}`)

describe('the secret key of an onion service', () => {
  it('is the clamped hash of the seed, and the key of the seed is its public key', () => {
    const random = seededRandom(3)
    for (let round = 0; round < 50; round++) {
      const seed = random.bytes(32)
      const key = onionSecretKey(seed)
      const scalar = scalarOf(key)
      expect([scalar & 7n, scalar >> 254n]).toEqual([0n, 1n])
      expect(key.subarray(32)).toEqual(sha512(seed).subarray(32))
      const point = ed25519.Point.BASE.multiply(scalar % ed25519.Point.Fn.ORDER)
      expect(point.toBytes()).toEqual(new SigningKey(seed).publicKey)
    }
  })

  it('would be that of another onion if it were not clamped: Tor takes it all the same', () => {
    const seed = seededRandom(4).bytes(32)
    const point = ed25519.Point.BASE.multiply(scalarOf(sha512(seed)) % ed25519.Point.Fn.ORDER)
    expect(point.toBytes()).not.toEqual(new SigningKey(seed).publicKey)
  })
})
