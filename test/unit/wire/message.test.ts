import { describe, expect, it } from 'vitest'
import { MegatorrentError } from '../../../src/base/errors.ts'
import { seededRandom, systemRandom } from '../../../src/base/random.ts'
import { channelHandle, ROLE_INITIATOR, ROLE_RESPONDER } from '../../../src/crypto/tags.ts'
import { formatAddress, parseAddress } from '../../../src/wire/address.ts'
import { FRAME_BODY_BYTES, MAX_HAVE_RANGES, MAX_MESSAGE_FRAGMENTS } from '../../../src/wire/constants.ts'
import { encodeFrame } from '../../../src/wire/frame.ts'
import { buildPlaces, findByHandle, scanPlaces } from '../../../src/wire/hello.ts'
import {
  BYE_REASONS,
  codeToError,
  decodeMessage,
  ERROR_CODES,
  errorToCode,
  MESSAGE_TYPES,
  type Message,
  MessageAssembler,
  splitMessage,
} from '../../../src/wire/message.ts'
import { hex, readOwnVectors } from '../../reference/shared-vectors.ts'
import { codeOf, damaged } from './refusal.ts'

interface MessageVector {
  readonly name: string
  readonly type: number
  readonly requestId: number
  readonly body: string
  readonly fields: Record<string, unknown>
}

interface MessageVectors {
  readonly valid: readonly MessageVector[]
  readonly tolerated: readonly MessageVector[]
  readonly invalid: readonly (Omit<MessageVector, 'name' | 'fields'> & {
    readonly why: string
    readonly code: string
  })[]
}

const VECTORS = readOwnVectors<MessageVectors>('messages.json')
const BYTE_FIELDS = new Set([
  'places',
  'blobId',
  'handle',
  'headHash',
  'head',
  'rootId',
  'topic',
  'addresses',
  'statement',
  'nonce',
  'puzzleNonce',
  'states',
  'slotKey',
  'signature',
  'value',
])

/** The message that a vector states, with bytes and objects where the vector has text. */
function messageOf(fields: Record<string, unknown>): Message {
  const entries = Object.entries(fields).map(([name, value]) => {
    if (BYTE_FIELDS.has(name)) return [name, hex(value as string)]
    if (name === 'observedAddress') return [name, value === null ? null : parseAddress(value as string)]
    if (name === 'slot') return [name, messageOf(value as Record<string, unknown>)]
    if (name === 'items') return [name, (value as Record<string, unknown>[]).map(messageOf)]
    if (name === 'statements') return [name, (value as Record<string, unknown>[]).map(messageOf)]
    if (name === 'blobIds') return [name, (value as string[]).map(hex)]
    if (name === 'ranges' && !Array.isArray(value)) {
      const { count, every, length } = value as { count: number; every: number; length: number }
      return [name, Array.from({ length: count }, (_, i) => ({ start: i * every, length }))]
    }
    return [name, value]
  })
  return Object.fromEntries(entries) as Message
}

/** The body of a message as its frames carry it. */
function bodyOf(frames: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(
    Buffer.concat(
      frames.map((frame) => frame.subarray(8, 8 + (((frame[2] as number) << 8) | (frame[3] as number)))),
    ),
  )
}

function assemble(frames: readonly Uint8Array[]): Message | null {
  const assembler = new MessageAssembler()
  let message: Message | null = null
  for (const frame of frames) {
    expect(message).toBeNull()
    message = assembler.push(frame)
  }
  expect(assembler.pending).toBe(false)
  return message
}

/** Frames of any body, legal or not. */
function framesOf(type: number, requestId: number, body: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = []
  let at = 0
  do {
    const part = body.subarray(at, at + FRAME_BODY_BYTES)
    at += part.length
    frames.push(encodeFrame({ type, requestId, more: at < body.length, body: part }))
  } while (at < body.length)
  return frames
}

