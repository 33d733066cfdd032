import { describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { seededRandom } from '../../../src/base/random.ts'
import {
  channelHandle,
  helloTag,
  otherRole,
  ROLE_INITIATOR,
  ROLE_RESPONDER,
} from '../../../src/crypto/tags.ts'

// The values themselves are compared with vectors in key-schedule.test.ts.
const random = seededRandom(7)
const key = random.bytes(32)
const hash = random.bytes(32)

describe('tags and handles', () => {
  it('differ with the key, the connection, the role and the counter, and masks do too', () => {
    const made = [
      helloTag(key, hash, ROLE_INITIATOR, 0),
      helloTag(random.bytes(32), hash, ROLE_INITIATOR, 0),
      helloTag(key, random.bytes(32), ROLE_INITIATOR, 0),
      helloTag(key, hash, ROLE_RESPONDER, 0),
      helloTag(key, hash, ROLE_INITIATOR, 1),
    ]
    const all = made.flatMap(({ tag, mask }) => [toHex(tag), toHex(mask)])
    expect(new Set(all).size).toBe(10)
    expect(all.every((text) => text.length === 16)).toBe(true)
  })

  it('give each side a handle of its own', () => {
    const handles = [ROLE_INITIATOR, ROLE_RESPONDER].map((role) =>
      toHex(channelHandle(key, hash, role as 1 | 2)),
    )
    expect(new Set(handles).size).toBe(2)
    expect(handles[0]).toHaveLength(32)
    expect(handles[0]).not.toBe(toHex(channelHandle(key, random.bytes(32), ROLE_INITIATOR)))
  })

  it('know the other side', () => {
    expect(otherRole(ROLE_INITIATOR)).toBe(ROLE_RESPONDER)
    expect(otherRole(ROLE_RESPONDER)).toBe(ROLE_INITIATOR)
  })

  it('refuse arguments of a wrong size', () => {
    expect(() => helloTag(key.subarray(1), hash, ROLE_INITIATOR, 0)).toThrow('"key"')
    expect(() => channelHandle(key, hash.subarray(1), ROLE_INITIATOR)).toThrow('"handshakeHash"')
    for (const counter of [-1, 0.5, 2 ** 32]) {
      expect(() => helloTag(key, hash, ROLE_INITIATOR, counter)).toThrow('"counter"')
    }
  })
})
