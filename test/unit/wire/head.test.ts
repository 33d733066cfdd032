import { describe, expect, it } from 'vitest'
import { toHex, utf8Bytes } from '../../../src/base/bytes.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import { channelKeys, publisherKeys } from '../../../src/crypto/key-schedule.ts'
import { formatAddress, parseAddress } from '../../../src/wire/address.ts'
import { HEAD_BYTES, MAX_RELEASE_NUMBER } from '../../../src/wire/constants.ts'
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
import {
  checkItem,
  isValidItem,
  itemMessage,
  itemTarget,
  type MutableItem,
  signItem,
} from '../../../src/wire/mutable-item.ts'
import {
  buildOpenItem,
  buildSlot,
  openOpenItem,
  openSlot,
  rebuildSlot,
  slotKey,
  slotMessage,
} from '../../../src/wire/slot.ts'
import { describeShared, hex, readOwnVectors } from '../../reference/shared-vectors.ts'
import { codeOf, damaged } from './refusal.ts'

interface HeadVectors {
  readonly channelKey: string
  readonly seed: string
  readonly root: string
  readonly valid: readonly {
    readonly name: string
    readonly bytes: string
    readonly releaseNumber: number
    readonly revision: number
    readonly signedAt: number
    readonly previousHash: string | null
    readonly successorKey: string | null
    readonly addresses: readonly string[]
  }[]
  readonly invalid: readonly { readonly why: string; readonly bytes: string; readonly code: string }[]
  readonly slots: readonly {
    readonly channel: string
    readonly seed: string
    readonly readKey: string
    readonly day: number
    readonly replica: number
    readonly head: string
    readonly slotKey: string
    readonly seq: number
    readonly value: string
    readonly signature: string
    readonly target: string
  }[]
}

const VECTORS = readOwnVectors<HeadVectors>('heads.json')
const CHANNEL_KEY = hex(VECTORS.channelKey)
const SIGNER = new SigningKey(hex(VECTORS.seed))
const ROOT = hex(VECTORS.root)

function fieldsOf(vector: HeadVectors['valid'][0]): HeadFields {
  return {
    releaseNumber: vector.releaseNumber,
    revision: vector.revision,
    signedAt: vector.signedAt,
    root: ROOT,
    previousHash: vector.previousHash === null ? null : hex(vector.previousHash),
    successorKey: vector.successorKey === null ? null : hex(vector.successorKey),
    addresses: vector.addresses.map(parseAddress),
  }
}

