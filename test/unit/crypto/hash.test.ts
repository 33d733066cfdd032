import { describe, expect, it } from 'vitest'
import { concatBytes, EMPTY_BYTES, toHex, utf8Bytes } from '../../../src/base/bytes.ts'
import { constantTimeEqual, hkdfSha256, hmacSha256, sha1, sha256, sha512 } from '../../../src/crypto/hash.ts'
import { describeShared, hex, type Wycheproof } from '../../reference/shared-vectors.ts'

interface HkdfTest {
  readonly ikm: string
  readonly salt: string
  readonly info: string
  readonly size: number
  readonly okm: string
}

interface MacTest {
  readonly key: string
  readonly msg: string
  readonly tag: string
}

describe('hashes', () => {
  it('give the known answers for "abc" (FIPS 180-4)', () => {
    const abc = utf8Bytes('abc')
    expect(toHex(sha256(abc))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
    expect(toHex(sha1(abc))).toBe('a9993e364706816aba3e25717850c26c9cd0d89d')
    expect(toHex(sha512(abc))).toBe(
      'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
    )
  })

  it('take parts as one byte string', () => {
    const parts = [utf8Bytes('a'), EMPTY_BYTES, utf8Bytes('bc')]
    expect(sha256(...parts)).toEqual(sha256(utf8Bytes('abc')))
    expect(sha512(...parts)).toEqual(sha512(concatBytes(...parts)))
    expect(hmacSha256(utf8Bytes('k'), ...parts)).toEqual(hmacSha256(utf8Bytes('k'), utf8Bytes('abc')))
    expect(sha256()).toEqual(sha256(EMPTY_BYTES))
  })

  it('return plain byte arrays, whose slice is a copy', () => {
    for (const bytes of [
      sha1(),
      sha256(),
      sha512(),
      hmacSha256(EMPTY_BYTES),
      hkdfSha256(EMPTY_BYTES, EMPTY_BYTES, 8),
    ]) {
      expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype)
    }
  })
})

describe('constantTimeEqual', () => {
  it('compares content, and is false for other lengths instead of throwing', () => {
    expect(constantTimeEqual(hex('0102'), hex('0102'))).toBe(true)
    expect(constantTimeEqual(hex('0102'), hex('0103'))).toBe(false)
    expect(constantTimeEqual(hex('0102'), hex('010200'))).toBe(false)
    expect(constantTimeEqual(EMPTY_BYTES, EMPTY_BYTES)).toBe(true)
  })
})

describe('HKDF', () => {
  it('refuses more than 255 blocks and lengths that are no length', () => {
    expect(hkdfSha256(EMPTY_BYTES, EMPTY_BYTES, 8160)).toHaveLength(8160)
    for (const length of [8161, -1, 1.5, Number.NaN]) {
      expect(() => hkdfSha256(EMPTY_BYTES, EMPTY_BYTES, length)).toThrow(RangeError)
    }
  })

  it('takes info of any length', () => {
    expect(hkdfSha256(EMPTY_BYTES, new Uint8Array(5000), 32)).toHaveLength(32)
  })
})

describeShared<Wycheproof<object, HkdfTest>>(
  'Wycheproof HKDF-SHA-256',
  'wycheproof/hkdf_sha256_test.json',
  (file) => {
    it('gives the expected key, or refuses the length', () => {
      let count = 0
      for (const group of file.testGroups) {
        for (const test of group.tests) {
          const run = (): Uint8Array => hkdfSha256(hex(test.ikm), hex(test.info), test.size, hex(test.salt))
          if (test.result === 'invalid') expect(run, `case ${test.tcId}`).toThrow(RangeError)
          else expect(toHex(run()), `case ${test.tcId}`).toBe(test.okm)
          count++
        }
      }
      expect(count).toBe(file.numberOfTests)
    })
  },
)

describeShared<Wycheproof<{ readonly tagSize: number }, MacTest>>(
  'Wycheproof HMAC-SHA-256',
  'wycheproof/hmac_sha256_test.json',
  (file) => {
    it('agrees with the tag where it is valid, and only there', () => {
      for (const group of file.testGroups) {
        for (const test of group.tests) {
          const tag = hmacSha256(hex(test.key), hex(test.msg)).slice(0, group.tagSize / 8)
          expect(toHex(tag) === test.tag, `case ${test.tcId}`).toBe(test.result === 'valid')
        }
      }
    })
  },
)
