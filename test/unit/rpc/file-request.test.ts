import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  allowsRange,
  contentDisposition,
  decodePercent,
  isKnownToClient,
  parseFileTarget,
  parseRange,
} from '../../../src/rpc/file-request.ts'

const KEY = 'ab'.repeat(32)

describe('the target of a file', () => {
  it.each([
    [`/files/${KEY}/a.txt`, { path: 'a.txt', kind: 'file' }],
    [`/files/${KEY.toUpperCase()}/a.txt`, { path: 'a.txt', kind: 'file', publicKey: KEY }],
    [`/files/${KEY}/a%20b/c%C3%A9.txt`, { path: 'a b/c\u00e9.txt', kind: 'file' }],
    [`/files/${KEY}/100%25`, { path: '100%', kind: 'file' }],
    [`/files/${KEY}/`, { path: '', kind: 'folder' }],
    [`/files/${KEY}/sub/deep/`, { path: 'sub/deep', kind: 'folder' }],
    [`/files/${KEY}/sub/?after=x%20y`, { path: 'sub', kind: 'folder', after: 'x y' }],
    [`/files/${KEY}/a?key=00ff`, { path: 'a', key: '00ff', after: null }],
    // Names like others to the manifest, which has none of these.
    [`/files/${KEY}/../../etc/passwd`, { path: '../../etc/passwd', kind: 'file' }],
    [`/files/${KEY}/%2e%2e%2fx`, { path: '../x', kind: 'file' }],
    [`/files/${KEY}//a`, { path: '/a', kind: 'file' }],
    [`/files/${KEY}/a%252fb`, { path: 'a%2fb', kind: 'file' }],
  ])('%s is read once', (target, expected) => {
    expect(parseFileTarget(target)).toMatchObject(expected)
  })

  it.each([
    ['a short key', `/files/${KEY.slice(2)}/a`],
    ['no key', '/files//a'],
    ['no slash after the key', `/files/${KEY}`],
    ['a broken escape', `/files/${KEY}/a%2`],
    ['an escape that is no hex', `/files/${KEY}/a%zz`],
    ['no UTF-8', `/files/${KEY}/a%ff`],
    ['an overlong slash', `/files/${KEY}/a%c0%af`],
    ['a raw byte above ASCII', `/files/${KEY}/\u00e9`],
    ['a control', `/files/${KEY}/a\u0001`],
    ['a fragment', `/files/${KEY}/a#b`],
    ['another query', `/files/${KEY}/a?x=1`],
    ['two keys', `/files/${KEY}/a?key=1&key=2`],
    ['a second question mark', `/files/${KEY}/a?key=1?key=2`],
    ['a place to go on in a file', `/files/${KEY}/a?after=b`],
    ['another prefix', `/file/${KEY}/a`],
  ])('with %s is none', (_name, target) => {
    expect(parseFileTarget(target)).toBeNull()
  })

  it('gives back every text that was encoded', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (text) => {
        expect(decodePercent(encodeURIComponent(text))).toBe(text)
      }),
    )
  })
})

describe('a range', () => {
  it.each([
    [undefined, 'all'],
    ['bytes=0-', { start: 0, end: 100 }],
    ['bytes=10-19', { start: 10, end: 20 }],
    ['bytes=99-99', { start: 99, end: 100 }],
    ['bytes=90-1000', { start: 90, end: 100 }],
    ['bytes=-1', { start: 99, end: 100 }],
    ['bytes=-500', { start: 0, end: 100 }],
    ['Bytes = 5 - 6', { start: 5, end: 7 }],
    ['bytes=100-', 'unsatisfiable'],
    ['bytes=100-200', 'unsatisfiable'],
    ['bytes=-0', 'unsatisfiable'],
    ['bytes=999999999999999-', 'unsatisfiable'],
    ['bytes=9223372036854775807-', 'unsatisfiable'],
    ['bytes=10-9223372036854775807', { start: 10, end: 100 }],
    ['bytes=-18446744073709551615', { start: 0, end: 100 }],
    // What a server may ignore.
    ['bytes=20-10', 'all'],
    ['bytes=-', 'all'],
    ['bytes=0-1,5-6', 'all'],
    ['bytes=a-b', 'all'],
    ['bytes=1', 'all'],
    [`bytes=${'9'.repeat(31)}-`, 'all'],
    ['bytes=0x1-2', 'all'],
    ['lines=1-2', 'all'],
    ['', 'all'],
  ])('%s of 100 bytes', (header, expected) => {
    expect(parseRange(header, 100)).toEqual(expected)
  })

  it('of an empty file is never satisfied', () => {
    expect(parseRange('bytes=0-', 0)).toBe('unsatisfiable')
    expect(parseRange('bytes=-5', 0)).toBe('unsatisfiable')
  })

  it('is inside of the file, whatever is asked', () => {
    const part = fc.oneof(fc.nat().map(String), fc.constantFrom('', '0', '-', ',', '=', 'bytes', ' '))
    fc.assert(
      fc.property(fc.nat({ max: 1000 }), fc.array(part, { maxLength: 5 }), (size, parts) => {
        const range = parseRange(`bytes=${parts.join('')}`, size)
        if (typeof range === 'string') return
        expect(range.start).toBeGreaterThanOrEqual(0)
        expect(range.start).toBeLessThan(range.end)
        expect(range.end).toBeLessThanOrEqual(size)
      }),
    )
  })
})

describe('conditions', () => {
  it('compare tags and no dates', () => {
    expect(allowsRange(undefined, '"a"')).toBe(true)
    expect(allowsRange('"a"', '"a"')).toBe(true)
    expect(allowsRange('"b"', '"a"')).toBe(false)
    expect(allowsRange('W/"a"', '"a"')).toBe(false)
    expect(allowsRange('Wed, 21 Oct 2026 07:28:00 GMT', '"a"')).toBe(false)
    expect(isKnownToClient(undefined, '"a"')).toBe(false)
    expect(isKnownToClient('"b", W/"a"', '"a"')).toBe(true)
    expect(isKnownToClient('*', '"a"')).toBe(true)
    expect(isKnownToClient('"b"', '"a"')).toBe(false)
  })
})

describe('the name to save under', () => {
  it('is a plain one and an exact one, and nothing of it ends the header', () => {
    expect(contentDisposition('a/b.txt')).toBe('attachment; filename="b.txt"; filename*=UTF-8\'\'b.txt')
    expect(contentDisposition('x"; filename=evil.html')).not.toContain('"; filename=evil')
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (name) => {
        const header = contentDisposition(name)
        expect(header).toMatch(/^attachment; filename="[^"\\\r\n]*"; filename\*=UTF-8''[!-~]*$/)
        expect(header).toMatch(/^[ -~]*$/)
      }),
    )
  })
})
