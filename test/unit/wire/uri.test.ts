import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { errorMessage } from '../../../src/base/errors.ts'
import { MAX_LINK_CHARS } from '../../../src/base/limits.ts'
import { formatLink, parseLink } from '../../../src/wire/uri.ts'
import { loops } from '../../loops.ts'
import { describeShared } from '../../reference/shared-vectors.ts'
import { codeOf, leastMs } from './refusal.ts'

/** Lines of a vector file: each with the remark that stands above it. */
function readLines(name: string): { why: string; fields: string[] }[] {
  const text = readFileSync(resolve(import.meta.dirname, '../../vectors', name), 'utf8')
  let why = ''
  const lines: { why: string; fields: string[] }[] = []
  for (const line of text.split('\n')) {
    if (line.startsWith('# ')) why = line.slice(2)
    else if (line !== '') lines.push({ why, fields: line.split('\t') })
  }
  return lines
}

const VALID = readLines('uri-valid.txt').map(({ why, fields: [given = '', canonical = ''] }) => ({
  why,
  given: JSON.parse(given) as string,
  canonical: JSON.parse(canonical) as string,
}))
const INVALID = readLines('uri-invalid.txt').map(({ why, fields: [code = '', text = ''] }) => ({
  why,
  code,
  text: JSON.parse(text) as string,
}))

describe('a link', () => {
  it.each(VALID)('is read and has one text: $why', ({ given, canonical }) => {
    expect(formatLink(parseLink(given))).toBe(canonical)
    expect(parseLink(canonical)).toEqual(parseLink(given))
  })

  it.each(INVALID)('is refused with $code: $why', ({ code, text }) => {
    expect(codeOf(() => parseLink(text))).toBe(code)
  })

  it('is refused for each of the reasons there are', () => {
    expect([...new Set(INVALID.map(({ code }) => code))].sort()).toEqual([
      'ERR_LINK_ADDRESS',
      'ERR_LINK_KEY',
      'ERR_LINK_LIMIT',
      'ERR_LINK_READ_KEY',
      'ERR_LINK_SCHEME',
      'ERR_LINK_SYNTAX',
    ])
  })

  it('says what is wrong and never repeats itself: it may be secret', () => {
    for (const { text } of INVALID) {
      try {
        parseLink(text)
      } catch (error) {
        const message = errorMessage(error)
        expect(message.length).toBeGreaterThan(10)
        for (const piece of text.match(/[0-9a-f]{16,}/g) ?? []) expect(message).not.toContain(piece)
      }
    }
  })

  it('loses nothing when any one character is cut off, or says so', () => {
    // In `npm test` every character of the first, and every fifth, not the same, of the others: a key takes a ms.
    for (const [index, { canonical }] of VALID.entries()) {
      const step = index === 0 ? 1 : loops(5, 1)
      for (let at = index % step; at < Math.min(canonical.length, 300); at += step) {
        const text = canonical.slice(0, at) + canonical.slice(at + 1)
        if (codeOf(() => parseLink(text)) === null)
          expect(formatLink(parseLink(text)).length).toBeGreaterThan(70)
      }
    }
  })

  it('of the greatest length is judged in bounded time, whatever it holds', () => {
    const fillers = [
      '?',
      '&',
      '=',
      '%',
      '#',
      '/',
      ':',
      '@',
      '[',
      ' ',
      '%00',
      '?peer=',
      '&peer=[',
      '\n',
      '\u0130',
    ]
    for (const filler of fillers) {
      for (const head of ['', 'megatorrent:', `${VALID[0]?.canonical}`, `${VALID[0]?.canonical}?peer=`]) {
        const text = (head + filler.repeat(MAX_LINK_CHARS)).slice(0, MAX_LINK_CHARS)
        expect(leastMs(() => codeOf(() => parseLink(text)), 3)).toBeLessThan(100)
      }
    }
  })
})

describeShared<readonly string[]>(
  'the big list of naughty strings',
  'public-hostile/blns.base64.json',
  (strings) => {
    it('holds no link, and ends nothing', () => {
      for (const text of strings) {
        const naughty = Buffer.from(text, 'base64').toString('utf8')
        expect(codeOf(() => parseLink(naughty))).not.toBeNull()
        codeOf(() => parseLink(`${VALID[0]?.canonical}?peer=${naughty}`))
        codeOf(() => parseLink(`${VALID[0]?.canonical}#${naughty}`))
      }
    })
  },
)
