import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareBytes, toHex } from '../../src/base/bytes.ts'
import { SigningKey } from '../../src/crypto/ed25519.ts'
import { decodeAddress, encodeAddress, formatAddress, parseAddress } from '../../src/wire/address.ts'
import {
  type BencodeValue,
  decodeBencode,
  decodeBencodePrefix,
  encodeBencode,
  measureBencode,
} from '../../src/wire/bencode.ts'
import { decodeBundleStart, encodeBundleStart } from '../../src/wire/bundle.ts'
import { BUNDLE_RECORD_BYTES, HEAD_BYTES, SLOT_REPLICAS } from '../../src/wire/constants.ts'
import { decodeFrame, encodeFrame } from '../../src/wire/frame.ts'
import { decodeMessage, type Message, MessageAssembler, splitMessage } from '../../src/wire/message.ts'
import { encodeSlotSet } from '../../src/wire/slot-set.ts'
import { accepted, address, bytes, RUNS, releaseNumber, u16, u32 } from './wire-arbitraries.ts'

const LIMITS = { maxDepth: 50, maxItems: 10_000 }

const safe = fc.maxSafeInteger()
const safeNat = fc.maxSafeNat()

const bencode: fc.Arbitrary<BencodeValue> = fc.letrec<{ value: BencodeValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    safe,
    fc.uint8Array({ maxLength: 40 }),
    fc.array(tie('value'), { maxLength: 6 }),
    fc
      .array(
        fc.tuple(
          fc.uint8Array({ maxLength: 12 }).map((key) => Buffer.from(key).toString('latin1')),
          tie('value'),
        ),
        { maxLength: 6 },
      )
      .map((pairs) => new Map([...new Map(pairs)].sort(([a], [b]) => (a < b ? -1 : 1)))),
  ),
})).value

/** Text made of the characters of bencode: much of it is nearly right. */
const almostBencode = fc
  .array(
    fc.constantFrom(
      'i',
      '-',
      '0',
      '1',
      '9',
      'e',
      'l',
      'd',
      ':',
      '1:a',
      '0:',
      'i0e',
      'i-1e',
      '2:ab',
      'le',
      'de',
    ),
    { maxLength: 40 },
  )
  .map((parts) => new Uint8Array(Buffer.from(parts.join(''))))

describe('bencode', () => {
  it('gives back what was encoded, at the length that was measured', () => {
    fc.assert(
      fc.property(bencode, fc.uint8Array({ maxLength: 5 }), (value, tail) => {
        const encoded = encodeBencode(value)
        expect(encoded.length).toBe(measureBencode(value))
        expect(decodeBencode(encoded, LIMITS)).toEqual(value)
        expect(decodeBencodePrefix(Buffer.concat([encoded, tail]), LIMITS)).toEqual({
          value,
          length: encoded.length,
        })
      }),
      RUNS,
    )
  })

  it('is written again to the bytes that were read, whatever they were', () => {
    fc.assert(
      fc.property(fc.oneof(almostBencode, fc.uint8Array({ maxLength: 60 })), (input) => {
        const value = accepted(() => decodeBencode(input, LIMITS))
        if (value !== null) expect(encodeBencode(value)).toEqual(input)
      }),
      { numRuns: RUNS.numRuns * 20 },
    )
  })
})

describe('addresses', () => {
  it('come back from their bytes and from their text', () => {
    fc.assert(
      fc.property(address, (value) => {
        expect(decodeAddress(encodeAddress(value))).toEqual(value)
        expect(parseAddress(formatAddress(value))).toEqual(value)
      }),
      RUNS,
    )
  })

  it('have one encoding: accepted bytes and texts come back', () => {
    const type = fc.nat(4).map((value) => Uint8Array.of(value))
    const zeros = fc.nat(35).map((length) => new Uint8Array(length))
    const nearly = fc.tuple(type, fc.uint8Array({ maxLength: 18 }), zeros).map((parts) => {
      const out = new Uint8Array(38)
      out.set(Buffer.concat(parts).subarray(0, 36))
      out.set([1, 2], 36)
      return out
    })
    fc.assert(
      fc.property(fc.oneof(bytes(38), nearly), (input) => {
        const value = accepted(() => decodeAddress(input))
        if (value !== null) expect(encodeAddress(value)).toEqual(input)
      }),
      { numRuns: RUNS.numRuns * 4 },
    )
    const text = fc.array(
      fc.constantFrom(
        '1',
        '0',
        'a',
        '.',
        ':',
        '[',
        ']',
        '::',
        '255',
        'onion',
        '.onion',
        '@',
        '-',
        'ffff',
        ' ',
        '%',
        'é',
      ),
      { maxLength: 14 },
    )
    fc.assert(
      fc.property(text, (parts) => {
        const value = accepted(() => parseAddress(parts.join('')))
        if (value !== null) expect(parseAddress(formatAddress(value))).toEqual(value)
      }),
      { numRuns: RUNS.numRuns * 10 },
    )
  })
})

