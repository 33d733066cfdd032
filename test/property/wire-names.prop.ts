import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../src/base/random.ts'
import { SigningKey } from '../../src/crypto/ed25519.ts'
import { formatAddress } from '../../src/wire/address.ts'
import { decodeHead, type HeadFields, signHead, verifyHead } from '../../src/wire/head.ts'
import { checkPath, foldPath } from '../../src/wire/paths.ts'
import { formatLink, parseLink } from '../../src/wire/uri.ts'
import { accepted, address, bytes, RUNS, releaseNumber, u16 } from './wire-arbitraries.ts'

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
