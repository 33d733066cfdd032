import { ed25519 } from '@noble/curves/ed25519.js'
import { describe, expect, it } from 'vitest'
import { concatBytes, EMPTY_BYTES, toHex, utf8Bytes } from '../../../src/base/bytes.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { checkPublicKey, expandSeed, SigningKey, sign, verifySignature } from '../../../src/crypto/ed25519.ts'
import {
  type CurvePoint,
  challenge,
  encodeScalar,
  FIELD_PRIME,
  GROUP_ORDER,
  littleEndian,
  naiveCheckPublicKey,
  naiveSign,
  naiveVerify,
  Point,
  SMALL_ORDER_POINTS,
} from '../../reference/ed25519-naive.ts'
import { describeShared, hex, type Wycheproof } from '../../reference/shared-vectors.ts'

const random = seededRandom(3)
const message = utf8Bytes('a message')
const key = expandSeed(random.bytes(32))
const NONCE = littleEndian(random.bytes(31))
/** All but the identity. */
const TORSION = SMALL_ORDER_POINTS.slice(1)

describe('signing', () => {
  it('gives the same key and signature as noble, through each way in', () => {
    for (let i = 0; i < 20; i++) {
      const seed = random.bytes(32)
      const text = random.bytes(i * 7)
      const signingKey = new SigningKey(seed)
      const expanded = expandSeed(seed)
      expect(toHex(signingKey.publicKey)).toBe(toHex(ed25519.getPublicKey(seed)))
      expect(toHex(expanded.publicKey)).toBe(toHex(signingKey.publicKey))
      expect(toHex(Point.BASE.multiply(expanded.scalar).toBytes())).toBe(toHex(signingKey.publicKey))
      expect(expanded.prefix).toHaveLength(32)
      const signature = signingKey.sign(text)
      expect(toHex(signature)).toBe(toHex(ed25519.sign(text, seed)))
      expect(sign(seed, text)).toEqual(signature)
      expect(verifySignature(signature, text, signingKey.publicKey)).toBe(true)
    }
  })

  it('does not depend on the seed once the key is made', () => {
    const seed = random.bytes(32)
    const signingKey = new SigningKey(seed)
    const before = signingKey.sign(message)
    seed.fill(0)
    expect(signingKey.sign(message)).toEqual(before)
  })

  it('refuses seeds of a wrong length', () => {
    for (const length of [0, 31, 33, 64]) {
      expect(() => new SigningKey(new Uint8Array(length))).toThrow(`"seed" expected 32 bytes, got ${length}`)
      expect(() => expandSeed(new Uint8Array(length))).toThrow(RangeError)
    }
  })
})

