/** What the user follows or gets once, as the API has it. */
import { getEventListeners } from 'node:events'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { isMegatorrentError } from '../../../src/base/errors.ts'
import { VERIFY_REPAIR_MS } from '../../../src/base/limits.ts'
import { silentLog } from '../../../src/base/log.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { Collector } from '../../../src/channels/collector.ts'
import { DiskClaims } from '../../../src/channels/disk-claims.ts'
import type { Config } from '../../../src/config/schema.ts'
import type { AddSubscriptionParams, AddSubscriptionResult, CallOptions } from '../../../src/node/api.ts'
import { SubscriptionsApi } from '../../../src/node/subscriptions-api.ts'
import { verifyStore } from '../../../src/node/verify.ts'
import { signHead } from '../../../src/wire/head.ts'
import { formatLink } from '../../../src/wire/uri.ts'
import { ChannelNet, type ChannelNode, keysOf } from '../channels/channel-node.ts'
import { readTree } from '../channels/harness.ts'

const KEYS = keysOf(1)
const NO_SIGNAL = new AbortController().signal
const PLAIN = { dir: null, only: [], wait: true, once: false, timeoutMs: null }

/** How a call ended. */
interface Ending<T> {
  result: T | null
  code: string | null
}

function watch<T>(call: Promise<T>): Ending<T> {
  const ending: Ending<T> = { result: null, code: null }
  call.then(
    (result) => {
      ending.result = result
    },
    (error: unknown) => {
      ending.code = isMegatorrentError(error) ? error.code : String(error)
    },
  )
  return ending
}

function collectorOf({ state, store, clock }: ChannelNode): Collector {
  return new Collector({ state, store, clock, log: silentLog })
}

