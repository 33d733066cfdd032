import { describe, expect, it } from 'vitest'
import { concatBytes, utf8Bytes } from '../../../src/base/bytes.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { sha256 } from '../../../src/crypto/hash.ts'
import { MAX_PUBLISH_VALUE_BYTES } from '../../../src/wire/constants.ts'
import type { PublishedItem } from '../../../src/wire/message.ts'
import { splitMessage } from '../../../src/wire/message.ts'
import { findPublishNonce, publishWork } from '../../../src/wire/publish-work.ts'

const random = seededRandom(44)
const HASH = random.bytes(32)
const ITEM: PublishedItem = {
  notBefore: 5,
  notAfter: 9,
  slotKey: random.bytes(32),
  seq: 7,
  signature: random.bytes(64),
  value: random.bytes(608),
}
const BITS = 8
const nonceOf = (hash: Uint8Array, item: PublishedItem): Uint8Array =>
  findPublishNonce(hash, item, BITS, 0, 100_000) as Uint8Array

/** The byte string with one bit turned. */
function turned(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes)
  out[0] = (out[0] as number) ^ 1
  return out
}

describe('the work of a PUBLISH', () => {
  it('is what the document says, over the body that is sent', () => {
    const nonce = nonceOf(HASH, ITEM)
    const [frame] = splitMessage({ type: 'publish', requestId: 1, nonce, ...ITEM })
    const body = (frame as Uint8Array).subarray(8, 8 + 130 + 608)
    const input = concatBytes(utf8Bytes('megatorrent/1 publish work'), HASH, sha256(body.subarray(8)), nonce)
    expect(sha256(input)[0]).toBe(0)
    expect(publishWork(HASH, ITEM, nonce)).toBeGreaterThanOrEqual(BITS)
  })

  it.each<[string, Uint8Array, PublishedItem]>([
    ['another connection', turned(HASH), ITEM],
    ['another start', HASH, { ...ITEM, notBefore: 6 }],
    ['another end', HASH, { ...ITEM, notAfter: 10 }],
    ['another key', HASH, { ...ITEM, slotKey: turned(ITEM.slotKey) }],
    ['another seq', HASH, { ...ITEM, seq: 8 }],
    ['another signature', HASH, { ...ITEM, signature: turned(ITEM.signature) }],
    ['another value', HASH, { ...ITEM, value: turned(ITEM.value) }],
  ])('is not that of %s', (_name, hash, item) => {
    // Of ten nonces that do for the one, all doing for the other would be one chance in 2^80.
    let from = 0
    let both = 0
    for (let i = 0; i < 10; i++) {
      const nonce = findPublishNonce(HASH, ITEM, BITS, from, 1_000_000) as Uint8Array
      from = Number(new DataView(nonce.buffer).getBigUint64(0)) + 1
      if (publishWork(hash, item, nonce) >= BITS) both++
    }
    expect(both).toBeLessThan(10)
  })

  it('is looked for in turns: nothing among the tries is null', () => {
    expect(findPublishNonce(HASH, ITEM, 24, 0, 10)).toBeNull()
    const nonce = nonceOf(HASH, ITEM)
    const at = Number(new DataView(nonce.buffer).getBigUint64(0))
    expect(findPublishNonce(HASH, ITEM, BITS, 0, at)).toBeNull()
    expect(findPublishNonce(HASH, ITEM, BITS, at, 1)).toEqual(nonce)
  })

  it('of an item that has no encoding is an error of ours', () => {
    const tooLong = { ...ITEM, value: new Uint8Array(MAX_PUBLISH_VALUE_BYTES + 1) }
    expect(() => nonceOf(HASH, tooLong)).toThrow(RangeError)
    expect(() => nonceOf(HASH, { ...ITEM, value: new Uint8Array(0) })).toThrow(RangeError)
    expect(() => nonceOf(HASH, { ...ITEM, signature: new Uint8Array(63) })).toThrow(RangeError)
  })
})
