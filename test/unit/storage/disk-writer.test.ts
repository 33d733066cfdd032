import { constants, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { TASKS_PER_WORKER } from '../../../src/base/limits.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { DiskWriter } from '../../../src/storage/disk-writer.ts'
import type { FilePiece } from '../../../src/storage/file-pieces.ts'
import type { TaskFs } from '../../../src/storage/task-fs.ts'
import { BLOB_BYTES, CHUNK_BYTES } from '../../../src/wire/constants.ts'
import { changedFs, systemError, tempFolder } from './harness.ts'

const real = changedFs({})
const HAS_DIRECT = constants.O_DIRECT !== undefined
const isDirect = (flags: number): boolean => (flags & (constants.O_DIRECT ?? 0)) !== 0

interface Written {
  /** Flags with which files were opened. */
  readonly opened: number[]
  readonly writer: DiskWriter
  readonly temp: string
  readonly path: string
}

function writerWith(change: Partial<TaskFs> = {}): Written {
  const opened: number[] = []
  const fs: TaskFs = {
    ...changedFs(change),
    open: (path, flags, mode) => {
      opened.push(flags)
      return (change.open ?? real.open)(path, flags, mode)
    },
  }
  const folder = tempFolder()
  return { opened, writer: new DiskWriter(fs), temp: join(folder, 'temp'), path: join(folder, 'blob') }
}

/** Write one blob and look whether it is there, whole, and nothing else. */
async function writeOne({ writer, temp, path }: Written, seed = 1): Promise<void> {
  const slot = writer.takeSlot()
  slot.set(seededRandom(seed).bytes(BLOB_BYTES))
  await writer.writeBlob(temp, path, slot)
  expect(Buffer.compare(readFileSync(path), slot)).toBe(0)
  expect(existsSync(temp)).toBe(false)
  writer.giveSlot(slot)
}

describe('a blob is written', () => {
  it.runIf(HAS_DIRECT)('past the page cache where the system can', async () => {
    const written = writerWith()
    await writeOne(written)
    // Its blocks; the last bytes are none.
    expect(written.opened.map(isDirect)).toEqual([true, false])
  })

  it.each(['open', 'writeLater'] as const)('through the page cache where %s cannot', async (call) => {
    const change: Partial<TaskFs> =
      call === 'open'
        ? {
            open: (path, flags, mode) => {
              if (isDirect(flags)) throw systemError('EINVAL')
              return real.open(path, flags, mode)
            },
          }
        : { writeLater: () => Promise.reject(systemError('EINVAL')) }
    const written = writerWith(change)
    for (const seed of [1, 2]) await writeOne(written, seed)
    // Tried once.
    expect(written.opened.map(isDirect)).toEqual([true, false, false])
  })

  it('whole, also by short writes, and by such that end between two blocks', async () => {
    const shorter = (most: number): Partial<TaskFs> => ({
      write: (fd, bytes, offset, length, at) => real.write(fd, bytes, offset, Math.min(length, most), at),
      writeLater: (fd, bytes, offset, length, at) =>
        real.writeLater(fd, bytes, offset, Math.min(length, most), at),
    })
    await writeOne(writerWith(shorter(65_536)))
    await writeOne(writerWith(shorter(100_001)))
  })

  it('also when more are under way than a worker has tasks, each in its own memory', async () => {
    const { opened, writer, path } = writerWith()
    const slots = Array.from({ length: TASKS_PER_WORKER + 1 }, () => writer.takeSlot())
    for (const [index, slot] of slots.entries()) slot.fill(index + 1)
    await Promise.all(slots.map((slot, n) => writer.writeBlob(`${path}-temp-${n}`, `${path}-${n}`, slot)))
    for (const index of slots.keys()) {
      expect(Buffer.compare(readFileSync(`${path}-${index}`), Buffer.alloc(BLOB_BYTES, index + 1))).toBe(0)
    }
    expect(opened.filter(isDirect)).toHaveLength(HAS_DIRECT ? TASKS_PER_WORKER : 0)
    // Whichever comes back first, the next ones are as good.
    for (const slot of slots.reverse()) writer.giveSlot(slot)
    opened.length = 0
    const next = Array.from({ length: TASKS_PER_WORKER }, () => writer.takeSlot())
    await Promise.all(next.map((slot, n) => writer.writeBlob(`${path}-temp-${n}`, `${path}-next-${n}`, slot)))
    expect(opened.filter(isDirect)).toHaveLength(HAS_DIRECT ? TASKS_PER_WORKER : 0)
  })
})

describe('a blob that cannot be written', () => {
  it.each(['open', 'writeLater', 'fdatasync', 'rename'] as const)(
    'because of %s leaves nothing, and the next one can',
    async (call) => {
      let isBroken = true
      const failing = (...parameters: unknown[]): never => {
        if (isBroken) throw systemError('ENOSPC')
        return (real[call] as (...given: unknown[]) => never)(...parameters)
      }
      const written = writerWith({ [call]: failing })
      const { writer, temp, path } = written
      const slot = writer.takeSlot()
      await expect(writer.writeBlob(temp, path, slot)).rejects.toMatchObject({ code: 'ENOSPC' })
      expect([existsSync(temp), existsSync(path)]).toEqual([false, false])
      writer.giveSlot(slot)
      isBroken = false
      await writeOne(written)
    },
  )
})

describe('slices of a chunk', () => {
  const LENGTH = 5 * CHUNK_BYTES

  function target(change: Partial<TaskFs> = {}): Written & { readonly expected: Buffer } {
    const written = writerWith(change)
    writeFileSync(written.path, new Uint8Array(LENGTH))
    return { ...written, expected: Buffer.alloc(LENGTH) }
  }

  /** Write a slice of random content and say what the file holds then. */
  async function writeSlice(to: ReturnType<typeof target>, slice: Omit<FilePiece, 'path'>): Promise<void> {
    const { writer, path, expected } = to
    const slot = writer.takeSlot()
    slot.set(seededRandom(slice.fileOffset).bytes(BLOB_BYTES))
    await writer.writePieces([{ ...slice, path }], slot)
    const { chunkOffset, length, fileOffset } = slice
    expected.set(slot.subarray(chunkOffset, chunkOffset + length), fileOffset)
    writer.giveSlot(slot)
    expect(Buffer.compare(readFileSync(path), expected)).toBe(0)
  }

  const WHOLE = { fileOffset: CHUNK_BYTES, chunkOffset: 0, length: CHUNK_BYTES }

  it.runIf(HAS_DIRECT)('go past the page cache when they are whole blocks, and only then', async () => {
    const to = target()
    await writeSlice(to, WHOLE)
    await writeSlice(to, { fileOffset: 0, chunkOffset: 8192, length: 4096 })
    await writeSlice(to, { fileOffset: 1, chunkOffset: 0, length: CHUNK_BYTES - 1 })
    await writeSlice(to, { fileOffset: 3 * CHUNK_BYTES, chunkOffset: 1, length: 4096 })
    await writeSlice(to, { fileOffset: 3 * CHUNK_BYTES, chunkOffset: 0, length: 4097 })
    // Over what lies in the page cache.
    await writeSlice(to, { ...WHOLE, fileOffset: 0 })
    await writeSlice(to, { ...WHOLE, fileOffset: 3 * CHUNK_BYTES })
    expect(to.opened.map(isDirect)).toEqual([true, true, false, false, false, true, true])
  })

  it.runIf(HAS_DIRECT)(
    'that cannot go past it keep no blob from it: they may lie on another disk',
    async () => {
      let isBroken = true
      const to = target({
        writeLater: (...parameters) =>
          isBroken ? Promise.reject(systemError('EINVAL')) : real.writeLater(...parameters),
      })
      await writeSlice(to, WHOLE)
      isBroken = false
      to.opened.length = 0
      const slot = to.writer.takeSlot()
      await to.writer.writeBlob(`${to.path}-temp`, `${to.path}-blob`, slot)
      expect(to.opened.map(isDirect)).toEqual([true, false])
    },
  )

  it('go through it where the system cannot, and stay in the file that they are meant for', async () => {
    const to = target({ writeLater: () => Promise.reject(systemError('EINVAL')) })
    await writeSlice(to, WHOLE)
    const slot = to.writer.takeSlot()
    const missing = { ...WHOLE, path: `${to.path}-missing` }
    await expect(to.writer.writePieces([missing], slot)).rejects.toMatchObject({ code: 'ERR_FILE_ACCESS' })
    await to.writer.writePieces([{ ...missing, create: true }], slot)
    expect(statSync(missing.path).size).toBe(2 * CHUNK_BYTES)
  })

  it('say what the disk said', async () => {
    const to = target({ writeLater: () => Promise.reject(systemError('ENOSPC')) })
    await expect(writeSlice(to, WHOLE)).rejects.toMatchObject({ code: 'ERR_DISK_FULL' })
  })
})

it('has memory that a real disk takes', async () => {
  const refused: unknown[] = []
  const writer = new DiskWriter(
    changedFs({
      writeLater: (fd, ...rest) =>
        real.writeLater(fd, ...rest).catch((error: unknown) => {
          refused.push(error)
          throw error
        }),
    }),
  )
  // tempFolder is in memory where it can be; this is where users keep their blobs.
  const path = join(tmpdir(), `megatorrent-direct-${process.pid}`)
  const slot = writer.takeSlot()
  slot.fill(9)
  await writer.writeBlob(`${path}.temp`, path, slot)
  expect(Buffer.compare(readFileSync(path), slot)).toBe(0)
  real.remove(path)
  expect(refused).toEqual([])
})