describe('verifySignature', () => {
  it('never throws, whatever the lengths', () => {
    const signature = naiveSign(key.scalar, key.publicKey, NONCE, message)
    expect(verifySignature(signature, message, key.publicKey)).toBe(true)
    for (const length of [0, 1, 31, 32, 33, 63, 64, 65, 1000]) {
      const bytes = random.bytes(length)
      expect(verifySignature(bytes, message, key.publicKey)).toBe(false)
      expect(verifySignature(signature, message, bytes)).toBe(false)
      expect(verifySignature(bytes, bytes, bytes)).toBe(false)
    }
  })

  it('refuses S + L, which lax verifiers accept', () => {
    const signature = naiveSign(key.scalar, key.publicKey, NONCE, message)
    const s = littleEndian(signature.subarray(32))
    for (const shifted of [s + GROUP_ORDER, s + 2n * GROUP_ORDER, GROUP_ORDER, 2n ** 256n - 1n]) {
      const forged = concatBytes(signature.subarray(0, 32), encodeScalar(shifted))
      expect(verifySignature(forged, message, key.publicKey)).toBe(false)
      expect(naiveVerify(forged, message, key.publicKey)).toBe(false)
    }
  })

  it('refuses every key of small order, in every encoding, also where the equation holds', () => {
    let held = 0
    for (const publicKey of smallOrderEncodings()) {
      // A signature that needs no secret: k·A is the identity for one message in eight at least.
      for (let i = 0; i < 16; i++) {
        const text = random.bytes(8)
        const signature = naiveSign(0n, publicKey, NONCE, text)
        if (ed25519.verify(signature, text, publicKey, { zip215: true })) held++
        expect(verifySignature(signature, text, publicKey)).toBe(false)
      }
      for (const r of smallOrderEncodings()) {
        expect(verifySignature(concatBytes(r, new Uint8Array(32)), message, publicKey)).toBe(false)
      }
    }
    expect(held).toBeGreaterThan(100)
  })

  it('uses the equation without the cofactor, where noble in its strict mode does not', () => {
    for (const torsion of TORSION) {
      const signature = naiveSign(key.scalar, key.publicKey, NONCE, message, torsion)
      expect(ed25519.verify(signature, message, key.publicKey, { zip215: false })).toBe(true)
      expect(naiveVerify(signature, message, key.publicKey)).toBe(false)
      expect(verifySignature(signature, message, key.publicKey)).toBe(false)
    }
  })

  it('takes k modulo L: a mixed-order key verifies exactly when k mod L is a multiple of the torsion', () => {
    const seen = new Set<boolean>()
    for (const torsion of TORSION) {
      const publicKey = mixedOrder(torsion)
      for (let i = 0; i < 24; i++) {
        const text = random.bytes(8)
        const signature = naiveSign(key.scalar, publicKey, NONCE, text)
        const k = challenge(signature.subarray(0, 32), publicKey, text)
        const valid = torsion.multiplyUnsafe(k).is0()
        seen.add(valid)
        expect(naiveVerify(signature, text, publicKey)).toBe(valid)
        expect(verifySignature(signature, text, publicKey)).toBe(valid)
      }
    }
    expect(seen).toEqual(new Set([true, false]))
  })

  it('refuses an R of small order in every encoding, where some releases of Node do not', () => {
    for (const point of SMALL_ORDER_POINTS) {
      const lax = naiveSign(key.scalar, key.publicKey, 0n, message, point)
      expect(naiveVerify(lax, message, key.publicKey)).toBe(false)
      expect(verifySignature(lax, message, key.publicKey)).toBe(false)
    }
    for (const r of smallOrderEncodings()) {
      const s = (challenge(r, key.publicKey, message) * key.scalar) % GROUP_ORDER
      expect(verifySignature(concatBytes(r, encodeScalar(s)), message, key.publicKey)).toBe(false)
    }
  })
})

describe('checkPublicKey', () => {
  it('accepts what seeds give', () => {
    for (let i = 0; i < 10; i++) expect(checkPublicKey(expandSeed(random.bytes(32)).publicKey)).toBe(true)
  })

  it('refuses all eight points of small order, in every encoding', () => {
    const encodings = smallOrderEncodings()
    expect(encodings.length).toBeGreaterThan(8)
    for (const encoding of encodings) expect(checkPublicKey(encoding), toHex(encoding)).toBe(false)
  })

  it('refuses a good key with a torsion part', () => {
    for (const torsion of TORSION) {
      expect(checkPublicKey(mixedOrder(torsion))).toBe(false)
      expect(naiveCheckPublicKey(mixedOrder(torsion))).toBe(false)
    }
  })

  it('refuses every encoding that is not canonical', () => {
    for (let y = FIELD_PRIME; y < 2n ** 255n; y++) {
      for (const sign of [0n, 1n]) expect(checkPublicKey(encodeScalar(y | (sign << 255n)))).toBe(false)
    }
  })

  it('refuses what is not on the curve or not 32 bytes', () => {
    let offCurve = 0
    for (let i = 0; i < 40; i++) {
      const bytes = random.bytes(32)
      expect(checkPublicKey(bytes)).toBe(naiveCheckPublicKey(bytes))
      if (!naiveCheckPublicKey(bytes)) offCurve++
    }
    expect(offCurve).toBeGreaterThan(10)
    for (const bytes of [
      EMPTY_BYTES,
      key.publicKey.subarray(1),
      concatBytes(key.publicKey, Uint8Array.of(0)),
    ]) {
      expect(checkPublicKey(bytes)).toBe(false)
    }
  })
})

