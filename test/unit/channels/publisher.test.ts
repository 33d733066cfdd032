/** From an ingest to a release that is signed, durable, told and put. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hourClock, ManualClock } from '../../../src/base/clock.ts'
import { MegatorrentError } from '../../../src/base/errors.ts'
import {
  HEAD_REFRESH_LOOK_MAX_MS,
  HEAD_REFRESH_LOOK_MIN_MS,
  HEAD_REFRESH_MS,
  PUT_RETRY_MS,
} from '../../../src/base/limits.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { loadIngest } from '../../../src/channels/ingest-record.ts'
import { loadManifest } from '../../../src/channels/manifest-loader.ts'
import { Publisher, type Release } from '../../../src/channels/publisher.ts'
import type { ChannelSession } from '../../../src/channels/session.ts'
import type { Address } from '../../../src/wire/address.ts'
import { referenceId } from '../../../src/wire/blob.ts'
import { DAY_OVERLAP_MS, REVISIONS_PER_RELEASE } from '../../../src/wire/constants.ts'
import { type Head, headHash, signHead, verifyHead } from '../../../src/wire/head.ts'
import { ChannelNet, type ChannelNode, keysOf } from './channel-node.ts'

const KEYS = keysOf(1)

describe('a publisher', () => {
  let net: ChannelNet
  let node: ChannelNode
  let session: ChannelSession
  let source: string

  beforeEach(async () => {
    net = new ChannelNet()
    node = await net.node()
    node.addChannel(KEYS)
    session = node.sessions.acquire(KEYS, false)
    source = join(node.folder, 'source')
    mkdirSync(source)
    writeFileSync(join(source, 'a.txt'), 'first')
  })

  afterEach(() => net.close())

  async function release(title: string | null = null): Promise<Release> {
    const record = await node.ingest(KEYS, source)
    return node.publisher.release({ keys: KEYS, open: false, session, record, title })
  }

  function put(head: Release['head'], signal = new AbortController().signal): Promise<number> {
    return node.publisher.put(KEYS, false, head, signal)
  }

  it('numbers releases from 1 and ties each to the one before', async () => {
    const first = (await release()).head
    expect(first).toMatchObject({ releaseNumber: 1, revision: 0, previousHash: null })
    writeFileSync(join(source, 'a.txt'), 'second')
    const second = (await release()).head
    expect(second.releaseNumber).toBe(2)
    expect(second.previousHash).toEqual(headHash(first.bytes))
    expect(verifyHead(second.bytes, KEYS.publicKey).releaseNumber).toBe(2)
    expect(session.newest).toBe(second)
  })

  it('makes a release durable before anybody hears of it, with the wish to put it', async () => {
    const seen: unknown[] = []
    session.onNews(() => {
      const row = node.state.channels.get(KEYS.publicKey)
      seen.push([
        node.heads.newest(KEYS.publicKey)?.releaseNumber,
        row?.sequence,
        row?.publishedIngest !== null,
        node.state.pendingPuts.list().map(({ sequence }) => sequence),
      ])
    })
    await release()
    expect(seen).toEqual([[1, 1, true, [1]]])
  })

  it('makes nothing of the same content and title', async () => {
    const first = await release()
    const again = await release()
    expect(again).toEqual({ head: first.head, unchanged: true })
    const titled = await release('another title')
    expect(titled).toMatchObject({ unchanged: false, head: { releaseNumber: 2 } })
    expect(await release('another title')).toMatchObject({ unchanged: true, head: { releaseNumber: 2 } })
    expect(await release()).toMatchObject({ unchanged: false, head: { releaseNumber: 3 } })
  })

  it('does not take its own files for those of a release that came from elsewhere', async () => {
    await release()
    writeFileSync(join(source, 'a.txt'), 'from elsewhere')
    const { root } = await node.ingest(KEYS, source)
    writeFileSync(join(source, 'a.txt'), 'first')
    const foreign = signHead(
      {
        releaseNumber: 2,
        revision: 0,
        signedAt: 1,
        root,
        previousHash: null,
        successorKey: null,
        addresses: [],
      },
      KEYS.signingKey,
    )
    session.accept(foreign.bytes, 'slot')
    expect(await release()).toMatchObject({ unchanged: false, head: { releaseNumber: 3 } })
  })

  describe('whose newest head is a month old', () => {
    // Months of a clock of its own: that of the net has a swarm that looks about once a second.
    let clock: ManualClock
    let publisher: Publisher

    beforeEach(() => {
      clock = new ManualClock(net.clock.now())
      const { state, store, discovery, log } = node
      publisher = new Publisher({ state, store, discovery, clock, log, addressesOf: () => [] })
    })

    async function releaseNow(title: string | null = null): Promise<Release> {
      const record = await node.ingest(KEYS, source)
      return publisher.release({ keys: KEYS, open: false, session, record, title })
    }

    it('signs it again as the same release, so that others see it is there, and goes on from that', async () => {
      const first = await releaseNow('a title')
      const over = new AbortController()
      const keeping = publisher.keepFresh(KEYS, session, systemRandom, over.signal)
      await clock.advance(HEAD_REFRESH_MS - 1)
      expect(session.newest).toBe(first.head)
      await clock.advance(HEAD_REFRESH_LOOK_MAX_MS)
      const { newest } = session
      expect(newest).toMatchObject({ releaseNumber: 1, revision: 1, root: first.head.root })
      expect(newest?.signedAt).toBeGreaterThanOrEqual(first.head.signedAt + HEAD_REFRESH_MS)
      expect(verifyHead(newest?.bytes as Uint8Array, KEYS.publicKey)).toEqual(newest)
      expect(node.heads.newest(KEYS.publicKey)?.bytes).toEqual(newest?.bytes)
      await clock.advance(HEAD_REFRESH_MS + HEAD_REFRESH_LOOK_MAX_MS)
      expect(session.newest).toMatchObject({ releaseNumber: 1, revision: 2 })
      over.abort()
      await keeping
      expect(await releaseNow('a title')).toMatchObject({ unchanged: true })
      expect((await releaseNow('another')).head).toMatchObject({ releaseNumber: 2, revision: 0 })
    })

    it('does so for a channel that it unpublished, and keeps what it ingested since', async () => {
      await releaseNow()
      await publisher.unpublish(KEYS, session)
      const { ingestId } = await node.ingest(KEYS, source)
      const over = new AbortController()
      const keeping = publisher.keepFresh(KEYS, session, systemRandom, over.signal)
      await clock.advance(HEAD_REFRESH_MS + HEAD_REFRESH_LOOK_MAX_MS)
      over.abort()
      await keeping
      expect(session.newest).toMatchObject({
        releaseNumber: 2,
        revision: 1,
        isUnpublished: true,
        addresses: [],
      })
      expect(loadIngest(node.state.ingests, ingestId)).not.toBeNull()
    })

    it('signs again what it dated ahead, once its clock is right: no slot of today was signed with that', async () => {
      const yearMs = 365 * 24 * 3_600_000
      clock.jumpWall(yearMs)
      const { head } = await releaseNow()
      const over = new AbortController()
      const keeping = publisher.keepFresh(KEYS, session, systemRandom, over.signal)
      await clock.advance(HEAD_REFRESH_LOOK_MAX_MS)
      expect(session.newest).toBe(head)
      clock.jumpWall(-yearMs)
      await clock.advance(HEAD_REFRESH_LOOK_MAX_MS)
      const { newest } = session
      expect(newest).toMatchObject({ releaseNumber: 1, revision: 1, root: head.root })
      expect(newest?.signedAt).toBeLessThanOrEqual(clock.now())
      await clock.advance(10 * HEAD_REFRESH_LOOK_MAX_MS)
      expect(session.newest).toBe(newest)
      over.abort()
      await keeping
    })

    it('is not troubled by a clock that goes back by as much as clocks may be apart', async () => {
      const { head } = await releaseNow()
      const over = new AbortController()
      const keeping = publisher.keepFresh(KEYS, session, systemRandom, over.signal)
      clock.jumpWall(-DAY_OVERLAP_MS - HEAD_REFRESH_LOOK_MIN_MS + 1)
      await clock.advance(HEAD_REFRESH_LOOK_MAX_MS)
      expect(session.newest).toBe(head)
      over.abort()
      await keeping
    })

    it('gives it the next number when it was signed again as often as one number allows', async () => {
      const { head } = await releaseNow()
      const last = signHead({ ...head, revision: REVISIONS_PER_RELEASE - 1 }, KEYS.signingKey)
      session.accept(last.bytes, 'slot')
      node.state.channels.setPublished(KEYS.publicKey, 1, last.revision, null)
      const over = new AbortController()
      const keeping = publisher.keepFresh(KEYS, session, systemRandom, over.signal)
      await clock.advance(HEAD_REFRESH_MS + HEAD_REFRESH_LOOK_MAX_MS)
      over.abort()
      await keeping
      const next = { releaseNumber: 2, revision: 0, root: head.root, previousHash: headHash(last.bytes) }
      expect(session.newest).toMatchObject(next)
      expect(node.state.channels.get(KEYS.publicKey)).toMatchObject({ sequence: 2, revision: 0 })
    })

    it('hides addresses under the next number, too', async () => {
      const { head } = await releaseNow()
      const clear: Address = { kind: 'ipv4', host: '192.0.2.1', port: 1 }
      const last = { ...head, revision: REVISIONS_PER_RELEASE - 1, addresses: [clear] }
      session.accept(signHead(last, KEYS.signingKey).bytes, 'slot')
      const { state, store, discovery, log } = node
      const deps = { state, store, discovery, clock, log, addressesOf: () => [], hidesAddresses: true }
      const hidden = new Publisher(deps).hideAddresses(KEYS)
      expect(hidden).toMatchObject({ releaseNumber: 2, revision: 0, root: head.root, addresses: [] })
      expect(node.heads.newest(KEYS.publicKey)?.bytes).toEqual(hidden?.bytes)
    })

    it('leaves it alone when another machine with the key has signed since', async () => {
      await releaseNow()
      const foreign = signHead(
        { ...(session.newest as Head), releaseNumber: 2, signedAt: 1 },
        KEYS.signingKey,
      )
      session.accept(foreign.bytes, 'slot')
      const over = new AbortController()
      const keeping = publisher.keepFresh(KEYS, session, systemRandom, over.signal)
      await clock.advance(2 * HEAD_REFRESH_MS)
      over.abort()
      await keeping
      expect(session.newest).toMatchObject({ releaseNumber: 2, revision: 0 })
    })
  })

  it('states no time but that of the clock for what others read, under another title too', async () => {
    const { state, store, discovery, clock, log } = node
    const statedClock = hourClock(clock)
    await clock.advance(1_234_567)
    const publisher = new Publisher({
      state,
      store,
      discovery,
      clock,
      log,
      statedClock,
      addressesOf: () => [],
    })
    const record = await node.ingest(KEYS, source)
    const request = { keys: KEYS, open: false, session, record, title: 'another title' }
    const { head } = await publisher.release(request)
    const fetch = (): Promise<never> => Promise.reject(new Error('all is here'))
    const { time } = await loadManifest({ root: head.root, store, fetch })
    expect([head.signedAt, time]).toEqual([statedClock.now(), statedClock.now()])
    expect(clock.now()).not.toBe(statedClock.now())
  })

  it('signs no number twice, whatever fails on the way', async () => {
    const record = await node.ingest(KEYS, source)
    const id = referenceId(record.root)
    const root = await node.store.read(id)
    await node.store.delete([id])
    const request = { keys: KEYS, open: false, session, record, title: 'a title' }
    await expect(node.publisher.release(request)).rejects.toMatchObject({ code: 'ERR_INGEST_GONE' })
    expect(node.heads.newest(KEYS.publicKey)).toBe(null)
    expect(node.state.pendingPuts.list()).toEqual([])
    if (root === null) throw new Error('no root')
    await node.store.put(id, root)
    expect(await node.publisher.release(request)).toMatchObject({ head: { releaseNumber: 1 } })
    expect(node.state.releases.conflicts(KEYS.publicKey)).toEqual([])
  })

  it('gives two releases at a time two numbers', async () => {
    const one = await node.ingest(KEYS, source)
    writeFileSync(join(source, 'b.txt'), 'more')
    const two = await node.ingest(KEYS, source)
    const made = await Promise.all(
      [one, two].map((record) =>
        node.publisher.release({ keys: KEYS, open: false, session, record, title: null }),
      ),
    )
    expect(made.map(({ head }) => head.releaseNumber)).toEqual([1, 2])
  })

  it('forgets how the files of the release before lay, and keeps those of this one', async () => {
    await release()
    const first = node.state.channels.get(KEYS.publicKey)?.publishedIngest ?? ''
    writeFileSync(join(source, 'a.txt'), 'second')
    await release()
    const second = node.state.channels.get(KEYS.publicKey)?.publishedIngest ?? ''
    expect(second).not.toBe(first)
    expect(loadIngest(node.state.ingests, second)).not.toBe(null)
  })

  describe('putting a head', () => {
    it('goes on until somebody has confirmed', async () => {
      const { head } = await release()
      const answers = [0, new MegatorrentError('ERR_DHT_BUSY', 'busy'), 0, 5]
      node.discovery.onPublish = async () => {
        const answer = answers.shift() ?? 0
        if (answer instanceof Error) throw answer
        return answer
      }
      let storedBy = -1
      void put(head).then((count) => {
        storedBy = count
      })
      await net.until(() => storedBy >= 0)
      expect(storedBy).toBe(5)
      expect(node.discovery.published).toHaveLength(4)
      expect(net.clock.monotonicMs()).toBeGreaterThanOrEqual(3 * PUT_RETRY_MS)
      expect(node.state.pendingPuts.list()).toEqual([])
    })

    it('stops when it is called off, and the wish stays', async () => {
      const { head } = await release()
      node.discovery.onPublish = async () => 0
      const stop = new AbortController()
      let storedBy = -1
      void put(head, stop.signal).then((count) => {
        storedBy = count
      })
      await net.until(() => node.discovery.published.length === 2)
      stop.abort()
      await net.until(() => storedBy === 0, 100)
      expect(node.state.pendingPuts.list()).toHaveLength(1)
      expect(await put(head, stop.signal)).toBe(0)
      expect(node.discovery.published).toHaveLength(2)
    })

    it('ends where a newer one is known, which is told', async () => {
      const { head } = await release()
      node.discovery.onPublish = () => Promise.reject(new MegatorrentError('ERR_SLOT_NEWER_KNOWN', 'newer'))
      await expect(put(head)).rejects.toMatchObject({ code: 'ERR_SLOT_NEWER_KNOWN' })
      expect(node.state.pendingPuts.list()).toEqual([])
    })

    it('of an old release that is confirmed leaves the wish for a newer one', async () => {
      const first = (await release()).head
      writeFileSync(join(source, 'a.txt'), 'second')
      await release()
      await put(first)
      expect(node.state.pendingPuts.list().map(({ sequence }) => sequence)).toEqual([2])
    })
  })
})
