/** A folder that follows a channel, whatever is interrupted. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { sleep } from '../../../src/base/clock.ts'
import { MegatorrentError } from '../../../src/base/errors.ts'
import { FAILED_RETRY_MS, LOOK_GATEWAY_MAX_MS, STALLED_MS } from '../../../src/base/limits.ts'
import { silentLog } from '../../../src/base/log.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { Assembly } from '../../../src/channels/assemble.ts'
import { Collector } from '../../../src/channels/collector.ts'
import { loadManifest } from '../../../src/channels/manifest-loader.ts'
import { Subscription } from '../../../src/channels/subscription.ts'
import { WrittenLedger } from '../../../src/channels/written-ledger.ts'
import { PUBLIC_READ_KEY } from '../../../src/crypto/key-schedule.ts'
import type { SubscriptionRow } from '../../../src/storage/tables/subscriptions-table.ts'
import { BLOB_BYTES } from '../../../src/wire/constants.ts'
import { signHead } from '../../../src/wire/head.ts'
import { ChannelNet, type ChannelNode, keysOf } from './channel-node.ts'
import { readTree } from './harness.ts'
import { unsyncedFs } from './step-fs.ts'

const KEYS = keysOf(1)
const MIB = 1_048_576
/** After 1, 2, 4 ... 256 s, once for the head and once for the blobs, then every 5 minutes. */
const GATEWAY_LOOKS_FIRST_HOUR = 24