function makeHead(changes: Partial<HeadFields> = {}, signer = SIGNER): Head {
  const fields = {
    releaseNumber: 1,
    revision: 0,
    signedAt: 5,
    root: ROOT,
    previousHash: null,
    successorKey: null,
    addresses: [],
  }
  return signHead({ ...fields, ...changes }, signer)
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

describe('a slot', () => {
  it.each(VECTORS.slots)(
    'of $channel, day $day, replica $replica is built, built again and opened',
    (vector) => {
      const keys = publisherKeys(hex(vector.seed), hex(vector.readKey))
      const reader = channelKeys(keys.publicKey, hex(vector.readKey))
      const place = { day: vector.day, replica: vector.replica }
      const item = buildSlot(keys, place, hex(vector.head))
      expect(toHex(item.publicKey)).toBe(vector.slotKey)
      expect(toHex(slotKey(reader, place))).toBe(vector.slotKey)
      expect(item.seq).toBe(vector.seq)
      expect(toHex(item.value)).toBe(vector.value)
      expect(toHex(item.signature)).toBe(vector.signature)
      expect(toHex(itemTarget(item.publicKey))).toBe(vector.target)
      expect(toHex(openSlot(reader, place, item).bytes)).toBe(vector.head)
      const again = rebuildSlot(reader, place, hex(vector.head))
      expect({ ...again, signature: item.signature }).toEqual(item)
      expect(slotMessage(again)).toEqual(itemMessage(item.seq, item.value))
    },
  )

  const keys = publisherKeys(hex(VECTORS.seed))
  const place = { day: 20_000, replica: 1 }
  const { bytes: head } = makeHead({ releaseNumber: 7 })
  const item = buildSlot(keys, place, head)
  const refusal = (changed: MutableItem, at = place): string | null =>
    codeOf(() => openSlot(keys, at, changed))

  it('is opened by its own day and replica alone', () => {
    expect(refusal(item)).toBeNull()
    expect(refusal(item, { day: 20_001, replica: 1 })).toBe('ERR_SLOT_KEY')
    expect(refusal(item, { day: 20_000, replica: 2 })).toBe('ERR_SLOT_KEY')
    for (const replica of [3, -1, 0.5])
      expect(() => openSlot(keys, { day: 1, replica }, item)).toThrow(RangeError)
    expect(refusal({ ...item, salt: new Uint8Array(0) })).toBeNull()
    expect(codeOf(() => openSlot(channelKeys(keys.publicKey, seededRandom(1).bytes(32)), place, item))).toBe(
      'ERR_SLOT_KEY',
    )
  })

  it('is refused when any field was changed on the way', () => {
    const flip = (bytes: Uint8Array, at: number): Uint8Array =>
      bytes.map((byte, index) => (index === at ? byte ^ 1 : byte))
    for (const at of [0, 23, 24, 300, 607])
      expect(refusal({ ...item, value: flip(item.value, at) })).toBe('ERR_ITEM_SIGNATURE')
    for (const at of [0, 31, 32, 63])
      expect(refusal({ ...item, signature: flip(item.signature, at) })).toBe('ERR_ITEM_SIGNATURE')
    expect(refusal({ ...item, publicKey: flip(item.publicKey, 0) })).toBe('ERR_SLOT_KEY')
    expect(refusal({ ...item, seq: item.seq + 1 })).toBe('ERR_ITEM_SIGNATURE')
    expect(refusal({ ...item, seq: -1 })).toBe('ERR_ITEM_FIELD')
    expect(refusal({ ...item, seq: 2 ** 53 })).toBe('ERR_ITEM_FIELD')
    expect(refusal({ ...item, salt: Uint8Array.of(1) })).toBe('ERR_SLOT_KEY')
    expect(refusal({ ...item, signature: item.signature.subarray(1) })).toBe('ERR_ITEM_FIELD')
  })

  it('that its own publisher signed, but not as the rules say, is refused', async () => {
    const { slotSigner } = await import('../../../src/crypto/blinding.ts')
    const { recordKey, seqOffset, slotNonce } = await import('../../../src/crypto/key-schedule.ts')
    const { sealXChaCha } = await import('../../../src/crypto/xchacha.ts')
    const { ByteWriter, concatBytes } = await import('../../../src/base/bytes.ts')
    const signer = slotSigner(keys, place.day, place.replica)
    const record = recordKey(keys.secret, place.day)
    const offset = seqOffset(keys.secret, place.day, place.replica)
    const make = (
      content: Uint8Array,
      seq: number,
      nonce = slotNonce(record, signer.publicKey, seq, content),
    ): MutableItem => {
      const aad = concatBytes(signer.publicKey, new ByteWriter(8).u64(seq).bytes)
      return signItem(signer, seq, concatBytes(nonce, sealXChaCha(record, nonce, content, aad)))
    }
    const good = 7 * 65_536 + offset
    expect(refusal(make(head, good))).toBeNull()
    expect(refusal(make(head, good, new Uint8Array(24)))).toBe('ERR_SLOT_VALUE')
    expect(refusal(make(head, good + 1))).toBe('ERR_SLOT_SEQ')
    expect(refusal(make(head, good - 65_536))).toBe('ERR_SLOT_SEQ')
    expect(refusal(make(makeHead({}, new SigningKey(seededRandom(3).bytes(32))).bytes, good))).toBe(
      'ERR_HEAD_SIGNATURE',
    )
    expect(refusal(signItem(signer, good, new Uint8Array(607)))).toBe('ERR_SLOT_VALUE')
    expect(refusal(signItem(signer, good, head))).toBe('ERR_SLOT_VALUE')
    expect(refusal(signItem(signer, good, new Uint8Array(608)))).toBe('ERR_SLOT_VALUE')
    expect(refusal(signItem(signer, good, item.value.slice()))).toBeNull()
  })

  it('is not made of a head of another channel', () => {
    const foreign = makeHead({}, new SigningKey(seededRandom(3).bytes(32)))
    expect(() => buildSlot(keys, place, foreign.bytes)).toThrow(TypeError)
    expect(() => buildOpenItem(keys, foreign.bytes)).toThrow(TypeError)
  })

  it('tells nobody without the link what it holds: no byte of the head stands in it', () => {
    const text = toHex(item.value)
    for (let at = 0; at + 8 <= HEAD_BYTES; at += 8) {
      const piece = toHex(head.subarray(at, at + 8))
      if (piece !== '0000000000000000') expect(text).not.toContain(piece)
    }
  })
})

describe('the item of an open channel', () => {
  const keys = publisherKeys(hex(VECTORS.seed))
  const { bytes: head } = makeHead({ releaseNumber: 7, revision: 2 })

  it('holds the head in clear under the plain key', () => {
    const item = buildOpenItem(keys, head)
    expect([item.publicKey, item.seq, item.value]).toEqual([keys.publicKey, 7 * 65_536 + 2, head])
    expect(openOpenItem(keys.publicKey, item).bytes).toEqual(head)
    expect(codeOf(() => openOpenItem(seededRandom(1).bytes(32), item))).toBe('ERR_SLOT_KEY')
  })

  it('is refused with another seq or value, also when the channel signed it', () => {
    const sign = (seq: number, value: Uint8Array): string | null =>
      codeOf(() => openOpenItem(keys.publicKey, signItem(keys.signingKey, seq, value)))
    expect(sign(7 * 65_536 + 2, head)).toBeNull()
    expect(sign(7 * 65_536 + 3, head)).toBe('ERR_SLOT_SEQ')
    expect(sign(7 * 65_536 + 2, head.subarray(1))).toBe('ERR_SLOT_VALUE')
    expect(sign(7 * 65_536 + 2, new Uint8Array(HEAD_BYTES))).toBe('ERR_HEAD_SIGNATURE')
  })
})

describe('a BEP 44 item', () => {
  const key = new SigningKey(seededRandom(8).bytes(32))

  it('has at most 1,000 bytes of bencoded value and 64 of salt', () => {
    expect(isValidItem(signItem(key, 0, new Uint8Array(996)))).toBe(true)
    expect(() => signItem(key, 0, new Uint8Array(997))).toThrow(RangeError)
    const value = new Uint8Array(997)
    const large = { publicKey: key.publicKey, seq: 0, value, signature: key.sign(itemMessage(0, value)) }
    expect(codeOf(() => checkItem(large))).toBe('ERR_ITEM_FIELD')
    const salted = (length: number): MutableItem => {
      const salt = new Uint8Array(length).fill(65)
      return {
        publicKey: key.publicKey,
        seq: 1,
        value: salt,
        salt,
        signature: key.sign(itemMessage(1, salt, salt)),
      }
    }
    expect(isValidItem(salted(64))).toBe(true)
    expect(codeOf(() => checkItem(salted(65)))).toBe('ERR_ITEM_FIELD')
  })

  it('with fields of wrong lengths is invalid and nothing worse', () => {
    const item = signItem(key, 3, Uint8Array.of(1))
    expect(codeOf(() => checkItem({ ...item, publicKey: new Uint8Array(31) }))).toBe('ERR_ITEM_FIELD')
    expect(isValidItem({ ...item, publicKey: new Uint8Array(32) })).toBe(false)
    expect(isValidItem({ ...item, seq: Number.NaN })).toBe(false)
    expect(() => itemMessage(-1, item.value)).toThrow(RangeError)
  })
})

interface Bep44Item {
  readonly name: string
  readonly k: string
  readonly seq: number
  readonly v: string
  readonly sig: string
  readonly salt?: string
}

interface Bep44Vectors {
  readonly positive: readonly (Bep44Item & { readonly target: string; readonly signed?: string })[]
  readonly negative: readonly Bep44Item[]
}

describeShared<Bep44Vectors>('the vectors of BEP 44', 'bep/bep44.json', ({ positive, negative }) => {
  // Values of the file are bencoded byte strings: what stands behind the colon is the value.
  const itemOf = (vector: Bep44Item): MutableItem => {
    const value = vector.v.slice(vector.v.indexOf(':') + 1)
    const salt = vector.salt === undefined ? {} : { salt: utf8Bytes(vector.salt) }
    return {
      publicKey: hex(vector.k),
      seq: vector.seq,
      value: utf8Bytes(value),
      signature: hex(vector.sig),
      ...salt,
    }
  }
  const mutable = positive.filter(({ signed }) => signed !== undefined)

  it.each(mutable)('$name is signed, and found, as they say', (vector) => {
    const item = itemOf(vector)
    expect(itemMessage(item.seq, item.value, item.salt)).toEqual(utf8Bytes(vector.signed ?? ''))
    expect(toHex(itemTarget(item.publicKey, item.salt))).toBe(vector.target)
    expect(isValidItem(item)).toBe(true)
  })

  it.each(negative)('$name is refused', (vector) => {
    expect(isValidItem(itemOf(vector))).toBe(false)
  })
})
