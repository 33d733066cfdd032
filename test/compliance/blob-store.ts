/** What every blob store promises. Run by the unit tests of each implementation. */

import { existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { compareBytes, equalBytes, toHex } from '../../src/base/bytes.ts'
import { seededRandom } from '../../src/base/random.ts'
import { seal } from '../../src/crypto/aead.ts'
import { sha256 } from '../../src/crypto/hash.ts'
import { blobKey } from '../../src/crypto/key-schedule.ts'
import type { SealedFrame } from '../../src/crypto/sealed-frame.ts'
import type { BlobStore, StoreLimits } from '../../src/storage/blob-store.ts'
import { sealChunk } from '../../src/wire/blob.ts'
import { BLOB_BYTES, BLOB_FRAME_BYTES, CHUNK_BYTES } from '../../src/wire/constants.ts'

export interface ComplianceSetup {
  readonly store: BlobStore
  /** A folder for files of the test, emptied by the setup's owner. */
  readonly folder: string
}

const SECRET = new Uint8Array(32).fill(3)
const NO_LIMITS: StoreLimits = { maxBytes: Number.MAX_SAFE_INTEGER, minFreeBytes: 0 }

interface TestBlob {
  readonly chunk: Uint8Array
  readonly id: Uint8Array
  readonly key: Uint8Array
  readonly sealed: Uint8Array
}

function makeBlob(seed: number): TestBlob {
  const chunk = new Uint8Array(CHUNK_BYTES)
  chunk.set(seededRandom(seed).bytes(500))
  const { reference, sealed } = sealChunk(chunk, SECRET)
  return { chunk, id: reference.slice(0, 32), key: reference.slice(32), sealed }
}

/** @param make - a fresh, empty store; whoever makes it also closes it. */
export function blobStoreCompliance(
  name: string,
  make: (limits: StoreLimits) => Promise<ComplianceSetup>,
): void {
  describe(`${name} as a blob store`, () => {
    it('gives back what was put, and nothing that was not', async () => {
      const { store } = await make(NO_LIMITS)
      const blob = makeBlob(1)
      const other = makeBlob(2)
      expect(store.has(blob.id)).toBe(false)
      expect(await store.read(blob.id)).toBeNull()
      await store.put(blob.id, blob.sealed.slice())
      expect(store.has(blob.id)).toBe(true)
      expect(toHex(sha256((await store.read(blob.id)) ?? new Uint8Array(0)))).toBe(toHex(blob.id))
      expect(await store.verify(blob.id)).toBe('ok')
      expect(store.has(other.id)).toBe(false)
      expect(await store.open(other.id, other.key)).toBeNull()
      expect(await store.openTo(other.id, other.key, [])).toBe(false)
      expect(await store.verify(other.id)).toBe('missing')
      expect([store.count, store.bytes]).toEqual([1, BLOB_BYTES])
    })

    it('counts a blob once, however often and in parallel it is put', async () => {
      const { store } = await make(NO_LIMITS)
      const blob = makeBlob(3)
      await Promise.all(Array.from({ length: 5 }, () => store.put(blob.id, blob.sealed.slice())))
      await store.put(blob.id, blob.sealed.slice())
      expect([store.count, store.bytes]).toEqual([1, BLOB_BYTES])
    })

    it('refuses bytes that are not the blob, as the fault of the peer', async () => {
      const { store } = await make(NO_LIMITS)
      const blob = makeBlob(4)
      const wrong = blob.sealed.slice()
      wrong[99_999] = (wrong[99_999] ?? 0) ^ 1
      await expect(store.put(blob.id, wrong)).rejects.toMatchObject({ code: 'ERR_BLOB_ID', kind: 'peer' })
      await expect(store.put(blob.id, blob.sealed.slice(1))).rejects.toMatchObject({
        code: 'ERR_BLOB_SIZE',
        kind: 'peer',
      })
      expect(store.has(blob.id)).toBe(false)
      expect(store.count).toBe(0)
      await store.put(blob.id, blob.sealed.slice())
      expect(store.has(blob.id)).toBe(true)
    })

    it('leaves the memory around a put slice to its owner', async () => {
      const { store } = await make(NO_LIMITS)
      const blob = makeBlob(5)
      const slab = new Uint8Array(BLOB_BYTES + 200).fill(5)
      slab.set(blob.sealed, 100)
      await store.put(blob.id, slab.subarray(100, 100 + BLOB_BYTES))
      expect(slab.length).toBe(BLOB_BYTES + 200)
      expect(slab[0]).toBe(5)
    })

    it('seals a chunk as the protocol says, and says whether it is new', async () => {
      const { store, folder } = await make(NO_LIMITS)
      const first = join(folder, 'first')
      const second = join(folder, 'second')
      writeFileSync(first, new Uint8Array(3_000).fill(1))
      writeFileSync(second, new Uint8Array(5_000).fill(2))
      const sources = [
        { path: first, fileOffset: 1_000, chunkOffset: 0, length: 2_000 },
        { path: second, fileOffset: 0, chunkOffset: 2_000, length: 5_000 },
        { path: first, fileOffset: 0, chunkOffset: CHUNK_BYTES - 10, length: 10 },
      ]
      const chunk = new Uint8Array(CHUNK_BYTES)
        .fill(1, 0, 2_000)
        .fill(2, 2_000, 7_000)
        .fill(1, CHUNK_BYTES - 10)
      const sealed = await store.sealChunk({ sources, convergenceSecret: SECRET })
      const { reference } = sealChunk(chunk, SECRET)
      expect(toHex(sealed.id) + toHex(sealed.key)).toBe(toHex(reference))
      expect(toHex(sealed.chunkHash)).toBe(toHex(sha256(chunk)))
      expect(toHex(sealed.key)).toBe(toHex(blobKey(SECRET, sealed.chunkHash)))
      expect(sealed.isNew).toBe(true)
      expect(store.has(sealed.id)).toBe(true)
      expect((await store.sealChunk({ sources, convergenceSecret: SECRET })).isNew).toBe(false)
      expect((await store.sealBytes(chunk, SECRET)).isNew).toBe(false)
      expect(equalBytes((await store.open(sealed.id, sealed.key)) ?? new Uint8Array(0), chunk)).toBe(true)
    })

    it('leaves nothing of one chunk in the next, shorter one', async () => {
      const { store } = await make(NO_LIMITS)
      await store.sealBytes(new Uint8Array(CHUNK_BYTES).fill(9), SECRET)
      const short = await store.sealBytes(Uint8Array.of(1, 2, 3), SECRET)
      const chunk = new Uint8Array(CHUNK_BYTES)
      chunk.set([1, 2, 3])
      expect(equalBytes((await store.open(short.id, short.key)) ?? new Uint8Array(0), chunk)).toBe(true)
    })

    it('leaves nothing of one chunk in the next that is read from shorter files', async () => {
      const { store, folder } = await make(NO_LIMITS)
      const path = join(folder, 'x')
      writeFileSync(path, new Uint8Array(CHUNK_BYTES).fill(9))
      const seal = (length: number) =>
        store.sealChunk({
          sources: [{ path, fileOffset: 0, chunkOffset: 0, length }],
          convergenceSecret: SECRET,
        })
      await seal(CHUNK_BYTES)
      const short = await seal(4)
      const chunk = new Uint8Array(CHUNK_BYTES).fill(9, 0, 4)
      expect(toHex(short.chunkHash)).toBe(toHex(sha256(chunk)))
      expect(equalBytes((await store.open(short.id, short.key)) ?? new Uint8Array(0), chunk)).toBe(true)
    })

    it('says of equal chunks sealed at a time that one is new', async () => {
      const { store } = await make(NO_LIMITS)
      const results = await Promise.all(
        Array.from({ length: 6 }, () => store.sealBytes(Uint8Array.of(6), SECRET)),
      )
      expect(results.filter(({ isNew }) => isNew)).toHaveLength(1)
      expect(store.count).toBe(1)
    })

    it('reports a source that is shorter than told, gone, or no plain file', async () => {
      const { store, folder } = await make(NO_LIMITS)
      const path = join(folder, 'short')
      writeFileSync(path, new Uint8Array(100))
      const link = join(folder, 'link')
      symlinkSync(path, link)
      const seal = (source: string, length: number) =>
        store.sealChunk({
          sources: [{ path: source, fileOffset: 0, chunkOffset: 0, length }],
          convergenceSecret: SECRET,
        })
      await expect(seal(path, 101)).rejects.toMatchObject({ code: 'ERR_SOURCE_CHANGED' })
      await expect(seal(join(folder, 'none'), 1)).rejects.toMatchObject({ code: 'ERR_SOURCE_CHANGED' })
      await expect(seal(link, 1)).rejects.toMatchObject({ code: 'ERR_SOURCE_CHANGED' })
      await expect(seal(folder, 1)).rejects.toMatchObject({ kind: 'storage' })
      expect(store.count).toBe(0)
    })

    it('writes slices of an opened blob into existing files and nowhere else', async () => {
      const { store, folder } = await make(NO_LIMITS)
      const blob = makeBlob(7)
      await store.put(blob.id, blob.sealed.slice())
      const target = join(folder, 'target')
      writeFileSync(target, new Uint8Array(50).fill(0xee), { mode: 0o600 })
      const pieces = [
        { path: target, fileOffset: 10, chunkOffset: 0, length: 5 },
        { path: target, fileOffset: 40, chunkOffset: 490, length: 10 },
      ]
      expect(await store.openTo(blob.id, blob.key, pieces)).toBe(true)
      const expected = new Uint8Array(50).fill(0xee)
      expected.set(blob.chunk.subarray(0, 5), 10)
      expected.set(blob.chunk.subarray(490, 500), 40)
      expect(toHex(readFileSync(target))).toBe(toHex(expected))
      expect(statSync(target).mode & 0o111).toBe(0)

      const missing = join(folder, 'missing')
      const link = join(folder, 'link')
      symlinkSync(target, link)
      for (const path of [missing, link, folder]) {
        const place = [{ path, fileOffset: 0, chunkOffset: 0, length: 5 }]
        await expect(store.openTo(blob.id, blob.key, place)).rejects.toMatchObject({ kind: 'storage' })
      }
      expect(existsSync(missing)).toBe(false)
      expect(toHex(readFileSync(target))).toBe(toHex(expected))
    })

    it('makes the file where a slice says so, plain, not executable, and never through a symlink', async () => {
      const { store, folder } = await make(NO_LIMITS)
      const blob = makeBlob(7)
      await store.put(blob.id, blob.sealed.slice())
      const fresh = join(folder, 'fresh')
      const piece = { path: fresh, fileOffset: 0, chunkOffset: 100, length: 5, create: true }
      // Twice: the same blob may come from two peers.
      for (let n = 0; n < 2; n++) expect(await store.openTo(blob.id, blob.key, [piece])).toBe(true)
      expect(toHex(readFileSync(fresh))).toBe(toHex(blob.chunk.subarray(100, 105)))
      expect(statSync(fresh).mode & 0o133).toBe(0)
      const elsewhere = join(folder, 'elsewhere')
      const link = join(folder, 'dangling')
      symlinkSync(elsewhere, link)
      const place = [{ ...piece, path: link }]
      await expect(store.openTo(blob.id, blob.key, place)).rejects.toMatchObject({ kind: 'storage' })
      expect(existsSync(elsewhere)).toBe(false)
    })

    it('puts and places in one go, and keeps the blob when the place fails', async () => {
      const { store, folder } = await make(NO_LIMITS)
      const blob = makeBlob(8)
      const target = join(folder, 'target')
      writeFileSync(target, new Uint8Array(20))
      const pieces = [{ path: target, fileOffset: 3, chunkOffset: 100, length: 10 }]
      const placed = await store.put(blob.id, blob.sealed.slice(), { place: { key: blob.key, pieces } })
      expect(placed.placeError).toBe(null)
      expect(toHex(readFileSync(target).subarray(3, 13))).toBe(toHex(blob.chunk.subarray(100, 110)))

      const other = makeBlob(9)
      const nowhere = [{ path: join(folder, 'none'), fileOffset: 0, chunkOffset: 0, length: 1 }]
      const place = { key: other.key, pieces: nowhere }
      const { placeError } = await store.put(other.id, other.sealed.slice(), { place })
      expect(placeError).toMatchObject({ kind: 'storage' })
      expect(store.has(other.id)).toBe(true)
    })

    it('opens the frame that a blob came in, and keeps nothing of one that does not open', async () => {
      const { store } = await make(NO_LIMITS)
      const blob = makeBlob(12)
      const frameOf = (damagedAt: number | null): SealedFrame => {
        const key = new Uint8Array(32).fill(3)
        const nonce = new Uint8Array(12).fill(4)
        const bytes = seal(key, nonce, blob.sealed)
        if (damagedAt !== null) bytes[damagedAt] = (bytes[damagedAt] ?? 0) ^ 1
        return { bytes, key, nonce }
      }
      for (const at of [0, BLOB_BYTES - 1, BLOB_FRAME_BYTES - 1]) {
        await expect(store.put(blob.id, frameOf(at))).rejects.toMatchObject({
          code: 'ERR_FRAME_OPEN',
          kind: 'peer',
        })
      }
      expect(store.has(blob.id)).toBe(false)
      const frame = frameOf(null)
      let isWritten = false
      const put = store.put(blob.id, frame, {
        onWritten: () => {
          isWritten = true
        },
      })
      await put
      expect([isWritten, store.has(blob.id)]).toEqual([true, true])
      // The key opens the rest of the stream as well, so it does not lie about.
      expect([...frame.key]).toEqual(new Array(32).fill(0))
      expect(toHex((await store.read(blob.id)) ?? new Uint8Array())).toBe(toHex(blob.sealed))
    })

    it('blames the publisher, not the peer, for a blob that does not open', async () => {
      const { store } = await make(NO_LIMITS)
      const blob = makeBlob(10)
      const key = new Uint8Array(32)
      await expect(
        store.put(blob.id, blob.sealed.slice(), { place: { key, pieces: [] } }),
      ).rejects.toMatchObject({
        code: 'ERR_BLOB_OPEN',
        kind: 'integrity',
      })
      expect(store.has(blob.id)).toBe(false)
      await store.put(blob.id, blob.sealed.slice())
      await expect(store.open(blob.id, key)).rejects.toMatchObject({ code: 'ERR_BLOB_OPEN' })
      await expect(store.openTo(blob.id, key, [])).rejects.toMatchObject({ code: 'ERR_BLOB_OPEN' })
      expect(store.has(blob.id)).toBe(true)
    })

    it('refuses pieces that do not lie within a chunk as an error of ours', async () => {
      const { store, folder } = await make(NO_LIMITS)
      const blob = makeBlob(11)
      const path = join(folder, 'x')
      const bad = [
        { path, fileOffset: 0, chunkOffset: CHUNK_BYTES, length: 1 },
        { path, fileOffset: 0, chunkOffset: 0, length: 0 },
        { path, fileOffset: -1, chunkOffset: 0, length: 1 },
        { path, fileOffset: 0, chunkOffset: 1, length: CHUNK_BYTES },
        { path, fileOffset: Number.MAX_SAFE_INTEGER, chunkOffset: 0, length: 1 },
        { path, fileOffset: 0, chunkOffset: 0.5, length: 1 },
      ]
      for (const piece of bad) {
        await expect(store.openTo(blob.id, blob.key, [piece])).rejects.toThrow(RangeError)
        await expect(store.sealChunk({ sources: [piece], convergenceSecret: SECRET })).rejects.toThrow(
          RangeError,
        )
      }
    })

    it('hashes slices of many files in the order given', async () => {
      const { store, folder } = await make(NO_LIMITS)
      const random = seededRandom(12)
      const pieces = Array.from({ length: 700 }, (_, n) => {
        const path = join(folder, `p${n % 50}`)
        if (n < 50) writeFileSync(path, random.bytes(200))
        return { path, fileOffset: n % 100, length: 1 + (n % 90) }
      })
      const hashes = await store.hashPieces(pieces)
      expect(hashes).toHaveLength(700)
      for (const [n, piece] of pieces.entries()) {
        const bytes = readFileSync(piece.path).subarray(piece.fileOffset, piece.fileOffset + piece.length)
        expect(toHex(hashes[n] as Uint8Array)).toBe(toHex(sha256(bytes)))
      }
      await expect(
        store.hashPieces([{ path: join(folder, 'p0'), fileOffset: 150, length: 51 }]),
      ).rejects.toMatchObject({
        code: 'ERR_SOURCE_CHANGED',
      })
      expect(await store.hashPieces([])).toEqual([])
    })

    it('lists what it holds in ascending order and deletes it', async () => {
      const { store } = await make(NO_LIMITS)
      const blobs = [13, 14, 15, 16].map(makeBlob)
      for (const blob of blobs) await store.put(blob.id, blob.sealed.slice())
      const sorted = blobs.map(({ id }) => id).sort(compareBytes)
      expect([...store.ids()].map(toHex)).toEqual(sorted.map(toHex))
      const [first, second] = blobs as [TestBlob, TestBlob]
      expect(await store.delete([first.id, second.id, makeBlob(99).id])).toBe(2)
      expect([store.has(first.id), store.count, store.bytes]).toEqual([false, 2, 2 * BLOB_BYTES])
      expect(await store.read(first.id)).toBeNull()
      await store.put(first.id, first.sealed.slice())
      expect(await store.verify(first.id)).toBe('ok')
    })

    it('holds no more than its quota, and takes what it holds already', async () => {
      const { store } = await make({ maxBytes: 2 * BLOB_BYTES + 5, minFreeBytes: 0 })
      const blobs = [17, 18, 19, 20].map(makeBlob)
      const results = await Promise.allSettled(blobs.map(({ id, sealed }) => store.put(id, sealed.slice())))
      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(2)
      for (const result of results) {
        if (result.status === 'rejected')
          expect(result.reason).toMatchObject({ code: 'ERR_STORE_FULL', kind: 'storage' })
      }
      expect(store.count).toBe(2)
      const held = blobs.find(({ id }) => store.has(id)) as TestBlob
      await store.put(held.id, held.sealed.slice())
      expect((await store.sealBytes(held.chunk, SECRET)).isNew).toBe(false)
      await expect(store.sealBytes(Uint8Array.of(1), SECRET)).rejects.toMatchObject({
        code: 'ERR_STORE_FULL',
      })
      store.setLimits(NO_LIMITS)
      expect((await store.sealBytes(Uint8Array.of(1), SECRET)).isNew).toBe(true)
    })

    it('refuses work after it was closed', async () => {
      const { store } = await make(NO_LIMITS)
      const blob = makeBlob(21)
      const pending = store.put(blob.id, blob.sealed.slice())
      await pending
      await store.close()
      await store.close()
      await expect(store.put(blob.id, blob.sealed.slice())).rejects.toMatchObject({
        code: 'ERR_STORE_CLOSED',
      })
      await expect(store.read(blob.id)).rejects.toMatchObject({ code: 'ERR_STORE_CLOSED' })
      await expect(store.delete([blob.id])).rejects.toMatchObject({ code: 'ERR_STORE_CLOSED' })
      await expect(store.sealBytes(Uint8Array.of(2), SECRET)).rejects.toMatchObject({
        code: 'ERR_STORE_CLOSED',
      })
    })
  })
}
