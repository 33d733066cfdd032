import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MegatorrentError } from '../../src/base/errors.ts'
import { seededRandom } from '../../src/base/random.ts'
import { SigningKey } from '../../src/crypto/ed25519.ts'
import {
  type Address,
  decodeAddress,
  encodeAddress,
  formatAddress,
  parseAddress,
} from '../../src/wire/address.ts'
import {
  type BencodeValue,
  decodeBencode,
  decodeBencodePrefix,
  encodeBencode,
  measureBencode,
} from '../../src/wire/bencode.ts'
import { decodeFrame, encodeFrame } from '../../src/wire/frame.ts'
import { decodeHead, type HeadFields, signHead, verifyHead } from '../../src/wire/head.ts'
import { formatIpv4, formatIpv6, isIpv4Mapped } from '../../src/wire/ip.ts'
import { decodeMessage, type Message, MessageAssembler, splitMessage } from '../../src/wire/message.ts'
import { checkPath, foldPath } from '../../src/wire/paths.ts'
import { formatLink, parseLink } from '../../src/wire/uri.ts'

/** RUNS=n runs each property n times. */
const RUNS = { numRuns: Number(process.env.RUNS ?? 150) }
const LIMITS = { maxDepth: 50, maxItems: 10_000 }

const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length })
const safe = fc.maxSafeInteger()
const u16 = fc.nat(65_535)
const u32 = fc.nat(2 ** 32 - 1)

/** Gives back the value, or null when the decoder refused it with our own error. Any other error goes on. */
function accepted<T>(decode: () => T): T | null {
  try {
    return decode()
  } catch (error) {
    if (error instanceof MegatorrentError) return null
    throw error
  }
}

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

const address: fc.Arbitrary<Address> = fc.oneof(
  fc.record({
    kind: fc.constant('ipv4' as const),
    host: bytes(4).map(formatIpv4),
    port: fc.integer({ min: 1, max: 65_535 }),
  }),
  fc.record({
    kind: fc.constant('ipv6' as const),
    host: fc
      .oneof(
        bytes(16),
        bytes(16).map((host) => host.map((byte) => (byte > 40 ? 0 : byte))),
      )
      .filter((host) => !isIpv4Mapped(host))
      .map(formatIpv6),
    port: fc.integer({ min: 1, max: 65_535 }),
  }),
)

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
const releaseNumber = fc.integer({ min: 1, max: 2 ** 36 - 1 })
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

const message: fc.Arbitrary<Message> = fc.oneof(
  fc
    .record({
      type: fc.constant('hello' as const),
      highestVersion: u16,
      lowestVersion: u16,
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

const head: fc.Arbitrary<HeadFields> = fc.record({
  releaseNumber,
  revision: u16,
  signedAt: fc.maxSafeNat(),
  root: bytes(64),
  previousHash: fc.option(bytes(32).filter((hash) => hash.some((byte) => byte !== 0))),
  successorKey: fc.option(bytes(32).filter((key) => key.some((byte) => byte !== 0))),
  addresses: fc.array(address, { maxLength: 8 }),
})

describe('heads', () => {
  const key = new SigningKey(seededRandom(1).bytes(32))

  it('come back as they were signed', () => {
    fc.assert(
      fc.property(head, (fields) => {
        const signed = signHead(fields, key)
        expect(verifyHead(signed.bytes, key.publicKey)).toEqual(signed)
        expect(signed).toMatchObject(fields)
      }),
      RUNS,
    )
  })

  it('changed in any byte are refused, or not signed by the channel', () => {
    fc.assert(
      fc.property(head, fc.nat(567), fc.integer({ min: 1, max: 255 }), (fields, at, change) => {
        const { bytes: good } = signHead(fields, key)
        const bad = good.map((byte, index) => (index === at ? byte ^ change : byte))
        expect(accepted(() => verifyHead(bad, key.publicKey))).toBeNull()
        accepted(() => decodeHead(bad))
      }),
      RUNS,
    )
  })

  it('of any bytes are refused with our own error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), bytes(568), (any, right) => {
        for (const input of [any, right]) {
          expect(accepted(() => verifyHead(input, key.publicKey))).toBeNull()
          accepted(() => decodeHead(input))
        }
      }),
      RUNS,
    )
  })
})

