import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { utf8Bytes } from '../../../src/base/bytes.ts'
import {
  createFileExclusive,
  ensurePrivateFolder,
  readFileIfExists,
  readFileStart,
  readSecretFileIfExists,
  replaceSecretFile,
  shredFile,
  writeFileAtomic,
} from '../../../src/storage/atomic-file.ts'
import { diskError, errnoOf } from '../../../src/storage/disk-error.ts'
import { systemError, tempFolder } from './harness.ts'

const TEXT = utf8Bytes('some text')

describe('writeFileAtomic', () => {
  it('replaces a file as a whole, with the mode asked for, and leaves nothing beside it', () => {
    const folder = tempFolder()
    const path = join(folder, 'x')
    writeFileSync(path, 'a much longer text than the new one', { mode: 0o644 })
    writeFileAtomic(path, TEXT)
    expect(readFileSync(path, 'utf8')).toBe('some text')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    writeFileAtomic(path, TEXT, 0o400)
    expect(statSync(path).mode & 0o777).toBe(0o400)
    expect(readdirSync(folder)).toEqual(['x'])
  })

  it('leaves the old file and no other when it fails', () => {
    const folder = tempFolder()
    mkdirSync(join(folder, 'x', 'full'), { recursive: true })
    expect(() => writeFileAtomic(join(folder, 'x'), TEXT)).toThrow(
      expect.objectContaining({ kind: 'storage' }),
    )
    expect(readdirSync(folder)).toEqual(['x'])
    expect(() => writeFileAtomic(join(folder, 'none', 'x'), TEXT)).toThrow(
      expect.objectContaining({ code: 'ERR_FILE_ACCESS' }),
    )
  })

  it('replaces a symlink and does not follow it', () => {
    const folder = tempFolder()
    writeFileSync(join(folder, 'target'), 'keep')
    symlinkSync(join(folder, 'target'), join(folder, 'x'))
    writeFileAtomic(join(folder, 'x'), TEXT)
    expect(readFileSync(join(folder, 'target'), 'utf8')).toBe('keep')
    expect(readFileSync(join(folder, 'x'), 'utf8')).toBe('some text')
  })
})

describe('createFileExclusive', () => {
  it('writes a new file and refuses any that exists, symlinks to nowhere included', () => {
    const folder = tempFolder()
    createFileExclusive(join(folder, 'x'), TEXT)
    symlinkSync(join(folder, 'nowhere'), join(folder, 'link'))
    for (const name of ['x', 'link']) {
      expect(() => createFileExclusive(join(folder, name), TEXT)).toThrow(
        expect.objectContaining({ code: 'ERR_FILE_EXISTS' }),
      )
    }
    expect(readdirSync(folder).sort()).toEqual(['link', 'x'])
  })

  it('says which folder is missing, as a mistake of who asked', () => {
    const folder = tempFolder()
    writeFileSync(join(folder, 'file'), '')
    for (const place of [join(folder, 'missing'), join(folder, 'file')]) {
      expect(() => createFileExclusive(join(place, 'x'), TEXT)).toThrow(
        expect.objectContaining({
          code: 'ERR_USAGE',
          kind: 'usage',
          message: expect.stringContaining(`no folder ${place}: make it`),
        }),
      )
    }
    expect(readdirSync(folder)).toEqual(['file'])
  })

  it.skipIf(process.getuid?.() === 0)('leaves no file when its name cannot be made durable', () => {
    const folder = tempFolder()
    chmodSync(folder, 0o300) // a file can be made in it, and the folder not be opened to be synced
    const make = (): void => createFileExclusive(join(folder, 'x'), TEXT)
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_FILE_ACCESS' }))
    chmodSync(folder, 0o700)
    make()
    expect(readdirSync(folder)).toEqual(['x'])
  })
})

