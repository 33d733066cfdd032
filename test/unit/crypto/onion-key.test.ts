import { hkdfSync } from 'node:crypto'
import { ed25519 } from '@noble/curves/ed25519.js'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../../src/base/random.ts'
import { LOCAL_DOMAINS } from '../../../src/crypto/domains.ts'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import { sha512 } from '../../../src/crypto/hash.ts'
import { onionSecretKey, onionSeed } from '../../../src/crypto/onion-key.ts'

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

describe('the seed of a channel’s onion', () => {
  const random = seededRandom(5)
  const [node, otherNode, channel, otherChannel] = [1, 2, 3, 4].map(() => random.bytes(32)) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ]

  it('is always the same, and another one on each node and for each channel', () => {
    expect(onionSeed(node, channel)).toEqual(onionSeed(node.slice(), channel.slice()))
    const all = [
      onionSeed(node, channel),
      onionSeed(node, otherChannel),
      onionSeed(otherNode, channel),
      onionSeed(otherNode, otherChannel),
      onionSeed(channel, node),
      ...[node, otherNode, channel, otherChannel],
    ]
    expect(new Set(all.map((seed) => Buffer.from(seed).toString('hex'))).size).toBe(all.length)
  })

  it('is made as written down: HKDF of the seed of the node key, label and channel secret', () => {
    const info = Buffer.concat([Buffer.from(LOCAL_DOMAINS.onionSeed), channel])
    const expected = Buffer.from(hkdfSync('sha256', node, Buffer.alloc(32), info, 32))
    expect(Buffer.from(onionSeed(node, channel))).toEqual(expected)
  })

  it('is of 32 bytes, and of nothing else', () => {
    expect(onionSeed(node, channel)).toHaveLength(32)
    expect(() => onionSeed(node.subarray(1), channel)).toThrow(RangeError)
  })
})
