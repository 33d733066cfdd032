import { describe, expect, it } from 'vitest'
import { ByteWriter, concatBytes, toHex, utf8Bytes } from '../../../src/base/bytes.ts'
import { MAX_RECENT_SLOT_KEYS } from '../../../src/base/limits.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { KeyBlinder, slotSigner } from '../../../src/crypto/blinding.ts'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import {
  channelKeys,
  publisherKeys,
  recordKey,
  seqOffset,
  slotNonce,
} from '../../../src/crypto/key-schedule.ts'
import { sealXChaCha } from '../../../src/crypto/xchacha.ts'
import { HEAD_BYTES } from '../../../src/wire/constants.ts'
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
import { describeShared, hex } from '../../reference/shared-vectors.ts'
import { makeHead, VECTORS } from './head-input.ts'
import { codeOf } from './refusal.ts'

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

  it('has a key that is the same when it is remembered, forgotten and computed with a blinder', () => {
    const blinder = new KeyBlinder(keys.publicKey, false)
    const days = Array.from({ length: MAX_RECENT_SLOT_KEYS + 1 }, (_, i) => 20_000 + i)
    const all = (): string[] => days.map((day) => toHex(slotKey(keys, { day, replica: 1 })))
    const first = all()
    expect(new Set(first).size).toBe(days.length)
    expect(all()).toEqual(first)
    expect(days.map((day) => toHex(slotKey(keys, { day, replica: 1 }, blinder)))).toEqual(first)
    const other = channelKeys(keys.publicKey, seededRandom(1).bytes(32))
    expect(toHex(slotKey(other, { day: 20_000, replica: 1 }))).not.toBe(first[0])
  })

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

  it('that its own publisher signed, but not as the rules say, is refused', () => {
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
