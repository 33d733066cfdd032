/** Garbage and what is none, on real manifests; and everything that may happen beside a collection. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import type { Clock } from '../../../src/base/clock.ts'
import { COLLECT_RETRY_MS, INGEST_KEEP_MS, PREVIOUS_RELEASE_KEEP_MS } from '../../../src/base/limits.ts'
import { silentLog } from '../../../src/base/log.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { Collector } from '../../../src/channels/collector.ts'
import type { IngestRecord } from '../../../src/channels/ingest-record.ts'
import { loadManifest } from '../../../src/channels/manifest-loader.ts'
import type { ChannelSession } from '../../../src/channels/session.ts'
import { assertFits } from '../../../src/channels/store-fit.ts'
import { referenceId } from '../../../src/wire/blob.ts'
import { BLOB_BYTES, CHUNK_BYTES } from '../../../src/wire/constants.ts'
import type { Head } from '../../../src/wire/head.ts'
import { ChannelNet, type ChannelNode, keysOf } from './channel-node.ts'

const KEYS = keysOf(1)

/** A week of a whole node would take long: only the collector sees it pass. */
function shifted(clock: Clock, laterMs: () => number): Clock {
  return {
    now: () => clock.now() + laterMs(),
    monotonicMs: () => clock.monotonicMs() + laterMs(),
    setTimer: (callback, delayMs) => clock.setTimer(callback, delayMs),
  }
}

