import { describe, expect, it } from 'vitest'
import { utf8Bytes } from '../../../src/base/bytes.ts'
import {
  BencodeReader,
  type BencodeValue,
  BencodeWriter,
  decodeBencode,
  decodeBencodePrefix,
  encodeBencode,
  measureBencode,
} from '../../../src/wire/bencode.ts'
import { codeOf, leastMs } from './refusal.ts'

const LIMITS = { maxDepth: 8, maxItems: 1000 }
const decode = (text: string): BencodeValue => decodeBencode(latin1(text), LIMITS)
const refusal = (text: string): string | null => codeOf(() => decode(text))

function latin1(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'))
}

describe('a canonical value', () => {
  const cases: [string, BencodeValue][] = [
    ['i0e', 0],
    ['i7e', 7],
    ['i-1e', -1],
    ['i10e', 10],
    ['i9007199254740991e', Number.MAX_SAFE_INTEGER],
    ['i-9007199254740991e', -Number.MAX_SAFE_INTEGER],
    ['0:', new Uint8Array(0)],
    ['1:a', latin1('a')],
    ['10:0123456789', latin1('0123456789')],
    ['2:\xff\x00', Uint8Array.of(255, 0)],
    ['le', []],
    ['li1e1:alee', [1, latin1('a'), []]],
    ['de', new Map()],
    [
      'd1:ai1e1:bd0:leee',
      new Map<string, BencodeValue>([
        ['a', 1],
        ['b', new Map([['', []]])],
      ]),
    ],
    ['d9:__proto__i1ee', new Map([['__proto__', 1]])],
    [
      'd0:i0e1:\x00i1e1:\x7fi2e1:\x80i3e2:\x80ai4ee',
      new Map([
        ['', 0],
        ['\0', 1],
        ['\x7f', 2],
        ['\x80', 3],
        ['\x80a', 4],
      ]),
    ],
  ]
  it.each(cases)('%j is read and written again to the same bytes', (text, value) => {
    expect(decode(text)).toEqual(value)
    expect(encodeBencode(value)).toEqual(latin1(text))
    expect(measureBencode(value)).toBe(text.length)
  })

  it('may have other bytes behind it when only its own are asked for', () => {
    expect(decodeBencodePrefix(latin1('li1ee\0\0\0'), LIMITS)).toEqual({ value: [1], length: 5 })
    expect(refusal('li1ee\0')).toBe('ERR_BENCODE_TRAILING')
  })

  it('gives byte strings as views, not copies', () => {
    const input = latin1('3:abc')
    const value = decodeBencode(input, LIMITS) as Uint8Array
    input[2] = 0x7a
    expect(value).toEqual(latin1('zbc'))
  })

  it('is written in order of keys, whatever the order they came in', () => {
    const shuffled = new Map([
      ['b', 2],
      ['\xe9', 3],
      ['a', 1],
      ['Z', 0],
    ])
    expect(encodeBencode(shuffled)).toEqual(latin1('d1:Zi0e1:ai1e1:bi2e1:\xe9i3ee'))
  })
})

