import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { walkSource } from '../../../src/channels/walk.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'megatorrent-walk-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

function put(path: string, content = 'x'): void {
  mkdirSync(join(folder, path, '..'), { recursive: true })
  writeFileSync(join(folder, path), content)
}

describe('walk', () => {
  it('gives files and empty folders in order of path bytes, as the manifest wants them', async () => {
    // '-' and '.' sort before '/', '0' after it; U+FFFD is above any surrogate pair in UTF-16 only.
    for (const path of ['a-b', 'a/b', 'a.txt', 'a0', 'é', '\ufffd', '\u{10000}', 'B', 'z/y/x']) put(path)
    mkdirSync(join(folder, 'a!empty'))
    mkdirSync(join(folder, 'z/empty/inner'), { recursive: true })
    const tree = await walkSource(folder)
    const paths = tree.entries.map((entry) => entry.path)
    const sorted = [...paths].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    expect(paths).toEqual(sorted)
    expect(paths).toEqual([
      'B',
      'a!empty',
      'a-b',
      'a.txt',
      'a/b',
      'a0',
      'z/empty/inner',
      'z/y/x',
      'é',
      '\ufffd',
      '\u{10000}',
    ])
    expect(tree.entries.filter((entry) => entry.stamp === null).map((entry) => entry.path)).toEqual([
      'a!empty',
      'z/empty/inner',
    ])
    expect([tree.files, tree.bytes, tree.skipped]).toEqual([9, 9, 0])
  })

  it('an empty folder whose name is the beginning of a neighbour sorts where its own path does', async () => {
    mkdirSync(join(folder, 'a'))
    put('a-b')
    put('a b/c')
    const tree = await walkSource(folder)
    expect(tree.entries.map((entry) => entry.path)).toEqual(['a', 'a b/c', 'a-b'])
  })

  it('skips and counts symlinks, sockets and pipes; a folder of nothing else is an empty folder', async () => {
    put('real')
    symlinkSync('/etc/passwd', join(folder, 'link'))
    symlinkSync('/etc', join(folder, 'linked-folder'))
    symlinkSync('nowhere', join(folder, 'dangling'))
    mkdirSync(join(folder, 'pipes'))
    execFileSync('mkfifo', [join(folder, 'pipes/fifo')])
    const tree = await walkSource(folder)
    expect(tree.skipped).toBe(4)
    expect(tree.entries.map((entry) => [entry.path, entry.stamp === null])).toEqual([
      ['pipes', true],
      ['real', false],
    ])
  })

  it('a single file is published under its own name, also through a symlink that the user named', async () => {
    put('data/real.bin', 'hello')
    symlinkSync('data/real.bin', join(folder, 'named.bin'))
    const direct = await walkSource(join(folder, 'data/real.bin'))
    expect(direct.entries.map((entry) => entry.path)).toEqual(['real.bin'])
    expect([direct.files, direct.bytes]).toEqual([1, 5])
    const linked = await walkSource(join(folder, 'named.bin'))
    expect(linked.entries.map((entry) => entry.path)).toEqual(['named.bin'])
    expect(linked.sourceOf('named.bin')).toBe(direct.sourceOf('real.bin'))
  })

  it('a folder named through a symlink is walked', async () => {
    put('data/a')
    symlinkSync('data', join(folder, 'alias'))
    expect((await walkSource(join(folder, 'alias'))).entries.map((entry) => entry.path)).toEqual(['a'])
  })

  it('refused names fail the whole walk, all in one error that lists 20 of them', async () => {
    for (let n = 0; n < 23; n++) put(`bad${n}.`)
    put('good')
    await expect(walkSource(folder)).rejects.toMatchObject({
      code: 'ERR_INGEST_PATHS',
      message: expect.stringMatching(/^23 names .*"bad\d+\." .* and 3 more$/),
    })
  })

  it('names that are not UTF-8, or could deceive in a message, are shown escaped', async () => {
    const raw = Buffer.concat([Buffer.from(`${folder}/caf`), Buffer.from([0xe9])])
    writeFileSync(raw, 'x')
    put('line\nbreak')
    put('a:b/\u202etxt.')
    const error = await walkSource(folder).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'ERR_INGEST_PATHS' })
    const { message } = error as Error
    expect(message).toContain('"caf\\xe9"')
    expect(message).toContain('"line\\u{a}break"')
    expect(message).toMatch(/^[\x20-\x7e]*$/)
  })

  it('a refused folder is reported once and not entered', async () => {
    for (let n = 0; n < 50; n++) put(`con/file${n}`)
    await expect(walkSource(folder)).rejects.toMatchObject({ message: expect.stringMatching(/^1 name/) })
  })

  it('names that are one name on another system are refused', async () => {
    put('Readme')
    put('README')
    await expect(walkSource(folder)).rejects.toMatchObject({ code: 'ERR_INGEST_PATHS' })
  })

  it('a file and a folder that are one name on another system are refused', async () => {
    put('data')
    put('Data/inner')
    await expect(walkSource(folder)).rejects.toMatchObject({ code: 'ERR_INGEST_PATHS' })
  })

  it('what is missing, and what is neither file nor folder, is a wrong source', async () => {
    await expect(walkSource(join(folder, 'none'))).rejects.toMatchObject({ code: 'ERR_INGEST_SOURCE' })
    execFileSync('mkfifo', [join(folder, 'fifo')])
    await expect(walkSource(join(folder, 'fifo'))).rejects.toMatchObject({ code: 'ERR_INGEST_SOURCE' })
  })

  it('the folder with the keys is not published, nor what holds it or lies in it', async () => {
    put('home/docs/a')
    put('home/.data/keys/b')
    put('home/.data-2/c')
    symlinkSync('home/.data', join(folder, 'alias'))
    const privateFolders = [join(folder, 'missing'), join(folder, 'alias')]
    for (const source of ['', 'home', 'home/.data', 'home/.data/keys', 'home/.data/keys/b', 'alias']) {
      await expect(walkSource(join(folder, source), { privateFolders })).rejects.toMatchObject({
        code: 'ERR_INGEST_SOURCE',
        message: expect.stringContaining('private'),
      })
    }
    for (const source of ['home/docs', 'home/.data-2']) {
      expect((await walkSource(join(folder, source), { privateFolders })).files).toBe(1)
    }
  })

  it('names of 255 bytes and paths of 300 characters are fine', async () => {
    const long = 'n'.repeat(255)
    const deep = `${'d'.repeat(98)}/${'e'.repeat(100)}/${'f'.repeat(100)}`
    put(long)
    put(deep)
    expect((await walkSource(folder)).entries.map((entry) => entry.path)).toEqual([deep, long])
  })

  it('stops when the signal says so', async () => {
    put('a')
    const abort = new AbortController()
    abort.abort(new Error('enough'))
    await expect(walkSource(folder, { signal: abort.signal })).rejects.toThrow('enough')
  })
})
