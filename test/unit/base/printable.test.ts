import { describe, expect, it } from 'vitest'
import { printable, printableJson } from '../../../src/base/printable.ts'

describe('printable text', () => {
  it.each([
    ['escape', '\u001b'],
    ['bell', '\u0007'],
    ['line end', '\n'],
    ['carriage return', '\r'],
    ['tab', '\t'],
    ['NUL', '\0'],
    ['delete', '\u007f'],
    ['C1 control', '\u009b'],
    ['right-to-left override', '\u202e'],
    ['isolate', '\u2066'],
    ['direction mark', '\u200f'],
    ['Arabic letter mark', '\u061c'],
    ['line separator', '\u2028'],
    ['byte order mark', '\ufeff'],
    ['zero-width space', '\u200b'],
    ['tag character', '\u{e0041}'],
    ['half a character', '\ud800'],
  ])('has no %s', (_name, character) => {
    expect(printable(`a${character}b`)).toBe('a\ufffdb')
    const json = printableJson({ [`k${character}`]: `a${character}b` })
    expect(json).not.toContain(character)
    expect(JSON.parse(json)).toEqual({ [`k${character}`]: `a${character}b` })
  })

  it('keeps scripts, joiners and emoji', () => {
    for (const text of ['Grüße', '日本語', 'عربي', 'नमस्ते', '👩\u200d💻', 'a b', 'می\u200cخواهم']) {
      expect(printable(text)).toBe(text)
      expect(printableJson(text)).toBe(JSON.stringify(text))
    }
  })
})
