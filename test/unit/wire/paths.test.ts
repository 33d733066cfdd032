import { describe, expect, it } from 'vitest'
import { utf8Bytes } from '../../../src/base/bytes.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { PathSet } from '../../../src/wire/path-set.ts'
import { checkPath, foldPath } from '../../../src/wire/paths.ts'
import { describeShared, readOwnVectors } from '../../reference/shared-vectors.ts'
import { codeOf, leastMs } from './refusal.ts'

interface PathVectors {
  readonly valid: readonly { readonly path: string; readonly text: string }[]
  readonly invalid: readonly { readonly path: string; readonly code: string }[]
  readonly sameAfterFolding: readonly (readonly string[])[]
  readonly differentAfterFolding: readonly (readonly [string, string])[]
}

const VECTORS = readOwnVectors<PathVectors>('paths.json')

function fromBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'))
}

const refusal = (path: string | Uint8Array): string | null =>
  codeOf(() => checkPath(typeof path === 'string' ? utf8Bytes(path) : path))

describe('a path', () => {
  it.each(VECTORS.valid)('$text is accepted as it is', ({ path, text }) => {
    expect(checkPath(fromBase64(path))).toBe(text)
  })

  it.each(VECTORS.invalid)('$path (base64) is refused with $code', ({ path, code }) => {
    expect(refusal(fromBase64(path))).toBe(code)
  })

  it('is refused for each of the reasons there are', () => {
    expect([...new Set(VECTORS.invalid.map(({ code }) => code))].sort()).toEqual([
      'ERR_PATH_CHARACTER',
      'ERR_PATH_DEVICE',
      'ERR_PATH_DOTS',
      'ERR_PATH_DRIVE',
      'ERR_PATH_EMPTY',
      'ERR_PATH_ENDING',
      'ERR_PATH_LENGTH',
      'ERR_PATH_UTF8',
    ])
  })

  it('keeps its bytes: what is accepted encodes to what came in', () => {
    for (const { path } of VECTORS.valid)
      expect(utf8Bytes(checkPath(fromBase64(path)))).toEqual(fromBase64(path))
  })

  it('is refused when any of its parts is, wherever the part stands', () => {
    for (const { path, code } of VECTORS.invalid) {
      const bytes = fromBase64(path)
      if (bytes.length === 0 || bytes.length > 200 || bytes[0] === 0x2f || bytes.at(-1) === 0x2f) continue
      const parts = [utf8Bytes('x/'), bytes, utf8Bytes('/y')]
      for (const slice of [parts.slice(0, 2), parts.slice(1), parts]) {
        // Some invalid UTF-8 swallows nothing: it stays invalid between other parts.
        expect(refusal(new Uint8Array(Buffer.concat(slice)))).toBe(code)
      }
    }
  })

  it('may be a view that starts anywhere in its memory', () => {
    const memory = utf8Bytes('??a/aux.txt??')
    expect(refusal(memory.subarray(2, -2))).toBe('ERR_PATH_DEVICE')
    expect(checkPath(memory.subarray(2, 5))).toBe('a/a')
  })

  it('of 4,096 bytes is checked in bounded time, whatever it holds', () => {
    const worst = [
      `${'a/'.repeat(2047)}ab`,
      'con/'.repeat(1000),
      'x'.repeat(4096),
      '\u0300/'.repeat(1365),
      'c'.repeat(255),
    ]
    for (const path of worst) expect(leastMs(() => refusal(path))).toBeLessThan(5)
  })
})

describe('folding', () => {
  it.each(VECTORS.sameAfterFolding.map((group) => [group] as const))('makes %j the same', (group) => {
    expect(new Set(group.map(foldPath)).size).toBe(1)
  })

  it.each(VECTORS.differentAfterFolding)('keeps %j and %j apart', (left, right) => {
    expect(foldPath(left)).not.toBe(foldPath(right))
  })

  it('of what is folded changes nothing', () => {
    const changed: string[] = []
    for (let point = 1; point < 0x110000; point += point < 0x2000 ? 1 : 97) {
      if (point >= 0xd800 && point < 0xe000) continue
      const folded = foldPath(String.fromCodePoint(point))
      if (foldPath(folded) !== folded) changed.push(point.toString(16))
    }
    expect(changed).toEqual([])
  })

  it('agrees with the case folding of the language for every letter that has one', () => {
    // /iu folds by the C and S rows of CaseFolding.txt: two characters that match must fold alike.
    const wrong: string[] = []
    let pairs = 0
    for (let point = 0x80; point < 0x1e944; point++) {
      const text = String.fromCodePoint(point)
      const upper = text.toUpperCase()
      if ([...upper].length !== 1 || upper === text) continue
      if (!new RegExp(`^\\u{${point.toString(16)}}$`, 'iu').test(upper)) continue
      if (foldPath(upper) !== foldPath(text)) wrong.push(point.toString(16))
      pairs++
    }
    expect(wrong).toEqual([])
    expect(pairs).toBeGreaterThan(1000)
  })

  it('of the whole is the folding of each part', () => {
    for (const group of VECTORS.sameAfterFolding) {
      for (const text of group)
        expect(foldPath(`${text}/${text}`)).toBe(`${foldPath(text)}/${foldPath(text)}`)
    }
  })
})