describe('a message', () => {
  it.each(VECTORS.valid)('$name is that of the vector, both ways', ({ type, requestId, body, fields }) => {
    const message = messageOf(fields)
    expect(decodeMessage(type, requestId, hex(body))).toEqual(message)
    const frames = splitMessage(message)
    expect(bodyOf(frames)).toEqual(hex(body))
    expect(frames).toEqual(framesOf(type, requestId, hex(body)))
    expect(assemble(frames)).toEqual(message)
  })

  it.each(VECTORS.tolerated)(
    'of a later version is understood as far as we can: $name',
    ({ type, requestId, body, fields }) => {
      expect(assemble(framesOf(type, requestId, hex(body)))).toEqual(messageOf(fields))
    },
  )

  it.each(VECTORS.invalid)('is refused: $why', ({ type, requestId, body, code }) => {
    expect(codeOf(() => assemble(framesOf(type, requestId, hex(body))))).toBe(code)
  })

  it.each(['Uint8Array', 'Buffer'])(
    'is never a view into the frames that carried it, be they a %s',
    (kind) => {
      for (const { type, requestId, body, fields } of VECTORS.valid) {
        const frames = framesOf(type, requestId, hex(body)).map((frame) =>
          kind === 'Buffer' ? Buffer.from(frame) : frame,
        )
        const message = assemble(frames)
        for (const frame of frames) frame.fill(0xee)
        expect(message).toEqual(messageOf(fields))
      }
    },
  )

  it('that was damaged is refused, or is another message that says what its bytes say', () => {
    const random = seededRandom(9)
    for (const { type, requestId, body } of VECTORS.valid) {
      for (const { bytes } of damaged(hex(body), random)) {
        codeOf(() => {
          const message = decodeMessage(type, requestId, bytes)
          if (message.type === 'unknown' || ('kind' in message && message.kind === 'unknown')) return
          expect(decodeMessage(type, requestId, bodyOf(splitMessage(message)))).toEqual(message)
        })
      }
    }
  })

  it('with a field out of range is our own mistake', () => {
    const handle = new Uint8Array(16)
    const rootId = new Uint8Array(32)
    const statement = new Uint8Array(134)
    const have = { type: 'have', handle, rootId, releaseNumber: 1, ranges: [] } as const
    const bad: Message[] = [
      { type: 'request', requestId: 0, kind: 1, blobId: rootId },
      { type: 'request', requestId: 1, kind: 1, blobId: handle },
      { type: 'request', requestId: 1, kind: 3, handle, headHash: handle },
      { type: 'request', requestId: 1, kind: 3, handle: rootId, headHash: rootId },
      { type: 'request', requestId: 1, kind: 'unknown' },
      { type: 'request', requestId: 2 ** 32, kind: 2, handle },
      { type: 'data', requestId: 1, kind: 2, head: rootId },
      { type: 'unknown', code: 9, requestId: 1 },
      { type: 'findPeers', requestId: 1, topic: handle, port: 1 },
      { type: 'findPeers', requestId: 0, topic: new Uint8Array(20), port: 1 },
      { type: 'peers', requestId: 1, addresses: new Uint8Array(37) },
      { type: 'peers', requestId: 1, addresses: new Uint8Array(38 * 17) },
      { type: 'announce', statements: [] },
      { type: 'announce', statements: Array.from({ length: 8 }, () => ({ hops: 1, statement })) },
      { type: 'announce', statements: [{ hops: 65, statement }] },
      { type: 'announce', statements: [{ hops: 1, statement: handle }] },
      { ...have, releaseNumber: 0 },
      { ...have, releaseNumber: 1.5 },
      { ...have, ranges: [{ start: 0, length: 0 }] },
      {
        ...have,
        ranges: [
          { start: 1, length: 1 },
          { start: 1, length: 1 },
        ],
      },
      { ...have, ranges: [{ start: 2 ** 32 - 1, length: 2 }] },
      { ...have, ranges: Array.from({ length: MAX_HAVE_RANGES + 1 }, (_, i) => ({ start: i, length: 1 })) },
    ]
    for (const message of bad) expect(() => splitMessage(message)).toThrow(RangeError)
  })
})