const frameBody = fc.uint8Array({ maxLength: 1000 })

describe('frames', () => {
  it('come back, and have one encoding', () => {
    fc.assert(
      fc.property(fc.nat(255), u32, frameBody, (type, requestId, body) => {
        const frame = { type, more: body.length === 1000, requestId, body }
        expect(decodeFrame(encodeFrame(frame))).toEqual(frame)
      }),
      RUNS,
    )
    const header = fc.tuple(fc.nat(255), fc.nat(3), fc.nat(1100), frameBody).map(([type, flags, n, body]) => {
      const plain = new Uint8Array(1008)
      plain.set([type, flags, n >> 8, n & 255, 0, 0, 0, 1])
      plain.set(body.subarray(0, n), 8)
      return plain
    })
    fc.assert(
      fc.property(fc.oneof(header, bytes(1008)), (input) => {
        const frame = accepted(() => decodeFrame(input))
        if (frame !== null) expect(encodeFrame(frame)).toEqual(input)
      }),
      RUNS,
    )
  })
})

const requestId = fc.integer({ min: 1, max: 2 ** 32 - 1 })
const ranges = fc
  .array(fc.tuple(fc.nat(1000), fc.integer({ min: 1, max: 1000 })), { maxLength: 600 })
  .map((steps) => {
    let end = 0
    return steps.map(([gap, length]) => {
      const start = end + gap
      end = start + length
      return { start, length }
    })
  })

const signed = { seq: safeNat, signature: bytes(64), value: fc.uint8Array({ minLength: 1, maxLength: 996 }) }

const message: fc.Arbitrary<Message> = fc.oneof(
  fc
    .record({
      type: fc.constant('hello' as const),
      highestVersion: u16,
      lowestVersion: u16,
      features: u32,
      counter: u32,
      observedAddress: fc.option(address),
      places: bytes(896),
    })
    .filter((hello) => hello.lowestVersion <= hello.highestVersion),
  fc.record({
    type: fc.constant('request' as const),
    requestId,
    kind: fc.constant(1 as const),
    blobId: bytes(32),
  }),
  fc.record({
    type: fc.constant('request' as const),
    requestId,
    kind: fc.constant(2 as const),
    handle: bytes(16),
  }),
  fc.record({ type: fc.constant('data' as const), requestId, kind: fc.constant(1 as const) }),
  fc.record({
    type: fc.constant('data' as const),
    requestId,
    kind: fc.constant(2 as const),
    head: bytes(568),
  }),
  fc.record({
    type: fc.constant('request' as const),
    requestId,
    kind: fc.constant(4 as const),
    slotKey: bytes(32),
  }),
  fc.record({
    type: fc.constant('data' as const),
    requestId,
    kind: fc.constant(4 as const),
    slot: fc.record({
      nearest: u16,
      items: fc
        .array(fc.record({ holders: u16, ...signed }), { maxLength: 4 })
        .map((items) => items.sort((a, b) => b.seq - a.seq)),
    }),
  }),
  fc.record({
    type: fc.constant('publish' as const),
    requestId,
    nonce: bytes(8),
    notBefore: safeNat,
    notAfter: safeNat,
    slotKey: bytes(32),
    ...signed,
  }),
  fc.record({
    type: fc.constant('publish' as const),
    requestId,
    nonce: bytes(8),
    notBefore: safeNat,
    notAfter: safeNat,
    slotKey: bytes(32),
    ...signed,
    puzzleNonce: bytes(8),
  }),
  fc.record({
    type: fc.constant('published' as const),
    requestId,
    outcome: fc.nat(255).filter((outcome) => outcome !== 8),
    workBits: fc.nat(255),
    nodes: u16,
    highestSeq: safeNat,
  }),
  fc.record({
    type: fc.constant('published' as const),
    requestId,
    outcome: fc.constant(8),
    workBits: fc.nat(255),
    nodes: u16,
    highestSeq: safeNat,
    puzzle: fc.record({ memoryKib: fc.nat(2 ** 32 - 1), passes: fc.nat(255), bits: fc.nat(255) }),
  }),
  fc.record({
    type: fc.constant('keep' as const),
    requestId,
    nonce: bytes(8),
    until: safeNat,
    blobIds: fc
      .uniqueArray(bytes(32), { minLength: 1, maxLength: 5, selector: (id) => toHex(id) })
      .map((ids) => ids.sort(compareBytes)),
  }),
  fc.record({
    type: fc.constant('kept' as const),
    requestId,
    outcome: fc.nat(255),
    workBits: fc.nat(255),
    states: fc.array(fc.nat(2), { maxLength: 256 }).map((states) => Uint8Array.from(states)),
  }),
  fc.record({ type: fc.constantFrom('ok' as const, 'cancel' as const), requestId }),
  fc.record({
    type: fc.constant('have' as const),
    handle: bytes(16),
    releaseNumber,
    rootId: bytes(32),
    ranges,
  }),
  fc.record({ type: fc.constant('bye' as const), reason: fc.nat(255) }),
  fc.constant({ type: 'pad' as const }),
  fc.record({ type: fc.constant('error' as const), requestId, code: u16 }),
)