describe('paths', () => {
  const part = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 12 }),
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc.constantFrom(
      'con',
      'AUX',
      'com1',
      'lpt¹',
      'nul ',
      '.',
      '..',
      ' ',
      'a:',
      'c:b',
      'x.',
      '\\',
      '',
      'a',
      'com1.x',
      'con .x',
    ),
  )

  it('that are accepted keep their bytes and obey every rule, as written out again here', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(part, part), { minLength: 1, maxLength: 4 }), (pieces) => {
        const text = pieces.map(([left, right]) => left + right).join('/')
        const input = new Uint8Array(Buffer.from(text))
        const expected = obeysRules(text)
        const path = accepted(() => checkPath(input))
        expect(path !== null).toBe(expected)
        if (path !== null) expect(new Uint8Array(Buffer.from(path))).toEqual(input)
      }),
      { numRuns: RUNS.numRuns * 20 },
    )
  })

  it('of any bytes are refused with our own error, or are UTF-8', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (input) => {
        const path = accepted(() => checkPath(input))
        if (path !== null) expect(new Uint8Array(Buffer.from(path))).toEqual(input)
      }),
      { numRuns: RUNS.numRuns * 10 },
    )
  })

  it('fold the same in either case and either normal form', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 20 }), (text) => {
        const folded = foldPath(text)
        expect(foldPath(folded)).toBe(folded)
        expect(foldPath(text.normalize('NFD'))).toBe(folded)
        // The dotless i has an upper case that is another letter's.
        if (!text.includes('\u0131')) expect(foldPath(text.toUpperCase())).toBe(folded)
      }),
      { numRuns: RUNS.numRuns * 5 },
    )
  })
})

/** The rules of §4.2.3 once more, in the plainest words: the twin of checkPath. */
function obeysRules(path: string): boolean {
  if (Buffer.byteLength(path) === 0 || Buffer.byteLength(path) > 4096) return false
  return path.split('/').every((name) => {
    if (name === '' || name === '.' || name === '..' || Buffer.byteLength(name) > 255) return false
    if ([...name].some((c) => c === '\\' || c < ' ' || (c >= '\x7f' && c <= '\x9f'))) return false
    if (name.endsWith('.') || name.endsWith(' ')) return false
    if (/^[A-Za-z]:/.test(name)) return false
    const stem = (name.split('.')[0] as string).replace(/ +$/, '').replace(/[a-z]/g, (c) => c.toUpperCase())
    const devices = ['CON', 'PRN', 'AUX', 'NUL', 'CONIN$', 'CONOUT$']
    for (const port of ['COM', 'LPT']) for (const digit of '0123456789¹²³') devices.push(port + digit)
    return !devices.includes(stem)
  })
}

describe('links', () => {
  const publicKey = new SigningKey(seededRandom(2).bytes(32)).publicKey
  const peer = address.map((value) => ({ ...value, nodeKey: null }))
  const link = fc.record({
    publicKey: fc.constant(publicKey),
    readKey: fc.option(bytes(32).filter((key) => key.some((byte) => byte !== 0))),
    peers: fc.uniqueArray(peer, { maxLength: 4, selector: formatAddress }),
    gateways: fc.uniqueArray(peer, { maxLength: 4, selector: formatAddress }),
  })

  it('come back from their text, also shouted and with blanks around', () => {
    fc.assert(
      fc.property(link, (value) => {
        const text = formatLink(value)
        expect(parseLink(text)).toEqual(value)
        expect(parseLink(` ${text.toUpperCase()}\n`)).toEqual(value)
      }),
      RUNS,
    )
  })

  it('of any text are refused with our own error', () => {
    const start = fc.constantFrom(
      '',
      'megatorrent:',
      'megatorrent://',
      formatLink({ publicKey, readKey: null, peers: [], gateways: [] }),
    )
    fc.assert(
      fc.property(start, fc.string({ unit: 'binary', maxLength: 60 }), (head, tail) => {
        const value = accepted(() => parseLink(head + tail))
        if (value !== null) expect(parseLink(formatLink(value))).toEqual(value)
      }),
      { numRuns: RUNS.numRuns * 4 },
    )
  })
})
