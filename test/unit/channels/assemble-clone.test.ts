/** Large files that changed little: what is in place is copied, and only the rest is written. */
import { chmodSync, readFileSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { seededRandom } from '../../../src/base/random.ts'
import type { Assembly } from '../../../src/channels/assemble.ts'
import { type FolderFs, systemFolderFs } from '../../../src/channels/folder-fs.ts'
import type { IngestRecord } from '../../../src/channels/ingest-record.ts'
import { CHUNK_BYTES } from '../../../src/wire/constants.ts'
import type { Manifest } from '../../../src/wire/manifest.ts'
import { acceptAll, Bench, readTree } from './harness.ts'
import { unsyncedFs } from './step-fs.ts'

const random = seededRandom(3)
const CHUNKS = 6
let bench: Bench
let content: Uint8Array
let first: IngestRecord

/** Files get a time that can be set back without loss. */
const wholeSecondsFs: FolderFs = {
  ...unsyncedFs,
  syncFile: (path) => {
    utimesSync(path, 1_000, 1_000)
    return unsyncedFs.syncFile(path)
  },
}

beforeEach(async () => {
  bench = new Bench()
  content = random.bytes(CHUNKS * CHUNK_BYTES + 10)
  bench.put('a/large', content)
  first = await bench.release()
  await bench.assemble(first, { fs: wholeSecondsFs })
})

afterEach(() => {
  bench.close()
})

function begin(
  record: IngestRecord,
  previous: Manifest | null,
  fs: FolderFs = unsyncedFs,
): Promise<Assembly> {
  return bench.begin(record, { previous: () => Promise.resolve(previous), fs })
}

async function finish(assembly: Assembly): Promise<void> {
  try {
    acceptAll(assembly)
    await assembly.finish()
  } finally {
    await assembly.close()
  }
}

function expectSame(): void {
  expect(readTree(bench.directory)).toEqual(readTree(bench.source))
}

async function change(work: (bytes: Uint8Array) => Uint8Array): Promise<IngestRecord> {
  content = work(content.slice())
  bench.put('a/large', content)
  return bench.release()
}

describe('a large file that changed little', () => {
  it.each<[string, (bytes: Uint8Array) => Uint8Array, number]>([
    ['has a byte appended', (bytes) => Buffer.concat([bytes, Uint8Array.of(1)]), 1],
    ['has a byte changed in the middle', (bytes) => bytes.fill(7, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 1), 1],
    ['loses its end', (bytes) => bytes.slice(0, 5 * CHUNK_BYTES + 3), 1],
    ['loses its end at the boundary of a chunk', (bytes) => bytes.slice(0, 5 * CHUNK_BYTES), 0],
  ])('that %s is written but for what stayed', async (_, work, blobs) => {
    const previous = await bench.manifest(first)
    const second = await change(work)
    const assembly = await begin(second, previous)
    expect(assembly.neededBlobs()).toHaveLength(blobs)
    await finish(assembly)
    expectSame()
    expect(await begin(second, null).then((again) => again.plan.write)).toEqual([])
  })

  it('needs no blobs of what stayed, so that they may be gone', async () => {
    const previous = await bench.manifest(first)
    const second = await change((bytes) => bytes.fill(7, 0, 1))
    const manifest = await bench.manifest(second)
    const [, ...rest] = manifest.spans(manifest.indexOf('a/large'))
    await bench.store.delete(rest.slice(0, CHUNKS - 1).map((span) => manifest.blobId(span.blob)))
    await finish(await begin(second, previous))
    expectSame()
  })

  it('does not take over the mode that its user gave it', async () => {
    const previous = await bench.manifest(first)
    const fresh = statSync(join(bench.directory, 'a/large')).mode
    chmodSync(join(bench.directory, 'a/large'), 0o755)
    await finish(await begin(await change((bytes) => bytes.fill(7, 0, 1)), previous))
    expect(statSync(join(bench.directory, 'a/large')).mode).toBe(fresh)
    expectSame()
  })

  it('is written whole when what is in place is of another release than was thought', async () => {
    const second = await change((bytes) => bytes.fill(7, 5 * CHUNK_BYTES, 5 * CHUNK_BYTES + 1))
    const third = await change((bytes) => {
      bytes.set(random.bytes(2 * CHUNK_BYTES))
      return bytes
    })
    // In place is the first release, which has the same size as the second and other bytes in a chunk.
    const assembly = await begin(third, await bench.manifest(second))
    expect(assembly.neededBlobs()).toHaveLength(CHUNKS + 1)
    await finish(assembly)
    expectSame()
  })

  it('is written whole when the release before is not at hand, or little of it stayed', async () => {
    const previous = await bench.manifest(first)
    const second = await change((bytes) => bytes.fill(9, 0, 4 * CHUNK_BYTES))
    for (const before of [null, previous]) {
      const assembly = await begin(second, before)
      expect(assembly.neededBlobs().length).toBeGreaterThan(CHUNKS - 3)
      await assembly.close()
    }
    await finish(await begin(second, previous))
    expectSame()
  })

  it('that is another one only while it is copied is not taken over', async () => {
    const previous = await bench.manifest(first)
    const second = await change((bytes) => bytes.fill(7, 0, 1))
    const place = join(bench.directory, 'a/large')
    const original = readFileSync(place)
    const fs: FolderFs = {
      ...unsyncedFs,
      cloneFile: async (from, path, size) => {
        writeFileSync(place, random.bytes(original.length))
        await systemFolderFs.cloneFile(from, path, size)
      },
      // Later than the look that follows the copy: by the time of the move all is as it was.
      syncFile: (path) => {
        writeFileSync(place, original)
        utimesSync(place, 1_000, 1_000)
        return unsyncedFs.syncFile(path)
      },
    }
    await expect(finish(await begin(second, previous, fs))).rejects.toMatchObject({
      code: 'ERR_FOREIGN_FILE',
    })
  })

  it('that its user changes before, while or after it is copied is neither copied nor replaced', async () => {
    const previous = await bench.manifest(first)
    const second = await change((bytes) => bytes.fill(7, 0, 1))
    const place = join(bench.directory, 'a/large')
    const edit = (): void => {
      truncateSync(place, 5 * CHUNK_BYTES)
      writeFileSync(place, 'edited', { flag: 'r+' })
    }
    const cloneFile: FolderFs['cloneFile'] = async (from, path, size) => {
      edit()
      await systemFolderFs.cloneFile(from, path, size)
    }
    const assembly = await begin(second, previous, { ...unsyncedFs, cloneFile })
    await expect(finish(assembly)).rejects.toMatchObject({ code: 'ERR_FOREIGN_FILE' })
    expect(readFileSync(place).subarray(0, 6).toString()).toBe('edited')
    expect([...readTree(bench.directory).keys()].filter((name) => name.startsWith('.'))).toEqual([])
  })
})
