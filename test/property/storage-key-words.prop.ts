import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { isMegatorrentError } from '../../src/base/errors.ts'
import { loadSeedWords, type SeedWords } from '../../src/crypto/seed-words.ts'
import { formatKeyWords, parseKeyWords } from '../../src/storage/key-words.ts'

const secret = fc.uint8Array({ minLength: 32, maxLength: 32 })
const record = fc
  .record({
    name: fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/),
    kind: fc.constantFrom('public', 'private', 'open'),
    createdAt: fc.oneof(
      fc.maxSafeNat(),
      fc.nat({ max: 4_000_000_000 }).map((seconds) => seconds * 1_000),
    ),
    seed: secret,
    readKey: secret,
  })
  .map(({ kind, readKey, ...rest }) => ({
    ...rest,
    private: kind === 'private',
    open: kind === 'open',
    readKey: kind === 'private' ? readKey : new Uint8Array(32),
  }))

const DAY_MS = 86_400_000
const YEAR_10000_MS = Date.UTC(10_000, 0)

let list: SeedWords

beforeAll(async () => {
  list = await loadSeedWords()
})

describe('keys as words', () => {
  it('give back every record, and the day it was made', () => {
    fc.assert(
      fc.property(record, (given) => {
        const { createdAt } = given
        const day = createdAt < YEAR_10000_MS ? createdAt - (createdAt % DAY_MS) : null
        expect(parseKeyWords(formatKeyWords(given, list), list, 'x')).toEqual({ ...given, createdAt: day })
      }),
      { numRuns: 200 },
    )
  })

  it('give back the secrets however they are typed', () => {
    const blank = fc.constantFrom(' ', '\n', '\r\n', '\t', ', ', ' \n\n ', '\n# a remark\n')
    const typed = fc.record({ blank, isUpper: fc.boolean(), mark: fc.constantFrom('', '. ', ') ', ' ', '.') })
    fc.assert(
      fc.property(record, fc.array(typed, { minLength: 48, maxLength: 48 }), (given, ways) => {
        const words = [...list.encode(given.seed), ...(given.private ? list.encode(given.readKey) : [])]
        const text = words
          .map((word, i) => {
            const { blank, isUpper, mark } = ways[i] as (typeof ways)[number]
            return `${mark === '' ? '' : `${(i % 24) + 1}${mark}`}${isUpper ? word.toUpperCase() : word}${blank}`
          })
          .join('')
        const { seed, readKey } = parseKeyWords(text, list, 'x')
        expect([seed, readKey]).toEqual([given.seed, given.readKey])
      }),
      { numRuns: 200 },
    )
  })

  it('with one character changed, added or left out are refused, or are what they were', () => {
    const edit = fc.record({
      at: fc.nat(),
      cut: fc.nat({ max: 3 }),
      put: fc.string({ unit: 'grapheme-ascii', maxLength: 3 }),
    })
    fc.assert(
      fc.property(record, edit, (given, { at, cut, put }) => {
        const text = formatKeyWords(given, list)
        const begin = at % text.length
        const changed = `${text.slice(0, begin)}${put}${text.slice(begin + cut)}`
        try {
          const read = parseKeyWords(changed, list, 'x')
          expect([read.seed, read.readKey]).toEqual([given.seed, given.readKey])
        } catch (error) {
          if (!isMegatorrentError(error, 'ERR_KEY_WORDS')) throw error
        }
      }),
      { numRuns: 500 },
    )
  })

  it('of any text at all throw our own error, which says no word of it', () => {
    const words = fc.array(fc.stringMatching(/^[a-z]{8,12}$/), { maxLength: 50 })
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 400 }), words), (given) => {
        const text = typeof given === 'string' ? given : given.join(' ')
        try {
          parseKeyWords(text, list, 'x')
        } catch (error) {
          if (!isMegatorrentError(error, 'ERR_KEY_WORDS')) throw error
          if (typeof given === 'string') return
          for (const word of given) expect(error.message).not.toMatch(new RegExp(`\\b${word}\\b`))
        }
      }),
      { numRuns: 500 },
    )
  })
})