describe('messages', () => {
  it('come back from their frames, one after the other through one assembler', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), (messages) => {
        const assembler = new MessageAssembler()
        const read = messages.flatMap(splitMessage).map((frame) => assembler.push(frame))
        expect(read.filter((value) => value !== null)).toEqual(messages)
        expect(assembler.pending).toBe(false)
      }),
      RUNS,
    )
  })

  it('of any bytes are refused with our own error, or mean what they are written as', () => {
    fc.assert(
      fc.property(fc.nat(14), u32, fc.uint8Array({ maxLength: 1200 }), (code, id, body) => {
        for (const request of [0, id]) {
          const value = accepted(() => decodeMessage(code, request, body))
          if (value === null || value.type === 'unknown' || ('kind' in value && value.kind === 'unknown'))
            continue
          const assembler = new MessageAssembler()
          expect(
            splitMessage(value)
              .map((frame) => assembler.push(frame))
              .at(-1),
          ).toEqual(value)
        }
      }),
      { numRuns: RUNS.numRuns * 2 },
    )
  })

  it('fed any frames end in our own error or in messages, and hold no more than 64 fragments', () => {
    const plain = fc
      .tuple(fc.constantFrom(1, 9, 12, 0x70), fc.boolean(), fc.nat(1), frameBody)
      .map(([type, more, id, body]) =>
        encodeFrame({ type, more, requestId: id, body: more ? new Uint8Array(1000) : body }),
      )
    fc.assert(
      fc.property(fc.array(plain, { maxLength: 80 }), (frames) => {
        const assembler = new MessageAssembler()
        accepted(() => frames.map((frame) => assembler.push(frame)))
      }),
      RUNS,
    )
  })
})

describe('the start of a bundle', () => {
  const { publicKey } = new SigningKey(new Uint8Array(32).fill(1))
  const slotSet = fc
    .record({ head: bytes(HEAD_BYTES), firstDay: u32, days: fc.integer({ min: 1, max: 3 }) })
    .map((set) =>
      encodeSlotSet({ ...set, signatures: new Uint8Array(set.days * SLOT_REPLICAS * 64).fill(set.days) }),
    )
  const start = fc.record({
    publicKey: fc.constant(publicKey),
    readKey: bytes(32),
    openSignature: fc.option(bytes(64).filter((signature) => signature.some((byte) => byte !== 0))),
    blobs: u32,
    slotSet,
  })

  it('comes back as it was, and no other bytes give it', () => {
    fc.assert(
      fc.property(start, fc.nat(), fc.integer({ min: 1, max: 255 }), (given, at, flip) => {
        const encoded = encodeBundleStart(given)
        const fileBytes = encoded.length + given.blobs * BUNDLE_RECORD_BYTES
        expect(decodeBundleStart(encoded, fileBytes)).toMatchObject(given)
        const changed = encoded.slice()
        const offset = at % changed.length
        changed[offset] = (changed[offset] ?? 0) ^ flip
        const read = accepted(() => decodeBundleStart(changed, fileBytes))
        if (read !== null) expect(encodeBundleStart(read)).toEqual(changed)
      }),
      RUNS,
    )
  })

  it('never comes of junk but as our own error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1000 }), fc.maxSafeNat(), (junk, fileBytes) => {
        accepted(() => decodeBundleStart(junk, fileBytes))
        const prefixed = encodeBundleStart({
          publicKey,
          readKey: new Uint8Array(32),
          openSignature: null,
          blobs: 1,
          slotSet: junk,
        })
        accepted(() => decodeBundleStart(prefixed, fileBytes))
      }),
      RUNS,
    )
  })
})
