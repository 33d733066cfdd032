import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { MegatorrentError } from '../../../src/base/errors.ts'
import { adoptPath, blobPath } from '../../../src/storage/blob-files.ts'
import { MemoryBlobStore } from '../../../src/storage/memory-blob-store.ts'
import { WorkerPool } from '../../../src/storage/worker-pool.ts'
import type { TaskKind, Tasks } from '../../../src/storage/worker-tasks.ts'
import { BLOB_BYTES } from '../../../src/wire/constants.ts'
import { blobStoreCompliance } from '../../compliance/blob-store.ts'
import {
  afterTest,
  changedFs,
  InlineRunner,
  makeBlob,
  openStore,
  SECRET,
  systemError,
  tempFolder,
} from './harness.ts'

blobStoreCompliance('MemoryBlobStore', async (limits) => ({
  store: new MemoryBlobStore(limits),
  folder: tempFolder(),
}))

blobStoreCompliance('FsBlobStore on worker threads', async (limits) => {
  const folder = tempFolder()
  const runner = new WorkerPool({ workers: 2 })
  afterTest(() => runner.close())
  return { store: (await openStore(folder, { runner, limits })).store, folder }
})

blobStoreCompliance('FsBlobStore on one thread', async (limits) => {
  const folder = tempFolder()
  return { store: (await openStore(folder, { runner: new InlineRunner(), limits })).store, folder }
})

function allFiles(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

describe('a file of a blob', () => {
  it('has the name of its hash, below the folder of its first byte, and is for its owner alone', async () => {
    const { store, root } = await openStore(tempFolder(), { runner: new InlineRunner() })
    const blob = makeBlob(1)
    await store.put(blob.id, blob.sealed.slice())
    const hex = toHex(blob.id)
    expect(allFiles(root)).toEqual([join(root, hex.slice(0, 2), hex)])
    expect(statSync(blobPath(root, blob.id)).mode & 0o777).toBe(0o600)
    expect(statSync(root).mode & 0o777).toBe(0o700)
    expect(statSync(dirname(blobPath(root, blob.id))).mode & 0o777).toBe(0o700)
  })

  it('never exists, under any name, for bytes with a wrong hash', async () => {
    const opened: string[] = []
    const fs = changedFs({
      open: (path, flags, mode) => {
        opened.push(path)
        return changedFs({}).open(path, flags, mode)
      },
    })
    const { store, root } = await openStore(tempFolder(), { runner: new InlineRunner(fs) })
    const blob = makeBlob(2)
    const wrong = blob.sealed.slice()
    wrong[5] = (wrong[5] ?? 0) ^ 0x80
    await expect(store.put(blob.id, wrong)).rejects.toMatchObject({ code: 'ERR_BLOB_ID' })
    expect(opened).toEqual([])
    expect(allFiles(root)).toEqual([])
  })

  it('is told apart from the one that was stored when the disk changed it', async () => {
    const { store, root } = await openStore(tempFolder(), { runner: new InlineRunner() })
    const blob = makeBlob(3)
    await store.put(blob.id, blob.sealed.slice())
    const bytes = readFileSync(blobPath(root, blob.id))
    bytes[700_000] = (bytes[700_000] ?? 0) ^ 4
    writeFileSync(blobPath(root, blob.id), bytes)
    expect(await store.verify(blob.id)).toBe('bad')
    for (const use of [
      () => store.read(blob.id),
      () => store.open(blob.id, blob.key),
      () => store.openTo(blob.id, blob.key, []),
    ]) {
      await expect(use()).rejects.toMatchObject({ code: 'ERR_BLOB_DAMAGED', kind: 'storage' })
    }
    expect(await store.read(blob.id, { check: false })).toHaveLength(BLOB_BYTES)
    expect(await store.delete([blob.id])).toBe(1)
    await store.put(blob.id, blob.sealed.slice())
    expect(await store.verify(blob.id)).toBe('ok')
  })

  it.each([
    ['cut off', (bytes: Buffer) => bytes.subarray(0, 1_000)],
    ['longer', (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(1)])],
  ])('is bad when it is %s', async (_, change) => {
    const { store, root } = await openStore(tempFolder(), { runner: new InlineRunner() })
    const blob = makeBlob(4)
    await store.put(blob.id, blob.sealed.slice())
    writeFileSync(blobPath(root, blob.id), change(readFileSync(blobPath(root, blob.id))))
    expect(await store.verify(blob.id)).toBe('bad')
    await expect(store.read(blob.id, { check: false })).rejects.toMatchObject({ code: 'ERR_BLOB_DAMAGED' })
  })

  it('that somebody removed is no longer held, and can be put again', async () => {
    const { store, root } = await openStore(tempFolder(), { runner: new InlineRunner() })
    const blob = makeBlob(5)
    await store.put(blob.id, blob.sealed.slice())
    rmSync(blobPath(root, blob.id))
    expect(await store.read(blob.id)).toBeNull()
    expect([store.has(blob.id), store.count]).toEqual([false, 0])
    await store.put(blob.id, blob.sealed.slice())
    expect(await store.verify(blob.id)).toBe('ok')
  })

  it('that somebody removed is damage to who verifies, told once', async () => {
    const { store, root } = await openStore(tempFolder(), { runner: new InlineRunner() })
    const blob = makeBlob(6)
    await store.put(blob.id, blob.sealed.slice())
    rmSync(blobPath(root, blob.id))
    expect(await store.verify(blob.id)).toBe('bad')
    expect([store.has(blob.id), store.count, await store.verify(blob.id)]).toEqual([false, 0, 'missing'])
    await store.put(blob.id, blob.sealed.slice())
    expect(await store.verify(blob.id)).toBe('ok')
  })
})

