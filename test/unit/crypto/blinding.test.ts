import { describe, expect, it } from 'vitest'
import { toHex, utf8Bytes } from '../../../src/base/bytes.ts'
import { seededRandom } from '../../../src/base/random.ts'
import {
  BlindedSigner,
  blindingFactor,
  blindPoint,
  blindPublicKey,
  blindScalar,
  clampScalar,
  KeyBlinder,
  signBlinded,
  slotSigner,
} from '../../../src/crypto/blinding.ts'
import { checkPublicKey, expandSeed, verifySignature } from '../../../src/crypto/ed25519.ts'
import { sha512 } from '../../../src/crypto/hash.ts'
import { publisherKeys } from '../../../src/crypto/key-schedule.ts'
import {
  challenge,
  encodeScalar,
  GROUP_ORDER,
  littleEndian,
  naiveSign,
  naiveVerify,
  Point,
  SMALL_ORDER_POINTS,
  times,
} from '../../reference/ed25519-naive.ts'
import { describeShared, hex } from '../../reference/shared-vectors.ts'

const random = seededRandom(4)
const keys = publisherKeys(random.bytes(32), random.bytes(32))
const message = utf8Bytes('3:seqi1e1:v5:hello')
const SLOTS = [20_000, 20_001].flatMap((day) => [0, 1, 2].map((replica) => ({ day, replica })))

describe('a blinded key', () => {
  it('is the same for a reader, who has A, and for the publisher, who has a', () => {
    for (const { day, replica } of SLOTS) {
      expect(toHex(slotSigner(keys, day, replica).publicKey)).toBe(toHex(blindPublicKey(keys, day, replica)))
    }
  })

  it('signs what any verifier accepts, under that key alone', () => {
    for (const { day, replica } of SLOTS) {
      const signature = signBlinded(keys, day, replica, message)
      const slotKey = blindPublicKey(keys, day, replica)
      expect(verifySignature(signature, message, slotKey)).toBe(true)
      expect(naiveVerify(signature, message, slotKey)).toBe(true)
      expect(verifySignature(signature, message, keys.publicKey)).toBe(false)
      expect(verifySignature(signature, utf8Bytes('3:seqi2e1:v5:hello'), slotKey)).toBe(false)
    }
  })

  it('differs for each day, replica, read key and channel, and is an acceptable key', () => {
    const others = [publisherKeys(keys.seed, random.bytes(32)), publisherKeys(random.bytes(32), keys.readKey)]
    const all = [keys, ...others].flatMap((channel) =>
      SLOTS.map(({ day, replica }) => blindPublicKey(channel, day, replica)),
    )
    expect(new Set(all.map(toHex)).size).toBe(18)
    for (const slotKey of all.slice(0, 3)) expect(checkPublicKey(slotKey)).toBe(true)
  })

  it('is the same from a table of multiples', () => {
    const blinder = new KeyBlinder(keys.publicKey)
    for (const { day, replica } of SLOTS) {
      const slotKey = blinder.blind(blindingFactor(keys, day, replica))
      expect(toHex(slotKey)).toBe(toHex(blindPublicKey(keys, day, replica)))
    }
    expect(() => blinder.blind(7n)).toThrow(RangeError)
  })

  it('has a factor of 255 bits that is a multiple of 8', () => {
    for (const { day, replica } of SLOTS) {
      const factor = blindingFactor(keys, day, replica)
      expect(factor % 8n).toBe(0n)
      expect(factor >> 254n).toBe(1n)
    }
  })
})

describe('blindPoint', () => {
  it('is multiplication by the integer itself, torsion and all', () => {
    const base = Point.fromBytes(keys.publicKey)
    for (const torsion of SMALL_ORDER_POINTS) {
      const point = base.add(torsion)
      const factor = clampScalar(random.bytes(32))
      expect(toHex(blindPoint(point.toBytes(), factor))).toBe(toHex(times(point, factor).toBytes()))
    }
  })

  it('refuses keys that are not canonical points of large order, and factors that are not clamped', () => {
    const factor = clampScalar(random.bytes(32))
    for (const point of SMALL_ORDER_POINTS)
      expect(() => blindPoint(point.toBytes(), factor)).toThrow(RangeError)
    expect(() => blindPoint(encodeScalar(2n ** 255n - 1n), factor)).toThrow(RangeError)
    expect(() => blindPoint(keys.publicKey.subarray(1), factor)).toThrow(RangeError)
    for (const bad of [0n, 1n, -8n, factor + 1n])
      expect(() => blindPoint(keys.publicKey, bad)).toThrow(RangeError)
  })
})

describe('indices of slots', () => {
  it('are refused when they do not fit their field', () => {
    for (const day of [-1, 1.5, 2 ** 32, Number.NaN])
      expect(() => blindingFactor(keys, day, 0)).toThrow(RangeError)
    for (const replica of [-1, 0.5, 256]) expect(() => blindingFactor(keys, 0, replica)).toThrow(RangeError)
  })
})

