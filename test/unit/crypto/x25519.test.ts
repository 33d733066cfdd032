import { describe, expect, it } from 'vitest'
import { isZeroBytes, toHex } from '../../../src/base/bytes.ts'
import { seededRandom, systemRandom } from '../../../src/base/random.ts'
import { X25519KeyPair } from '../../../src/crypto/x25519.ts'
import { describeShared, hex, type Wycheproof } from '../../reference/shared-vectors.ts'

interface DhTest {
  readonly public: string
  readonly private: string
  readonly shared: string
}

const random = seededRandom(5)

describe('X25519KeyPair', () => {
  it('agrees with itself from both sides', () => {
    const [a, b] = [X25519KeyPair.generate(random), X25519KeyPair.generate(random)]
    expect(a.dh(b.publicKey)).toEqual(b.dh(a.publicKey))
    expect(a.dh(b.publicKey)).toHaveLength(32)
    expect(toHex(a.publicKey)).not.toBe(toHex(b.publicKey))
  })

  it("is drawn from the randomness that is passed in, the system's included", () => {
    const [one, two] = [seededRandom(1), seededRandom(1)].map((seeded) => X25519KeyPair.generate(seeded))
    expect(one?.publicKey).toEqual(two?.publicKey)
    const [a, b] = [X25519KeyPair.generate(systemRandom), X25519KeyPair.generate(systemRandom)]
    expect(toHex(a.publicKey)).not.toBe(toHex(b.publicKey))
    expect(a.dh(b.publicKey)).toEqual(b.dh(a.publicKey))
  })

  it('keeps its own copy of the secret key', () => {
    const secretKey = random.bytes(32)
    const pair = new X25519KeyPair(secretKey)
    const expected = pair.dh(pair.publicKey)
    secretKey.fill(0)
    expect(pair.dh(pair.publicKey)).toEqual(expected)
  })

  it('wipes the randomness that it drew', () => {
    const drawn: Uint8Array[] = []
    X25519KeyPair.generate({
      fraction: random.fraction,
      bytes(count) {
        const bytes = random.bytes(count)
        drawn.push(bytes)
        return bytes
      },
    })
    expect(drawn.map(isZeroBytes)).toEqual([true])
  })

  it('refuses keys of our own that are not 32 bytes', () => {
    expect(() => new X25519KeyPair(new Uint8Array(31))).toThrow(RangeError)
    expect(() => X25519KeyPair.generate(random).dh(new Uint8Array(33))).toThrow(RangeError)
  })
})

describeShared<{
  readonly vectors: readonly Readonly<Record<'scalar' | 'u' | 'out', string>>[]
  readonly iterated: { readonly after_1: string; readonly after_1000: string }
}>('RFC 7748', 'rfc/rfc7748_x25519.json', (file) => {
  it('section 5.2 is reproduced', () => {
    for (const { scalar, u, out } of file.vectors) {
      expect(toHex(new X25519KeyPair(hex(scalar)).dh(hex(u)) ?? hex(''))).toBe(out)
    }
    const nine = new Uint8Array(32)
    nine[0] = 9
    expect(toHex(new X25519KeyPair(nine).dh(nine) ?? hex(''))).toBe(file.iterated.after_1)
  })

  it('holds after 1,000 rounds', () => {
    let k: Uint8Array = new Uint8Array(32)
    k[0] = 9
    let u = k
    for (let i = 0; i < 1000; i++) {
      const next = new X25519KeyPair(k).dh(u)
      u = k
      k = next ?? hex('')
    }
    expect(toHex(k)).toBe(file.iterated.after_1000)
  })
})

describeShared<Wycheproof<object, DhTest>>('Wycheproof X25519', 'wycheproof/x25519_test.json', (file) => {
  it('gives the shared secret, or null where it is zero, in all 518 cases', () => {
    let zero = 0
    let count = 0
    for (const group of file.testGroups) {
      for (const test of group.tests) {
        const shared = new X25519KeyPair(hex(test.private)).dh(hex(test.public))
        if (isZeroBytes(hex(test.shared))) {
          expect(shared, `case ${test.tcId}`).toBeNull()
          zero++
        } else {
          expect(toHex(shared ?? hex('')), `case ${test.tcId}`).toBe(test.shared)
        }
        count++
      }
    }
    expect([count, zero]).toEqual([518, 31])
  })
})
