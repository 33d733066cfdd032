/**
 * A channel key as words on paper. Pure; crypto/seed-words.ts has the list, storage/key-export.ts the files.
 *
 *   # what this is, and what to do with it
 *   name: photos
 *   kind: private                     public, private or open
 *   made: 2026-11-28                  UTC
 *   check: 0a1b2c3d                   of kind and words together, first 4 bytes of a SHA-256
 *   seed:
 *    1. abandon    2. ability ...     24 words
 *   read key:                         of a private channel
 *    1. zoo ...                       24 words
 *
 * What people type from paper is read with patience: any case, any line breaks, numbers and marks around
 * words, no labels at all. Then 24 words are a public channel without a name, 48 a private one. `check` finds
 * what the checksums of the words let pass. Messages name places, never a word: they end up in logs and mails.
 *
 * @module storage/key-words
 */
import { equalBytes, fromHex, toHex, utf8Bytes } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { LOCAL_DOMAINS } from '../crypto/domains.ts'
import { sha256 } from '../crypto/hash.ts'
import { SEED_WORDS, type SeedWords } from '../crypto/seed-words.ts'
import type { KeyRecord } from './key-file.ts'

/** A channel key, with what people may leave out. */
export interface WordsRecord extends Omit<KeyRecord, 'kind' | 'name' | 'createdAt'> {
  readonly name: string | null
  /** The beginning of a UTC day, ms since 1970. */
  readonly createdAt: number | null
}

type Kind = 'public' | 'private' | 'open'

const SECTIONS = ['seed', 'read key'] as const
type Section = (typeof SECTIONS)[number]

const FIELDS = ['name', 'kind', 'made', 'check'] as const
type Field = (typeof FIELDS)[number]

const CHECK_BYTES = 4
const SECRET_BYTES = 32
const WORDS_PER_LINE = 4
/** Of the list: the longest word, and a gap. */
const COLUMN_CHARACTERS = 11
/** From here on years have more than four digits. */
const YEAR_10000_MS = 253_402_300_800_000

const INTRODUCTION = `# A channel of Megatorrent. Whoever has these words can publish on it, now and later.
# Copy all of it by hand to paper, keep that where only you find it, and remove this file.
# To restore, type it into a file again, then: megatorrent channel import FILE
`

/** @returns ASCII text that holds the secrets of the record. */
export function formatKeyWords(record: Omit<KeyRecord, 'kind'>, list: SeedWords): string {
  const kind = kindOf(record)
  const made = dayOf(record.createdAt)
  const lines = [
    ...(record.name === '' ? [] : [`name: ${record.name}`]),
    `kind: ${kind}`,
    ...(made === null ? [] : [`made: ${made}`]),
    `check: ${toHex(checkOf(kind, record))}`,
    'seed:',
    ...numbered(list.encode(record.seed)),
    ...(kind === 'private' ? ['read key:', ...numbered(list.encode(record.readKey))] : []),
  ]
  return `${INTRODUCTION}${lines.join('\n')}\n`
}

/**
 * @param text - of a bounded file.
 * @param place - path of the file, for messages.
 * @throws MegatorrentError ERR_KEY_WORDS: what is wrong and where, without any of the words.
 */
export function parseKeyWords(text: string, list: SeedWords, place: string): WordsRecord {
  const typed = readLines(text, place)
  const kind = kindIn(typed, place)
  const { seed, readKey } = secretsIn(typed, kind, list, place)
  const record = {
    name: typed.fields.get('name') ?? null,
    private: kind === 'private',
    open: kind === 'open',
    createdAt: madeIn(typed, place),
    seed,
    readKey,
  }
  const check = typed.fields.get('check')
  if (check !== undefined) {
    const bytes = fromHex(check.replaceAll(' ', '').toLowerCase(), CHECK_BYTES)
    if (bytes === null || !equalBytes(bytes, checkOf(kind, record))) {
      throw wrong(
        place,
        'kind, words and the line "check" do not belong together: one of them is not as it was',
      )
    }
  }
  return record
}

interface Typed {
  readonly fields: ReadonlyMap<Field, string>
  /** Every word of the seed, then of the read key, lower case. */
  readonly words: readonly string[]
  /** Words in front of the label of the read key; null where there is no such label. */
  readonly seedWords: number | null
}

