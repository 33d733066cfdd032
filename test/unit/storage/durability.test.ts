import { basename, dirname } from 'node:path'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { FsBlobStore } from '../../../src/storage/fs-blob-store.ts'
import { openState } from '../../../src/storage/state.ts'
import { BlobsTable } from '../../../src/storage/tables/blobs-table.ts'
import type { TaskFs } from '../../../src/storage/task-fs.ts'
import { afterTest, changedFs, InlineRunner, makeBlob, SECRET, tempFolder, UNLIMITED } from './harness.ts'

interface Step {
  readonly what: 'write' | 'sync' | 'rename' | 'sync folder' | 'insert' | 'delete row' | 'remove' | 'answer'
  /** Temp file, folder, or blob in hex. */
  readonly which: string
  /** Of a rename: the blob. */
  readonly to?: string
}

/** A file system that writes down what it does, in the order in which it is done. */
function recordingFs(steps: Step[]): TaskFs {
  const real = changedFs({})
  const paths = new Map<number, string>()
  return changedFs({
    open: (path, flags, mode) => {
      const fd = real.open(path, flags, mode)
      paths.set(fd, path)
      return fd
    },
    write: (fd, ...rest) => {
      steps.push({ what: 'write', which: basename(paths.get(fd) ?? '') })
      return real.write(fd, ...rest)
    },
    writeLater: async (fd, ...rest) => {
      const count = await real.writeLater(fd, ...rest)
      steps.push({ what: 'write', which: basename(paths.get(fd) ?? '') })
      return count
    },
    fdatasync: async (fd) => {
      const which = basename(paths.get(fd) ?? '')
      await real.fdatasync(fd)
      steps.push({ what: 'sync', which })
    },
    fsync: async (fd) => {
      const which = basename(paths.get(fd) ?? '')
      await real.fsync(fd)
      steps.push({ what: 'sync folder', which })
    },
    rename: (from, to) => {
      real.rename(from, to)
      steps.push({ what: 'rename', which: basename(from), to: basename(to) })
    },
    remove: (path) => {
      real.remove(path)
      if (basename(dirname(path)) !== 'tmp') steps.push({ what: 'remove', which: basename(path) })
    },
  })
}

/** What is wrong with the order of steps, for one blob that was acknowledged. Empty when it is durable. */
function orderFaults(steps: readonly Step[], id: string): string[] {
  const at = (test: (step: Step) => boolean): number => steps.findLastIndex(test)
  const renamed = at((step) => step.what === 'rename' && step.to === id)
  const temp = steps[renamed]?.which
  const order: readonly (readonly [string, number])[] = [
    ['written', at((step) => step.what === 'write' && step.which === temp)],
    ['synced', at((step) => step.what === 'sync' && step.which === temp)],
    ['renamed', renamed],
    // The first sync of the folder after the rename: earlier ones do not count.
    [
      'folder synced',
      steps.findIndex(
        (step, index) => index > renamed && step.what === 'sync folder' && step.which === id.slice(0, 2),
      ),
    ],
    ['inserted', at((step) => step.what === 'insert' && step.which === id)],
    ['answered', at((step) => step.what === 'answer' && step.which === id)],
  ]
  return order.flatMap(([name, index], n) => {
    if (index < 0) return [`never ${name}`]
    const before = order[n - 1]
    return before !== undefined && before[1] >= index ? [`${name} before ${before[0]}`] : []
  })
}

async function recordedStore(fault: (fs: TaskFs) => Partial<TaskFs> = () => ({})) {
  const steps: Step[] = []
  const folder = tempFolder()
  const state = openState(`${folder}/test.db`, null)
  const inserts: number[] = []
  class RecordingTable extends BlobsTable {
    override add(ids: Iterable<Uint8Array>, storedAt: number): Uint8Array[] {
      const all = [...ids]
      const added = super.add(all, storedAt)
      inserts.push(all.length)
      for (const id of all) steps.push({ what: 'insert', which: toHex(id) })
      return added
    }
    override remove(ids: Iterable<Uint8Array>): Uint8Array[] {
      const removed = super.remove(ids)
      for (const id of removed) steps.push({ what: 'delete row', which: toHex(id) })
      return removed
    }
  }
  const recording = recordingFs(steps)
  const store = await FsBlobStore.open({
    root: `${folder}/blobs`,
    tables: { blobs: new RecordingTable(state.database), meta: state.meta },
    runner: new InlineRunner({ ...recording, ...fault(recording) }),
    limits: UNLIMITED,
  })
  afterTest(async () => {
    await store.close()
    state.close()
  })
  const put = async (seed: number): Promise<string> => {
    const blob = makeBlob(seed)
    await store.put(blob.id, blob.sealed.slice())
    steps.push({ what: 'answer', which: toHex(blob.id) })
    return toHex(blob.id)
  }
  return { store, steps, inserts, put }
}

describe('an acknowledged blob', () => {
  it('was written, synced, renamed, its folder synced and its row inserted, in this order', async () => {
    const { store, steps, put } = await recordedStore()
    const ids = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(put))
    ids.push(await put(9))
    const sealed = await store.sealBytes(Uint8Array.of(1), SECRET)
    steps.push({ what: 'answer', which: toHex(sealed.id) })
    ids.push(toHex(sealed.id))
    for (const id of ids) expect(orderFaults(steps, id)).toEqual([])
  })

  it('shares its commit with those that are written at the same time', async () => {
    const { inserts, put } = await recordedStore()
    await Promise.all(Array.from({ length: 20 }, (_, n) => put(100 + n)))
    expect(inserts.reduce((sum, n) => sum + n, 0)).toBe(20)
    expect(inserts.length).toBeLessThanOrEqual(3)
  })

  it('loses its row before its file when it is deleted', async () => {
    const { store, steps, put } = await recordedStore()
    const id = await put(10)
    await store.delete([makeBlob(10).id])
    const after = steps.slice(steps.findIndex(({ what }) => what === 'answer') + 1)
    expect(after).toEqual([
      { what: 'delete row', which: id },
      { what: 'remove', which: id },
    ])
  })
})

describe('the check of that order', () => {
  it.each([
    ['the sync of the file is left out', () => ({ fdatasync: async () => {} }), 'never synced'],
    ['the sync of the folder is left out', () => ({ fsync: async () => {} }), 'never folder synced'],
    [
      'the rename comes before the sync',
      (fs: TaskFs): Partial<TaskFs> => {
        let open: { temp: string; path: string } | null = null
        return {
          exists: (path) => {
            open = { temp: '', path }
            return fs.exists(path)
          },
          fdatasync: async (fd) => {
            // The temp file is the newest one in tmp/: named by the runner's counter.
            if (open !== null) fs.rename(`${dirname(dirname(open.path))}/tmp/inline-0`, open.path)
            await fs.fdatasync(fd)
          },
          rename: () => {},
        }
      },
      'renamed before synced',
    ],
  ])('finds it when %s', async (_, fault, expected) => {
    const { steps, put } = await recordedStore(fault)
    const id = await put(11)
    expect(orderFaults(steps, id)).toContain(expected)
  })
})
