import { describe, expect, it } from 'vitest'
import { concatBytes } from '../../../src/base/bytes.ts'
import { publisherKeys } from '../../../src/crypto/key-schedule.ts'
import {
  BLOB_BYTES,
  MAX_SLOT_SET_DAYS,
  SLOT_REPLICAS,
  SLOT_SET_HEADER_BYTES,
} from '../../../src/wire/constants.ts'
import { isValidItem } from '../../../src/wire/mutable-item.ts'
import { buildSlot, openSlot } from '../../../src/wire/slot.ts'
import {
  decodeSlotSet,
  encodeSlotSet,
  type SlotSet,
  signSlotSet,
  slotSetItem,
  verifySlotSet,
} from '../../../src/wire/slot-set.ts'
import { hex } from '../../reference/shared-vectors.ts'
import { makeHead, VECTORS } from './head-input.ts'
import { codeOf } from './refusal.ts'

const keys = publisherKeys(hex(VECTORS.seed))
const reader = { publicKey: keys.publicKey, readKey: keys.readKey, secret: keys.secret }
const { bytes: head } = makeHead({ releaseNumber: 7 })
const FIRST_DAY = 20_000
const DAYS = 3
const sets = [...signSlotSet(keys, head, FIRST_DAY, DAYS)]
const set = sets.at(-1) as SlotSet
const encoded = encodeSlotSet(set)

/** Run a verification to its end. */
function verify(of: SlotSet): Uint8Array {
  const steps = verifySlotSet(reader, of)
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value.bytes
  }
}

describe('a set of slots signed ahead', () => {
  it('gives the very items that the publisher would have put, to whoever has the link', () => {
    const received = decodeSlotSet(encoded)
    expect(received).toEqual(set)
    expect(verify(received)).toEqual(head)
    for (let day = FIRST_DAY; day < FIRST_DAY + DAYS; day++) {
      for (let replica = 0; replica < SLOT_REPLICAS; replica++) {
        const item = slotSetItem(reader, received, { day, replica })
        expect(item).toEqual(buildSlot(keys, { day, replica }, head))
        expect(item !== null && isValidItem(item)).toBe(true)
        expect(item !== null && openSlot(reader, { day, replica }, item).bytes).toEqual(head)
      }
    }
    expect(slotSetItem(reader, set, { day: FIRST_DAY - 1, replica: 0 })).toBeNull()
    expect(slotSetItem(reader, set, { day: FIRST_DAY + DAYS, replica: 0 })).toBeNull()
  })

  it('is whole after each day, so that signing may pause and end anywhere', () => {
    expect(sets.map(({ days }) => days)).toEqual([1, 2, 3])
    for (const part of sets) expect(verify(decodeSlotSet(encodeSlotSet(part)))).toEqual(head)
  })

  it('has 1 to 400 days, which fit a frame', () => {
    for (const days of [0, -1, 1.5, MAX_SLOT_SET_DAYS + 1, Number.NaN]) {
      expect(() => signSlotSet(keys, head, FIRST_DAY, days).next()).toThrow(RangeError)
    }
    const most = SLOT_SET_HEADER_BYTES + MAX_SLOT_SET_DAYS * SLOT_REPLICAS * 64
    const longest = encodeSlotSet({
      ...{ head, firstDay: FIRST_DAY, days: MAX_SLOT_SET_DAYS },
      signatures: new Uint8Array(most - SLOT_SET_HEADER_BYTES),
    })
    expect(longest.length).toBe(most)
    expect(decodeSlotSet(longest).days).toBe(MAX_SLOT_SET_DAYS)
  })

  it('may be followed by zeros, as in a frame, and by nothing else', () => {
    const framed = new Uint8Array(BLOB_BYTES)
    framed.set(encoded)
    expect(decodeSlotSet(framed)).toEqual(set)
    framed[BLOB_BYTES - 1] = 1
    expect(codeOf(() => decodeSlotSet(framed))).toBe('ERR_SLOT_SET')
    expect(codeOf(() => decodeSlotSet(concatBytes(encoded, Uint8Array.of(0, 1))))).toBe('ERR_SLOT_SET')
    expect(codeOf(() => decodeSlotSet(new Uint8Array(BLOB_BYTES + 1)))).toBe('ERR_SLOT_SET')
  })

  it('that is cut anywhere is refused', () => {
    for (let length = 0; length < encoded.length; length += length < 8 ? 1 : 61) {
      expect(codeOf(() => decodeSlotSet(encoded.subarray(0, length)))).toBe('ERR_SLOT_SET')
    }
  })

  it('that is changed in any field or signature is refused', () => {
    const refusals = new Map<number, string | null>()
    const places = [0, 1, 4, 5, 6, 7, 300, SLOT_SET_HEADER_BYTES - 60]
    for (let n = 0; n < DAYS * SLOT_REPLICAS; n++) places.push(SLOT_SET_HEADER_BYTES + 64 * n + (n % 64))
    for (const place of places) {
      const changed = encoded.slice()
      changed[place] = (changed[place] as number) ^ 0x04
      refusals.set(
        place,
        codeOf(() => verify(decodeSlotSet(changed))),
      )
    }
    expect([...refusals.values()]).not.toContain(null)
    expect(refusals.get(0)).toBe('ERR_SLOT_SET')
    expect(refusals.get(SLOT_SET_HEADER_BYTES)).toBe('ERR_SLOT_SET')
  })

  it('of another channel, or under another head of ours, is refused', () => {
    const other = publisherKeys(new Uint8Array(32).fill(9))
    expect(codeOf(() => [...verifySlotSet(other, set)])).not.toBeNull()
    const { bytes: older } = makeHead({ releaseNumber: 6 })
    expect(codeOf(() => verify({ ...set, head: older }))).toBe('ERR_SLOT_SET')
    expect(() => signSlotSet(other, head, FIRST_DAY, 1).next()).toThrow(TypeError)
  })
})