function readLines(text: string, place: string): Typed {
  const fields = new Map<Field, string>()
  const seen = new Set<string>()
  const words: Record<Section, string[]> = { seed: [], 'read key': [] }
  let section: Section = 'seed'
  for (const [index, raw] of text
    .normalize('NFKC')
    .split(/\r\n|[\n\r\v\f\u2028\u2029]/)
    .entries()) {
    const line = raw.trim()
    if (line.startsWith('#')) continue
    const colon = line.indexOf(':')
    const label = line.slice(0, Math.max(colon, 0)).toLowerCase().trim().replace(/\s+/g, ' ')
    const rest = line.slice(colon + 1).trim()
    if (!/^[a-z ]+$/.test(label)) {
      words[section].push(...wordsOf(line)) // a colon after a number, or none
      continue
    }
    if (seen.has(label)) throw wrong(place, `line ${index + 1} has a label that was there already`)
    seen.add(label)
    const field = FIELDS.find((each) => each === label)
    const begun = SECTIONS.find((each) => each === label)
    if (field !== undefined) fields.set(field, rest)
    else if (begun !== undefined) {
      section = begun
      words[section].push(...wordsOf(rest))
    } else throw wrong(place, `line ${index + 1} has a label that is not known`)
  }
  return {
    fields,
    words: [...words.seed, ...words['read key']],
    seedWords: seen.has('read key') ? words.seed.length : null,
  }
}

/** Numbers, dots, brackets and quotes around a word are no part of it. */
function wordsOf(line: string): readonly string[] {
  return line
    .toLowerCase()
    .split(/[\s,;]+/)
    .map((token) => token.replace(/^[^\p{L}]+|[^\p{L}]+$/gu, ''))
    .filter((word) => word !== '')
}

function kindIn({ fields, words }: Typed, place: string): Kind {
  const kind = fields.get('kind')?.toLowerCase()
  if (kind === undefined) return words.length > SEED_WORDS ? 'private' : 'public'
  if (kind === 'public' || kind === 'private' || kind === 'open') return kind
  throw wrong(place, 'its kind is none of public, private and open')
}

function secretsIn(
  { words, seedWords }: Typed,
  kind: Kind,
  list: SeedWords,
  place: string,
): { readonly seed: Uint8Array; readonly readKey: Uint8Array } {
  const inSeed = seedWords ?? Math.min(words.length, SEED_WORDS)
  const unknown = words.findIndex((word) => !list.has(word))
  if (unknown >= 0) {
    const where =
      unknown < inSeed ? `word ${unknown + 1} of the seed` : `word ${unknown - inSeed + 1} of the read key`
    throw wrong(place, `${where} is not in the list of words`)
  }
  const wanted = kind === 'private' ? 2 * SEED_WORDS : SEED_WORDS
  if (words.length !== wanted || inSeed !== SEED_WORDS) {
    const found = seedWords === null ? `${words.length}` : `${inSeed} and ${words.length - inSeed}`
    throw wrong(place, `it has ${found} words: a private channel has 24 and 24, any other 24`)
  }
  const seed = list.decode(words.slice(0, SEED_WORDS))
  if (seed === null) throw wrong(place, `the words of the seed ${MIXED_UP}`)
  if (kind !== 'private') return { seed, readKey: new Uint8Array(SECRET_BYTES) }
  const readKey = list.decode(words.slice(SEED_WORDS))
  if (readKey === null) throw wrong(place, `the words of the read key ${MIXED_UP}`)
  return { seed, readKey }
}

const MIXED_UP = 'do not fit together: one is another one of the list, or two have changed places'

function madeIn({ fields }: Typed, place: string): number | null {
  const made = fields.get('made')
  if (made === undefined) return null
  const at = /^\d{4}-\d{2}-\d{2}$/.test(made) ? Date.parse(`${made}T00:00:00Z`) : Number.NaN
  if (Number.isNaN(at) || dayOf(at) !== made) throw wrong(place, '"made" is not a day such as 2026-11-28')
  return at
}

function kindOf(record: Pick<KeyRecord, 'private' | 'open'>): Kind {
  if (record.private) return 'private'
  return record.open ? 'open' : 'public'
}

/** Null for what a year of four digits cannot say. */
function dayOf(ms: number): string | null {
  return ms >= 0 && ms < YEAR_10000_MS ? new Date(ms).toISOString().slice(0, 10) : null
}

/** Of secrets of 256 bits: it tells nothing about them. */
function checkOf(kind: Kind, { seed, readKey }: Pick<KeyRecord, 'seed' | 'readKey'>): Uint8Array {
  return sha256(utf8Bytes(`${LOCAL_DOMAINS.keyWordsCheck} ${kind}`), seed, readKey).subarray(0, CHECK_BYTES)
}

function numbered(words: readonly string[]): readonly string[] {
  const cells = words.map((word, i) => `${String(i + 1).padStart(2)}. ${word.padEnd(COLUMN_CHARACTERS)}`)
  return Array.from({ length: Math.ceil(cells.length / WORDS_PER_LINE) }, (_, row) =>
    cells
      .slice(row * WORDS_PER_LINE, (row + 1) * WORDS_PER_LINE)
      .join('')
      .trimEnd(),
  )
}

function wrong(place: string, why: string): MegatorrentError {
  return new MegatorrentError('ERR_KEY_WORDS', `${place}: ${why}; compare it with the paper`)
}
