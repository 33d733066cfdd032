import {
  appendFileSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { ingest } from '../../../src/channels/ingest.ts'
import { loadIngest } from '../../../src/channels/ingest-record.ts'
import { retitleManifest } from '../../../src/channels/manifest-writer.ts'
import type { SealJob } from '../../../src/storage/blob-store.ts'
import { CHUNK_BYTES } from '../../../src/wire/constants.ts'
import { Bench, fingerprint, PUBLIC_KEY, readFileOf, readTree, SECRET } from './harness.ts'

let bench: Bench

beforeEach(() => {
  bench = new Bench()
})

afterEach(() => {
  bench.close()
})

const random = seededRandom(1)

function manySmallFiles(count: number, bytes: number): void {
  const content = Buffer.alloc(bytes)
  for (let n = 0; n < count; n++) {
    if (n % 100 === 0) mkdirSync(join(bench.source, `folder-${n / 100}`), { recursive: true })
    content.writeUInt32LE(n)
    writeFileSync(join(bench.source, `folder-${Math.floor(n / 100)}`, `file-${n}.bin`), content)
  }
}

describe('ingest', () => {
  it('every file of a release has its content, empty files and folders included', async () => {
    bench.put('empty', '')
    bench.put('small/é ü.txt', 'hello')
    bench.put('exactly-a-chunk', random.bytes(CHUNK_BYTES))
    bench.put('chunk-and-a-byte', random.bytes(CHUNK_BYTES + 1))
    bench.put('three', random.bytes(3 * CHUNK_BYTES - 1))
    bench.put(`${'d'.repeat(255)}/${'e'.repeat(40)}/x`, 'deep')
    mkdirSync(join(bench.source, 'hollow/inner'), { recursive: true })
    symlinkSync('empty', join(bench.source, 'link'))
    const record = await bench.ingest({ title: 'A title' })
    const manifest = await bench.manifest(record)
    const tree = readTree(bench.source)
    for (const [path, content] of tree) {
      if (content === null || path === 'link') continue
      expect(fingerprint(await readFileOf(bench, manifest, path))).toBe(content)
    }
    expect(manifest.entry(manifest.indexOf('hollow/inner')).kind).toBe('folder')
    expect([manifest.title, manifest.files, manifest.bytes]).toEqual(['A title', 6, record.bytes])
    expect([record.files, record.skipped, record.manifestBlobs]).toEqual([6, 1, 1])
    // Chunks: 1 + 1 + 2 of their own; pieces of 5 + 1 + 1 MiB - 1 + 4 bytes in two packs.
    expect([record.blobs, record.newBlobs]).toEqual([6, 6])
  })

  it('equal files and equal chunks are stored once', async () => {
    const content = random.bytes(2 * CHUNK_BYTES + 100)
    bench.put('a', content)
    bench.put('b', content)
    bench.put('zeros', new Uint8Array(5 * CHUNK_BYTES))
    const record = await bench.ingest()
    expect(record.blobs).toBe(2 + 1 + 1)
    const manifest = await bench.manifest(record)
    expect((await readFileOf(bench, manifest, 'zeros')).equals(Buffer.alloc(5 * CHUNK_BYTES))).toBe(true)
    expect((await readFileOf(bench, manifest, 'b')).equals(Buffer.from(content))).toBe(true)
  })

  it('10,000 files of 1 KiB take at most 16 blobs, manifest included', async () => {
    manySmallFiles(10_000, 1024)
    const record = await bench.ingest()
    expect(record.blobs + record.manifestBlobs).toBeLessThanOrEqual(16)
    expect(bench.store.count).toBe(record.blobs + record.manifestBlobs)
  })

  it('one file of many changed, added or removed makes few new blobs, and the rest stays the same', async () => {
    manySmallFiles(1_200, 10_240)
    await bench.release()
    bench.put('folder-7/file-777.bin', random.bytes(10_240))
    const changed = await bench.release()
    bench.put('folder-10/new.bin', random.bytes(10_240))
    const added = await bench.release()
    unlinkSync(join(bench.source, 'folder-3/file-333.bin'))
    const removed = await bench.release()
    expect([changed.newBlobs, added.newBlobs, removed.newBlobs]).toEqual([1, 1, 0])
    for (const record of [changed, added, removed]) {
      expect(record.newManifestBlobs).toBeLessThanOrEqual(4)
    }
    const manifest = await bench.manifest(removed)
    for (const path of ['folder-7/file-777.bin', 'folder-10/new.bin', 'folder-11/file-1199.bin']) {
      const content = readTree(join(bench.source, path, '..')).get(path.split('/')[1]!)
      expect(fingerprint(await readFileOf(bench, manifest, path))).toBe(content)
    }
  })

  it('one byte appended to a large file makes at most two new blobs', async () => {
    bench.put('large', random.bytes(8 * CHUNK_BYTES + 1234))
    await bench.release()
    appendFileSync(join(bench.source, 'large'), 'x')
    const record = await bench.release()
    expect(record.newBlobs).toBe(1)
    expect(record.blobs).toBe(9)
  })

  it('the content id tells whether anything changed, and nothing else', async () => {
    bench.put('a/b', 'content')
    bench.put('large', random.bytes(CHUNK_BYTES + 5))
    const first = await bench.release({ title: 'one' })
    const again = await bench.ingest({ title: 'two' })
    expect(again.contentId).toEqual(first.contentId)
    expect(again.newBlobs).toBe(0)
    bench.put('a/b', 'Content')
    const changed = await bench.ingest()
    expect(changed.contentId).not.toEqual(first.contentId)
    bench.put('a/b', 'content')
    mkdirSync(join(bench.source, 'hollow'))
    expect((await bench.ingest()).contentId).not.toEqual(first.contentId)
    rmSync(join(bench.source, 'hollow'), { recursive: true })
    bench.put('a/c', 'content')
    unlinkSync(join(bench.source, 'a/b'))
    expect((await bench.ingest()).contentId).not.toEqual(first.contentId)
  })

  it('a title can be changed later without touching anything but the root', async () => {
    manySmallFiles(50, 100)
    const record = await bench.ingest({ title: 'before' })
    const { store } = bench
    const blobs = store.count
    const root = await retitleManifest(store, SECRET, record.root, { title: 'x'.repeat(1024), time: 5 })
    const manifest = await bench.manifest({ root })
    expect([manifest.title.length, manifest.time, manifest.files]).toEqual([1024, 5, 50])
    expect(store.count).toBe(blobs + 1)
    const before = await bench.manifest(record)
    expect([...manifest.entries()]).toEqual([...before.entries()])
  })

  it('a manifest of several parts is read back, keeps its parts over an update, and can be renamed', async () => {
    const folders = ['a', 'b', 'c', 'd', 'e', 'f'].map((letter) =>
      `${letter.repeat(250)}/`.repeat(13).slice(0, -1),
    )
    for (const folder of folders) for (let n = 0; n < 120; n++) bench.put(`${folder}/${n}`, `${folder}${n}`)
    const first = await bench.release()
    expect(first.manifestBlobs).toBeGreaterThanOrEqual(3)
    bench.put(`${folders[1]}/7`, 'other')
    // Without the boundaries of the release before, everything behind this one would move.
    bench.put(`${folders[0]}/a new one`, 'new')
    const second = await bench.release()
    expect(second.newManifestBlobs).toBe(2)
    expect(second.manifestBlobs).toBe(first.manifestBlobs)
    const root = await retitleManifest(bench.store, SECRET, second.root, { title: 't', time: 1 })
    const manifest = await bench.manifest({ root })
    expect((await readFileOf(bench, manifest, `${folders[1]}/7`)).toString()).toBe('other')
    expect(manifest.files).toBe(721)
  })

  it('the record comes back from the database', async () => {
    bench.put('a', 'x')
    const record = await bench.ingest()
    const loaded = loadIngest(bench.state.ingests, record.ingestId)
    expect({ ...loaded, publicKey: toHex(loaded!.publicKey) }).toEqual({
      ...record,
      publicKey: toHex(PUBLIC_KEY),
    })
    expect(loadIngest(bench.state.ingests, 'none')).toBeNull()
  })

  it('pieces whose blobs are no longer held are sealed again', async () => {
    bench.put('a', 'x')
    const record = await bench.release()
    const manifest = await bench.manifest(record)
    await bench.store.delete([manifest.blobId(1)])
    expect((await bench.release()).newBlobs).toBe(1)
  })

  it('tells how far it is', async () => {
    manySmallFiles(700, 10)
    bench.put('large', random.bytes(3 * CHUNK_BYTES))
    const seen: number[] = []
    const totals = new Set<number>()
    await bench.ingest({
      onProgress: (progress) => {
        seen.push(progress.bytesDone)
        totals.add(progress.bytesTotal)
      },
    })
    expect([...totals]).toEqual([7000 + 3 * CHUNK_BYTES])
    expect(seen[0]).toBe(0)
    expect(seen.at(-1)).toBe(7000 + 3 * CHUNK_BYTES)
    expect([...seen].sort((a, b) => a - b)).toEqual(seen)
  })

  it('stops when the signal says so, and leaves nothing under way', async () => {
    bench.put('large', random.bytes(20 * CHUNK_BYTES))
    const abort = new AbortController()
    const onProgress = (): void => abort.abort(new Error('enough'))
    await expect(bench.ingest({ signal: abort.signal, onProgress })).rejects.toThrow('enough')
  })

  it('a title over the bound is refused before anything is read', async () => {
    await expect(bench.ingest({ title: 'é'.repeat(513), source: '/nowhere' })).rejects.toMatchObject({
      code: 'ERR_USAGE',
    })
  })
})

describe('a file that changes while it is read', () => {
  /** Ingest with something that happens before the n-th chunk is sealed. */
  function ingestWith(disturb: (call: number, job: SealJob) => void): ReturnType<typeof ingest> {
    const { store } = bench
    let calls = 0
    const disturbed = new Proxy(store, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target)
        if (name === 'sealChunk') {
          return (job: SealJob) => {
            calls += 1
            disturb(calls, job)
            return target.sealChunk(job)
          }
        }
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    return ingest(
      { ...bench.deps, store: disturbed },
      {
        source: bench.source,
        publicKey: PUBLIC_KEY,
        convergenceSecret: SECRET,
        title: '',
        publishedIngest: null,
      },
    )
  }

  it('is read again, once', async () => {
    bench.put('a', 'first')
    bench.put('b', 'stays')
    const record = await ingestWith((call) => {
      if (call === 1) bench.put('a', 'later')
    })
    const manifest = await bench.manifest(record)
    expect((await readFileOf(bench, manifest, 'a')).toString()).toBe('later')
    expect((await readFileOf(bench, manifest, 'b')).toString()).toBe('stays')
  })

  it('and again is an error that names it', async () => {
    bench.put('folder/restless', 'first')
    await expect(ingestWith((call) => bench.put('folder/restless', `version ${call}`))).rejects.toMatchObject(
      { code: 'ERR_SOURCE_CHANGED', message: expect.stringContaining('folder/restless') },
    )
  })

  it('between two chunks too, though its size is the same', async () => {
    const content = random.bytes(3 * CHUNK_BYTES)
    bench.put('large', content)
    const record = await ingestWith((call) => {
      if (call !== 2) return
      content.fill(1)
      bench.put('large', content)
    })
    const manifest = await bench.manifest(record)
    expect((await readFileOf(bench, manifest, 'large')).equals(Buffer.from(content))).toBe(true)
  })

  it('shrunk or gone is no crash: what is there at the second look is published', async () => {
    bench.put('shrinks', random.bytes(2 * CHUNK_BYTES))
    bench.put('vanishes', random.bytes(CHUNK_BYTES + 1))
    const record = await ingestWith((call) => {
      if (call !== 1) return
      truncateSync(join(bench.source, 'shrinks'), 10)
      unlinkSync(join(bench.source, 'vanishes'))
    })
    const manifest = await bench.manifest(record)
    expect([...manifest.entries()].map((entry) => [entry.path, entry.size])).toEqual([['shrinks', 10]])
  })
})
