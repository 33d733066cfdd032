/** What an ingest reads when there was one before. */
import { mkdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { seededRandom } from '../../../src/base/random.ts'
import { type IngestRequest, ingest } from '../../../src/channels/ingest.ts'
import type { IngestRecord } from '../../../src/channels/ingest-record.ts'
import type { BlobStore, HashPiece, SealJob } from '../../../src/storage/blob-store.ts'
import { CHUNK_BYTES } from '../../../src/wire/constants.ts'
import { Bench, PUBLIC_KEY, readFileOf, SECRET } from './harness.ts'

const random = seededRandom(1)
let bench: Bench
/** Files whose content the store was asked to read, below the source. */
let read: Set<string>

beforeEach(() => {
  bench = new Bench()
  read = new Set()
})

afterEach(() => {
  bench.close()
})

/** The store of the bench, noting what it reads. */
function watchedStore(): BlobStore {
  const note = (paths: Iterable<{ readonly path: string }>): void => {
    for (const { path } of paths) read.add(path.slice(bench.source.length + 1))
  }
  return new Proxy<BlobStore>(bench.store, {
    get(store, name) {
      if (name === 'sealChunk') {
        return (job: SealJob) => {
          note(job.sources)
          return store.sealChunk(job)
        }
      }
      if (name === 'hashPieces') {
        return (pieces: readonly HashPiece[]) => {
          note(pieces)
          return store.hashPieces(pieces)
        }
      }
      const value: unknown = Reflect.get(store, name)
      return typeof value === 'function' ? value.bind(store) : value
    },
  })
}

async function again(change: Partial<IngestRequest> = {}): Promise<IngestRecord> {
  read.clear()
  return ingest(
    { ...bench.deps, store: watchedStore() },
    {
      ...{ source: bench.source, publicKey: PUBLIC_KEY, convergenceSecret: SECRET, title: '' },
      ...{ publishedIngest: bench.published, ...change },
    },
  )
}

function fill(): void {
  bench.put('large', random.bytes(2 * CHUNK_BYTES + 5))
  bench.put('a/whole', random.bytes(CHUNK_BYTES))
  bench.put('a/small', 'small')
  bench.put('b/empty', '')
  mkdirSync(join(bench.source, 'hollow'))
}

describe('a folder that did not change', () => {
  it('is not read again, published or not, and gives the same ingest', async () => {
    fill()
    const first = await bench.ingest()
    const second = await again()
    expect([...read]).toEqual([])
    expect(second).toEqual({ ...first, newBlobs: 0, newManifestBlobs: 0 })
    bench.published = first.ingestId
    expect((await again()).ingestId).toBe(first.ingestId)
    expect([...read]).toEqual([])
  })

  it('of so many files that they are remembered on several pages is not read again', async () => {
    for (let n = 0; n < 2_500; n++) {
      if (n % 1000 === 0) mkdirSync(join(bench.source, `${n / 1000}`))
      writeFileSync(
        join(bench.source, `${Math.floor(n / 1000)}`, `${'a name of some length '.repeat(4)}${n}`),
        `${n}`,
      )
    }
    const first = await bench.release()
    expect(bench.state.sourceMemory.get(PUBLIC_KEY, 3)).not.toBeNull()
    expect((await again()).ingestId).toBe(first.ingestId)
    expect([...read]).toEqual([])
  })

  it('under another title is not read, and is another ingest of the same content', async () => {
    fill()
    const first = await bench.ingest()
    const second = await again({ title: 'new' })
    expect([...read]).toEqual([])
    expect(second.ingestId).not.toBe(first.ingestId)
    expect(second.contentId).toEqual(first.contentId)
    expect((await bench.manifest(second)).title).toBe('new')
  })

  it('is read whole when that is asked for, and when it is another folder or channel', async () => {
    fill()
    const files = ['a/small', 'a/whole', 'large']
    await bench.release()
    await again({ rehash: true })
    expect([...read].sort()).toEqual(files)
    await again({ publicKey: new Uint8Array(32).fill(8), publishedIngest: null })
    expect([...read].sort()).toEqual(files)
    await again({ source: join(bench.source, 'a') })
    expect([...read].sort()).toEqual(['a/small', 'a/whole'])
  })

  it('is the published ingest again though it was read, and is not read after that', async () => {
    fill()
    const first = await bench.release()
    const touched = (): void => utimesSync(join(bench.source, 'a/small'), 1_000, 1_000)
    for (const change of [{ rehash: true }, {}]) {
      if (change.rehash === undefined) touched()
      const before = bench.store.count
      expect(await again(change)).toEqual({ ...first, newBlobs: 0, newManifestBlobs: 0 })
      expect(read.has('a/small')).toBe(true)
      expect(bench.store.count).toBe(before)
      expect((await again()).ingestId).toBe(first.ingestId)
      expect([...read]).toEqual([])
    }
    expect(bench.state.ingests.list(PUBLIC_KEY).map(({ id }) => id)).toEqual([first.ingestId])
  })

  it('that was read is another ingest where the title is another, or the list of files is not held', async () => {
    fill()
    const first = await bench.release()
    const renamed = await again({ rehash: true, title: 'new' })
    expect(renamed.ingestId).not.toBe(first.ingestId)
    expect((await bench.manifest(renamed)).title).toBe('new')
    await bench.store.delete([first.root.subarray(0, 32)])
    const mended = await again({ rehash: true })
    expect(mended.ingestId).not.toBe(first.ingestId)
    await bench.manifest(mended)
  })

  it('has lost blobs again when it is read, and is the published ingest then', async () => {
    fill()
    const first = await bench.release()
    const manifest = await bench.manifest(first)
    const [span] = manifest.spans(manifest.indexOf('a/whole'))
    await bench.store.delete([manifest.blobId(span?.blob ?? 0)])
    expect(await again({ rehash: true })).toMatchObject({ ingestId: first.ingestId, newBlobs: 1 })
  })

  it('is read again where its blobs are no longer held', async () => {
    fill()
    const record = await bench.release()
    const manifest = await bench.manifest(record)
    const [span] = manifest.spans(manifest.indexOf('a/whole'))
    await bench.store.delete([manifest.blobId(span?.blob ?? 0)])
    const second = await again()
    expect([...read]).toEqual(['a/whole'])
    expect(second.newBlobs).toBe(1)
    await bench.store.delete([record.root.subarray(0, 32)])
    expect((await again()).root).toBeDefined()
    await bench.manifest(await again())
  })
})

describe('a folder that changed', () => {
  it('only what changed is read, and the release is what a whole reading gives', async () => {
    fill()
    for (let n = 0; n < 50; n++) bench.put(`many/${n}`, `content ${n}`)
    await bench.release()
    bench.put('a/small', 'other')
    bench.put('many/new', 'new')
    rmSync(join(bench.source, 'many/7'))
    const partial = await again()
    expect([...read].sort()).toEqual(['a/small', 'many/new'])
    const whole = await again({ rehash: true })
    expect(whole.contentId).toEqual(partial.contentId)
    const manifest = await bench.manifest(partial)
    expect(Buffer.from(await readFileOf(bench, manifest, 'a/small')).toString()).toBe('other')
    expect(manifest.indexOf('many/7')).toBe(-1)
  })

  it('shows a change that keeps size and modification time', async () => {
    fill()
    const path = join(bench.source, 'a/small')
    // Whole seconds, which can be set back without loss.
    utimesSync(path, 1_000, 1_000)
    await bench.release()
    writeFileSync(path, 'SMALL')
    utimesSync(path, 1_000, 1_000)
    expect(statSync(path).mtimeMs).toBe(1_000_000)
    const manifest = await bench.manifest(await again())
    expect(read.has('a/small')).toBe(true)
    expect(Buffer.from(await readFileOf(bench, manifest, 'a/small')).toString()).toBe('SMALL')
  })

  it('a stamp from the future is not trusted', async () => {
    fill()
    utimesSync(join(bench.source, 'large'), new Date(), new Date(Date.now() + 3_600_000))
    await bench.release()
    await again()
    expect([...read]).toEqual(['large'])
  })

  it('empty folders that came or went are a change', async () => {
    fill()
    const first = await bench.release()
    rmSync(join(bench.source, 'hollow'), { recursive: true })
    const second = await again()
    expect([...read]).toEqual([])
    expect(second.contentId).not.toEqual(first.contentId)
  })
})

describe('a damaged memory', () => {
  it('is as good as none', async () => {
    fill()
    const first = await bench.release()
    const { sourceMemory } = bench.state
    for (const page of [0, 1, 2]) {
      const content = sourceMemory.get(PUBLIC_KEY, page) ?? new Uint8Array(0)
      expect(content.length).toBeGreaterThan(10)
      // Of the page of entries this is how many chunks the last file has.
      const lastByte = content.slice()
      lastByte.fill(1, -1)
      for (const damaged of [
        content.slice(0, -3),
        new Uint8Array(40).fill(0xff),
        new Uint8Array(0),
        lastByte,
      ]) {
        for (const title of ['', 'other']) {
          sourceMemory.save(PUBLIC_KEY, page, damaged)
          expect((await again({ title })).contentId, `page ${page}`).toEqual(first.contentId)
        }
      }
    }
  })
})
