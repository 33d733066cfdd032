import { describe, expect, it } from 'vitest'
import { EMPTY_BYTES, isZeroBytes, toHex } from '../../../src/base/bytes.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { open, openInto, seal, sealInto, TAG_BYTES } from '../../../src/crypto/aead.ts'
import { openXChaCha, sealXChaCha } from '../../../src/crypto/xchacha.ts'
import { describeShared, hex, type Wycheproof } from '../../reference/shared-vectors.ts'

interface AeadGroup {
  readonly ivSize: number
  readonly keySize: number
  readonly tagSize: number
}

interface AeadTest {
  readonly key: string
  readonly iv: string
  readonly aad: string
  readonly msg: string
  readonly ct: string
  readonly tag: string
}

type Seal = typeof seal
type Open = typeof open

const random = seededRandom(1)
const key = random.bytes(32)
const nonce = random.bytes(12)
/** Around the piece in which bytes are handed to the cipher, and a whole chunk. */
const LENGTHS = [0, 1, 15, 16, 17, 32_767, 32_768, 32_769, 65_536, 1_048_576, 1_048_592]

describe('ChaCha20-Poly1305', () => {
  it('seals into given memory what it seals into fresh memory, for every length', () => {
    for (const length of LENGTHS) {
      const plaintext = random.bytes(length)
      const sealed = seal(key, nonce, plaintext)
      const out = new Uint8Array(length + TAG_BYTES)
      sealInto(key, nonce, plaintext, out)
      expect(Buffer.compare(out, sealed)).toBe(0)
      const back = new Uint8Array(length)
      expect(openInto(key, nonce, sealed, back)).toBe(true)
      expect(Buffer.compare(back, plaintext)).toBe(0)
      expect(Buffer.compare(open(key, nonce, sealed) ?? EMPTY_BYTES, plaintext)).toBe(0)
    }
  })

  it('seals and opens in place', () => {
    for (const length of LENGTHS) {
      const plaintext = random.bytes(length)
      const memory = new Uint8Array(length + TAG_BYTES)
      memory.set(plaintext)
      sealInto(key, nonce, memory.subarray(0, length), memory)
      expect(Buffer.compare(memory, seal(key, nonce, plaintext))).toBe(0)
      expect(openInto(key, nonce, memory, memory.subarray(0, length))).toBe(true)
      expect(Buffer.compare(memory.subarray(0, length), plaintext)).toBe(0)
    }
  })

  it('leaves nothing of the plaintext behind when the tag is wrong', () => {
    for (const length of [1, 1000, 100_000]) {
      const sealed = seal(key, nonce, random.bytes(length))
      sealed[length] = (sealed[length] ?? 0) ^ 1
      const out = random.bytes(length)
      expect(openInto(key, nonce, sealed, out)).toBe(false)
      expect(isZeroBytes(out)).toBe(true)
      expect(open(key, nonce, sealed)).toBeNull()
    }
  })

  it('is not opened with any one bit changed, cut, extended, or under another key, nonce or aad', () => {
    const plaintext = random.bytes(40)
    const aad = random.bytes(20)
    const sealed = seal(key, nonce, plaintext, aad)
    expect(open(key, nonce, sealed, aad)).toEqual(plaintext)
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      expect(open(key, nonce, flipped(sealed, bit), aad), `bit ${bit}`).toBeNull()
    }
    for (let length = 0; length < sealed.length; length++) {
      expect(open(key, nonce, sealed.subarray(0, length), aad)).toBeNull()
    }
    expect(open(key, nonce, Uint8Array.of(...sealed, 0), aad)).toBeNull()
    expect(open(flipped(key, 9), nonce, sealed, aad)).toBeNull()
    expect(open(key, flipped(nonce, 9), sealed, aad)).toBeNull()
    expect(open(key, nonce, sealed, flipped(aad, 9))).toBeNull()
    expect(open(key, nonce, sealed)).toBeNull()
  })

  it('zeroes the given memory when there is not even a tag', () => {
    const out = random.bytes(8)
    expect(openInto(key, nonce, new Uint8Array(15), out)).toBe(false)
    expect(isZeroBytes(out)).toBe(true)
  })

  it('names the argument of our own that has a wrong length', () => {
    expect(() => seal(key.subarray(1), nonce, EMPTY_BYTES)).toThrow('"key" expected 32 bytes, got 31')
    expect(() => seal(key, nonce.subarray(1), EMPTY_BYTES)).toThrow('"nonce" expected 12 bytes, got 11')
    expect(() => sealInto(key, nonce, new Uint8Array(4), new Uint8Array(19))).toThrow('"out" expected 20')
    expect(() => openInto(key, nonce, new Uint8Array(20), new Uint8Array(5))).toThrow('"out" expected 4')
    expect(() => sealXChaCha(key, nonce, EMPTY_BYTES)).toThrow('"nonce" expected 24 bytes, got 12')
  })
})

describeShared<Readonly<Record<'key' | 'nonce' | 'aad' | 'plaintext' | 'ciphertext' | 'tag', string>>>(
  'RFC 8439',
  'rfc/rfc8439_aead.json',
  (vector) => {
    it('section 2.8.2 is reproduced both ways', () => {
      const sealed = hex(vector.ciphertext + vector.tag)
      const made = seal(hex(vector.key), hex(vector.nonce), hex(vector.plaintext), hex(vector.aad))
      expect(toHex(made)).toBe(toHex(sealed))
      expect(open(hex(vector.key), hex(vector.nonce), sealed, hex(vector.aad))).toEqual(hex(vector.plaintext))
    })
  },
)

function runWycheproof(
  file: Wycheproof<AeadGroup, AeadTest>,
  nonceBits: number,
  run: { seal: Seal; open: Open },
): void {
  let count = 0
  for (const group of file.testGroups) {
    for (const test of group.tests) {
      count++
      const [k, iv, aad, msg] = [hex(test.key), hex(test.iv), hex(test.aad), hex(test.msg)]
      const sealed = hex(test.ct + test.tag)
      const name = `case ${test.tcId}`
      if (group.ivSize !== nonceBits) {
        expect(test.result, name).toBe('invalid')
        expect(() => run.open(k, iv, sealed, aad), name).toThrow(RangeError)
        continue
      }
      const valid = test.result === 'valid'
      expect(toHex(run.open(k, iv, sealed, aad) ?? EMPTY_BYTES), name).toBe(valid ? test.msg : '')
      expect(run.open(k, iv, sealed, aad) === null, name).toBe(!valid)
      if (valid) expect(toHex(run.seal(k, iv, msg, aad)), name).toBe(test.ct + test.tag)
    }
  }
  expect(count).toBe(file.numberOfTests)
}

describeShared<Wycheproof<AeadGroup, AeadTest>>(
  'Wycheproof ChaCha20-Poly1305',
  'wycheproof/chacha20_poly1305_test.json',
  (file) => it('opens what is valid and nothing else', () => runWycheproof(file, 96, { seal, open })),
)

describeShared<Wycheproof<AeadGroup, AeadTest>>(
  'Wycheproof XChaCha20-Poly1305',
  'wycheproof/xchacha20_poly1305_test.json',
  (file) =>
    it('opens what is valid and nothing else', () => {
      runWycheproof(file, 192, { seal: sealXChaCha, open: openXChaCha })
    }),
)

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice()
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return copy
}
