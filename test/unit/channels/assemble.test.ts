import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { seededRandom } from '../../../src/base/random.ts'
import { DiskClaims } from '../../../src/channels/disk-claims.ts'
import { type FolderFs, systemFolderFs } from '../../../src/channels/folder-fs.ts'
import { removeWritten } from '../../../src/channels/unassemble.ts'
import type { BlobStore } from '../../../src/storage/blob-store.ts'
import { blobReference } from '../../../src/wire/blob.ts'
import { CHUNK_BYTES } from '../../../src/wire/constants.ts'
import { encodeRoot } from '../../../src/wire/manifest-encode.ts'
import { acceptAll, Bench, readTree } from './harness.ts'

let bench: Bench
const random = seededRandom(2)

beforeEach(() => {
  bench = new Bench()
})

afterEach(() => {
  bench.close()
})

/** The target is the source, and holds nothing else. */
function expectSame(): void {
  expect(readTree(bench.directory)).toEqual(readTree(bench.source))
}

function target(path: string): string {
  return join(bench.directory, path)
}

describe('assembly', () => {
  it('a release lies in the folder byte for byte, whatever its files are called', async () => {
    bench.put('empty', '')
    bench.put('with blank', 'a')
    bench.put('日本/é "quoted" \u{1F600}', 'b')
    bench.put('n'.repeat(255), 'c')
    bench.put(`${'d'.repeat(100)}/${'e'.repeat(100)}/${'f'.repeat(98)}`, 'deep')
    bench.put('copy-1', 'same')
    bench.put('copy-2', 'same')
    bench.put('large', random.bytes(3 * CHUNK_BYTES + 77))
    bench.put('sparse', new Uint8Array(4 * CHUNK_BYTES))
    mkdirSync(join(bench.source, 'hollow/inner'), { recursive: true })
    for (let n = 0; n < 300; n++) bench.put(`many/${n}`, random.bytes(5000))
    const record = await bench.release()
    const result = await bench.assemble(record, { fs: systemFolderFs })
    expectSame()
    expect(result).toEqual({ files: 309, bytes: record.bytes, written: 309, deleted: 0 })
  })

  it('files are readable and never executable, whatever they were', async () => {
    bench.put('run.sh', '#!/bin/sh')
    chmodSync(join(bench.source, 'run.sh'), 0o777)
    const before = process.umask(0o022)
    try {
      await bench.assemble(await bench.release())
    } finally {
      process.umask(before)
    }
    expect(statSync(target('run.sh')).mode & 0o777).toBe(0o644)
    expect(statSync(target('run.sh')).nlink).toBe(1)
  })

  it('an update writes what changed, keeps what did not, and deletes what was dropped', async () => {
    bench.put('keep/a', 'stays')
    bench.put('change', 'before')
    bench.put('gone/deep/er', 'dropped')
    mkdirSync(join(bench.source, 'hollow'))
    await bench.assemble(await bench.release())
    const kept = statSync(target('keep/a'))
    bench.put('change', 'after!')
    bench.put('new/file', 'new')
    rmSync(join(bench.source, 'gone'), { recursive: true })
    rmSync(join(bench.source, 'hollow'), { recursive: true })
    const result = await bench.assemble(await bench.release())
    expectSame()
    expect([result.written, result.deleted]).toEqual([2, 1])
    expect(statSync(target('keep/a')).ino).toBe(kept.ino)
    expect(statSync(target('keep/a')).mtimeMs).toBe(kept.mtimeMs)
  })

  it('the same release again touches nothing', async () => {
    bench.put('a', 'x')
    const record = await bench.release()
    await bench.assemble(record)
    expect((await bench.assemble(record)).written).toBe(0)
    const again = await bench.begin(record)
    expect(again.neededBlobs()).toEqual([])
    await again.close()
    expectSame()
  })

  it('a file becomes a folder and a folder a file between releases', async () => {
    bench.put('was-file', 'x')
    bench.put('was-folder/inner/a', 'y')
    bench.put('was-folder/b', 'z')
    await bench.assemble(await bench.release())
    rmSync(join(bench.source, 'was-file'))
    rmSync(join(bench.source, 'was-folder'), { recursive: true })
    bench.put('was-file/now/inside', 'x2')
    bench.put('was-folder', 'y2')
    await bench.assemble(await bench.release())
    expectSame()
    rmSync(join(bench.source, 'was-file'), { recursive: true })
    mkdirSync(join(bench.source, 'was-file'))
    await bench.assemble(await bench.release())
    expectSame()
  })

  it('takes blobs in any order, one at a time, as a download brings them', async () => {
    bench.put('large', random.bytes(3 * CHUNK_BYTES))
    for (let n = 0; n < 40; n++) bench.put(`s/${n}`, random.bytes(60_000))
    const record = await bench.release()
    const assembly = await bench.begin(record)
    const manifest = await bench.manifest(record)
    const blobs = [...assembly.neededBlobs()].reverse()
    expect(blobs.length).toBe(record.blobs)
    for (const blob of blobs) {
      expect(assembly.isNeeded(blob)).toBe(true)
      const { placement, release } = (await assembly.placementOf(blob))!
      expect(await bench.store.openTo(manifest.blobId(blob), placement.key, placement.pieces)).toBe(true)
      release()
      assembly.markWritten(blob)
      expect(assembly.isNeeded(blob)).toBe(false)
      expect(await assembly.placementOf(blob)).toBeNull()
    }
    await assembly.finish()
    expectSame()
  })

  it('a blob that came twice is written twice, and its file is still ours afterwards', async () => {
    bench.put('film', random.bytes(300_000))
    const record = await bench.release()
    const manifest = await bench.manifest(record)
    const assembly = await bench.begin(record)
    const [blob] = assembly.neededBlobs()
    // From two sources, before the first is known to be written.
    const first = (await assembly.placementOf(blob!))!
    const second = (await assembly.placementOf(blob!))!
    const write = ({ placement }: typeof first): Promise<boolean> =>
      bench.store.openTo(manifest.blobId(blob!), placement.key, placement.pieces)
    await write(first)
    first.release()
    assembly.markWritten(blob!)
    const finishing = assembly.finish()
    // The clock of a file system ticks: until the second write shows in the stamp of the file.
    const staged = second.placement.pieces[0]!.path
    const stamp = (): bigint => statSync(staged, { bigint: true }).mtimeNs
    for (const before = stamp(); stamp() === before; ) await write(second)
    second.release()
    await finishing
    expectSame()
    // The next release replaces it: it must not be taken for somebody else's.
    bench.put('film', random.bytes(300_000))
    await bench.assemble(await bench.release())
    expectSame()
  })

  it('so it is with one that is accepted twice', async () => {
    bench.put('film', random.bytes(300_000))
    const record = await bench.release()
    let isFirst = true
    const openTo: BlobStore['openTo'] = async (id, key, pieces) => {
      const write = (): Promise<boolean> => bench.store.openTo(id, key, pieces)
      if (isFirst) {
        isFirst = false
        return write()
      }
      while (assembly.isNeeded(blob!)) await systemFolderFs.list(bench.directory)
      // More calls than looking at the file would take.
      for (let call = 0; call < 100; call++) await systemFolderFs.list(bench.directory)
      const stamp = (): bigint => statSync(pieces[0]!.path, { bigint: true }).mtimeNs
      for (const before = stamp(); stamp() === before; ) await write()
      return true
    }
    const store = { has: (id: Uint8Array) => bench.store.has(id), openTo }
    const assembly = await bench.begin(record, { store })
    const [blob] = assembly.neededBlobs()
    assembly.accept(blob!)
    assembly.accept(blob!)
    await assembly.finish()
    bench.put('film', random.bytes(300_000))
    await bench.assemble(await bench.release())
    expectSame()
  })

  it('that is closed while a blob is being written removes staging when it is, with all that came into it', async () => {
    for (let n = 0; n < 40; n++) bench.put(`s/${n}`, random.bytes(60_000))
    const record = await bench.release()
    let isRemoving = false
    const removeFolder: FolderFs['removeFolder'] = (path) => {
      isRemoving = true
      return systemFolderFs.removeFolder(path)
    }
    const assembly = await bench.begin(record, { fs: { ...systemFolderFs, removeFolder } })
    const manifest = await bench.manifest(record)
    const [blob] = assembly.neededBlobs()
    const { placement, release } = (await assembly.placementOf(blob!))!
    const closing = assembly.close()
    // What is begun is written, into files that it makes.
    expect(await bench.store.openTo(manifest.blobId(blob!), placement.key, placement.pieces)).toBe(true)
    // More calls than removing would take.
    for (let call = 0; call < 500 && !isRemoving; call++) await systemFolderFs.list(bench.directory)
    expect(isRemoving).toBe(false)
    release()
    await closing
    expect(readdirSync(bench.directory).filter((name) => name.startsWith('.megatorrent'))).toEqual([])
  })

  it('is not finished while blobs are missing, and says which are not held', async () => {
    bench.put('a', 'x')
    const record = await bench.release()
    const manifest = await bench.manifest(record)
    const assembly = await bench.begin(record)
    const [blob] = assembly.neededBlobs()
    await bench.store.delete([manifest.blobId(blob!)])
    assembly.accept(blob!)
    await assembly.settle()
    expect(assembly.isNeeded(blob!)).toBe(true)
    expect(assembly.isNeeded(blob!)).toBe(true)
    await expect(assembly.finish()).rejects.toMatchObject({ code: 'ERR_BUG' })
    await assembly.close()
    expect(readdirSync(bench.directory)).toEqual([])
  })

  it('is not finished once it is closed: nothing is deleted for a release that is not put in place', async () => {
    bench.put('dropped', 'x')
    await bench.assemble(await bench.release())
    rmSync(join(bench.source, 'dropped'))
    bench.put('empty', '')
    const assembly = await bench.begin(await bench.release())
    expect(assembly.neededBlobs()).toEqual([])
    await assembly.close()
    await expect(assembly.finish()).rejects.toMatchObject({ code: 'ERR_BUG' })
    expect([...readTree(bench.directory).keys()]).toEqual(['dropped'])
  })

  it('only what the globs ask for is written, needed and deleted', async () => {
    bench.put('docs/a.txt', 'a')
    bench.put('docs/deep/b.txt', 'b')
    bench.put('big.bin', random.bytes(2 * CHUNK_BYTES))
    bench.put('docs/c.bin', 'c')
    mkdirSync(join(bench.source, 'hollow'))
    const record = await bench.release()
    const assembly = await bench.begin(record, { onlyGlobs: ['docs/**/*.txt'] })
    expect(assembly.neededBlobs().length).toBe(1)
    acceptAll(assembly)
    expect(await assembly.finish()).toMatchObject({ files: 2, bytes: 2 })
    expect([...readTree(bench.directory).keys()].sort()).toEqual([
      'docs',
      'docs/a.txt',
      'docs/deep',
      'docs/deep/b.txt',
    ])
    // A narrower wish later leaves what the release still has.
    await bench.assemble(record, { onlyGlobs: ['docs/*.txt'] })
    expect(existsSync(target('docs/deep/b.txt'))).toBe(true)
    rmSync(join(bench.source, 'docs/deep'), { recursive: true })
    await bench.assemble(await bench.release(), { onlyGlobs: ['docs/*.txt'] })
    expect(existsSync(target('docs/deep'))).toBe(false)
  })

  it('a file that the user deleted comes back', async () => {
    bench.put('a', 'x')
    const record = await bench.release()
    await bench.assemble(record)
    unlinkSync(target('a'))
    await bench.assemble(record)
    expectSame()
  })

  it('a small manifest that claims a huge file is refused at once, or written bit by bit if it fits', async () => {
    const { id, key } = await bench.store.sealBytes(random.bytes(CHUNK_BYTES), new Uint8Array(32))
    const claim = async (times: number): Promise<{ root: Uint8Array }> => {
      const extents = Array.from({ length: times }, () => ({ blob: 0, offset: 0, length: CHUNK_BYTES }))
      const bytes = times * CHUNK_BYTES
      const entries = [{ path: 'bomb', size: bytes, start: null, extents }]
      const root = encodeRoot({ title: '', time: 1, files: 1, bytes, blobs: blobReference(id, key), entries })
      const sealed = await bench.store.sealBytes(root, new Uint8Array(32))
      return { root: blobReference(sealed.id, sealed.key) }
    }
    const fs = { ...systemFolderFs, freeBytes: () => Promise.resolve(2 ** 34) }
    const started = process.cpuUsage().user
    await expect(bench.begin(await claim(50_000), { fs })).rejects.toMatchObject({ code: 'ERR_DISK_FULL' })
    expect(process.cpuUsage().user - started).toBeLessThan(2_000_000)
    const tasks: number[] = []
    const openTo: BlobStore['openTo'] = (openId, openKey, pieces) => {
      tasks.push(pieces.length)
      return bench.store.openTo(openId, openKey, pieces)
    }
    const store = { has: (held: Uint8Array) => bench.store.has(held), openTo }
    await bench.assemble(await claim(100), { store })
    expect(tasks).toEqual([64, 36])
    expect(statSync(target('bomb')).size).toBe(100 * CHUNK_BYTES)
  })

  it('a claim of more bytes than the disk has is refused before anything is written', async () => {
    bench.put('a', 'x')
    const record = await bench.release()
    const fs = { ...systemFolderFs, freeBytes: () => Promise.resolve(0) }
    await expect(bench.begin(record, { fs })).rejects.toMatchObject({ code: 'ERR_DISK_FULL' })
    const floor = { minFreeBytes: Number.MAX_SAFE_INTEGER }
    await expect(bench.begin(record, floor)).rejects.toMatchObject({ code: 'ERR_DISK_FULL' })
    expect(readdirSync(bench.directory)).toEqual([])
  })

  it('two releases that fit one by one and not together are not begun together', async () => {
    bench.put('a', random.bytes(CHUNK_BYTES))
    const record = await bench.release()
    const claims = new DiskClaims()
    const { dev } = statSync(bench.folder)
    const fs = { ...systemFolderFs, freeBytes: () => Promise.resolve(1.5 * CHUNK_BYTES) }
    const first = await bench.begin(record, { fs, claims })
    expect(claims.bytesOn(dev)).toBe(CHUNK_BYTES)
    const other = { fs, claims, directory: `${bench.directory}-2` }
    await expect(bench.begin(record, other)).rejects.toMatchObject({ code: 'ERR_DISK_FULL' })
    expect(claims.bytesOn(dev)).toBe(CHUNK_BYTES)
    acceptAll(first)
    await first.settle()
    // Written, so it shows in the free space and is promised no more.
    expect(claims.bytesOn(dev)).toBe(0)
    await first.finish()
    await bench.begin(record, other).then((second) => second.close())
    expect(claims.bytesOn(dev)).toBe(0)
  })

  it('what an earlier run left in staging is removed; a folder of that name with other things is not', async () => {
    bench.put('a', 'x')
    const record = await bench.release()
    mkdirSync(target('.megatorrent-0123456789abcdef'), { recursive: true })
    writeFileSync(target('.megatorrent-0123456789abcdef/1z'), 'rest')
    mkdirSync(target('.megatorrent-00000000000000aa'))
    writeFileSync(target('.megatorrent-00000000000000aa/thesis.txt'), 'mine')
    writeFileSync(target('.megatorrent-1'), 'mine')
    await bench.assemble(record)
    expect(readdirSync(bench.directory).sort()).toEqual([
      '.megatorrent-00000000000000aa',
      '.megatorrent-1',
      'a',
    ])
  })

  it('a release may itself hold a folder that is named like staging', async () => {
    bench.put('.megatorrent-0123456789abcdef/1z', 'content')
    const record = await bench.release()
    await bench.assemble(record)
    expect((await bench.assemble(record)).written).toBe(0)
    expectSame()
  })

  it('an empty release empties the folder and keeps it', async () => {
    bench.put('a/b', 'x')
    await bench.assemble(await bench.release())
    rmSync(join(bench.source, 'a'), { recursive: true })
    await bench.assemble(await bench.release())
    expect(readdirSync(bench.directory)).toEqual([])
  })
})

