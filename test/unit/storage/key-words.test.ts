/** Keys on paper: what is printed, what is read of what people type, and how mistakes are told. */
import { beforeAll, describe, expect, it } from 'vitest'
import { seededRandom } from '../../../src/base/random.ts'
import { loadSeedWords, type SeedWords } from '../../../src/crypto/seed-words.ts'
import { formatKeyWords, parseKeyWords } from '../../../src/storage/key-words.ts'

const random = seededRandom(7)
const DAY = Date.UTC(2026, 10, 28)
const ZERO = new Uint8Array(32)
const PUBLIC = {
  name: 'news',
  private: false,
  open: false,
  createdAt: DAY + 80_000_000,
  seed: random.bytes(32),
  readKey: ZERO,
}
const PRIVATE = { ...PUBLIC, name: 'plans', private: true, readKey: random.bytes(32) }
const OPEN = { ...PUBLIC, name: 'wide', open: true }

let list: SeedWords
let seedWords: readonly string[]
let readWords: readonly string[]

beforeAll(async () => {
  list = await loadSeedWords()
  seedWords = list.encode(PUBLIC.seed)
  readWords = list.encode(PRIVATE.readKey)
})

const parse = (text: string) => parseKeyWords(text, list, 'paper')

function faultOf(text: string): { readonly code: string; readonly kind: string; readonly message: string } {
  try {
    parse(text)
  } catch (error) {
    return error as ReturnType<typeof faultOf>
  }
  throw new Error('it was read')
}

const replaced = (words: readonly string[], at: number, word: string): string[] =>
  words.map((each, i) => (i === at ? word : each))

function swapped(words: readonly string[], i: number, k: number): string[] {
  return replaced(replaced(words, i, words[k] as string), k, words[i] as string)
}

describe('the page', () => {
  it('has what is needed, in ASCII, short lines and a fixed form', () => {
    const text = formatKeyWords({ ...PRIVATE, seed: ZERO, readKey: new Uint8Array(32).fill(255) }, list)
    const lines = text.split('\n')
    expect(lines.filter((line) => !line.startsWith('#')).join('\n')).toBe(`name: plans
kind: private
made: 2026-11-28
check: ${/check: ([0-9a-f]{8})\n/.exec(text)?.[1]}
seed:
 1. abandon     2. abandon     3. abandon     4. abandon
 5. abandon     6. abandon     7. abandon     8. abandon
 9. abandon    10. abandon    11. abandon    12. abandon
13. abandon    14. abandon    15. abandon    16. abandon
17. abandon    18. abandon    19. abandon    20. abandon
21. abandon    22. abandon    23. abandon    24. art
read key:
 1. zoo         2. zoo         3. zoo         4. zoo
 5. zoo         6. zoo         7. zoo         8. zoo
 9. zoo        10. zoo        11. zoo        12. zoo
13. zoo        14. zoo        15. zoo        16. zoo
17. zoo        18. zoo        19. zoo        20. zoo
21. zoo        22. zoo        23. zoo        24. vote
`)
    expect(text).toMatch(/^[\n -~]*$/)
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100)
  })

  it('of a channel that is not private has no read key', () => {
    expect(formatKeyWords(PUBLIC, list)).not.toContain('read key')
  })

  it.each([
    ['public', PUBLIC],
    ['private', PRIVATE],
    ['open', OPEN],
  ])('gives a %s channel back, made at the beginning of its day', (_kind, record) => {
    expect(parse(formatKeyWords(record, list))).toEqual({ ...record, createdAt: DAY })
  })
})

