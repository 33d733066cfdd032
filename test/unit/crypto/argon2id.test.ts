/**
 * The library against public vectors, and against a twin written from the RFC. The
 * vector of RFC 9106 has associated data, which the library does not take: the twin
 * meets it, and the library meets the twin.
 */
import { argon2id as library } from 'hash-wasm'
import { describe, expect, it } from 'vitest'
import { toHex, utf8Bytes } from '../../../src/base/bytes.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { ARGON2ID_MIN_MEMORY_KIB, argon2id } from '../../../src/crypto/argon2id.ts'
import { naiveArgon2id } from '../../reference/argon2-naive.ts'

describe('argon2id', () => {
  it('of the twin is that of RFC 9106, section 5.3', () => {
    const tag = naiveArgon2id({
      password: new Uint8Array(32).fill(1),
      salt: new Uint8Array(16).fill(2),
      secret: new Uint8Array(8).fill(3),
      data: new Uint8Array(12).fill(4),
      memoryKib: 32,
      passes: 3,
      lanes: 4,
      outBytes: 32,
    })
    expect(toHex(tag)).toBe('0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659')
  })

  // Of the reference implementation (P-H-C/phc-winner-argon2, src/test.c, version 0x13).
  it.each([
    [
      2,
      65_536,
      1,
      'password',
      'somesalt',
      '09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7',
    ],
    [2, 256, 1, 'password', 'somesalt', '9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe'],
    [2, 256, 2, 'password', 'somesalt', '6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037'],
    [
      1,
      65_536,
      1,
      'password',
      'somesalt',
      'f6a5adc1ba723dddef9b5ac1d464e180fcd9dffc9d1cbf76cca2fed795d9ca98',
    ],
  ])('of the library: %i passes, %i KiB, %i lanes', async (iterations, memorySize, parallelism, ...texts) => {
    const [password, salt, expected] = texts
    const hash = await library({
      ...{ password, salt, iterations, memorySize, parallelism },
      ...{ hashLength: 32, outputType: 'hex' },
    })
    expect(hash).toBe(expected)
  })

  it('as it is used is that of the twin', async () => {
    const random = seededRandom(9)
    for (const memoryKib of [ARGON2ID_MIN_MEMORY_KIB, 9, 31, 64, 200]) {
      for (const passes of [1, 2, 3]) {
        const input = { password: random.bytes(8), salt: random.bytes(32), memoryKib, passes }
        const twin = naiveArgon2id({ ...input, lanes: 1, outBytes: 32 })
        expect(toHex(await argon2id(input))).toBe(toHex(twin))
      }
    }
  })

  it('takes salts of one length', async () => {
    const input = { password: utf8Bytes('x'), salt: new Uint8Array(16), memoryKib: 8, passes: 1 }
    await expect(argon2id(input)).rejects.toThrow(RangeError)
  })
})