describe('what is not ours', () => {
  it.each([
    ['a file', () => writeFileSync(target('a'), 'mine')],
    ['an equal file', () => writeFileSync(target('a'), 'x')],
    ['a folder', () => mkdirSync(target('a'))],
    ['a symlink to a file outside', () => symlinkSync(join(bench.folder, 'canary'), target('a'))],
    ['a dangling symlink', () => symlinkSync(join(bench.folder, 'absent'), target('a'))],
  ])('%s in the way is left alone, and nothing else is written', async (_, plant) => {
    bench.put('a', 'x')
    bench.put('b', 'y')
    writeFileSync(join(bench.folder, 'canary'), 'canary')
    mkdirSync(bench.directory)
    plant()
    const before = readdirSync(bench.directory)
    await expect(bench.assemble(await bench.release())).rejects.toMatchObject({
      code: 'ERR_FOREIGN_FILE',
      message: expect.stringContaining('"a"'),
    })
    expect(readdirSync(bench.directory)).toEqual(before)
    expect(readFileSync(join(bench.folder, 'canary'), 'utf8')).toBe('canary')
    expect(existsSync(join(bench.folder, 'absent'))).toBe(false)
  })

  it('a symlink in the place of a folder is not followed', async () => {
    bench.put('folder/a', 'x')
    mkdirSync(bench.directory)
    mkdirSync(join(bench.folder, 'outside'))
    symlinkSync('../outside', target('folder'))
    await expect(bench.assemble(await bench.release())).rejects.toMatchObject({ code: 'ERR_FOREIGN_FILE' })
    expect(readdirSync(join(bench.folder, 'outside'))).toEqual([])
  })

  it('a symlink planted between plan and commit is not followed either', async () => {
    bench.put('folder/a', 'x')
    const assembly = await bench.begin(await bench.release())
    acceptAll(assembly)
    mkdirSync(join(bench.folder, 'outside'))
    symlinkSync('../outside', target('folder'))
    await expect(assembly.finish()).rejects.toMatchObject({ code: 'ERR_FOREIGN_FILE' })
    expect(readdirSync(join(bench.folder, 'outside'))).toEqual([])
  })

  it('nor one that has taken the place of a folder that was there', async () => {
    bench.put('folder/a', 'x')
    await bench.assemble(await bench.release())
    bench.put('folder/b', 'y')
    rmSync(join(bench.source, 'folder/a'))
    const assembly = await bench.begin(await bench.release())
    acceptAll(assembly)
    renameSync(target('folder'), join(bench.folder, 'outside'))
    symlinkSync('../outside', target('folder'))
    await expect(assembly.finish()).rejects.toMatchObject({ code: 'ERR_FOREIGN_FILE' })
    expect(readdirSync(join(bench.folder, 'outside'))).toEqual(['a'])
  })

  it('a file that was edited between plan and commit is neither replaced nor deleted', async () => {
    bench.put('dropped', 'one')
    bench.put('replaced', 'one')
    await bench.assemble(await bench.release())
    rmSync(join(bench.source, 'dropped'))
    const dropping = await bench.begin(await bench.release())
    writeFileSync(target('dropped'), 'edited')
    await dropping.finish()
    expect(readFileSync(target('dropped'), 'utf8')).toBe('edited')
    bench.put('replaced', 'two')
    const replacing = await bench.begin(await bench.release())
    acceptAll(replacing)
    writeFileSync(target('replaced'), 'edited')
    await expect(replacing.finish()).rejects.toMatchObject({ code: 'ERR_FOREIGN_FILE' })
    expect(readFileSync(target('replaced'), 'utf8')).toBe('edited')
  })

  it('a file that appears between plan and commit is not written over', async () => {
    bench.put('a', 'x')
    bench.put('b', 'y')
    const record = await bench.release()
    const assembly = await bench.begin(record)
    acceptAll(assembly)
    writeFileSync(target('b'), 'mine')
    await expect(assembly.finish()).rejects.toMatchObject({ code: 'ERR_FOREIGN_FILE' })
    expect(readFileSync(target('b'), 'utf8')).toBe('mine')
    renameSync(target('b'), join(bench.folder, 'moved'))
    await bench.assemble(record)
    expectSame()
  })

  it('a file that appears in the very moment of the move is not written over either', async () => {
    bench.put('a', 'x')
    const record = await bench.release()
    const link = (from: string, to: string): Promise<void> => {
      writeFileSync(to, 'mine')
      return systemFolderFs.link(from, to)
    }
    const assembling = bench.assemble(record, { fs: { ...systemFolderFs, link } })
    await expect(assembling).rejects.toMatchObject({ code: 'ERR_FOREIGN_FILE' })
    expect(readFileSync(target('a'), 'utf8')).toBe('mine')
  })

  it('a file of ours that the user changed is not written over, and not deleted when it is dropped', async () => {
    bench.put('a', 'one')
    bench.put('b', 'stays')
    await bench.assemble(await bench.release())
    writeFileSync(target('a'), 'edited by hand')
    bench.put('a', 'two')
    await expect(bench.assemble(await bench.release())).rejects.toMatchObject({ code: 'ERR_FOREIGN_FILE' })
    expect(readFileSync(target('a'), 'utf8')).toBe('edited by hand')
    rmSync(join(bench.source, 'a'))
    await bench.assemble(await bench.release())
    expect(readFileSync(target('a'), 'utf8')).toBe('edited by hand')
  })

  it('an edit in place that kept the size is seen by its time', async () => {
    bench.put('a', 'one')
    const record = await bench.release()
    await bench.assemble(record)
    writeFileSync(target('a'), 'ONE')
    utimesSync(target('a'), 1_000, 1_000)
    await expect(bench.assemble(record)).rejects.toMatchObject({ code: 'ERR_FOREIGN_FILE' })
  })

  it('a change that kept the size and set the time back is still seen', async () => {
    bench.put('a', 'one')
    const record = await bench.release()
    await bench.assemble(record)
    const { atimeMs, mtimeMs } = statSync(target('a'))
    rmSync(target('a'))
    writeFileSync(target('other'), 'takes the inode')
    writeFileSync(target('a'), 'TWO')
    utimesSync(target('a'), atimeMs / 1000, mtimeMs / 1000)
    rmSync(target('other'))
    await expect(bench.assemble(record)).rejects.toMatchObject({ code: 'ERR_FOREIGN_FILE' })
  })

  it('files of the user beside ours stay, and so do the folders that hold them', async () => {
    bench.put('folder/a', 'x')
    await bench.assemble(await bench.release())
    writeFileSync(target('folder/mine'), 'mine')
    rmSync(join(bench.source, 'folder'), { recursive: true })
    await bench.assemble(await bench.release())
    expect([...readTree(bench.directory).keys()]).toEqual(['folder', 'folder/mine'])
    unlinkSync(target('folder/mine'))
    await bench.assemble(await bench.release())
    expect(readdirSync(bench.directory)).toEqual([])
  })

  it('a folder with foreign things in it does not make place for a file', async () => {
    bench.put('folder/a', 'x')
    await bench.assemble(await bench.release())
    writeFileSync(target('folder/mine'), 'mine')
    rmSync(join(bench.source, 'folder'), { recursive: true })
    bench.put('folder', 'now a file')
    await expect(bench.assemble(await bench.release())).rejects.toMatchObject({ code: 'ERR_FOREIGN_FILE' })
    expect(readFileSync(target('folder/mine'), 'utf8')).toBe('mine')
  })
})