describe('subscriptions of a node', () => {
  let net: ChannelNet
  let publisher: ChannelNode
  let reader: ChannelNode
  let api: SubscriptionsApi
  let source: string
  let link: string

  beforeEach(async () => {
    net = new ChannelNet()
    publisher = await net.node()
    reader = await net.node()
    publisher.addChannel(KEYS)
    source = join(publisher.folder, 'source')
    mkdirSync(source)
    writeFileSync(join(source, 'a.txt'), 'one')
    writeFileSync(join(source, 'big'), Buffer.alloc(2_500_000, 'some content '))
    link = formatLink({
      publicKey: KEYS.publicKey,
      readKey: null,
      peers: [publisher.sim.address],
      gateways: [],
    })
    api = newApi()
    api.start()
  })

  afterEach(async () => {
    await api.close()
    net.close()
  })

  function newApi(): SubscriptionsApi {
    const { state, store, sessions, heads, clock } = reader
    reader.onUnpublished = (publicKey) => void collectorOf(reader).collectChannel(publicKey)
    return new SubscriptionsApi({
      config: {
        dataDir: join(reader.folder, 'data'),
        downloadDir: join(reader.folder, 'downloads'),
        minFree: 0,
      } as Config,
      state,
      store,
      sessions,
      heads,
      collector: collectorOf(reader),
      claims: new DiskClaims(),
      clock,
      random: systemRandom,
      log: silentLog,
    })
  }

  async function publish(): Promise<void> {
    const session = publisher.sessions.acquire(KEYS)
    const record = await publisher.ingest(KEYS, source)
    await publisher.publisher.release({ keys: KEYS, open: false, session, record, title: null })
  }

  function add(
    change: Partial<AddSubscriptionParams> = {},
    options: Partial<CallOptions> = {},
  ): Ending<AddSubscriptionResult> {
    const params = { ...PLAIN, uri: link, ...change }
    return watch(api.add(params, { signal: NO_SIGNAL, onProgress: () => {}, ...options }))
  }

  const target = (): string => join(reader.folder, 'downloads', toHex(KEYS.publicKey))

  it('are waited for until the release is complete', async () => {
    await publish()
    const progress: string[] = []
    const waiting = add({}, { onProgress: ({ phase }) => void progress.push(phase) })
    await net.until(() => waiting.result !== null)
    expect(waiting.result).toMatchObject({ state: 'complete', sequence: 1, files: 2, directory: target() })
    expect([...readTree(target()).keys()]).toEqual(['a.txt', 'big'])
    expect(new Set(progress)).toEqual(new Set(['resolving', 'fetching']))
    // Two for a moment, when the other side tries where we said that we listen.
    const peers = expect.toBeOneOf([1, 2])
    expect(api.list()).toMatchObject([{ state: 'complete', sequence: 1, peers, error: null }])
  })

  it('end a wait as their contract says: nothing found, nothing given, or partly there', async () => {
    const uri = formatLink({ ...EMPTY_LINK, publicKey: keysOf(5).publicKey })
    const nothing = add({ timeoutMs: 10_000, uri })
    const list = { uri, after: null, limit: 1, timeoutMs: 10_000 }
    const noList = watch(api.listFiles(list, { signal: NO_SIGNAL, onProgress: () => {} }))
    const startMs = net.clock.monotonicMs()
    await net.until(() => nothing.code !== null && noList.code !== null)
    expect([nothing.code, noList.code]).toEqual(['ERR_RELEASE_NOT_FOUND', 'ERR_RELEASE_NOT_FOUND'])
    expect(net.clock.monotonicMs() - startMs).toBeOneOf([10_000, 10_020]) // by the node's clock
    await publish()
    const slow = add({ wait: false })
    await net.until(() => slow.result !== null)
    const aborted = new AbortController()
    const called = add({}, { signal: aborted.signal })
    aborted.abort()
    await net.until(() => called.code !== null)
    expect(called.code).toBe('ERR_ABORTED')
    expect(api.list()).toHaveLength(2) // the subscriptions stay
  })

  it('with a link again are the same ones, and another folder or read key is a mistake', async () => {
    await publish()
    const first = add()
    await net.until(() => first.result !== null)
    const again = add({ wait: false })
    await net.until(() => again.result !== null)
    expect(api.list()).toHaveLength(1)
    const elsewhere = add({ dir: join(reader.folder, 'other') })
    const secret = add({
      uri: formatLink({ ...EMPTY_LINK, publicKey: KEYS.publicKey, readKey: new Uint8Array(32).fill(3) }),
    })
    await net.until(() => elsewhere.code !== null && secret.code !== null)
    expect([elsewhere.code, secret.code]).toEqual(['ERR_SUBSCRIPTION_DIR', 'ERR_SUBSCRIPTION_KEY'])
  })

  it.each(['data', 'data/keys', 'data/blobs/deep', '.'])(
    'never land among our own files: %s',
    async (name) => {
      const own = add({ dir: join(reader.folder, name), wait: false })
      await net.until(() => own.code !== null)
      expect(own.code).toBe('ERR_SUBSCRIPTION_DIR')
      expect(api.list()).toEqual([])
      const beside = add({ dir: join(reader.folder, 'data/keyring'), wait: false })
      await net.until(() => beside.result !== null)
    },
  )

  it('for once leave files and nothing else', async () => {
    await publish()
    const once = add({ once: true })
    await net.until(() => once.result !== null)
    expect(once.result).toMatchObject({ state: 'complete' })
    expect(readTree(target()).size).toBe(2)
    expect(reader.state.subscriptions.list()).toEqual([])
    expect(reader.discovery.last.isStopped).toBe(true)
    const session = reader.sessions.acquire(KEYS)
    expect(session.peers).toBe(0) // nobody's session was taken away twice
    reader.sessions.release(session)
  })

  it('for once by two callers last until both have theirs', async () => {
    await publish()
    const impatient = add({ once: true, timeoutMs: 1 })
    const patient = add({ once: true })
    await net.until(() => impatient.code !== null || impatient.result !== null)
    await net.until(() => patient.result !== null)
    expect(patient.result).toMatchObject({ state: 'complete' })
    await net.until(() => reader.state.subscriptions.list().length === 0)
    expect(reader.discovery.last.isStopped).toBe(true)
  })

  it('for once that somebody follows meanwhile stay', async () => {
    await publish()
    const once = add({ once: true })
    const follow = add({ wait: false })
    await net.until(() => once.result !== null && follow.result !== null)
    expect(api.list()).toHaveLength(1)
    expect(reader.state.subscriptions.list()).toMatchObject([{ kind: 'follow' }])
  })

  it('that are removed end the waits for them', async () => {
    const waiting = add()
    await net.until(() => reader.discovery.follows.length > 0)
    const removing = watch(api.remove({ subscription: link, deleteFiles: false }))
    await net.until(() => removing.result !== null && waiting.code !== null)
    expect(waiting.code).toBe('ERR_ABORTED')
    expect(api.list()).toEqual([])
    const again = watch(api.remove({ subscription: link, deleteFiles: false }))
    await net.until(() => again.code !== null)
    expect(again.code).toBe('ERR_NOT_FOUND')
  })

  it('that are removed take their files along if that is wanted, and no others', async () => {
    await publish()
    const waiting = add()
    await net.until(() => waiting.result !== null)
    writeFileSync(join(target(), 'mine.txt'), 'not of the release')
    const removing = watch(api.remove({ subscription: toHex(KEYS.publicKey), deleteFiles: true }))
    await net.until(() => removing.result !== null)
    expect(removing.result).toMatchObject({ deletedFiles: 2 })
    expect([...readTree(target()).keys()]).toEqual(['mine.txt'])
    expect(reader.store.count).toBe(0)
  })

  it('that are removed while somebody looks at their files keep no slots signed ahead from then on', async () => {
    await publish()
    const call = add()
    await net.until(() => call.result !== null)
    const look = reader.sessions.acquire(KEYS) // as `files` does, for as long as that takes
    await api.remove({ subscription: link, deleteFiles: false })
    publisher.signer = KEYS
    publisher.sessions.acquire(KEYS).seekSlotSet()
    const { newest } = look
    await net.until(() => newest !== null && publisher.slotSets.get(KEYS.publicKey, newest) !== null)
    await net.clock.advance(120_000)
    expect(look.peers).toBe(1)
    expect(newest === null ? null : reader.slotSets.get(KEYS.publicKey, newest)).toBeNull()
    // Whoever follows it again has them.
    add()
    await net.until(() => newest !== null && reader.slotSets.get(KEYS.publicKey, newest) !== null)
    reader.sessions.release(look)
  })

  it('that are removed leave their blobs, as garbage', async () => {
    await publish()
    const waiting = add()
    await net.until(() => waiting.result !== null)
    const held = reader.store.count
    await api.remove({ subscription: toHex(KEYS.publicKey), deleteFiles: false })
    expect(reader.store.count).toBe(held)
    expect((await collectorOf(reader).collect()).removed).toBe(held)
    expect([...readTree(target()).keys()]).toEqual(['a.txt', 'big'])
  })

  it('stay whole beside a collection, whatever of them has come', async () => {
    await publish()
    const collecting: Promise<unknown>[] = []
    const { put } = reader.store
    reader.store.put = async (...args) => {
      const result = await put.apply(reader.store, args)
      collecting.push(collectorOf(reader).collect())
      return result
    }
    const waiting = add()
    await net.until(() => waiting.result !== null)
    await Promise.all(collecting)
    expect(collecting.length).toBe(publisher.store.count)
    expect(reader.store.count).toBe(publisher.store.count)
    expect(readTree(target())).toEqual(readTree(source))
  })

  it('of a channel that is unpublished say so, keep their files and none of the blobs, and come back', async () => {
    await publish()
    const waiting = add()
    await net.until(() => waiting.result !== null)
    const session = publisher.sessions.acquire(KEYS)
    await publisher.publisher.unpublish(KEYS, session)
    await net.until(() => api.list()[0]?.error?.code === 'ERR_UNPUBLISHED' && reader.store.count === 0)
    expect(api.list()[0]).toMatchObject({ state: 'error', sequence: 2, blobsDone: 0 })
    expect(readTree(target())).toEqual(readTree(source))
    // Who asks now is told at once, and so is who asks the one that only heard of it.
    for (const once of [false, true]) {
      const late = add({ once })
      await net.until(() => late.code !== null)
      expect(late.code).toBe('ERR_UNPUBLISHED')
    }
    const list = { uri: link, after: null, limit: 1, timeoutMs: null }
    await expect(api.listFiles(list, { signal: NO_SIGNAL, onProgress: () => {} })).rejects.toMatchObject({
      code: 'ERR_UNPUBLISHED',
    })
    writeFileSync(join(source, 'a.txt'), 'again')
    await publish()
    await net.until(() => api.list()[0]?.state === 'complete')
    expect(api.list()[0]).toMatchObject({ sequence: 3, error: null })
    expect(readTree(target())).toEqual(readTree(source))
  })

  it('of an unpublished channel hand its head on, with the publisher gone', async () => {
    await publish()
    const waiting = add()
    await net.until(() => waiting.result !== null)
    await publisher.publisher.unpublish(KEYS, publisher.sessions.acquire(KEYS))
    await net.until(() => reader.store.count === 0)
    publisher.sim.kill()
    const late = await net.node()
    const session = late.sessions.acquire(KEYS)
    session.addPeers([reader.sim.address], 'link')
    await net.until(() => session.newest !== null)
    expect(session.newest?.isUnpublished).toBe(true)
  })

  it('that only host hold and serve all of it, and write no file', async () => {
    await publish()
    const options = { signal: NO_SIGNAL, onProgress: () => {} }
    const hosting = watch(api.host({ uri: link, wait: true, timeoutMs: null }, options))
    await net.until(() => hosting.result !== null)
    expect(hosting.result).toMatchObject({ state: 'complete', sequence: 1, files: 2 })
    expect(hosting.result).not.toHaveProperty('directory')
    expect(existsSync(join(reader.folder, 'downloads'))).toBe(false)
    expect(reader.store.count).toBe(publisher.store.count)
    expect((await collectorOf(reader).collect()).removed).toBe(0)
    expect(api.list()[0]).toMatchObject({ hosted: true, directory: null, state: 'complete' })
    // Again is the same; once is refused; to follow it is to read what is here already.
    await api.host({ uri: link, wait: false, timeoutMs: null }, options)
    await expect(api.add({ ...PLAIN, uri: link, once: true }, options)).rejects.toMatchObject({
      code: 'ERR_SUBSCRIPTION_DIR',
    })
    publisher.sim.kill()
    const following = add()
    await net.until(() => following.result !== null)
    expect(readTree(target())).toEqual(readTree(source))
    expect(api.list()).toMatchObject([{ hosted: false, directory: target() }])
    await api.host({ uri: link, wait: false, timeoutMs: null }, options)
    expect(api.list()).toMatchObject([{ hosted: false }])
  })

  it('that host go on after a restart, follow releases, and end as others do', async () => {
    await publish()
    const options = { signal: NO_SIGNAL, onProgress: () => {} }
    await api.host({ uri: link, wait: false, timeoutMs: null }, options)
    await api.close()
    reader.sessions.closeAll()
    api = newApi()
    api.start()
    await net.until(() => api.list()[0]?.state === 'complete')
    writeFileSync(join(source, 'a.txt'), 'two')
    await publish()
    await net.until(() => api.list()[0]?.sequence === 2 && api.list()[0]?.state === 'complete')
    const removed = await api.remove({ subscription: link, deleteFiles: true })
    expect(removed).toMatchObject({ directory: null, deletedFiles: 0 })
    expect([reader.store.count, api.list().length]).toEqual([0, 0])
  })

  it('go on after a restart; what was to be had once does not', async () => {
    await publish()
    const follow = add()
    await net.until(() => follow.result !== null)
    const other = keysOf(9)
    reader.state.subscriptions.add({
      ...(reader.state.subscriptions.list()[0] as ReturnType<typeof reader.state.subscriptions.list>[number]),
      publicKey: other.publicKey,
      kind: 'once',
    })
    await api.close()
    reader.sessions.closeAll()
    api = newApi()
    api.start()
    expect(api.list().map(({ publicKey }) => publicKey)).toEqual([toHex(KEYS.publicKey)])
    expect(reader.state.subscriptions.list()).toHaveLength(1)
  })

  it('need not be there to list the files of a release', async () => {
    await publish()
    const params = { uri: link, after: null, limit: 1, timeoutMs: null }
    const options = { signal: NO_SIGNAL, onProgress: () => {} }
    const first = watch(api.listFiles(params, options))
    await net.until(() => first.result !== null)
    expect(first.result).toMatchObject({
      sequence: 1,
      totalFiles: 2,
      files: [{ path: 'a.txt', size: 3 }],
      next: 'a.txt',
    })
    const rest = watch(api.listFiles({ ...params, after: 'a.txt', limit: 5 }, options))
    await net.until(() => rest.result !== null)
    expect(rest.result).toMatchObject({ files: [{ path: 'big' }], next: null })
    const wrong = watch(api.listFiles({ ...params, after: 'b' }, options))
    await net.until(() => wrong.code !== null)
    expect(wrong.code).toBe('ERR_USAGE')
    expect(reader.discovery.follows.every(({ isStopped }) => isStopped)).toBe(true)
    expect(api.list()).toEqual([])
  })

  it('show under which numbers their publisher has signed two releases', async () => {
    await publish()
    const waiting = add()
    await net.until(() => waiting.result !== null)
    expect(api.list()).toMatchObject([{ sequence: 1, conflicts: [] }])
    const head = reader.heads.newest(KEYS.publicKey)
    if (head === null) throw new Error('no head')
    const other = signHead({ ...head, root: new Uint8Array(64).fill(7) }, KEYS.signingKey)
    const session = reader.sessions.acquire(KEYS)
    expect(session.accept(other.bytes, 'slot')).toBe('conflict')
    reader.sessions.release(session)
    expect(api.list()).toMatchObject([{ sequence: 1, state: 'complete', conflicts: [1] }])
  })

  it('are repaired by `verify`: what the disk has damaged comes again from peers', async () => {
    await publish()
    const waiting = add()
    await net.until(() => waiting.result !== null)
    const { store, sessions, clock } = reader
    const damaged = [...(await store.ids())][1] as Uint8Array
    const { verify } = store
    store.verify = async (id) =>
      Buffer.compare(id, damaged) === 0 && !repaired ? 'bad' : verify.call(store, id)
    let repaired = false
    const checking = watch(
      verifyStore({ store, sessions, clock }, { signal: NO_SIGNAL, onProgress: () => {} }),
    )
    await net.until(() => checking.result !== null)
    repaired = true
    expect(checking.result).toEqual({ checked: store.count, bad: 1, repaired: 1 })
    const again = watch(verifyStore({ store, sessions, clock }, { signal: NO_SIGNAL, onProgress: () => {} }))
    await net.until(() => again.result !== null)
    expect(again.result).toMatchObject({ bad: 0 })
  })

  it('are not repaired for ever: what a peer says it has and does not give stays missing', async () => {
    await publish()
    const waiting = add()
    await net.until(() => waiting.result !== null)
    const { store, sessions, clock } = reader
    const damaged = [...(await store.ids())][1] as Uint8Array
    store.verify = async (id) => (Buffer.compare(id, damaged) === 0 ? 'bad' : 'ok')
    publisher.store.read = () => new Promise(() => {})
    const startMs = clock.monotonicMs()
    const call = new AbortController()
    const checking = watch(
      verifyStore({ store, sessions, clock }, { signal: call.signal, onProgress: () => {} }),
    )
    await net.until(() => checking.result !== null)
    expect(checking.result).toMatchObject({ bad: 1, repaired: 0 })
    expect(clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(VERIFY_REPAIR_MS)
    expect(getEventListeners(call.signal, 'abort')).toEqual([])
  })
})

const EMPTY_LINK = { readKey: null, peers: [], gateways: [] }