describe('a collection', () => {
  let net: ChannelNet
  let node: ChannelNode
  let session: ChannelSession
  let collector: Collector
  let source: string
  /** How far the collector's clock is ahead of the others. */
  let laterMs: number

  beforeEach(async () => {
    net = new ChannelNet()
    node = await net.node()
    node.addChannel(KEYS)
    session = node.sessions.acquire(KEYS)
    laterMs = 0
    const { state, store, clock } = node
    collector = new Collector({ state, store, clock: shifted(clock, () => laterMs), log: silentLog })
    source = join(node.folder, 'source')
    mkdirSync(source)
    fill('a', 1)
    fill('b', 2)
  })

  afterEach(() => net.close())

  /** A file of one chunk that no other is like. */
  function fill(name: string, seed: number): void {
    writeFileSync(join(source, name), seededRandom(seed).bytes(CHUNK_BYTES))
  }

  const ingest = (): Promise<IngestRecord> => node.ingest(KEYS, source)
  async function publish(): Promise<Head> {
    const record = await ingest()
    const { head } = await node.publisher.release({ keys: KEYS, open: false, session, record, title: null })
    return head
  }
  /** A blob that nobody knows. */
  async function junk(seed: number): Promise<Uint8Array> {
    return (await node.store.sealBytes(seededRandom(seed).bytes(100), new Uint8Array(32))).id
  }
  const isHeld = (id: Uint8Array): boolean => [...node.store.ids()].some((held) => toHex(held) === toHex(id))
  /** Is every blob of the release held? */
  async function isWhole(root: Uint8Array): Promise<boolean> {
    if (!isHeld(referenceId(root))) return false
    const manifest = await loadManifest({ root, store: node.store, fetch: () => Promise.resolve() })
    return Array.from({ length: manifest.blobCount }, (_, n) => manifest.blobId(n)).every(isHeld)
  }

  it('takes what nothing needs and leaves a published release whole', async () => {
    const head = await publish()
    const before = node.store.count
    const ids = [await junk(10), await junk(11)]
    const told: number[] = []
    const result = await collector.collect({ onProgress: (done, total) => told.push(done, total) })
    expect(result).toEqual({ removed: 2, freedBytes: 2 * BLOB_BYTES })
    expect(ids.some(isHeld)).toBe(false)
    expect([node.store.count, await isWhole(head.root)]).toEqual([before, true])
    expect(told.at(-1)).toBe(before + 2)
    expect(await collector.collect()).toEqual({ removed: 0, freedBytes: 0 })
  })

  it('leaves the release before the newest for a day, then only what both share', async () => {
    const first = await publish()
    fill('a', 3)
    const second = await publish()
    await collector.collect()
    expect([await isWhole(first.root), await isWhole(second.root)]).toEqual([true, true])
    laterMs += PREVIOUS_RELEASE_KEEP_MS
    // The file that changed, and the manifest.
    expect((await collector.collect()).removed).toBe(2)
    expect([await isWhole(first.root), await isWhole(second.root)]).toEqual([false, true])
  })

  it('leaves an ingest for a week; what is published of it later is refused with a clear error', async () => {
    const record = await ingest()
    laterMs += INGEST_KEEP_MS - 1
    await collector.collect()
    expect(await isWhole(record.root)).toBe(true)
    laterMs += 1
    await collector.collect()
    expect([node.store.count, node.state.ingests.all().length]).toEqual([0, 0])
    const late = node.publisher.release({ keys: KEYS, open: false, session, record, title: null })
    await expect(late).rejects.toMatchObject({ code: 'ERR_INGEST_GONE', kind: 'not-found' })
    expect(session.newest).toBeNull()
  })

  it('spares what an ingest that runs has written, and what it found held', async () => {
    // Garbage of an ingest that nobody knows any more, which the next one will meet.
    const lost = await ingest()
    node.state.ingests.remove(lost.ingestId)
    const { sealChunk } = node.store
    let collected: Promise<unknown> | null = null
    node.store.sealChunk = async (job) => {
      const sealed = await sealChunk.call(node.store, job)
      // After the first chunk, when nothing of it is in the database.
      collected ??= collector.collect()
      await collected
      return sealed
    }
    const record = await ingest()
    expect(collected).not.toBeNull()
    expect(await isWhole(record.root)).toBe(true)
  })

  it('spares what a publish is about to sign', async () => {
    const record = await ingest()
    const { open } = node.store
    let collections = 0
    node.store.open = async (id, key) => {
      // The row of the ingest goes, as it would when its week is over just now.
      node.state.ingests.remove(record.ingestId)
      const chunk = await open.call(node.store, id, key)
      collections++
      node.store.open = open
      await collector.collect()
      return chunk
    }
    const request = { keys: KEYS, open: false, session, record, title: 'another title' }
    const outcome = await node.publisher.release(request).then(
      ({ head }) => head,
      (error: unknown) => error,
    )
    expect(collections).toBe(1)
    // Whichever of the two was first: never a release that is not whole.
    if (outcome instanceof Error) expect(outcome).toMatchObject({ code: 'ERR_INGEST_GONE' })
    else expect(await isWhole((outcome as Head).root)).toBe(true)
    expect(session.newest === null).toBe(outcome instanceof Error)
  })

  it('removes nothing when a list of files that was whole here has lost a blob', async () => {
    const head = await publish()
    const id = await junk(10)
    await node.store.delete([referenceId(head.root)])
    await expect(collector.collect()).rejects.toMatchObject({ code: 'ERR_COLLECT_UNSURE', kind: 'integrity' })
    expect(isHeld(id)).toBe(true)
    // Publishing the folder again mends it: the content is the same, so the blobs are.
    await publish()
    expect((await collector.collect()).removed).toBeGreaterThan(0)
    expect(isHeld(id)).toBe(false)
  })

  it('ends where it is told to, and what was removed by then stays so', async () => {
    for (let n = 0; n < 3; n++) await junk(n)
    const stop = new AbortController()
    stop.abort(new Error('enough'))
    await expect(collector.collect({ signal: stop.signal })).rejects.toThrow('enough')
    expect(node.store.count).toBe(3)
  })

  it('makes room with what came first, of what nothing needs, and looks in vain only now and then', async () => {
    const head = await publish()
    const ids: Uint8Array[] = []
    for (let n = 0; n < 70; n++) ids.push(await junk(n))
    await collector.makeRoom()
    expect(ids.map(isHeld).indexOf(true)).toBe(64)
    expect(ids.slice(64).every(isHeld)).toBe(true)
    await collector.makeRoom()
    expect([ids.some(isHeld), await isWhole(head.root)]).toEqual([false, true])
    await collector.makeRoom() // finds nothing
    const late = await junk(100)
    await collector.makeRoom()
    expect(isHeld(late)).toBe(true)
    laterMs += COLLECT_RETRY_MS
    await Promise.all([collector.makeRoom(), collector.makeRoom()])
    expect(isHeld(late)).toBe(false)
  })

  it('knows what would stay, and with it whether something fits', async () => {
    await publish()
    const needed = node.store.count
    for (let n = 0; n < 5; n++) await junk(n)
    expect(await collector.countNeeded()).toBe(needed)
    const count = vi.spyOn(collector, 'countNeeded')
    const fits = async (missing: number, places: number): Promise<string> => {
      node.store.setLimits({ maxBytes: places * BLOB_BYTES, minFreeBytes: 0 })
      const outcome = assertFits(missing, node.store, collector)
      return outcome.then(
        () => 'fits',
        (error: { code: string }) => error.code,
      )
    }
    expect(await fits(1, needed + 6)).toBe('fits')
    expect(count).not.toHaveBeenCalled() // where there is place nothing has to go
    expect(await fits(5, needed + 5)).toBe('fits') // when all of the garbage goes
    expect(await fits(6, needed + 5)).toBe('ERR_STORE_FULL')
    expect(await fits(0, 0)).toBe('fits') // whatever there is: nothing is written
    expect(node.store.count).toBe(needed + 5) // and nothing was removed
  })

  it('counts what would stay only now and then, and at once when something is needed no more', async () => {
    const head = await publish()
    const needed = await collector.countNeeded()
    fill('c', 3)
    await ingest()
    expect(await collector.countNeeded()).toBe(needed)
    laterMs += COLLECT_RETRY_MS
    // What was ingested is the second of two lists of files, and one file more.
    expect(await collector.countNeeded()).toBe(needed + 2)
    node.state.ingests.remove(
      node.state.ingests.all().find(({ rootId }) => toHex(rootId) !== toHex(referenceId(head.root)))?.id ??
        '',
    )
    collector.needsChanged()
    expect(await collector.countNeeded()).toBe(needed)
  })

  it('takes all for needed where that cannot be told', async () => {
    const head = await publish()
    await junk(1)
    await node.store.delete([referenceId(head.root)])
    expect(await collector.countNeeded()).toBe(node.store.count)
  })

  it('is one at a time, and none after the end', async () => {
    for (let n = 0; n < 5; n++) await junk(n)
    const results = await Promise.all([collector.collect(), collector.collect()])
    expect(results.map(({ removed }) => removed)).toEqual([5, 0])
    await collector.close()
    await expect(collector.collect()).rejects.toMatchObject({ code: 'ERR_STORE_CLOSED' })
    await collector.makeRoom()
  })

  it('takes the blobs of a channel that was unpublished, at the publisher too', async () => {
    const head = await publish()
    await ingest()
    const other = await junk(10)
    const { head: last } = await node.publisher.unpublish(KEYS, session)
    expect([last.isUnpublished, last.releaseNumber]).toEqual([true, head.releaseNumber + 1])
    await collector.collectChannel(KEYS.publicKey)
    expect(isHeld(other)).toBe(true)
    expect(node.store.count).toBe(1)
    expect((await node.publisher.unpublish(KEYS, session)).unchanged).toBe(true)
    // And back again, under the next number.
    expect((await publish()).releaseNumber).toBe(last.releaseNumber + 1)
    rmSync(source, { recursive: true })
  })
})
