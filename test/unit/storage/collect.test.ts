/** What is collected, what a lease spares, and what happens when a limit is reached. */
import { describe, expect, it } from 'vitest'
import type { BlobStore } from '../../../src/storage/blob-store.ts'
import { MemoryBlobStore } from '../../../src/storage/memory-blob-store.ts'
import { BLOB_BYTES } from '../../../src/wire/constants.ts'
import { InlineRunner, makeBlob, openStore, SECRET, tempFolder, UNLIMITED } from './harness.ts'

const BLOBS = [1, 2, 3, 4].map(makeBlob)
const IDS = BLOBS.map(({ id }) => id)

async function filled(store: BlobStore): Promise<BlobStore> {
  for (const { id, sealed } of BLOBS) await store.put(id, sealed.slice())
  return store
}

const MAKERS: [string, () => Promise<BlobStore>][] = [
  ['on disk', async () => (await openStore(tempFolder(), { runner: new InlineRunner() })).store],
  ['in memory', async () => new MemoryBlobStore()],
]

describe.each(MAKERS)('collecting from a store %s', (_name, make) => {
  const heldOf = (store: BlobStore): boolean[] => {
    const held = new Set([...store.ids()].map(String))
    return IDS.map((id) => held.has(String(id)))
  }

  it('takes what it is told, and nothing twice', async () => {
    const store = await filled(await make())
    expect(await store.collect(IDS.slice(0, 2))).toBe(2)
    expect(heldOf(store)).toEqual([false, false, true, true])
    expect(await store.collect(IDS)).toBe(2)
    expect([store.count, await store.collect(IDS)]).toEqual([0, 0])
  })

  it.each([
    [
      'was written again',
      (store: BlobStore) => store.put(IDS[0] as Uint8Array, (BLOBS[0] as (typeof BLOBS)[0]).sealed.slice()),
    ],
    [
      'was sealed again',
      (store: BlobStore) => store.sealBytes((BLOBS[0] as (typeof BLOBS)[0]).chunk, SECRET),
    ],
    ['was found held', async (store: BlobStore) => store.has(IDS[0] as Uint8Array)],
    ['was read', (store: BlobStore) => store.read(IDS[0] as Uint8Array)],
    [
      'was opened',
      (store: BlobStore) => store.open(IDS[0] as Uint8Array, (BLOBS[0] as (typeof BLOBS)[0]).key),
    ],
  ])('spares what %s while a lease is open, and not after', async (_what, use) => {
    const store = await filled(await make())
    const lease = store.openLease()
    await use(store)
    expect(await store.collect(IDS)).toBe(3)
    expect(heldOf(store)).toEqual([true, false, false, false])
    lease.release()
    lease.release()
    expect(await store.collect(IDS)).toBe(1)
  })

  it('spares nothing for who only verified it, or used it before', async () => {
    const store = await filled(await make())
    store.has(IDS[0] as Uint8Array)
    const lease = store.openLease()
    for (const id of IDS) await store.verify(id)
    expect(await store.collect(IDS)).toBe(4)
    lease.release()
  })

  it('has every lease for itself', async () => {
    const store = await filled(await make())
    const first = store.openLease()
    store.has(IDS[0] as Uint8Array)
    const second = store.openLease()
    store.has(IDS[1] as Uint8Array)
    first.release()
    expect(await store.collect(IDS)).toBe(3)
    expect(heldOf(store)).toEqual([false, true, false, false])
    second.release()
  })

  it('lists what is held with the time since when', async () => {
    const store = await filled(await make())
    const held = [...store.held()]
    expect(held.map(({ id }) => String(id)).sort()).toEqual(IDS.map(String).sort())
    expect(held.every(({ storedAt }) => Number.isSafeInteger(storedAt))).toBe(true)
  })
})

describe('a store whose quota is reached', () => {
  const quota = { ...UNLIMITED, maxBytes: 4 * BLOB_BYTES }
  const NEXT = [5, 6, 7].map(makeBlob)

  it('asks for room before it refuses, outside of what deletion waits for', async () => {
    let asked = 0
    const { store } = await openStore(tempFolder(), {
      runner: new InlineRunner(),
      limits: quota,
      makeRoom: async () => {
        asked++
        return (await store.collect([IDS[asked - 1] as Uint8Array])) > 0
      },
    })
    await filled(store)
    expect(asked).toBe(0)
    for (const { id, sealed } of NEXT) await store.put(id, sealed.slice())
    expect([asked, store.count]).toEqual([3, 4])
    expect(NEXT.every(({ id }) => store.has(id))).toBe(true)
  })

  it('refuses what finds no room, keeps what it has, and says how much may come', async () => {
    const { store } = await openStore(tempFolder(), { runner: new InlineRunner(), limits: quota })
    expect((await store.room()).quotaBytes).toBe(4 * BLOB_BYTES)
    await filled(store)
    const puts = await Promise.allSettled(NEXT.map(({ id, sealed }) => store.put(id, sealed.slice())))
    expect(puts.map((put) => (put.status === 'rejected' ? put.reason.code : 'kept'))).toEqual(
      NEXT.map(() => 'ERR_STORE_FULL'),
    )
    expect([store.count, (await store.room()).quotaBytes]).toEqual([4, 0])
    // What is held already takes no place.
    await store.put(IDS[0] as Uint8Array, (BLOBS[0] as (typeof BLOBS)[0]).sealed.slice())
    store.setLimits(UNLIMITED)
    await store.put((NEXT[0] as (typeof NEXT)[0]).id, (NEXT[0] as (typeof NEXT)[0]).sealed.slice())
    expect(store.count).toBe(5)
  })

  it('never holds more, however many are written at a time', async () => {
    const { store } = await openStore(tempFolder(), { runner: new InlineRunner(), limits: quota })
    let most = 0
    const puts = Array.from({ length: 40 }, (_, n) => makeBlob(100 + n)).map(async ({ id, sealed }) => {
      await store.put(id, sealed).catch(() => {})
      most = Math.max(most, store.count)
    })
    await Promise.all(puts)
    expect([most, store.count]).toEqual([4, 4])
  })
})

describe('a store that reaches the floor of free space', () => {
  it('refuses, and goes on when space returns', async () => {
    let free = 10 * BLOB_BYTES
    const { store } = await openStore(tempFolder(), {
      runner: new InlineRunner(),
      limits: { ...UNLIMITED, minFreeBytes: 8 * BLOB_BYTES },
      freeBytes: async () => free,
    })
    expect((await store.room()).diskBytes).toBe(2 * BLOB_BYTES)
    await store.put(IDS[0] as Uint8Array, (BLOBS[0] as (typeof BLOBS)[0]).sealed.slice())
    free = 8 * BLOB_BYTES
    await store.put(IDS[1] as Uint8Array, (BLOBS[1] as (typeof BLOBS)[0]).sealed.slice())
    const third = (): Promise<unknown> =>
      store.put(IDS[2] as Uint8Array, (BLOBS[2] as (typeof BLOBS)[0]).sealed.slice())
    await expect(third()).rejects.toMatchObject({ code: 'ERR_DISK_FULL' })
    await expect(third()).rejects.toMatchObject({ code: 'ERR_DISK_FULL' })
    free = 20 * BLOB_BYTES
    await third()
    expect(store.count).toBe(3)
  })
})