interface Signed {
  readonly publicKey: Uint8Array
  readonly factor: bigint
  readonly signature: Uint8Array
}

/** The attack: two signatures of one message by one nonce give the scalar of A to whoever holds the link. */
function recoverScalar(one: Signed, two: Signed): bigint | null {
  if (Buffer.compare(one.signature.subarray(0, 32), two.signature.subarray(0, 32)) !== 0) return null
  const weight = ({ publicKey, factor, signature }: Signed): bigint =>
    challenge(signature.subarray(0, 32), publicKey, message) * factor
  const s = ({ signature }: Signed): bigint => littleEndian(signature.subarray(32))
  const divisor = modulo(weight(one) - weight(two))
  return modulo((s(one) - s(two)) * power(divisor, GROUP_ORDER - 2n))
}

/** The planted fault: a nonce of prefix and message alone, as plain Ed25519 has it. */
function badSign(day: number, replica: number): Uint8Array {
  const nonce = littleEndian(sha512(keys.expanded.prefix, message)) % GROUP_ORDER
  const scalar = blindScalar(keys.expanded.scalar, blindingFactor(keys, day, replica))
  return naiveSign(scalar, blindPublicKey(keys, day, replica), nonce, message)
}

function signedBy(sign: (day: number, replica: number) => Uint8Array): Signed[] {
  return SLOTS.map(({ day, replica }) => ({
    publicKey: blindPublicKey(keys, day, replica),
    factor: blindingFactor(keys, day, replica),
    signature: sign(day, replica),
  }))
}

describe('one message signed in two periods and three replicas', () => {
  it('uses a nonce of its own each time', () => {
    const signed = signedBy((day, replica) => signBlinded(keys, day, replica, message))
    expect(new Set(signed.map(({ signature }) => toHex(signature.subarray(0, 32)))).size).toBe(SLOTS.length)
    for (const one of signed)
      for (const two of signed) if (one !== two) expect(recoverScalar(one, two)).toBeNull()
  })

  it("would give the secret scalar away under a planted signer whose nonce leaves A' out", () => {
    const signed = signedBy(badSign)
    for (const { publicKey, signature } of signed)
      expect(verifySignature(signature, message, publicKey)).toBe(true)
    for (const one of signed) {
      for (const two of signed) if (one !== two) expect(recoverScalar(one, two)).toBe(keys.expanded.scalar)
    }
  })

  it('uses a nonce of its own for each message of one slot, and the same for the same message', () => {
    const signer = slotSigner(keys, 20_000, 0)
    const other = signer.sign(utf8Bytes('3:seqi2e1:v5:hello'))
    expect(toHex(other.subarray(0, 32))).not.toBe(toHex(signer.sign(message).subarray(0, 32)))
    expect(signer.sign(message)).toEqual(slotSigner(keys, 20_000, 0).sign(message))
  })
})

interface TorBlinding {
  readonly seed: string
  readonly expanded_sk: string
  readonly pk: string
  readonly blinding_param: string
  readonly blinded_sk: string
  readonly blinded_pk: string
}

describeShared<{ readonly blinding: readonly TorBlinding[] }>('Tor', 'tor/onion_v3.json', (file) => {
  it('blinds keys and scalars to the same values in all ten cases', () => {
    expect(file.blinding).toHaveLength(10)
    for (const vector of file.blinding) {
      const expanded = expandSeed(hex(vector.seed))
      expect(toHex(expanded.publicKey)).toBe(vector.pk)
      expect(expanded.scalar).toBe(littleEndian(hex(vector.expanded_sk).subarray(0, 32)) % GROUP_ORDER)
      expect(toHex(expanded.prefix)).toBe(vector.expanded_sk.slice(64))
      const factor = clampScalar(hex(vector.blinding_param))
      expect(toHex(blindPoint(expanded.publicKey, factor))).toBe(vector.blinded_pk)
      expect(blindScalar(expanded.scalar, factor)).toBe(
        littleEndian(hex(vector.blinded_sk).subarray(0, 32)) % GROUP_ORDER,
      )
      const signer = new BlindedSigner(expanded, factor)
      expect(toHex(signer.publicKey)).toBe(vector.blinded_pk)
      expect(verifySignature(signer.sign(message), message, hex(vector.blinded_pk))).toBe(true)
    }
  })
})

function modulo(value: bigint): bigint {
  return ((value % GROUP_ORDER) + GROUP_ORDER) % GROUP_ORDER
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n
  for (let b = base, e = exponent; e > 0n; e >>= 1n, b = (b * b) % GROUP_ORDER) {
    if (e & 1n) result = (result * b) % GROUP_ORDER
  }
  return result
}