describe('a subscription', () => {
  let net: ChannelNet
  let publisher: ChannelNode
  let reader: ChannelNode
  let source: string
  let target: string
  const started: Subscription[] = []
  /** Called when files are in place, before that is written down. */
  let onFinished: () => void

  beforeEach(async () => {
    net = new ChannelNet()
    onFinished = () => {}
    publisher = await net.node()
    reader = await net.node()
    publisher.addChannel(KEYS)
    source = join(publisher.folder, 'source')
    target = join(reader.folder, 'target')
    mkdirSync(source)
    writeFileSync(join(source, 'small.txt'), 'one')
    writeFileSync(join(source, 'big'), Buffer.alloc(3 * MIB + 5, 'some content '))
  })

  afterEach(async () => {
    await Promise.all(started.splice(0).map((subscription) => subscription.stop()))
    net.close()
  })

  async function publish(): Promise<number> {
    const session = publisher.sessions.acquire(KEYS)
    const record = await publisher.ingest(KEYS, source)
    const { head } = await publisher.publisher.release({
      keys: KEYS,
      open: false,
      session,
      record,
      title: null,
    })
    return head.releaseNumber
  }

  /** Follow the channel, knowing where the publisher is unless told otherwise. */
  function follow(knowsPublisher = true, kind: SubscriptionRow['kind'] = 'follow'): Subscription {
    const row: SubscriptionRow = {
      publicKey: KEYS.publicKey,
      uri: 'megatorrent://test',
      readKey: PUBLIC_READ_KEY,
      directory: target,
      onlyGlobs: [],
      kind,
      state: 'resolving',
      paused: false,
      addedAt: 0,
      completeSequence: 0,
      errorCode: null,
      errorMessage: null,
      title: null,
    }
    if (reader.state.subscriptions.get(KEYS.publicKey) === null) reader.state.subscriptions.add(row)
    const session = reader.sessions.acquire(KEYS)
    if (knowsPublisher) session.addPeers([publisher.sim.address], 'link')
    const { state, store, clock } = reader
    const subscription = new Subscription(reader.state.subscriptions.get(KEYS.publicKey) ?? row, session, {
      state,
      store,
      collector: new Collector({ state, store, clock, log: silentLog }),
      clock,
      log: silentLog,
      assemble: async ({ publicKey, directory, onlyGlobs }, manifest) => {
        const assembly = await Assembly.begin({
          directory,
          manifest,
          onlyGlobs,
          ledger: new WrittenLedger(state, publicKey),
          store,
          minFreeBytes: 0,
          random: systemRandom,
          log: silentLog,
          fs: unsyncedFs,
        })
        const finish = assembly.finish.bind(assembly)
        assembly.finish = async () => {
          const result = await finish()
          onFinished()
          return result
        }
        return assembly
      },
    })
    started.push(subscription)
    subscription.start()
    return subscription
  }

  const isEqual = (): boolean => {
    try {
      return JSON.stringify([...readTree(target)]) === JSON.stringify([...readTree(source)])
    } catch {
      return false // the folder is not there yet
    }
  }

  it('brings the folder to the newest release, and follows', async () => {
    await publish()
    const subscription = follow()
    expect(subscription.status).toMatchObject({ phase: 'resolving', sequence: 0, blobsDone: 0 })
    await net.until(() => subscription.isComplete)
    expect(isEqual()).toBe(true)
    const { status } = subscription
    expect(status).toMatchObject({ phase: 'complete', sequence: 1, files: 2, error: null, title: 'a title' })
    expect(status.blobsDone).toBe(status.blobsTotal)
    expect(reader.state.subscriptions.get(KEYS.publicKey)).toMatchObject({
      completeSequence: 1,
      state: 'complete',
    })
    writeFileSync(join(source, 'small.txt'), 'two')
    rmSync(join(source, 'big'))
    await publish()
    await net.until(() => subscription.isComplete && subscription.status.sequence === 2)
    expect(isEqual()).toBe(true)
  })

  it('fetches of a new release only what is new', async () => {
    await publish()
    const subscription = follow()
    await net.until(() => subscription.isComplete)
    const before = reader.store.count
    writeFileSync(join(source, 'small.txt'), 'two')
    await publish()
    await net.until(() => subscription.isComplete && subscription.status.sequence === 2)
    expect(reader.store.count - before).toBeLessThanOrEqual(2) // the manifest, and the blob of small pieces
    expect(isEqual()).toBe(true)
  })

  it('fetches nothing that a crash left, though that is looked at when it has started', async () => {
    await publish()
    const [missing, ...left] = [...publisher.store.ids()]
    const blobs = await Promise.all(left.map((id) => publisher.store.read(id)))
    let looked = (): void => {}
    reader.store.recovered = new Promise<void>((resolve) => {
      looked = resolve
    })
    const sent = vi.spyOn(publisher.store, 'read')
    const subscription = follow()
    await net.until(() => subscription.status.phase === 'fetching' && subscription.session.peers > 0)
    await net.clock.advance(1_000)
    for (const [at, id] of left.entries()) await reader.store.put(id, blobs[at] as Uint8Array)
    looked()
    await net.until(() => subscription.isComplete)
    expect(sent.mock.calls).toEqual([[missing]])
    expect(isEqual()).toBe(true)
  })

  it('can be stopped while it waits for that', async () => {
    await publish()
    reader.store.recovered = new Promise<void>(() => {})
    const subscription = follow()
    await net.until(() => subscription.status.phase === 'fetching')
    await subscription.stop()
    expect(subscription.isStopped).toBe(true)
  })

  it('never tells of more blobs done than there are, over two releases', async () => {
    await publish()
    const subscription = follow()
    const told: { readonly blobsDone: number; readonly blobsTotal: number }[] = []
    subscription.watch(() => void told.push(subscription.status))
    await net.until(() => subscription.isComplete)
    const first = subscription.status.blobsTotal
    writeFileSync(join(source, 'small.txt'), 'two')
    const second = await publish()
    await net.until(() => subscription.isComplete && subscription.status.sequence === second)
    const { blobsDone, blobsTotal } = subscription.status
    expect(blobsDone).toBe(blobsTotal)
    expect(told.filter((status) => status.blobsDone > status.blobsTotal)).toEqual([])
    expect(Math.max(...told.map((status) => status.blobsTotal))).toBeLessThanOrEqual(
      Math.max(first, blobsTotal),
    )
  })

  it('tells the same numbers of what is complete after a restart', async () => {
    await publish()
    const first = follow()
    await net.until(() => first.isComplete)
    const { blobsDone, blobsTotal } = first.status
    expect(blobsTotal).toBeGreaterThan(2)
    await first.stop()
    reader.sessions.closeAll()
    const again = follow()
    await net.until(() => again.status.phase === 'complete')
    expect(again.status).toMatchObject({ blobsDone, blobsTotal })
  })

  it('waits for a release when there is none, and for peers when there are none', async () => {
    const subscription = follow(false)
    await net.until(() => reader.discovery.last.looks > 2)
    expect(subscription.status.phase).toBe('resolving')
    await publish()
    reader.discovery.onLook = async ({ hooks }) => hooks.onPeers([publisher.sim.address])
    await net.until(() => subscription.isComplete)
    expect(isEqual()).toBe(true)
  })

  it('looks through gateways every few minutes while nobody is there, and no more', async () => {
    reader.discovery.lookMaxMs = LOOK_GATEWAY_MAX_MS
    await publish()
    const slot = publisher.heads.newest(KEYS.publicKey)?.bytes
    if (slot === undefined) throw new Error('no head')
    const looksMs: number[] = []
    let isThere = false
    reader.discovery.onLook = async ({ hooks }) => {
      looksMs.push(reader.clock.monotonicMs())
      // From the second one on the head is known, and nobody who has the blobs.
      if (looksMs.length > 1) hooks.onHead(slot)
      if (isThere) hooks.onPeers([publisher.sim.address])
    }
    const subscription = follow(false)
    await reader.clock.advance(3_600_000)
    expect(subscription.status.sequence).toBe(1)
    expect(looksMs.length).toBeGreaterThanOrEqual(3_600_000 / LOOK_GATEWAY_MAX_MS)
    expect(looksMs.length).toBeLessThanOrEqual(GATEWAY_LOOKS_FIRST_HOUR)
    const beforeMs = looksMs.length
    await reader.clock.advance(3_600_000)
    expect(looksMs.length - beforeMs).toBeLessThanOrEqual(3_600_000 / LOOK_GATEWAY_MAX_MS)
    isThere = true
    await reader.clock.advance(LOOK_GATEWAY_MAX_MS)
    await net.until(() => subscription.isComplete, 30_000)
    expect(isEqual()).toBe(true)
  })

  it('looks at each start, also when all that it knows of is in place', async () => {
    await publish()
    const first = follow()
    await net.until(() => first.isComplete)
    await first.stop()
    reader.sessions.closeAll()
    // While it was away there was a release, and nobody is connected who could tell.
    writeFileSync(join(source, 'small.txt'), 'two')
    await publish()
    const slot = publisher.heads.newest(KEYS.publicKey)?.bytes
    if (slot === undefined) throw new Error('no head')
    reader.discovery.onLook = async ({ hooks }, signal) => {
      await sleep(reader.clock, 3_000, signal).catch(() => {}) // called off
      if (!signal.aborted) hooks.onHead(slot)
      hooks.onPeers([publisher.sim.address])
    }
    const again = follow(false)
    await net.until(() => again.status.sequence === 2 && again.isComplete, 30_000)
    expect(isEqual()).toBe(true)
  })

  it('goes over to a release that comes while the one before is on its way', async () => {
    await publish()
    const { newest } = publisher.sessions.acquire(KEYS)
    if (newest === null) throw new Error('no head')
    // The first release will never be whole.
    const first = await loadManifest({ root: newest.root, store: publisher.store, fetch: async () => {} })
    await publisher.store.delete([first.blobId(2)])
    const subscription = follow()
    await net.until(() => subscription.status.blobsDone >= 2)
    writeFileSync(join(source, 'small.txt'), 'two')
    writeFileSync(join(source, 'big'), Buffer.alloc(2 * MIB, 'other content '))
    await publish()
    await net.until(() => subscription.isComplete && subscription.status.sequence === 2)
    expect(isEqual()).toBe(true)
    expect(subscription.status.error).toBe(null)
  })

  it('sees that a peer holds another release under the same number, and so does that peer', async () => {
    await publish()
    const rival = await net.node()
    rival.addChannel(KEYS)
    const session = rival.sessions.acquire(KEYS)
    writeFileSync(join(rival.folder, 'other.txt'), 'other')
    const record = await rival.ingest(KEYS, join(rival.folder, 'other.txt'))
    await rival.publisher.release({ keys: KEYS, open: false, session, record, title: null })
    const subscription = follow()
    await net.until(() => subscription.isComplete)
    expect(reader.heads.conflicts(KEYS.publicKey)).toEqual([])
    subscription.session.addPeers([rival.sim.address], 'link')
    await net.until(() => [reader, rival].every(({ heads }) => heads.conflicts(KEYS.publicKey)[0] === 1))
    expect([subscription.status.phase, isEqual()]).toEqual(['complete', true])
  })

  it('does not fetch anything again because addresses were refreshed', async () => {
    await publish()
    const subscription = follow()
    await net.until(() => subscription.isComplete)
    const { newest } = subscription.session
    if (newest === null) throw new Error('no head')
    const refreshed = signHead({ ...newest, revision: 1 }, KEYS.signingKey)
    let changes = 0
    subscription.watch(() => {
      changes++
      expect(subscription.status.phase).toBe('complete')
    })
    subscription.session.accept(refreshed.bytes, 'slot')
    await net.until(() => changes > 0)
    await net.until(() => net.clock.monotonicMs() > 5_000)
    expect(subscription.isComplete).toBe(true)
  })

  it('is not complete with what came to be wanted while other files were put in place', async () => {
    await publish()
    const subscription = follow()
    onFinished = () => {
      onFinished = () => {}
      subscription.select(['small.txt'])
      expect(subscription.isComplete).toBe(false)
      rmSync(join(target, 'small.txt'))
    }
    await net.until(() => subscription.isComplete && subscription.status.files === 1)
    expect(readFileSync(join(target, 'small.txt'), 'utf8')).toBe('one')
    expect(reader.state.subscriptions.get(KEYS.publicKey)).toMatchObject({
      onlyGlobs: ['small.txt'],
      completeSequence: 1,
    })
  })

  it('shows what went wrong, and tries again', async () => {
    await publish()
    mkdirSync(target)
    writeFileSync(join(target, 'small.txt'), 'somebody else wrote this')
    const subscription = follow()
    await net.until(() => subscription.status.phase === 'error')
    expect(subscription.status.error?.code).toBe('ERR_FOREIGN_FILE')
    expect(reader.state.subscriptions.get(KEYS.publicKey)).toMatchObject({
      state: 'error',
      errorCode: 'ERR_FOREIGN_FILE',
    })
    expect(readFileSync(join(target, 'small.txt'), 'utf8')).toBe('somebody else wrote this')
    const failedMs = net.clock.monotonicMs()
    rmSync(join(target, 'small.txt'))
    await net.until(() => subscription.isComplete)
    expect(net.clock.monotonicMs() - failedMs).toBeGreaterThan(FAILED_RETRY_MS / 2)
    expect(isEqual()).toBe(true)
  })

  it('that cannot fit says so before any of it is fetched, and goes on by itself when it can', async () => {
    await publish()
    const { limits } = reader.store
    const read = vi.spyOn(publisher.store, 'read')
    reader.store.setLimits({ ...limits, maxBytes: 4 * BLOB_BYTES })
    const subscription = follow()
    await net.until(() => subscription.status.phase === 'error')
    expect(subscription.status.error?.code).toBe('ERR_STORE_FULL')
    // The list of files is held, four more are wanted.
    expect(subscription.status).toMatchObject({ blobsDone: 1, blobsTotal: 5 })
    await net.clock.advance(2 * FAILED_RETRY_MS)
    expect([reader.store.count, read.mock.calls.length]).toEqual([1, 1])
    reader.store.setLimits({ ...limits, maxBytes: 5 * BLOB_BYTES })
    await net.until(() => subscription.isComplete)
    expect(isEqual()).toBe(true)
  })

  it('of a part needs place for that part alone', async () => {
    await publish()
    reader.store.setLimits({ ...reader.store.limits, maxBytes: 2 * BLOB_BYTES })
    const subscription = follow()
    await net.until(() => subscription.status.error?.code === 'ERR_STORE_FULL')
    subscription.select(['small.txt'])
    await net.until(() => subscription.isComplete)
    expect(readFileSync(join(target, 'small.txt'), 'utf8')).toBe('one')
  })

  it('goes on when the database fails, and shows it', async () => {
    await publish()
    const { update } = reader.state.subscriptions
    let failures = 0
    reader.state.subscriptions.update = () => {
      failures++
      throw new MegatorrentError('ERR_DATABASE', 'disk full')
    }
    const subscription = follow()
    await net.until(() => subscription.status.phase === 'error')
    expect(failures).toBe(2) // that it is complete, and that this failed
    expect(subscription.status.error?.code).toBe('ERR_DATABASE')
    reader.state.subscriptions.update = update
    await net.until(() => subscription.isComplete)
  })

  it('that is paused fetches nothing, over a restart too, hears of news, and goes on when it is resumed', async () => {
    await publish()
    const paused = follow()
    await net.until(() => paused.status.phase === 'fetching')
    paused.pause()
    expect(paused.status.phase).toBe('paused')
    await net.clock.advance(5_000) // what was on its way has come
    const count = reader.store.count
    await paused.stop()
    reader.sessions.release(paused.session)
    const subscription = follow()
    writeFileSync(join(source, 'more'), Buffer.alloc(MIB, 'more'))
    await publish()
    await net.until(() => subscription.status.sequence === 2)
    await net.clock.advance(60_000)
    expect([subscription.status.phase, subscription.isComplete, reader.store.count]).toEqual([
      'paused',
      false,
      count,
    ])
    subscription.resume()
    expect(subscription.status.phase).toBe('fetching')
    await net.until(() => subscription.status.phase === 'complete')
    expect(isEqual()).toBe(true)
    subscription.pause()
    expect(subscription.status.phase).toBe('paused')
    subscription.resume()
    expect(subscription.status.phase).toBe('complete')
  })

  it('is stalled while nobody gives anything, and says so', async () => {
    await publish()
    const subscription = follow()
    await net.until(() => subscription.session.newest !== null)
    publisher.sim.kill()
    await net.until(() => subscription.status.phase === 'stalled', STALLED_MS * 3)
    expect(subscription.isComplete).toBe(false)
  })

  it('stops wherever it stands, and goes on there', async () => {
    await publish()
    for (const blobs of [0, 1, 2, 3]) {
      const subscription = follow()
      await net.until(() => subscription.status.blobsDone >= blobs || subscription.isComplete)
      await subscription.stop()
      expect(subscription.isStopped).toBe(true)
      reader.sessions.closeAll()
    }
    const held = reader.store.count
    const last = follow()
    await net.until(() => last.isComplete)
    expect(reader.store.count).toBeGreaterThanOrEqual(held)
    expect(isEqual()).toBe(true)
  })

  it('tells who watches of its end', async () => {
    const subscription = follow(false)
    let seen = false
    subscription.watch(() => {
      seen = subscription.isStopped
    })
    await subscription.stop()
    expect(seen).toBe(true)
    await subscription.stop()
  })
})
