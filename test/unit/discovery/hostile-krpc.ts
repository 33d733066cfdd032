/**
 * Hostile KRPC by class: for each message that exists, every field gone, of every wrong
 * type and of wrong sizes; lengths and integers that are no bencode; nesting, deep and wide;
 * bytes cut off, doubled and left over. Made when it is asked for: nothing here is a
 * datagram ready to send, and the sets are a few thousand each.
 */
import { Buffer } from 'node:buffer'
import { type BencodeDictionary, type BencodeValue, encodeBencode } from '../../../src/wire/bencode.ts'

export interface HostileCase {
  readonly name: string
  readonly bytes: Uint8Array
}

export type Fields = Record<string, BencodeValue | Record<string, BencodeValue>>

export const bytesOf = (length: number, fill = 0x61): Uint8Array => new Uint8Array(length).fill(fill)
export const ascii = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'))

/** Bencode of plain objects: dictionaries are spelled as objects. */
export function encodeFields(fields: Fields): Uint8Array {
  const dictionary = new Map<string, BencodeValue>()
  for (const [key, value] of Object.entries(fields)) {
    const isPlain = typeof value === 'object' && !(value instanceof Uint8Array) && !Array.isArray(value)
    dictionary.set(
      key,
      isPlain && !(value instanceof Map)
        ? (new Map(Object.entries(value)) as BencodeDictionary)
        : (value as BencodeValue),
    )
  }
  return encodeBencode(dictionary)
}

const ID = bytesOf(20, 0x62)

const query = (q: string, a: Record<string, BencodeValue>): Fields => ({
  a: { id: ID, ...a },
  q: ascii(q),
  t: ascii('aa'),
  y: ascii('q'),
})

/** One sound query of each method. */
export const SOUND_QUERIES: Readonly<Record<string, Fields>> = {
  ping: query('ping', {}),
  find_node: query('find_node', { target: bytesOf(20) }),
  get_peers: query('get_peers', { info_hash: bytesOf(20) }),
  announce_peer: query('announce_peer', {
    info_hash: bytesOf(20),
    port: 6881,
    implied_port: 0,
    token: bytesOf(8),
  }),
  get: query('get', { target: bytesOf(20) }),
  'put immutable': query('put', { token: bytesOf(8), v: bytesOf(100) }),
  'put mutable': query('put', {
    token: bytesOf(8),
    v: bytesOf(100),
    k: bytesOf(32),
    seq: 1,
    sig: bytesOf(64),
    salt: bytesOf(4),
    cas: 0,
  }),
}

/** One sound reply of each kind, and an error. */
export const SOUND_REPLIES: Readonly<Record<string, Fields>> = {
  ping: { r: { id: ID }, t: ascii('aa'), y: ascii('r') },
  find_node: { r: { id: ID, nodes: bytesOf(52) }, t: ascii('aa'), y: ascii('r') },
  'get_peers, peers': {
    r: { id: ID, token: bytesOf(8), values: [bytesOf(6), bytesOf(6)] },
    t: ascii('aa'),
    y: ascii('r'),
  },
  'get, mutable': {
    ip: bytesOf(6),
    r: {
      id: ID,
      k: bytesOf(32),
      nodes: bytesOf(26),
      nodes6: bytesOf(38),
      seq: 3,
      sig: bytesOf(64),
      token: bytesOf(8),
      v: bytesOf(100),
    },
    t: ascii('aa'),
    v: ascii('LT20'),
    y: ascii('r'),
  },
  error: { e: [203, ascii('no')], t: ascii('aa'), y: ascii('e') },
}

/** Values of every other type, and byte strings of sizes that no field has. */
const WRONG_VALUES: readonly (readonly [string, BencodeValue])[] = [
  ['a negative integer', -1],
  ['a large integer', Number.MAX_SAFE_INTEGER],
  ['zero', 0],
  ['an empty list', []],
  ['a list of lists', [[[]], [1]]],
  ['an empty dictionary', new Map()],
  ['a dictionary', new Map<string, BencodeValue>([['id', 1]])],
  ['an empty byte string', bytesOf(0)],
  ['1 byte', bytesOf(1)],
  ['19 bytes', bytesOf(19)],
  ['21 bytes', bytesOf(21)],
  ['31 bytes', bytesOf(31)],
  ['33 bytes', bytesOf(33)],
  ['65 bytes', bytesOf(65)],
  ['1,001 bytes', bytesOf(1_001)],
]

function isSection(value: unknown): value is Record<string, BencodeValue> {
  return (
    typeof value === 'object' && value !== null && !(value instanceof Uint8Array) && !Array.isArray(value)
  )
}

/** Every field of a message gone, and of each wrong kind. Some come out sound: a list where a list may be. */
export function fieldCases(name: string, message: Fields): HostileCase[] {
  const cases: HostileCase[] = []
  const add = (what: string, fields: Fields): void => {
    cases.push({ name: `${name}: ${what}`, bytes: encodeFields(fields) })
  }
  for (const key of Object.keys(message)) {
    const { [key]: _gone, ...rest } = message
    add(`no ${key}`, rest)
    for (const [what, value] of WRONG_VALUES) add(`${key} is ${what}`, { ...message, [key]: value })
    const section = message[key]
    if (!isSection(section)) continue
    for (const field of Object.keys(section)) {
      const { [field]: _missing, ...others } = section
      add(`no ${key}.${field}`, { ...message, [key]: others })
      for (const [what, value] of WRONG_VALUES) {
        add(`${key}.${field} is ${what}`, { ...message, [key]: { ...section, [field]: value } })
      }
    }
  }
  return cases
}

