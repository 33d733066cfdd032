/** A key in a file of its own: three forms, told by their content, and what is wrong with files that are not. */
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { MAX_KEY_FILE_BYTES } from '../../../src/base/limits.ts'
import { seededRandom, systemRandom } from '../../../src/base/random.ts'
import { sha256 } from '../../../src/crypto/hash.ts'
import { loadSeedWords } from '../../../src/crypto/seed-words.ts'
import { type KeyForm, readKeyExport, writeKeyExport } from '../../../src/storage/key-export.ts'
import { encodeKeyFile, type KeyRecord } from '../../../src/storage/key-file.ts'
import { tempFolder } from './harness.ts'

/** A passphrase costs some 0.5 ms here: what is tested is not how slow scrypt is. */
const SEALED = { kind: 'sealed', passphrase: 'correct horse', cost: { logN: 8, r: 8, p: 1 } } as const
const PLAIN = { kind: 'plain' } as const
const WORDS = { kind: 'words' } as const

const random = seededRandom(3)
const DAY = Date.UTC(2026, 10, 28)
const PUBLIC: Omit<KeyRecord, 'kind'> = {
  name: 'news',
  private: false,
  open: false,
  createdAt: DAY + 1_234,
  seed: random.bytes(32),
  readKey: new Uint8Array(32),
}
const PRIVATE = { ...PUBLIC, name: 'plans', private: true, readKey: random.bytes(32) }
const OPEN = { ...PUBLIC, name: 'wide', open: true }

let folder: string
let path: string

beforeEach(() => {
  folder = tempFolder()
  path = join(folder, 'export')
})

afterEach(() => {
  vi.restoreAllMocks()
})

const write = (record: Omit<KeyRecord, 'kind'>, form: KeyForm, to = path): Promise<void> =>
  writeKeyExport(record, form, to, systemRandom)

/** A file as people make them, for their user alone. */
function put(content: string | Uint8Array): string {
  writeFileSync(path, content, { mode: 0o600 })
  return path
}

describe('an export', () => {
  it.each([
    ['plain', PLAIN, null],
    ['in words', WORDS, null],
    ['sealed', SEALED, 'correct horse'],
  ] as const)(
    '%s is for its user alone, overwrites nothing, and comes back as it was',
    async (_name, form, passphrase) => {
      for (const record of [PUBLIC, PRIVATE, OPEN]) {
        const to = join(folder, record.name)
        await write(record, form, to)
        expect(statSync(to).mode & 0o777).toBe(0o600)
        const before = readFileSync(to)
        await expect(write(PUBLIC, form, to)).rejects.toMatchObject({
          code: 'ERR_FILE_EXISTS',
          kind: 'usage',
        })
        expect(readFileSync(to)).toEqual(before)
        const createdAt = form === WORDS ? DAY : record.createdAt
        expect(await readKeyExport(to, passphrase)).toEqual({ ...record, createdAt })
      }
    },
  )

  it('follows no link, and makes no folder', async () => {
    symlinkSync(join(folder, 'elsewhere'), path)
    for (const form of [PLAIN, WORDS, SEALED]) {
      await expect(write(PUBLIC, form)).rejects.toMatchObject({ code: 'ERR_FILE_EXISTS' })
      await expect(write(PUBLIC, form, join(folder, 'missing', 'x'))).rejects.toMatchObject({
        code: 'ERR_USAGE',
      })
    }
    expect([existsSync(join(folder, 'elsewhere')), existsSync(join(folder, 'missing'))]).toEqual([
      false,
      false,
    ])
  })

  it('under a passphrase shows neither keys nor name, and is another file each time', async () => {
    await write(PRIVATE, SEALED)
    await write(PRIVATE, SEALED, join(folder, 'again'))
    const [one, two] = [readFileSync(path), readFileSync(join(folder, 'again'))]
    for (const secret of [
      PRIVATE.seed,
      PRIVATE.readKey,
      Buffer.from(PRIVATE.name),
      Buffer.from('correct horse'),
    ]) {
      expect(one.includes(Buffer.from(secret))).toBe(false)
      expect(one.includes(toHex(secret))).toBe(false)
    }
    expect(one).toHaveLength(two.length)
    expect(one.subarray(13, 45).equals(two.subarray(13, 45))).toBe(false) // salts
    await write({ ...PUBLIC, name: 'a' }, SEALED, join(folder, 'public'))
    expect(readFileSync(join(folder, 'public'))).toHaveLength(one.length)
  })

  it('under an empty passphrase is not made', async () => {
    await expect(write(PUBLIC, { ...SEALED, passphrase: '' })).rejects.toMatchObject({
      code: 'ERR_PASSPHRASE',
    })
    expect(existsSync(path)).toBe(false)
  })

  it('costs by default what guessing should cost', async () => {
    await write(PUBLIC, { kind: 'sealed', passphrase: 'p' })
    expect([...readFileSync(path).subarray(8, 13)]).toEqual([1, 2, 17, 8, 1])
    expect(await readKeyExport(path, 'p')).toEqual(PUBLIC)
  })
})