describe('removing what was written', () => {
  it('leaves nothing behind, not even the folder when we made it', async () => {
    bench.put('a/b/c', 'x')
    mkdirSync(join(bench.source, 'hollow'))
    await bench.assemble(await bench.release())
    expect(await removeWritten(bench.directory, bench.ledger)).toEqual({ deleted: 1, left: 0 })
    expect(existsSync(bench.directory)).toBe(false)
    expect((await bench.ledger.load()).files.size).toBe(0)
    expect(await removeWritten(bench.directory, bench.ledger)).toEqual({ deleted: 0, left: 0 })
  })

  it('leaves what the user put there or changed, and a folder that was there before', async () => {
    mkdirSync(bench.directory)
    bench.put('a/ours', 'x')
    bench.put('a/edited', 'y')
    bench.put('b/ours', 'z')
    await bench.assemble(await bench.release())
    writeFileSync(target('a/edited'), 'by hand')
    writeFileSync(target('mine'), 'mine')
    expect(await removeWritten(bench.directory, bench.ledger)).toEqual({ deleted: 2, left: 1 })
    expect([...readTree(bench.directory).keys()].sort()).toEqual(['a', 'a/edited', 'mine'])
  })

  it('does not go through a symlink that has taken the place of a folder', async () => {
    bench.put('folder/a', 'x')
    await bench.assemble(await bench.release())
    mkdirSync(join(bench.folder, 'outside'))
    renameSync(target('folder/a'), join(bench.folder, 'outside/a'))
    rmSync(target('folder'), { recursive: true })
    symlinkSync('../outside', target('folder'))
    await removeWritten(bench.directory, bench.ledger)
    expect(readdirSync(join(bench.folder, 'outside'))).toEqual(['a'])
    expect(lstatSync(target('folder')).isSymbolicLink()).toBe(true)
  })
})