describe('hostile input is refused by class', () => {
  it.each([
    'i00e',
    'i01e',
    'i-0e',
    'i-01e',
    'i-00e',
    'li-0ee',
    '00:',
    '01:a',
    '000000000001:a',
    'd1:bi1e1:ai1ee',
    'd1:ai1e1:ai1ee',
    'd2:aai1e1:ai1ee',
    'd1:\xffi1e1:ai1ee',
  ])('a second spelling: %j', (text) => {
    expect(refusal(text)).toBe('ERR_BENCODE_CANONICAL')
  })

  it.each([
    'i+1e',
    'i 1e',
    'i1.0e',
    'i1.9e',

    'ie',
    'i-e',
    'i--1e',
    'i1-e',
    'i0x10e',
    'iee',
    'i\xb9e',
    'inane',
    'i9007199254740992e',
    'i-9007199254740992e',
    'i9007199254740993e',
    'i99999999999999999999e',
    '-1:a',
    '+1:a',
    ' 1:a',
    '1 :a',
    '1.0:a',
    '1e0:a',
    ':a',
    'a',
    'e',
    '\0',
    '{}',
    'I1e',
    'L',
    'di1ei1ee',
    'd:i1ee',
    'l:e',
    'dlei1ee',
    'd1:ae',
    'd1:ai1e1:be',
    '0x1:a',
    '1;a',
  ])('what is no bencode: %j', (text) => {
    expect(refusal(text)).toBe('ERR_BENCODE_SYNTAX')
  })

  it.each([
    '',
    'i',
    'i1',
    'i-',
    'l',
    'li1e',
    'd',
    'd1:a',
    'd1:ai1e',
    '1',
    '1:',
    '2:a',
    '9:',
    '4294967297:a',
    '4294967300:aaaa',
    '9007199254740993:a',
    '99999999999999999999999999999999:a',
    '18446744073709551617:a',
    'l3:ae',
    '1000000:a',
  ])('what ends too early, or names a length beyond the end: %j', (text) => {
    expect(refusal(text)).toBe('ERR_BENCODE_TRUNCATED')
  })

  it('nesting beyond the bound, lists and dictionaries alike, whether it ends or not', () => {
    const nested = (depth: number): string => 'l'.repeat(depth) + 'e'.repeat(depth)
    expect(refusal(nested(8))).toBeNull()
    expect(refusal(nested(9))).toBe('ERR_BENCODE_LIMIT')
    expect(refusal('l'.repeat(1_000_000))).toBe('ERR_BENCODE_LIMIT')
    expect(refusal('d1:a'.repeat(250_000))).toBe('ERR_BENCODE_LIMIT')
    expect(codeOf(() => decodeBencode(latin1('le'), { maxDepth: 0, maxItems: 9 }))).toBe('ERR_BENCODE_LIMIT')
  })

  it('more items than the bound', () => {
    expect(refusal(`l${'i1e'.repeat(999)}e`)).toBeNull()
    expect(refusal(`l${'i1e'.repeat(1000)}e`)).toBe('ERR_BENCODE_LIMIT')
    expect(refusal(`l${'le'.repeat(500_000)}e`)).toBe('ERR_BENCODE_LIMIT')
    expect(refusal(`l${'0:'.repeat(500_000)}e`)).toBe('ERR_BENCODE_LIMIT')
  })

  it('in time that its length and the bound on items bound: a megabyte of anything takes under 100 ms', () => {
    const limits = { maxDepth: 100, maxItems: 2 ** 16 }
    const inputs = [
      `l${'i123456789e'.repeat(90_000)}e`,
      `l${'0:'.repeat(2 ** 19)}e`,
      `l${'le'.repeat(2 ** 19)}e`,
      `l${'de'.repeat(2 ** 19)}e`,
      `l${'1:x'.repeat(2 ** 18)}e`,
      'l'.repeat(2 ** 20),
      'd0:'.repeat(2 ** 18),
      '9'.repeat(2 ** 20),
      `i${'9'.repeat(2 ** 20)}`,
      `i-${'0'.repeat(2 ** 20)}`,
      `${'0'.repeat(2 ** 20)}:`,
      `d${Array.from({ length: 60_000 }, (_, i) => `6:${String(i).padStart(6, '0')}i1e`).join('')}e`,
    ].map(latin1)
    for (const input of inputs) {
      expect(leastMs(() => codeOf(() => decodeBencode(input, limits)))).toBeLessThan(100)
    }
  })

  it('when walked, the entries of a full manifest part take some 20 ms, here under 100', () => {
    const entry = 'l60:0123456789012345678901234567890123456789012345678901234567ABi10240ei12ei10240ei10240ee'
    const part = latin1(`l${entry.repeat(Math.floor(2 ** 20 / entry.length))}e`)
    const walk = (): void => {
      const reader = new BencodeReader(part)
      reader.openList()
      while (!reader.atEnd()) {
        reader.openList()
        reader.bytes()
        while (!reader.atEnd()) reader.integer()
        reader.close()
      }
    }
    expect(leastMs(walk)).toBeLessThan(100)
  })
})

describe('our own mistakes are ours', () => {
  it('a depth that would fill the stack is a RangeError', () => {
    expect(() => decodeBencode(latin1('le'), { maxDepth: 101, maxItems: 1 })).toThrow(RangeError)
  })

  it('numbers and keys without an encoding are refused', () => {
    for (const value of [1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
      expect(() => encodeBencode([value])).toThrow(RangeError)
    }
    expect(() => encodeBencode(new Map([['\u0100', 1]]))).toThrow(TypeError)
    expect(encodeBencode(-0)).toEqual(latin1('i0e'))
  })

  it('a writer never writes past what was measured', () => {
    const writer = new BencodeWriter(4)
    writer.openList().integer(0)
    expect(() => writer.close().close()).toThrow(RangeError)
    expect(() => new BencodeWriter(4).string(utf8Bytes('abc'))).toThrow(RangeError)
  })
})

describe('the walking reader', () => {
  it('reads what the tree reads, and says where it stands', () => {
    const reader = new BencodeReader(latin1('d1:ali5e3:abcee'))
    reader.openDictionary()
    expect(reader.latin1()).toBe('a')
    expect(reader.peek()).toBe('list')
    reader.openList()
    expect([reader.peek(), reader.integer()]).toEqual(['integer', 5])
    expect([reader.peek(), reader.bytes()]).toEqual(['bytes', latin1('abc')])
    expect(reader.atEnd()).toBe(true)
    reader.close()
    reader.close()
    expect(reader.offset).toBe(15)
  })

  it('refuses what was not expected', () => {
    const at = (text: string, read: (reader: BencodeReader) => unknown): string | null =>
      codeOf(() => read(new BencodeReader(latin1(text))))
    expect(at('i1e', (r) => r.bytes())).toBe('ERR_BENCODE_SYNTAX')
    expect(at('1:a', (r) => r.integer())).toBe('ERR_BENCODE_SYNTAX')
    expect(at('de', (r) => r.openList())).toBe('ERR_BENCODE_SYNTAX')
    expect(at('le', (r) => r.openDictionary())).toBe('ERR_BENCODE_SYNTAX')
    expect(at('i1e', (r) => r.close())).toBe('ERR_BENCODE_SYNTAX')
    expect(at(':a', (r) => r.bytes())).toBe('ERR_BENCODE_SYNTAX')
    expect(at('e', (r) => r.latin1())).toBe('ERR_BENCODE_SYNTAX')
    expect(at('e', (r) => r.peek())).toBe('ERR_BENCODE_SYNTAX')
    expect(at('', (r) => r.atEnd())).toBe('ERR_BENCODE_TRUNCATED')
    expect(at('', (r) => r.peek())).toBe('ERR_BENCODE_TRUNCATED')
  })
})