describe('failures of the disk', () => {
  const STEPS = ['open', 'writeLater', 'fdatasync', 'rename', 'fsync'] as const

  async function failOnce(step: (typeof STEPS)[number], errno: string, code: string): Promise<void> {
    let broken = true
    const real = changedFs({})
    const failing = (...parameters: unknown[]): never => {
      if (broken) throw systemError(errno)
      return (real[step] as (...given: unknown[]) => never)(...parameters)
    }
    const { store, root } = await openStore(tempFolder(), {
      runner: new InlineRunner(changedFs({ [step]: failing })),
    })
    const blob = makeBlob(6)
    await expect(store.put(blob.id, blob.sealed.slice())).rejects.toMatchObject({ code, kind: 'storage' })
    expect(store.has(blob.id)).toBe(false)
    expect(readdirSync(join(root, 'tmp'))).toEqual([])
    broken = false
    await store.put(blob.id, blob.sealed.slice())
    expect([await store.verify(blob.id), store.count]).toEqual(['ok', 1])
  }

  it.each(STEPS)(
    'at "%s" of a write: nothing is held, nothing is left, and it goes on afterwards',
    async (step) => {
      await failOnce(step, 'ENOSPC', 'ERR_DISK_FULL')
    },
  )

  it.each([
    ['EDQUOT', 'ERR_DISK_FULL'],
    ['EROFS', 'ERR_DISK_READ_ONLY'],
    ['EIO', 'ERR_DISK_FAULT'],
    ['EMFILE', 'ERR_TOO_MANY_OPEN_FILES'],
    ['EACCES', 'ERR_FILE_ACCESS'],
  ])('%s is reported as %s', async (errno, code) => {
    await failOnce('writeLater', errno, code)
  })

  it('a failed transaction fails every put of its batch, and the blobs can be put again', async () => {
    const { store, state } = await openStore(tempFolder(), { runner: new InlineRunner() })
    const blobs = [8, 9, 10].map(makeBlob)
    state.database.run(
      "CREATE TEMP TRIGGER refuse BEFORE INSERT ON blobs BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    const results = await Promise.allSettled(blobs.map(({ id, sealed }) => store.put(id, sealed.slice())))
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    expect(store.count).toBe(0)
    state.database.run('DROP TRIGGER refuse')
    for (const { id, sealed } of blobs) await store.put(id, sealed.slice())
    expect(store.count).toBe(3)
  })

  it('a blob is not written when less than the floor would stay free', async () => {
    let free = 10 * BLOB_BYTES
    const { store } = await openStore(tempFolder(), {
      runner: new InlineRunner(),
      limits: { maxBytes: Number.MAX_SAFE_INTEGER, minFreeBytes: 9 * BLOB_BYTES },
      freeBytes: async () => free,
    })
    const blob = makeBlob(11)
    await store.put(blob.id, blob.sealed.slice())
    const other = makeBlob(12)
    await expect(store.put(other.id, other.sealed.slice())).rejects.toMatchObject({ code: 'ERR_DISK_FULL' })
    expect(store.has(other.id)).toBe(false)
    free = 20 * BLOB_BYTES
    await store.put(other.id, other.sealed.slice())
    expect(store.count).toBe(2)
  })
})

describe('start of a store', () => {
  it('looks at no blob after a clean stop', async () => {
    const folder = tempFolder()
    const first = await openStore(folder, { runner: new InlineRunner() })
    const blob = makeBlob(20)
    await first.store.put(blob.id, blob.sealed.slice())
    await first.store.close()
    first.state.close()
    rmSync(blobPath(first.root, blob.id))
    const second = await openStore(folder, { runner: new InlineRunner() })
    expect(await second.store.recovered).toEqual({ adopted: 0, discarded: 0, droppedRows: 0 })
    expect(second.store.count).toBe(1)
  })

  it('after a crash adopts good files without a row, removes bad ones, and drops rows without a file', async () => {
    const folder = tempFolder()
    const first = await openStore(folder, { runner: new InlineRunner() })
    const [kept, gone, orphan, bad] = [21, 22, 23, 24].map(makeBlob) as [Made, Made, Made, Made]
    for (const blob of [kept, gone]) await first.store.put(blob.id, blob.sealed.slice())
    first.crash()
    rmSync(blobPath(first.root, gone.id))
    writeFileSync(blobPath(first.root, orphan.id), orphan.sealed)
    writeFileSync(blobPath(first.root, bad.id), new Uint8Array(BLOB_BYTES))
    writeFileSync(join(first.root, 'tmp', 'half'), new Uint8Array(10))
    writeFileSync(join(first.root, '00', 'README'), 'not ours')

    const second = await openStore(folder, { runner: new InlineRunner() })
    expect(second.store.has(gone.id)).toBe(false)
    expect(await second.store.recovered).toEqual({ adopted: 1, discarded: 1, droppedRows: 1 })
    expect([kept, gone, orphan, bad].map(({ id }) => second.store.has(id))).toEqual([
      true,
      false,
      true,
      false,
    ])
    expect(await second.store.verify(orphan.id)).toBe('ok')
    expect(second.store.count).toBe(2)
    expect(readdirSync(join(second.root, 'tmp'))).toEqual([])
    expect(readdirSync(join(second.root, 'adopt'))).toEqual([])
    expect(readFileSync(join(second.root, '00', 'README'), 'utf8')).toBe('not ours')
  })

  it('ends a half-finished adoption of an earlier start', async () => {
    const folder = tempFolder()
    const first = await openStore(folder, { runner: new InlineRunner() })
    first.crash()
    const orphan = makeBlob(25)
    mkdirSync(join(first.root, 'adopt'), { recursive: true })
    writeFileSync(adoptPath(first.root, orphan.id), orphan.sealed)
    const second = await openStore(folder, { runner: new InlineRunner() })
    expect(await second.store.recovered).toMatchObject({ adopted: 1 })
    expect(await second.store.verify(orphan.id)).toBe('ok')
  })

  it('a blob that waits for adoption can be put meanwhile', async () => {
    const folder = tempFolder()
    const first = await openStore(folder, { runner: new InlineRunner() })
    first.crash()
    const orphan = makeBlob(26)
    writeFileSync(blobPath(first.root, orphan.id), new Uint8Array(BLOB_BYTES))
    const second = await openStore(folder, { runner: new InlineRunner() })
    await second.store.put(orphan.id, orphan.sealed.slice())
    await second.store.recovered
    expect([await second.store.verify(orphan.id), second.store.count]).toEqual(['ok', 1])
  })

  it('drops the rows of a folder that was removed, even after a clean stop', async () => {
    const folder = tempFolder()
    const first = await openStore(folder, { runner: new InlineRunner() })
    const blob = makeBlob(27)
    await first.store.put(blob.id, blob.sealed.slice())
    await first.store.close()
    first.state.close()
    rmSync(first.root, { recursive: true })
    const second = await openStore(folder, { runner: new InlineRunner() })
    expect(await second.store.recovered).toMatchObject({ droppedRows: 1 })
    expect([second.store.has(blob.id), second.store.count]).toEqual([false, 0])
  })

  it('does not call a stop clean when a commit failed before', async () => {
    const folder = tempFolder()
    const first = await openStore(folder, { runner: new InlineRunner() })
    const blob = makeBlob(28)
    first.state.database.run(
      "CREATE TEMP TRIGGER refuse BEFORE INSERT ON blobs BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    await expect(first.store.put(blob.id, blob.sealed.slice())).rejects.toThrow()
    await first.store.close()
    first.state.close()
    const second = await openStore(folder, { runner: new InlineRunner() })
    expect(await second.store.recovered).toMatchObject({ adopted: 1 })
    expect(second.store.has(blob.id)).toBe(true)
  })
})

describe('a worker that ends', () => {
  it('leaves a store that looks at its files at the next start', async () => {
    const folder = tempFolder()
    // It ends after the rename and before it could say so.
    class DyingRunner extends InlineRunner {
      override async run<K extends TaskKind>(kind: K, input: Tasks[K]['input']): Promise<Tasks[K]['output']> {
        const output = await super.run(kind, input)
        if (kind === 'put') throw new MegatorrentError('ERR_WORKER_CRASHED', 'made up by a test')
        return output
      }
    }
    const first = await openStore(folder, { runner: new DyingRunner() })
    const blob = makeBlob(40)
    await expect(first.store.put(blob.id, blob.sealed.slice())).rejects.toMatchObject({
      code: 'ERR_WORKER_CRASHED',
    })
    expect(first.store.has(blob.id)).toBe(false)
    await first.store.close()
    first.state.close()
    const second = await openStore(folder, { runner: new InlineRunner() })
    expect(await second.store.recovered).toMatchObject({ adopted: 1 })
    expect(second.store.has(blob.id)).toBe(true)
  })

  it('that saw no file, though it came back meanwhile, does not make the blob lost', async () => {
    class LateRunner extends InlineRunner {
      override async run<K extends TaskKind>(kind: K, input: Tasks[K]['input']): Promise<Tasks[K]['output']> {
        return kind === 'read' ? ({ bytes: null } as Tasks[K]['output']) : await super.run(kind, input)
      }
    }
    const { store } = await openStore(tempFolder(), { runner: new LateRunner() })
    const blob = makeBlob(41)
    await store.put(blob.id, blob.sealed.slice())
    expect(await store.read(blob.id)).toBeNull()
    expect(store.has(blob.id)).toBe(true)
  })
})

describe('writes and deletes at the same time', () => {
  it('never leave a row without its file', async () => {
    const runner = new WorkerPool({ workers: 2 })
    afterTest(() => runner.close())
    const { store } = await openStore(tempFolder(), { runner })
    const blobs = [30, 31, 32].map(makeBlob)
    for (let round = 0; round < 6; round++) {
      await Promise.all(
        blobs.flatMap(({ id, sealed, chunk }) => [
          store.put(id, sealed.slice()),
          store.delete([id]),
          store.sealBytes(chunk, SECRET),
        ]),
      )
      for (const id of store.ids()) expect(await store.verify(id)).toBe('ok')
      expect([...store.ids()]).toHaveLength(store.count)
    }
  })
})

describe('the ids of a store', () => {
  it('come in pages without a gap or a double', async () => {
    const { store, state } = await openStore(tempFolder(), { runner: new InlineRunner() })
    const ids = Array.from(
      { length: 2_500 },
      (_, n) => new Uint8Array(createHash('sha256').update(`${n}`).digest()),
    )
    state.blobs.add(ids, 1)
    expect([...store.ids()].map(toHex)).toEqual(ids.map(toHex).sort())
  })
})

type Made = ReturnType<typeof makeBlob>
