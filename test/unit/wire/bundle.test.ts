/** What stands before the records of a bundle (PROTOCOL_FINAL.md §8): one form, and every byte of it looked at. */
import { describe, expect, it } from 'vitest'
import { concatBytes } from '../../../src/base/bytes.ts'
import { publisherKeys } from '../../../src/crypto/key-schedule.ts'
import {
  type BundleStart,
  decodeBundleStart,
  encodeBundleStart,
  MAX_BUNDLE_START_BYTES,
  recordBlobOffset,
  recordOffset,
} from '../../../src/wire/bundle.ts'
import {
  BLOB_BYTES,
  BLOB_ID_BYTES,
  BUNDLE_HEADER_BYTES,
  BUNDLE_RECORD_BYTES,
  MAX_SLOT_SET_DAYS,
} from '../../../src/wire/constants.ts'
import { encodeSlotSet, type SlotSet, signSlotSet } from '../../../src/wire/slot-set.ts'
import { readProjectFile } from '../../lint/project-files.ts'
import { hex } from '../../reference/shared-vectors.ts'
import { makeHead, VECTORS } from './head-input.ts'
import { codeOf } from './refusal.ts'

const keys = publisherKeys(hex(VECTORS.seed))
const { bytes: head } = makeHead({ releaseNumber: 7 })
const set = [...signSlotSet(keys, head, 20_000, 2)].at(-1) as SlotSet
const slotSet = encodeSlotSet(set)
const START: BundleStart = {
  publicKey: keys.publicKey,
  readKey: new Uint8Array(32).fill(3),
  openSignature: null,
  blobs: 3,
  slotSet,
}
const encoded = encodeBundleStart(START)
const whole = encoded.length + START.blobs * BUNDLE_RECORD_BYTES

/** The first bytes of a file of that length, as they are read. */
function decode(bytes: Uint8Array, fileBytes = whole): string | null {
  return codeOf(() => decodeBundleStart(bytes.subarray(0, MAX_BUNDLE_START_BYTES), fileBytes))
}

function changed(offset: number, value: number): Uint8Array {
  const bytes = encoded.slice()
  bytes[offset] = value
  return bytes
}

describe('the start of a bundle', () => {
  it('is what was written, with the set of slots read, whatever stands behind it', () => {
    const records = new Uint8Array(5000).fill(9)
    for (const bytes of [encoded, concatBytes(encoded, records)]) {
      expect(decodeBundleStart(bytes, whole)).toEqual({ ...START, set, bytes: encoded.length })
    }
    const openSignature = new Uint8Array(64).fill(5)
    const open = encodeBundleStart({ ...START, openSignature })
    expect(decodeBundleStart(open, whole).openSignature).toEqual(openSignature)
    const empty = encodeBundleStart({ ...START, blobs: 0 })
    expect(decodeBundleStart(empty, empty.length).blobs).toBe(0)
  })

  it('says where each record is', () => {
    const start = decodeBundleStart(encoded, whole)
    expect(recordOffset(start, 0)).toBe(encoded.length)
    expect(recordBlobOffset(start, 2)).toBe(encoded.length + 2 * BUNDLE_RECORD_BYTES + BLOB_ID_BYTES)
    expect(recordBlobOffset(start, 2) + BLOB_BYTES).toBe(whole)
  })

  it('stands in the document as it is written', () => {
    const document = readProjectFile('PROTOCOL_FINAL.md')?.text ?? ''
    for (const [offset, size, field] of [
      ['0', '8', 'magic'],
      ['8', '1', 'BUNDLE_VERSION'],
      ['9', '32', 'A'],
      ['41', '32', 'read key'],
      ['73', '64', 'open signature'],
      ['137', '4', 'number of blobs'],
      ['141', 's', 'slot set'],
      ['141 + s', 'BUNDLE_RECORD_BYTES each', 'records'],
    ]) {
      expect(document).toContain(`| ${offset} | ${size} | ${field}`)
    }
    expect(new TextDecoder().decode(encoded.subarray(0, 8))).toBe('mgtrbndl')
    expect(document).toContain('`mgtrbndl`')
    expect(encoded.subarray(9, 41)).toEqual(keys.publicKey)
    expect(encoded[140]).toBe(3)
    expect(encoded.subarray(BUNDLE_HEADER_BYTES)).toEqual(slotSet)
    expect(BUNDLE_RECORD_BYTES).toBe(BLOB_ID_BYTES + BLOB_BYTES)
  })

  it('is refused when the file is cut off, at whatever place', () => {
    for (let length = 0; length < encoded.length; length++) {
      expect(decode(encoded.subarray(0, length), length)).toBe('ERR_BUNDLE_FORMAT')
    }
    expect(decode(encoded, whole - 1)).toBe('ERR_BUNDLE_FORMAT')
    expect(decode(encoded, encoded.length)).toBe('ERR_BUNDLE_FORMAT')
  })

  it('is refused when there is more behind its end, or its numbers say another length', () => {
    expect(decode(encoded, whole + 1)).toBe('ERR_BUNDLE_FORMAT')
    for (const offset of [137, 138, 139, 140]) expect(decode(changed(offset, 7))).toBe('ERR_BUNDLE_FORMAT')
    // Number of days of the set.
    for (const days of [0, 1, 3, 200]) expect(decode(changed(147, days))).toBe('ERR_BUNDLE_FORMAT')
    expect(decode(changed(146, 255))).toBe('ERR_BUNDLE_FORMAT')
    const tooMany = concatBytes(encoded, new Uint8Array(MAX_BUNDLE_START_BYTES)).slice()
    new DataView(tooMany.buffer).setUint16(146, MAX_SLOT_SET_DAYS + 1)
    expect(decode(tooMany, 2 ** 40)).toBe('ERR_BUNDLE_FORMAT')
  })

  it('is refused for another magic, version, or key that is none', () => {
    for (let offset = 0; offset < 9; offset++) {
      expect(decode(changed(offset, (encoded[offset] ?? 0) ^ 1))).toBe('ERR_BUNDLE_FORMAT')
    }
    const noKey = encodeBundleStart({ ...START, publicKey: new Uint8Array(32) })
    expect(decode(noKey)).toBe('ERR_BUNDLE_FORMAT')
    expect(decode(changed(141, 2))).toBe('ERR_BUNDLE_FORMAT') // version of the set
  })
})
