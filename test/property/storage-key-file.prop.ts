import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concatBytes, toHex, utf8Bytes } from '../../src/base/bytes.ts'
import { isMegatorrentError } from '../../src/base/errors.ts'
import { systemRandom } from '../../src/base/random.ts'
import {
  decodeKeyFile,
  decodeMasterFile,
  decodePassphraseKeyFile,
  encodeKeyFile,
  encodeMasterFile,
  encodePassphraseKeyFile,
  isPassphraseKeyFile,
  isSealedKeyFile,
  openMasterKey,
  openPassphraseKeyFile,
} from '../../src/storage/key-file.ts'

const secret = fc.uint8Array({ minLength: 32, maxLength: 32 })
const masterKey = fc.option(secret)
const cost = fc.record({ logN: fc.nat({ max: 255 }), r: fc.nat({ max: 255 }), p: fc.nat({ max: 255 }) })
const record = fc.record({
  kind: fc.constantFrom('channel' as const, 'node' as const),
  name: fc.string({ unit: 'binary', maxLength: 64 }).filter((name) => utf8Bytes(name).length <= 64),
  private: fc.boolean(),
  open: fc.boolean(),
  createdAt: fc.maxSafeNat(),
  seed: secret,
  readKey: secret,
})

describe('key files', () => {
  it('give back every record under the key that sealed it', () => {
    fc.assert(
      fc.property(record, masterKey, (given, key) => {
        const bytes = encodeKeyFile(given, key, systemRandom)
        expect(decodeKeyFile(bytes, key, 'x')).toEqual(given)
        expect(isSealedKeyFile(bytes)).toBe(key !== null)
      }),
      { numRuns: 200 },
    )
  })

  it('have one length, whatever the name', () => {
    fc.assert(
      fc.property(record, record, masterKey, (one, two, key) => {
        expect(encodeKeyFile(one, key, systemRandom).length).toBe(
          encodeKeyFile(two, key, systemRandom).length,
        )
      }),
      { numRuns: 50 },
    )
  })

  it('are refused with one bit changed, cut off, or longer', () => {
    fc.assert(
      fc.property(record, masterKey, fc.nat(), fc.nat({ max: 7 }), (given, key, at, bit) => {
        const bytes = encodeKeyFile(given, key, systemRandom)
        const changed = bytes.slice()
        const index = at % bytes.length
        changed[index] = (changed[index] ?? 0) ^ (1 << bit)
        for (const bad of [changed, bytes.slice(0, index), concatBytes(bytes, Uint8Array.of(0))]) {
          expect(() => decodeKeyFile(bad, key, 'x')).toThrow(
            expect.objectContaining({ name: 'MegatorrentError' }),
          )
        }
      }),
      { numRuns: 200 },
    )
  })

  it('of any bytes at all throw our own error and nothing else', () => {
    const junk = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      fc
        .uint8Array({ maxLength: 400 })
        .map((rest) => concatBytes(utf8Bytes('megakey\n'), Uint8Array.of(1, 0), rest)),
      fc
        .uint8Array({ maxLength: 400 })
        .map((rest) => concatBytes(utf8Bytes('megakey\n'), Uint8Array.of(1, 1), rest)),
      fc
        .uint8Array({ maxLength: 400 })
        .map((rest) => concatBytes(utf8Bytes('megakey\n'), Uint8Array.of(1, 2), rest)),
      fc
        .uint8Array({ maxLength: 400 })
        .map((rest) => concatBytes(utf8Bytes('megamst\n'), Uint8Array.of(1), rest)),
    )
    fc.assert(
      fc.property(junk, masterKey, (bytes, key) => {
        for (const decode of [
          () => decodeKeyFile(bytes, key, 'x'),
          () => decodeMasterFile(bytes, 'x'),
          () => decodePassphraseKeyFile(bytes, 'x'),
        ]) {
          try {
            decode()
          } catch (error) {
            expect(isMegatorrentError(error)).toBe(true)
          }
        }
      }),
      { numRuns: 500 },
    )
  })

  it('of a master key open under its passphrase key and no other, with nothing exchanged', () => {
    fc.assert(
      fc.property(secret, secret, secret, cost, fc.nat(), (master, key, salt, given, at) => {
        const bytes = encodeMasterFile(master, key, salt, given, systemRandom)
        const file = decodeMasterFile(bytes, 'x')
        expect([file.cost, file.salt]).toEqual([given, salt])
        expect(openMasterKey(file, key)).toEqual(master)
        const changed = bytes.slice()
        const index = 9 + (at % (bytes.length - 9))
        changed[index] = (changed[index] ?? 0) ^ 1
        expect(openMasterKey(decodeMasterFile(changed, 'x'), key)).toBeNull()
      }),
      { numRuns: 200 },
    )
  })

  it('under a passphrase open under its key and no other, with nothing exchanged', () => {
    fc.assert(
      fc.property(record, secret, secret, secret, cost, (given, key, otherKey, salt, spent) => {
        const bytes = encodePassphraseKeyFile(given, key, salt, spent, systemRandom)
        expect([isPassphraseKeyFile(bytes), isSealedKeyFile(bytes)]).toEqual([true, false])
        const file = decodePassphraseKeyFile(bytes, 'x')
        expect([file.cost, file.salt]).toEqual([spent, salt])
        expect(openPassphraseKeyFile(file, key, 'x')).toEqual(given)
        fc.pre(toHex(otherKey) !== toHex(key))
        expect(openPassphraseKeyFile(file, otherKey, 'x')).toBeNull()
        // As if somebody made another file of it: the header is part of what is sealed.
        for (let at = 0; at < file.header.length; at++) {
          const header = file.header.slice()
          header[at] = (header[at] ?? 0) ^ 1
          expect(openPassphraseKeyFile({ ...file, header }, key, 'x')).toBeNull()
        }
      }),
      { numRuns: 50 },
    )
  })

  it('under a passphrase are refused with one bit changed, cut off, or longer, before a passphrase is tried', () => {
    fc.assert(
      fc.property(record, secret, cost, fc.nat(), fc.nat({ max: 7 }), (given, key, spent, at, bit) => {
        const bytes = encodePassphraseKeyFile(given, key, key, spent, systemRandom)
        const changed = bytes.slice()
        const index = at % bytes.length
        changed[index] = (changed[index] ?? 0) ^ (1 << bit)
        for (const bad of [changed, bytes.slice(0, index), concatBytes(bytes, Uint8Array.of(0))]) {
          const read = (): unknown =>
            isPassphraseKeyFile(bad) ? decodePassphraseKeyFile(bad, 'x') : decodeKeyFile(bad, null, 'x')
          expect(read).toThrow(expect.objectContaining({ name: 'MegatorrentError' }))
        }
      }),
      { numRuns: 200 },
    )
  })
})