describe('what people type', () => {
  const NUMBERED = (words: readonly string[], mark: string): string =>
    words.map((word, i) => `${i + 1}${mark}${word}`).join('\n')

  it('is read in any case, with any blanks and line breaks, numbers, commas and bullets', () => {
    const expected = { ...PUBLIC, name: null, createdAt: null }
    for (const text of [
      seedWords.join(' '),
      seedWords.join('\n'),
      seedWords.join('\r\n'),
      seedWords.join('\r'),
      seedWords.join(', '),
      seedWords.join(','),
      seedWords.join('\u00a0\t  '),
      `\ufeff${seedWords.join(' ').toUpperCase()}.`,
      NUMBERED(seedWords, '. '),
      NUMBERED(seedWords, '.'),
      NUMBERED(seedWords, ') '),
      NUMBERED(seedWords, ': '),
      NUMBERED(seedWords, ' '),
      seedWords.map((word) => `* "${word}"`).join('\n'),
      `# typed from paper on a rainy day\n\n${seedWords.join(' ')}\n   # and no more\n`,
      `seed:\n${seedWords.join(' ')}`,
      `  SEED : ${seedWords.join(' ')}`,
      seedWords
        .map((word) => `${word[0]?.toUpperCase()}${word.slice(1)}`)
        .join(' ')
        .replace('fi', '\ufb01'),
    ]) {
      expect(parse(text)).toEqual(expected)
    }
  })

  it('of 48 words is a private channel, with labels or without, in any order of labels', () => {
    const expected = { ...PRIVATE, name: null, createdAt: null }
    for (const text of [
      [...seedWords, ...readWords].join(' '),
      `${NUMBERED(seedWords, '. ')}\n${NUMBERED(readWords, '. ')}`,
      `${seedWords.join(' ')}\nread key:\n${readWords.join(' ')}`,
      `Read  Key: ${readWords.join(' ')}\nSeed: ${seedWords.join(' ')}\nkind: PRIVATE`,
    ]) {
      expect(parse(text)).toEqual(expected)
    }
  })

  it('may say of 24 words that they are an open channel', () => {
    expect(parse(`kind: open\n${seedWords.join(' ')}`)).toMatchObject({ open: true, private: false })
  })

  it('keeps the case of the name, and takes a check that was written with blanks or capitals', () => {
    const text = formatKeyWords({ ...PUBLIC, name: 'My.News' }, list)
    const spaced = text.replace(/check: (....)(....)/, (_all, a, b) => `Check: ${a.toUpperCase()} ${b} `)
    expect(spaced).not.toBe(text)
    expect(parse(spaced)).toMatchObject({ name: 'My.News' })
  })
})