describe('an import', () => {
  it('takes words that were typed in, with or without what stands around them', async () => {
    const list = await loadSeedWords()
    const [seed, readKey] = [list.encode(PRIVATE.seed), list.encode(PRIVATE.readKey)]
    const none = { name: null, createdAt: null }
    put(`# typed\r\n${seed.map((word, i) => `${i + 1}. ${word.toUpperCase()}`).join('\r\n')}\r\n`)
    expect(await readKeyExport(path, null)).toEqual({ ...PUBLIC, ...none })
    put([...seed, ...readKey].join(' '))
    expect(await readKeyExport(path, null)).toEqual({ ...PRIVATE, ...none })
  })

  it('says of words what is wrong with them', async () => {
    await expect(readKeyExport(put('abandon abandon'), null)).rejects.toMatchObject({
      code: 'ERR_KEY_WORDS',
      message: expect.stringContaining('2 words'),
    })
  })

  it.each([
    ['the right one but for a letter', 'correct Horse'],
    ['an empty one', ''],
    ['none', null],
  ])('opens nothing with a passphrase that is %s', async (_name, passphrase) => {
    await write(PUBLIC, SEALED)
    await expect(readKeyExport(path, passphrase)).rejects.toMatchObject({
      code: 'ERR_PASSPHRASE',
      kind: 'auth',
    })
  })

  it('takes the same passphrase typed in another way', async () => {
    await write(PUBLIC, { ...SEALED, passphrase: 'caf\u00e9' })
    expect(await readKeyExport(path, 'cafe\u0301')).toEqual(PUBLIC)
  })

  it('refuses a passphrase for what is under none: who gives it believes the file to be safe', async () => {
    for (const form of [PLAIN, WORDS]) {
      const to = join(folder, form.kind)
      await write(PUBLIC, form, to)
      await expect(readKeyExport(to, 'p')).rejects.toMatchObject({ code: 'ERR_USAGE' })
    }
  })

  it('refuses files that others can read, that are missing, too long, or no files', async () => {
    for (const form of [PLAIN, WORDS, SEALED]) {
      const to = join(folder, form.kind)
      await write(PUBLIC, form, to)
      chmodSync(to, 0o644)
      await expect(readKeyExport(to, null)).rejects.toMatchObject({
        code: 'ERR_KEY_FILE_MODE',
        kind: 'config',
      })
    }
    await expect(readKeyExport(path, null)).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
    await expect(readKeyExport(put('a '.repeat(MAX_KEY_FILE_BYTES)), null)).rejects.toMatchObject({
      code: 'ERR_FILE_ACCESS',
    })
    mkdirSync(join(folder, 'sub'), { mode: 0o700 })
    await expect(readKeyExport(join(folder, 'sub'), null)).rejects.toMatchObject({ code: 'ERR_FILE_ACCESS' })
  })

  it('refuses what is neither a key file nor text, a node key, and a key that is sealed for its keystore', async () => {
    const node: KeyRecord = { ...PUBLIC, kind: 'node', name: '' }
    for (const content of [
      Uint8Array.of(0xff, 0xfe, 0x61, 0), // UTF-16
      'abandon\0abandon',
      '\x1b[2Jabandon',
      random.bytes(240),
      encodeKeyFile(node, null, systemRandom),
      encodeKeyFile({ ...PUBLIC, kind: 'channel' }, random.bytes(32), systemRandom),
    ]) {
      await expect(readKeyExport(put(content), null)).rejects.toMatchObject({
        code: 'ERR_KEY_FILE_FORMAT',
        kind: 'storage',
      })
    }
    await expect(readKeyExport(put(''), null)).rejects.toMatchObject({ code: 'ERR_KEY_WORDS' })
  })

  it.each([
    ['plain', PLAIN, null],
    ['sealed', SEALED, 'correct horse'],
  ] as const)(
    'of a %s file with any bit flipped, or cut off anywhere, says that it is damaged',
    async (_name, form, passphrase) => {
      await write(PRIVATE, form)
      const bytes = readFileSync(path)
      for (let at = 0; at < bytes.length; at++) {
        const flipped = Buffer.from(bytes)
        flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8))
        for (const bad of [flipped, bytes.subarray(0, at)]) {
          const fault = await readKeyExport(put(bad), passphrase).catch((error: unknown) => error)
          // Where the first bytes are gone it is no sealed file any more, and a passphrase is not asked for;
          // half of the magic alone is a text of one word.
          const expected = /^ERR_(?:KEY_FILE_FORMAT|USAGE|KEY_WORDS)$/
          expect(fault).toMatchObject({
            code: expect.stringMatching(at < 10 ? expected : /^ERR_KEY_FILE_FORMAT$/),
          })
          expect(String((fault as Error).stack)).not.toContain(toHex(PRIVATE.seed).slice(0, 16))
        }
      }
      put(bytes)
      expect(await readKeyExport(path, passphrase)).toEqual(PRIVATE)
    },
  )

  it.each([
    ['memory', [30, 8, 1]],
    ['no memory', [0, 8, 1]],
    ['large blocks', [17, 17, 1]],
    ['no blocks', [17, 0, 1]],
    ['passes', [17, 8, 5]],
    ['no passes', [17, 8, 0]],
  ])('refuses a file that asks for %s out of bounds, before any is spent', async (_name, cost) => {
    await write(PUBLIC, SEALED)
    const bytes = readFileSync(path)
    bytes.set(cost, 10)
    // Made to hurt, not damaged: its hash is right.
    const end = bytes.length - 16
    bytes.set(sha256(bytes.subarray(0, end)).subarray(0, 16), end)
    await expect(readKeyExport(put(bytes), 'correct horse')).rejects.toMatchObject({
      code: 'ERR_KDF_PARAMETERS',
    })
  })
})