describe('reading', () => {
  it('gives null for a missing file and refuses a long one, a folder and a pipe', () => {
    const folder = tempFolder()
    const path = join(folder, 'x')
    expect(readFileIfExists(path, 100)).toBeNull()
    expect(readFileStart(path, 4)).toBeNull()
    writeFileSync(path, TEXT)
    expect(readFileIfExists(path, 9)).toEqual(TEXT)
    expect(readFileStart(path, 4)).toEqual(utf8Bytes('some'))
    expect(readFileStart(path, 40)).toEqual(TEXT)
    execFileSync('mkfifo', [join(folder, 'pipe')])
    for (const read of [
      () => readFileIfExists(path, 8),
      () => readFileIfExists(folder, 100),
      () => readFileIfExists(join(folder, 'pipe'), 100),
      () => readFileIfExists(join(path, 'below'), 100),
    ]) {
      expect(read).toThrow(expect.objectContaining({ code: 'ERR_FILE_ACCESS' }))
    }
  })

  it("reads a secret from files that are the owner's alone", () => {
    const path = join(tempFolder(), 'x')
    writeFileSync(path, TEXT, { mode: 0o600 })
    expect(readSecretFileIfExists(path, 100)).toEqual(TEXT)
    chmodSync(path, 0o640)
    expect(() => readSecretFileIfExists(path, 100)).toThrow(
      expect.objectContaining({ code: 'ERR_KEY_FILE_MODE', message: expect.stringContaining('chmod 600') }),
    )
  })
})

describe('secrets that go', () => {
  it('are overwritten before the file is removed', () => {
    const folder = tempFolder()
    const path = join(folder, 'x')
    writeFileSync(path, 'CANARY'.repeat(40_000))
    // A second name keeps the content within reach after the first is gone.
    execFileSync('ln', [path, join(folder, 'second')])
    shredFile(path)
    expect(readdirSync(folder)).toEqual(['second'])
    expect(readFileSync(join(folder, 'second')).every((byte) => byte === 0)).toBe(true)
    shredFile(path)
  })

  it('are overwritten when the file is replaced', () => {
    const folder = tempFolder()
    const path = join(folder, 'x')
    writeFileSync(path, 'CANARY')
    execFileSync('ln', [path, join(folder, 'second')])
    replaceSecretFile(path, TEXT)
    expect(readFileSync(path, 'utf8')).toBe('some text')
    expect(readFileSync(join(folder, 'second')).every((byte) => byte === 0)).toBe(true)
    expect(readdirSync(folder).sort()).toEqual(['second', 'x'])
  })
})

describe('ensurePrivateFolder', () => {
  it('makes it, and refuses one that others can write to but not one that they can read', () => {
    const folder = join(tempFolder(), 'a', 'b')
    ensurePrivateFolder(folder)
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    chmodSync(folder, 0o755)
    ensurePrivateFolder(folder)
    chmodSync(folder, 0o775)
    expect(() => ensurePrivateFolder(folder)).toThrow(expect.objectContaining({ code: 'ERR_DATA_DIR_MODE' }))
  })

  it('ends with the place that refuses, wherever no folder can be made', () => {
    const folder = tempFolder()
    writeFileSync(join(folder, 'file'), '')
    for (const path of [join(folder, 'file'), join(folder, 'file/a/b')]) {
      expect(() => ensurePrivateFolder(path), path).toThrow(
        expect.objectContaining({
          code: 'ERR_FILE_ACCESS',
          message: expect.stringContaining(join(folder, 'file')),
        }),
      )
    }
    // There, the system says of whatever is to be made that it is not there: Node's own mkdir never ends.
    if (!existsSync('/proc/self')) return
    expect(() => ensurePrivateFolder('/proc/nowhere/data')).toThrow(
      expect.objectContaining({
        code: 'ERR_FILE_ACCESS',
        message: expect.stringContaining('/proc, choose another'),
      }),
    )
  })
})

describe('diskError', () => {
  it('says what to do and keeps the cause', () => {
    const cause = systemError('ENOSPC')
    expect(diskError(cause, 'writing x')).toMatchObject({
      code: 'ERR_DISK_FULL',
      kind: 'storage',
      message: expect.stringMatching(/^writing x: .*free some space/),
      cause,
    })
  })

  it('leaves errors that are not of the system as they are', () => {
    for (const error of [new RangeError('x'), new Error('y'), 'text', null])
      expect(diskError(error, 'x')).toBe(error)
    expect(errnoOf(Object.assign(new Error('x'), { code: 'ERR_INVALID_ARG' }))).toBeNull()
  })
})