describe('mistakes', () => {
  it.each([0, 11, 23])('one unknown word is named by its place, %i, and not by itself', (at) => {
    const { code, kind, message } = faultOf(replaced(seedWords, at, 'hunter').join(' '))
    expect([code, kind]).toEqual(['ERR_KEY_WORDS', 'usage'])
    expect(message).toContain(`word ${at + 1} of the seed is not in the list`)
    for (const word of ['hunter', ...seedWords]) expect(message.split(/\W+/)).not.toContain(word)
  })

  it('an unknown word of the read key is counted from its first', () => {
    const labelled = `seed:\n${seedWords.join(' ')}\nread key:\n${replaced(readWords, 5, 'hunter').join(' ')}`
    const bare = [...seedWords, ...replaced(readWords, 5, 'hunter')].join(' ')
    for (const text of [labelled, bare]) {
      expect(faultOf(text).message).toContain('word 6 of the read key is not in the list')
    }
  })

  it.each([
    ['none', 0, '0 words'],
    ['one', 1, '1 words'],
    ['23', 23, '23 words'],
    ['25', 25, '25 words'],
    ['47', 47, '47 words'],
    ['49', 49, '49 words'],
  ])('%s of 24 or 48 words is a wrong count', (_name, count, told) => {
    const many = [...seedWords, ...readWords, ...seedWords]
    const { code, message } = faultOf(many.slice(0, count).join(' '))
    expect(code).toBe('ERR_KEY_WORDS')
    expect(message).toContain(told)
  })

  it('a word too many in one part and one too few in the other do not make up for each other', () => {
    const text = `seed: ${seedWords.slice(1).join(' ')}\nread key: zoo ${readWords.join(' ')}`
    expect(faultOf(text).message).toContain('23 and 25 words')
  })

  it('a private channel needs its read key, and others have none', () => {
    expect(faultOf(`kind: private\n${seedWords.join(' ')}`).message).toContain('24 words')
    expect(faultOf(`kind: open\n${[...seedWords, ...readWords].join(' ')}`).message).toContain('48 words')
  })

  it('any two words that changed places are seen, by the checksum or the check', () => {
    const text = formatKeyWords(PRIVATE, list)
    const paper = (words: readonly string[]): string =>
      `${text.slice(0, text.indexOf('seed:'))}seed: ${words.join(' ')}\nread key: ${readWords.join(' ')}`
    expect(parse(paper(seedWords))).toMatchObject({ seed: PRIVATE.seed })
    let byCheck = 0
    for (let i = 0; i < 24; i++) {
      for (let k = i + 1; k < 24; k++) {
        if (seedWords[i] === seedWords[k]) continue
        const { code, message } = faultOf(paper(swapped(seedWords, i, k)))
        expect(code).toBe('ERR_KEY_WORDS')
        if (message.includes('check')) byCheck++
        else expect(message).toContain('the words of the seed do not fit together')
      }
    }
    // Without the line "check" those would have been another key.
    expect(byCheck).toBeGreaterThan(0)
  })

  it('one word changed to any other of the list is seen', () => {
    const text = formatKeyWords(PUBLIC, list)
    const head = text.slice(0, text.indexOf('seed:'))
    const others = list.encode(seededRandom(9).bytes(32))
    for (let at = 0; at < 24; at++) {
      for (const word of others) {
        if (word === seedWords[at]) continue
        expect(faultOf(`${head}${replaced(seedWords, at, word).join(' ')}`).code).toBe('ERR_KEY_WORDS')
      }
    }
  })

  it('a mixed-up read key is told as such', () => {
    const other = ['zoo', 'zone'].find((word) => list.decode(replaced(readWords, 3, word)) === null) as string
    const text = [...seedWords, ...replaced(readWords, 3, other)].join(' ')
    expect(faultOf(text).message).toContain('the words of the read key do not fit together')
  })

  it('another kind than the one that was printed is seen', () => {
    expect(faultOf(formatKeyWords(OPEN, list).replace('kind: open', 'kind: public')).message).toContain(
      'check',
    )
  })

  it('a page that was cut off anywhere is refused, until all words are there', () => {
    const text = formatKeyWords(PRIVATE, list)
    const last = text.trimEnd().length
    // Half a word can be another word of the list, and never the right one.
    for (let end = 0; end < last; end++) expect(faultOf(text.slice(0, end)).code).toBe('ERR_KEY_WORDS')
    expect(parse(text.slice(0, last))).toMatchObject({ name: 'plans' })
  })

  it.each([
    ['a label that is not known', 'nmae: x', 'line 1'],
    ['a label twice', 'name: x\n\nname: y', 'line 3'],
    ['a kind that is none', 'kind: secret', 'kind'],
    ['a day that is none', 'made: 2026-02-31', 'made'],
    ['a day in another form', 'made: 28.11.2026', 'made'],
    ['a check that is none', 'check: zzzz', 'check'],
  ])('%s is told by its place', (_name, head, told) => {
    const { code, message } = faultOf(`${head}\n${seedWords.join(' ')}`)
    expect(code).toBe('ERR_KEY_WORDS')
    expect(message).toContain(told)
    for (const word of seedWords) expect(message.split(/\W+/)).not.toContain(word)
  })

  it('of the greatest length are told in the same way', () => {
    for (const part of ['a ', 'a', ': ', '1. ', '\u00a0', 'a:\n']) {
      expect(faultOf(part.repeat(4096 / part.length)).code).toBe('ERR_KEY_WORDS')
    }
  })
})