describe('fragments', () => {
  const HAVE = MESSAGE_TYPES.have
  const full = new Uint8Array(FRAME_BODY_BYTES)
  const fragment = (type: number, requestId = 0): Uint8Array =>
    encodeFrame({ type, requestId, more: true, body: full })
  const last = (type: number, requestId = 0): Uint8Array =>
    encodeFrame({ type, requestId, more: false, body: new Uint8Array(1) })

  it('of one message stand together: another type, id or message between them is refused', () => {
    for (const between of [
      fragment(MESSAGE_TYPES.pad),
      last(MESSAGE_TYPES.pad),
      last(HAVE, 1),
      fragment(HAVE, 1),
    ]) {
      const assembler = new MessageAssembler()
      expect(assembler.push(fragment(HAVE))).toBeNull()
      expect(assembler.pending).toBe(true)
      expect(codeOf(() => assembler.push(between))).toBe('ERR_FRAME_FRAGMENT')
    }
  })

  it('are at most 64: the 64th must be the last', () => {
    const assembler = new MessageAssembler()
    for (let i = 0; i < MAX_MESSAGE_FRAGMENTS - 1; i++) expect(assembler.push(fragment(0x70, 3))).toBeNull()
    expect(codeOf(() => assembler.push(fragment(0x70, 3)))).toBe('ERR_FRAME_FRAGMENT')
    const other = new MessageAssembler()
    for (let i = 0; i < MAX_MESSAGE_FRAGMENTS - 1; i++) expect(other.push(fragment(0x70, 3))).toBeNull()
    expect(other.push(last(0x70, 3))).toEqual({ type: 'unknown', code: 0x70, requestId: 3 })
    expect(other.pending).toBe(false)
  })

  it('may end in an empty frame, and the next message starts anew', () => {
    const assembler = new MessageAssembler()
    expect(assembler.push(fragment(MESSAGE_TYPES.pad))).toBeNull()
    const empty = encodeFrame({ type: MESSAGE_TYPES.pad, requestId: 0, more: false, body: new Uint8Array(0) })
    expect(assembler.push(empty)).toEqual({ type: 'pad' })
    expect(assembler.push(empty)).toEqual({ type: 'pad' })
  })

  it('of a long HAVE put it together again, and cost 33 frames', () => {
    const ranges = Array.from({ length: MAX_HAVE_RANGES }, (_, i) => ({ start: i * 2, length: 1 }))
    const message: Message = {
      type: 'have',
      handle: new Uint8Array(16),
      rootId: new Uint8Array(32),
      releaseNumber: 1,
      ranges,
    }
    const frames = splitMessage(message)
    expect(frames.length).toBe(33)
    expect(assemble(frames)).toEqual(message)
  })
})

describe('codes', () => {
  it('of errors come back as errors of the right kind', () => {
    const kinds = Object.values(ERROR_CODES).map((code) => [code, codeToError(code).code])
    expect(kinds).toEqual([
      [1, 'ERR_REMOTE_REFUSED'],
      [2, 'ERR_REMOTE_NOT_FOUND'],
      [3, 'ERR_REMOTE_BUSY'],
      [4, 'ERR_REMOTE_REFUSED'],
      [5, 'ERR_ABORTED'],
    ])
    expect(codeToError(9999).code).toBe('ERR_REMOTE_REFUSED')
  })

  it('tell a peer no more than it needs: what went wrong here is busy', () => {
    expect(errorToCode(new MegatorrentError('ERR_NOT_FOUND', 'x'))).toBe(ERROR_CODES.notFound)
    expect(errorToCode(new MegatorrentError('ERR_MESSAGE_BODY', 'x'))).toBe(ERROR_CODES.malformed)
    expect(errorToCode(new MegatorrentError('ERR_ABORTED', 'x'))).toBe(ERROR_CODES.cancelled)
    for (const error of [new MegatorrentError('ERR_BUG', 'x'), new TypeError('x'), 'x', null]) {
      expect(errorToCode(error)).toBe(ERROR_CODES.busy)
    }
  })

  it('are the numbers of the protocol', () => {
    expect(MESSAGE_TYPES).toEqual({
      hello: 1,
      request: 2,
      data: 3,
      findPeers: 4,
      peers: 5,
      publish: 6,
      announce: 7,
      ok: 8,
      have: 9,
      cancel: 10,
      bye: 11,
      pad: 12,
      published: 13,
      keep: 14,
      kept: 15,
      error: 255,
    })
    expect(ERROR_CODES).toEqual({ unsupported: 1, notFound: 2, busy: 3, malformed: 4, cancelled: 5 })
    expect(Object.values(BYE_REASONS)).toEqual([0, 1, 2, 3, 4])
  })
})

