import { lstat, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemRandom } from '../../../src/base/random.ts'
import {
  COOKIE_FILE,
  createToken,
  removeFile,
  tokenVerifier,
  writePrivateFile,
} from '../../../src/rpc/auth.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'megatorrent-auth-'))
})
afterAll(() => rm(folder, { recursive: true }))

describe('the token', () => {
  it('is 256 bits that differ every time', () => {
    const tokens = new Set(Array.from({ length: 100 }, () => createToken(systemRandom)))
    expect(tokens.size).toBe(100)
    for (const token of tokens) expect(token).toMatch(/^[0-9a-f]{64}$/)
  })

  it('is accepted whole and in no other form, of whatever length', () => {
    const token = createToken(systemRandom)
    const accepts = tokenVerifier(token)
    expect(accepts(token)).toBe(true)
    for (const other of [
      '',
      ' ',
      token.slice(1),
      `${token}0`,
      token.toUpperCase().replace(/^\d*$/, 'x'),
      'x'.repeat(10_000),
    ]) {
      expect(accepts(other)).toBe(other === token)
    }
  })
})

describe('the cookie file', () => {
  it('can be read by its user alone, and replaces what was there', async () => {
    await writeFile(join(folder, COOKIE_FILE), 'old', { mode: 0o644 })
    await writePrivateFile(folder, COOKIE_FILE, 'new')
    expect((await stat(join(folder, COOKIE_FILE))).mode & 0o777).toBe(0o600)
    expect(await readFile(join(folder, COOKIE_FILE), 'utf8')).toBe('new')
    expect(await readdir(folder)).toEqual([COOKIE_FILE])
  })

  it('is not written through links that somebody put in the way', async () => {
    const target = join(folder, 'target')
    await writeFile(target, 'untouched')
    await symlink(target, join(folder, 'x'))
    await symlink(target, join(folder, 'x.new'))
    await writePrivateFile(folder, 'x', 'secret')
    expect(await readFile(target, 'utf8')).toBe('untouched')
    expect((await lstat(join(folder, 'x'))).isSymbolicLink()).toBe(false)
  })

  it('is gone when it is removed, and removing it twice is fine', async () => {
    await removeFile(folder, COOKIE_FILE)
    await removeFile(folder, COOKIE_FILE)
    expect(await readdir(folder)).not.toContain(COOKIE_FILE)
  })
})