describe('paths of one manifest', () => {
  const add = (...paths: string[]): string | null =>
    codeOf(() => {
      const set = new PathSet(0, seededRandom(1))
      for (const path of paths) set.add(path)
      expect(set.size).toBe(paths.length)
    })

  it('may share folders and beginnings of names, in any order', () => {
    expect(add('a/b', 'a/c', 'a.b', 'ab/c', 'a/bc/d', 'a/b c', 'b', 'a/bb', 'c/a/b')).toBeNull()
    expect(add('A/x', 'a/y', 'Á/x', 'a\u0301/y')).toBeNull()
  })

  it('may not be the same after folding', () => {
    for (const group of VECTORS.sameAfterFolding) {
      expect(add(`d/${group[0]}`, 'z', `D/${group[1]}`)).toBe('ERR_PATH_DUPLICATE')
    }
    expect(add('a', 'a')).toBe('ERR_PATH_DUPLICATE')
    expect(add('x/a', 'x/b', 'X/A')).toBe('ERR_PATH_DUPLICATE')
  })

  it('may not go on below another, whichever comes first', () => {
    expect(add('a', 'a/b')).toBe('ERR_PATH_BELOW_FILE')
    expect(add('a/b', 'a')).toBe('ERR_PATH_BELOW_FILE')
    expect(add('a/b/c/d', 'x', 'a/b')).toBe('ERR_PATH_BELOW_FILE')
    expect(add('Straße', 'x', 'STRASSE/b/c')).toBe('ERR_PATH_BELOW_FILE')
    expect(add('e\u0301/x', 'É')).toBe('ERR_PATH_BELOW_FILE')
  })

  it('are told apart however the one before was folded', () => {
    // The shared beginning of two folded paths may end inside a name, at a slash, or be all of one.
    expect(add('ab/c/d', 'ab/c', 'ab')).toBe('ERR_PATH_BELOW_FILE')
    expect(add('ab/cd', 'ab/c/e', 'ab/cde', 'abc/d', 'ab/c/f')).toBeNull()
    expect(add('a/b/c', 'a/b/d', 'a/e', 'a/b/f', 'a/b/g/h', 'a/b/g/i', 'j')).toBeNull()
  })

  it('are found out as a plain set of texts finds them', () => {
    const random = seededRandom(7)
    const names = ['a', 'A', 'b', 'é', 'e\u0301', 'ß', 'ss', 'ab']
    const pick = (): string => names[Math.floor(random.fraction() * names.length)] as string
    for (let run = 0; run < 2000; run++) {
      const paths = Array.from({ length: 4 }, () =>
        Array.from({ length: 1 + Math.floor(random.fraction() * 3) }, pick).join('/'),
      )
      const folded = paths.map(foldPath)
      const clash = folded.some((path, i) =>
        folded.some((other, j) => i !== j && `${path}/`.startsWith(`${other}/`)),
      )
      expect(add(...paths) !== null, paths.join(' ')).toBe(clash)
    }
  })

  it('with 2,047 folders each cost no more than their length', () => {
    // A part of a manifest holds 256 of them.
    const addAll = (): void => {
      const set = new PathSet(0, seededRandom(1))
      for (let i = 0; i < 256; i++) set.add(`${i}/${'a/'.repeat(2045)}b`)
    }
    expect(leastMs(addAll, 3)).toBeLessThan(500)
  })
})

describeShared<{ cases: readonly { elements: readonly string[] }[] }>(
  'the path cases of libtorrent',
  'public-hostile/path_sanitise_libtorrent.json',
  ({ cases }) => {
    it('are accepted whole or refused, and what is accepted holds no way out', () => {
      for (const { elements } of cases) {
        const bytes = new Uint8Array(
          Buffer.from(
            elements.map((text) => Buffer.from(text, 'base64').toString('latin1')).join('/'),
            'latin1',
          ),
        )
        if (refusal(bytes) !== null) continue
        const parts = checkPath(bytes).split('/')
        expect(
          parts.every((part) => part !== '' && part !== '.' && part !== '..' && !part.includes('\\')),
        ).toBe(true)
      }
    })
  },
)

describeShared<readonly string[]>(
  'the big list of naughty strings',
  'public-hostile/blns.base64.json',
  (strings) => {
    it('ends no decoder of paths, and sets of what is accepted can be made', () => {
      const set = new PathSet(0, seededRandom(1))
      for (const text of strings) {
        const bytes = fromBase64(text)
        if (refusal(bytes) === null) codeOf(() => set.add(checkPath(bytes)))
      }
      expect(set.size).toBeGreaterThan(50)
    })
  },
)