/** Spellings of a message that bencode does not have, by editing its bytes. */
export function spellingCases(name: string, message: Fields): HostileCase[] {
  const text = Buffer.from(encodeFields(message)).toString('latin1')
  const cases: HostileCase[] = []
  const add = (what: string, spelled: string): void => {
    if (spelled !== text) cases.push({ name: `${name}: ${what}`, bytes: ascii(spelled) })
  }
  // Each length prefix: signed, padded, huge, beyond what an integer holds, not a number at all.
  for (const match of text.matchAll(/(?<=[a-z0-9:]|^)(\d{1,3}):/g)) {
    const [at, length] = [match.index, match[1] as string]
    const replace = (by: string): string => text.slice(0, at) + by + text.slice(at + length.length)
    add(`length -${length} at ${at}`, replace(`-${length}`))
    add(`length +${length} at ${at}`, replace(`+${length}`))
    add(`length 0${length} at ${at}`, replace(`0${length}`))
    add(`length 4294967300 at ${at}`, replace('4294967300'))
    add(`length of 30 digits at ${at}`, replace('9'.repeat(30)))
    add(`length 1e3 at ${at}`, replace('1e3'))
    add(`length 1.9 at ${at}`, replace('1.9'))
    add(`no length at ${at}`, replace(''))
  }
  for (const match of text.matchAll(/i(\d+)e/g)) {
    const [at, whole, digits] = [match.index, match[0], match[1] as string]
    for (const by of [
      `i0${digits}e`,
      `i+${digits}e`,
      `i-0e`,
      `i${digits}.5e`,
      `i${'9'.repeat(40)}e`,
      'ie',
      'i-e',
      'i1',
    ]) {
      add(`integer ${by.slice(0, 12)} at ${at}`, text.slice(0, at) + by + text.slice(at + whole.length))
    }
  }
  for (let cut = 0; cut < text.length; cut += Math.max(1, Math.floor(text.length / 24))) {
    add(`cut at ${cut}`, text.slice(0, cut))
  }
  add('a byte after', `${text}e`)
  add('twice', text + text)
  add('a key twice', text.replace('1:t2:aa', '1:t2:aa1:t2:aa'))
  add('keys out of order', text.replace('1:t2:aa', '').replace(/^d/, 'd1:t2:aa'))
  return cases
}

/** What no message is like: nothing, junk, depth, width. */
export function shapelessCases(): HostileCase[] {
  const deep = (open: string, levels: number): string => open.repeat(levels) + 'e'.repeat(levels)
  const texts: [string, string][] = [
    ['nothing', ''],
    ['a zero byte', '\0'],
    ['an integer', 'i1e'],
    ['a byte string', '4:ping'],
    ['an empty list', 'le'],
    ['an empty dictionary', 'de'],
    ['no end', 'd'],
    ['ends alone', 'eeee'],
    ['600 levels of lists', deep('l', 600)],
    ['600 open lists', 'l'.repeat(1_200)],
    ['levels of dictionaries', `${'d1:a'.repeat(300)}i1e${'e'.repeat(300)}`],
    ['1,000 integers', `l${'i1e'.repeat(600)}e`],
    ['1,000 empty lists', `l${'le'.repeat(900)}e`],
    [
      'many keys',
      `d${Array.from({ length: 300 }, (_, i) => `3:${String(i).padStart(3, '0')}i1e`).join('')}e`,
    ],
    ['a key of the language', 'd9:__proto__de1:t2:aa1:y1:qe'],
    ['an unknown kind', 'd1:t2:aa1:y1:xe'],
    ['an unknown method', 'd1:ad2:id20:bbbbbbbbbbbbbbbbbbbbe1:q4:vote1:t2:aa1:y1:qe'],
    ['text of HTTP', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'],
  ]
  const deepArguments = new Map<string, BencodeValue>([['id', ID]])
  let inner: BencodeValue = 1
  for (let i = 0; i < 40; i++) inner = [inner]
  deepArguments.set('zz', inner)
  return [
    ...texts.map(([name, text]) => ({ name, bytes: ascii(text) })),
    {
      name: 'deep arguments',
      bytes: encodeFields({ a: deepArguments, q: ascii('ping'), t: ascii('aa'), y: ascii('q') }),
    },
    { name: 'bytes of all values', bytes: new Uint8Array(256).map((_, i) => i) },
    { name: '2,049 bytes', bytes: bytesOf(2_049, 0x64) },
    { name: 'a long datagram', bytes: bytesOf(60_000, 0x6c) },
  ]
}

/** All classes over all queries. */
export function hostileQueries(): HostileCase[] {
  return [
    ...Object.entries(SOUND_QUERIES).flatMap(([name, message]) => [
      ...fieldCases(`query ${name}`, message),
      ...spellingCases(`query ${name}`, message),
    ]),
    ...shapelessCases(),
  ]
}

/** All classes over all replies. `transaction` is put where the reply has one. */
export function hostileReplies(transaction: Uint8Array): HostileCase[] {
  return Object.entries(SOUND_REPLIES).flatMap(([name, message]) => {
    const own = { ...message, t: transaction }
    return [...fieldCases(`reply ${name}`, own), ...spellingCases(`reply ${name}`, own)]
  })
}