describe('places of a HELLO', () => {
  const random = seededRandom(21)
  const context = { handshakeHash: random.bytes(32), role: ROLE_INITIATOR, counter: 0 } as const
  const channel = (slotVersion: number) => ({ tagKey: random.bytes(32), slotVersion })
  const mine = [channel(0), channel(65_536), channel(2 ** 52 - 1)]

  it('tell holders of a tag key its slot version, and strangers nothing', () => {
    const places = buildPlaces(context, mine, random)
    expect(places.length).toBe(56 * 16)
    const strangers = [channel(1), channel(2)]
    expect(scanPlaces(places, context, [strangers[0], ...mine, strangers[1]] as typeof mine)).toEqual(
      mine.map((known) => ({ channel: known, slotVersion: known.slotVersion })),
    )
  })

  it('say nothing under another handshake, role or counter: an echo is not a member', () => {
    const places = buildPlaces(context, mine, random)
    expect(scanPlaces(places, { ...context, role: ROLE_RESPONDER }, mine)).toEqual([])
    expect(scanPlaces(places, { ...context, counter: 1 }, mine)).toEqual([])
    expect(scanPlaces(places, { ...context, handshakeHash: random.bytes(32) }, mine)).toEqual([])
  })

  it('are always 56, filled up and shuffled', () => {
    const full = Array.from({ length: 56 }, () => channel(65_536))
    expect(scanPlaces(buildPlaces(context, full, random), context, full).length).toBe(56)
    expect(() => buildPlaces(context, [...full, channel(1)], random)).toThrow(RangeError)
    const where = new Set<number>()
    for (let run = 0; run < 100; run++) {
      const places = buildPlaces(context, mine.slice(0, 1), systemRandom)
      for (let at = 0; at < 56; at++) {
        const alone = new Uint8Array(56 * 16)
        alone.set(places.subarray(at * 16, at * 16 + 16), at * 16)
        if (scanPlaces(alone, context, mine.slice(0, 1)).length === 1) where.add(at)
      }
    }
    expect(where.size).toBeGreaterThan(30)
    expect(buildPlaces(context, [], systemRandom)).not.toEqual(buildPlaces(context, [], systemRandom))
  })

  it('with a slot version that cannot be are passed over', () => {
    const places = buildPlaces(context, mine.slice(0, 1), random)
    for (let at = 0; at < 56; at++) places[at * 16 + 8] = (places[at * 16 + 8] as number) ^ 0x80
    expect(scanPlaces(places, context, mine)).toEqual([])
    expect(() => buildPlaces(context, [channel(2 ** 53 - 1)], random)).toThrow(RangeError)
  })

  it('and handles name a channel for one side of one connection', () => {
    const handle = channelHandle((mine[1] as (typeof mine)[0]).tagKey, context.handshakeHash, ROLE_INITIATOR)
    expect(findByHandle(handle, context.handshakeHash, ROLE_INITIATOR, mine)).toBe(mine[1])
    expect(findByHandle(handle, context.handshakeHash, ROLE_RESPONDER, mine)).toBeNull()
    expect(findByHandle(handle, random.bytes(32), ROLE_INITIATOR, mine)).toBeNull()
  })

  it('stand in a HELLO that fills one small frame', () => {
    const places = buildPlaces(context, mine, random)
    const frames = splitMessage({
      type: 'hello',
      highestVersion: 1,
      lowestVersion: 1,
      features: 0,
      counter: 0,
      observedAddress: parseAddress('1.2.3.4:5'),
      places,
    })
    expect(frames.length).toBe(1)
    const read = assemble(frames)
    expect(
      read?.type === 'hello' && read.observedAddress !== null && formatAddress(read.observedAddress),
    ).toBe('1.2.3.4:5')
  })
})