describeShared<
  Wycheproof<{ readonly publicKey: { readonly pk: string } }, { readonly msg: string; readonly sig: string }>
>('Wycheproof Ed25519', 'wycheproof/ed25519_test.json', (file) => {
  it('accepts what is valid and nothing else, as the naive twin does, in all 151 cases', () => {
    let count = 0
    for (const group of file.testGroups) {
      const publicKey = hex(group.publicKey.pk)
      for (const test of group.tests) {
        const [signature, text] = [hex(test.sig), hex(test.msg)]
        const valid = test.result === 'valid'
        expect(verifySignature(signature, text, publicKey), `case ${test.tcId}`).toBe(valid)
        expect(naiveVerify(signature, text, publicKey), `case ${test.tcId}`).toBe(valid)
        count++
      }
    }
    expect(count).toBe(151)
  })
})

describeShared<{ readonly vectors: readonly Readonly<Record<'seed' | 'pk' | 'msg' | 'sig', string>>[] }>(
  'RFC 8032',
  'rfc/rfc8032_ed25519.json',
  (file) => {
    it('section 7.1 is reproduced', () => {
      expect(file.vectors).toHaveLength(3)
      for (const vector of file.vectors) {
        const signingKey = new SigningKey(hex(vector.seed))
        expect(toHex(signingKey.publicKey)).toBe(vector.pk)
        expect(toHex(signingKey.sign(hex(vector.msg)))).toBe(vector.sig)
      }
    })
  },
)

interface Bep44Case {
  readonly name: string
  readonly k: string
  readonly seq: number
  readonly v: string
  readonly sig: string
  readonly salt?: string
}

describeShared<{ readonly positive: readonly Partial<Bep44Case>[]; readonly negative: readonly Bep44Case[] }>(
  'BEP 44 signatures',
  'bep/bep44.json',
  (file) => {
    const signed = ({ salt, seq, v }: Partial<Bep44Case>): Uint8Array =>
      utf8Bytes(`${salt === undefined ? '' : `4:salt${salt.length}:${salt}`}3:seqi${seq}e1:v${v}`)

    it('accepts the two mutable items of the text', () => {
      const items = file.positive.filter((item) => item.sig !== undefined)
      expect(items).toHaveLength(2)
      for (const item of items) {
        expect(verifySignature(hex(item.sig ?? ''), signed(item), hex(item.k ?? '')), item.name).toBe(true)
      }
    })

    it('refuses all nine negative cases without throwing', () => {
      expect(file.negative).toHaveLength(9)
      for (const item of file.negative) {
        expect(verifySignature(hex(item.sig), signed(item), hex(item.k)), item.name).toBe(false)
        expect(naiveVerify(hex(item.sig), signed(item), hex(item.k)), item.name).toBe(false)
      }
    })
  },
)

function mixedOrder(torsion: CurvePoint): Uint8Array {
  return Point.fromBytes(key.publicKey).add(torsion).toBytes()
}

/** The points themselves, and every other 32 bytes that a lax decoder takes for one of them. */
function smallOrderEncodings(): Uint8Array[] {
  const encodings = new Map<string, Uint8Array>()
  for (const point of SMALL_ORDER_POINTS) {
    const y = littleEndian(point.toBytes()) & (2n ** 255n - 1n)
    for (const value of [y, y + FIELD_PRIME].filter((candidate) => candidate < 2n ** 255n)) {
      for (const sign of [0n, 1n]) {
        const encoding = encodeScalar(value | (sign << 255n))
        encodings.set(toHex(encoding), encoding)
      }
    }
  }
  return [...encodings.values()]
}
