import { describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { formatAddress, parseAddress } from '../../../src/wire/address.ts'
import { BLOB_REF_BYTES, HEAD_BYTES, MAX_RELEASE_NUMBER } from '../../../src/wire/constants.ts'
import {
  classifyHead,
  compareHeads,
  decodeHead,
  type Head,
  type HeadFields,
  headHash,
  signHead,
  slotVersion,
  verifyHead,
} from '../../../src/wire/head.ts'
import { hex } from '../../reference/shared-vectors.ts'
import { type HeadVectors, makeHead, ROOT, SIGNER, VECTORS } from './head-input.ts'
import { codeOf, damaged } from './refusal.ts'

const CHANNEL_KEY = hex(VECTORS.channelKey)

function fieldsOf(vector: HeadVectors['valid'][0]): HeadFields {
  return {
    releaseNumber: vector.releaseNumber,
    revision: vector.revision,
    signedAt: vector.signedAt,
    root: vector.isUnpublished ? new Uint8Array(BLOB_REF_BYTES) : ROOT,
    isUnpublished: vector.isUnpublished,
    previousHash: vector.previousHash === null ? null : hex(vector.previousHash),
    successorKey: vector.successorKey === null ? null : hex(vector.successorKey),
    addresses: vector.addresses.map(parseAddress),
  }
}

describe('a head', () => {
  it.each(VECTORS.valid)('of the vector "$name" is signed, read and verified', (vector) => {
    const bytes = hex(vector.bytes)
    expect(toHex(signHead(fieldsOf(vector), SIGNER).bytes)).toBe(vector.bytes)
    const head = verifyHead(bytes, CHANNEL_KEY)
    expect(head).toEqual({ ...fieldsOf(vector), bytes })
    expect(head.addresses.map(formatAddress)).toEqual(vector.addresses)
    expect(decodeHead(bytes)).toEqual(head)
  })

  it.each(VECTORS.invalid)('is refused: $why', ({ bytes, code }) => {
    expect(codeOf(() => verifyHead(hex(bytes), CHANNEL_KEY))).toBe(code)
  })

  it('is refused for each of the reasons there are', () => {
    expect([...new Set(VECTORS.invalid.map(({ code }) => code))].sort()).toEqual([
      'ERR_ADDRESS',
      'ERR_HEAD_FIELD',
      'ERR_HEAD_SIGNATURE',
      'ERR_HEAD_SIZE',
      'ERR_HEAD_VERSION',
    ])
  })

  it('belongs to whoever has it: the input may be overwritten', () => {
    const bytes = Buffer.from(VECTORS.valid[1]?.bytes ?? '', 'hex')
    const head = decodeHead(bytes)
    bytes.fill(0)
    expect(toHex(head.root)).toBe(VECTORS.root)
    expect(toHex(head.bytes)).toBe(VECTORS.valid[1]?.bytes)
  })

  it('of an unpublished channel names no manifest and no address, and is not signed otherwise', () => {
    const nothing = new Uint8Array(BLOB_REF_BYTES)
    const address = parseAddress('1.2.3.4:5')
    expect(makeHead({ isUnpublished: true, root: nothing }).isUnpublished).toBe(true)
    expect(() => makeHead({ isUnpublished: true })).toThrow(RangeError)
    expect(() => makeHead({ root: nothing })).toThrow(RangeError)
    expect(() => makeHead({ isUnpublished: true, root: nothing, addresses: [address] })).toThrow(RangeError)
  })

  it('that says unpublished is believed of the channel alone: the flag is signed', () => {
    const { bytes } = makeHead()
    // What a peer without the key could make of a head that it has.
    bytes[115] = 1
    bytes.fill(0, 19, 83)
    expect(codeOf(() => verifyHead(bytes, CHANNEL_KEY))).toBe('ERR_HEAD_SIGNATURE')
    expect(decodeHead(bytes).isUnpublished).toBe(true)
  })

  it('is refused after a change of any one byte', () => {
    const { bytes } = makeHead({ addresses: [parseAddress('1.2.3.4:5')] })
    for (let at = 0; at < HEAD_BYTES; at++) {
      const hurt = bytes.slice()
      hurt[at] = (hurt[at] as number) ^ (1 << (at % 8))
      expect(
        codeOf(() => verifyHead(hurt, CHANNEL_KEY)),
        `byte ${at}`,
      ).not.toBeNull()
    }
  })

  it('that is damaged anyhow is refused', () => {
    const { bytes } = makeHead()
    for (const { how, bytes: hurt } of damaged(bytes, seededRandom(4))) {
      expect(
        codeOf(() => verifyHead(hurt, CHANNEL_KEY)),
        how,
      ).not.toBeNull()
    }
  })

  it('with a field out of range cannot be signed', () => {
    const nine = Array.from({ length: 9 }, () => parseAddress('1.2.3.4:5'))
    for (const changes of [
      { releaseNumber: 0 },
      { releaseNumber: MAX_RELEASE_NUMBER + 1 },
      { releaseNumber: 1.5 },
      { revision: -1 },
      { revision: 65_536 },
      { signedAt: -1 },
      { signedAt: 2 ** 53 },
      { root: new Uint8Array(63) },
      { previousHash: new Uint8Array(31) },
      { successorKey: new Uint8Array(32) },
      { addresses: nine },
    ]) {
      expect(() => makeHead(changes), JSON.stringify(changes)).toThrow(RangeError)
    }
    expect(() => makeHead({ addresses: [parseAddress('name:1')] })).toThrow(TypeError)
  })

  it('of the next release names the last by its hash', () => {
    const first = makeHead()
    const second = makeHead({ releaseNumber: 2, previousHash: headHash(first.bytes) })
    expect(verifyHead(second.bytes, CHANNEL_KEY).previousHash).toEqual(headHash(first.bytes))
  })
})

describe('what a head is to who holds another', () => {
  const held = makeHead({ releaseNumber: 5, revision: 3 })
  const otherRoot = ROOT.map((byte, index) => (index === 0 ? byte ^ 1 : byte))
  const otherKey = ROOT.map((byte, index) => (index === 63 ? byte ^ 1 : byte))
  it.each([
    ['newer', { releaseNumber: 6, revision: 0 }],
    ['newer', { releaseNumber: 6, revision: 0, root: otherRoot }],
    ['older', { releaseNumber: 4, revision: 65_535 }],
    ['older', { releaseNumber: 4, revision: 0, root: otherRoot }],
    ['refresh', { releaseNumber: 5, revision: 4 }],
    ['older', { releaseNumber: 5, revision: 2 }],
    ['same', { releaseNumber: 5, revision: 3 }],
    ['same', { releaseNumber: 5, revision: 3, signedAt: 99 }],
    ['conflict', { releaseNumber: 5, revision: 3, root: otherRoot }],
    ['conflict', { releaseNumber: 5, revision: 4, root: otherRoot }],
    ['conflict', { releaseNumber: 5, revision: 2, root: otherRoot }],
    ['conflict', { releaseNumber: 5, revision: 4, root: otherKey }],
  ] as const)('%s: %j', (news, changes) => {
    expect(classifyHead(makeHead(changes), held)).toBe(news)
  })

  it('is news to who holds none', () => {
    expect(classifyHead(held, null)).toBe('newer')
  })

  it('follows the order of release number, then revision', () => {
    const heads = [
      [1, 0],
      [1, 1],
      [1, 65_535],
      [2, 0],
      [MAX_RELEASE_NUMBER, 0],
      [MAX_RELEASE_NUMBER, 65_535],
    ].map(([releaseNumber = 0, revision = 0]) => ({ releaseNumber, revision }))
    expect([...heads].reverse().sort(compareHeads)).toEqual(heads)
    expect(slotVersion(heads.at(-1) as Head)).toBe(2 ** 52 - 1)
    expect(new Set(heads.map(slotVersion)).size).toBe(heads.length)
  })
})
