/** A channel that a node takes part in: heads from every carrier, what is told, and who shares it. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { isMegatorrentError } from '../../../src/base/errors.ts'
import { SLOT_SET_DAYS_PER_TASK, VERIFY_UNOFFERED_MS } from '../../../src/base/limits.ts'
import { type Log, silentLog } from '../../../src/base/log.ts'
import { loadManifest } from '../../../src/channels/manifest-loader.ts'
import type { ChannelSession } from '../../../src/channels/session.ts'
import { dayOf, type PublisherKeys } from '../../../src/crypto/key-schedule.ts'
import { type Head, headHash, signHead, slotVersion } from '../../../src/wire/head.ts'
import type { Manifest } from '../../../src/wire/manifest.ts'
import { encodeSlotSet, type SlotSet, signSlotSet } from '../../../src/wire/slot-set.ts'
import { SIM_PORT, SimChannel } from '../swarm/sim-node.ts'
import { SimPeer } from '../swarm/sim-peer.ts'
import { ChannelNet, type ChannelNode, keysOf, SET_DAYS } from './channel-node.ts'

const KEYS = keysOf(1)
const OTHER = keysOf(2)

function head(
  releaseNumber: number,
  change: { revision?: number; root?: Uint8Array; keys?: PublisherKeys; at?: string } = {},
): Head {
  return signHead(
    {
      releaseNumber,
      revision: change.revision ?? 0,
      signedAt: 1_000,
      root: change.root ?? new Uint8Array(64).fill(releaseNumber),
      previousHash: null,
      successorKey: null,
      addresses: [{ kind: 'ipv4', host: change.at ?? '10.9.9.9', port: SIM_PORT }],
    },
    (change.keys ?? KEYS).signingKey,
  )
}

describe('a session', () => {
  let net: ChannelNet
  let node: ChannelNode
  const warnings: string[] = []
  const noting: Log = { ...silentLog, warn: (message) => void warnings.push(message) }

  beforeEach(async () => {
    warnings.length = 0
    net = new ChannelNet()
    node = await net.node(noting)
  })

  afterEach(() => net.close())

  it('acts on a head once it is durable, whatever brought it, and tells who listens', () => {
    const session = node.sessions.acquire(KEYS)
    const news: number[] = []
    const stop = session.onNews(({ releaseNumber, revision }) => {
      // What listeners act on is in the database before they hear of it.
      expect(node.heads.newest(KEYS.publicKey)).toMatchObject({ releaseNumber, revision })
      news.push(releaseNumber)
    })
    expect(session.accept(head(2).bytes, 'peer')).toBe('newer')
    node.discovery.last.hooks.onHead(head(3).bytes)
    expect(session.accept(head(3, { revision: 1 }).bytes, 'peer')).toBe('refreshed')
    expect(session.accept(head(1).bytes, 'peer')).toBe('older')
    expect(session.accept(head(3, { root: new Uint8Array(64).fill(9) }).bytes, 'peer')).toBe('conflict')
    expect(session.newest).toMatchObject({ releaseNumber: 3, revision: 1 })
    expect(news).toEqual([2, 3, 3])
    stop()
    session.accept(head(4).bytes, 'peer')
    expect(news).toEqual([2, 3, 3])
    // What is put back is what is acted on.
    expect(node.discovery.last.hooks.newest()?.releaseNumber).toBe(4)
  })

  it('does not go back to an older release that was signed again without its knowing', () => {
    const session = node.sessions.acquire(KEYS)
    for (const number of [1, 2]) session.accept(head(number).bytes, 'slot')
    const news: Head[] = []
    session.onNews((each) => void news.push(each))
    expect(session.accept(head(1, { revision: 1 }).bytes, 'peer')).toBe('older')
    expect([session.newest?.releaseNumber, news]).toEqual([2, []])
    expect(node.heads.newest(KEYS.publicKey)?.releaseNumber).toBe(2)
  })

  it('refuses a false head: to the peer that sent it as an error, from a slot with a warning', () => {
    const session = node.sessions.acquire(KEYS)
    const forged = head(5, { keys: OTHER }).bytes
    expect(() => session.accept(forged, 'peer')).toThrow(expect.objectContaining({ kind: 'peer' }))
    expect(() => node.discovery.last.hooks.onHead(forged)).not.toThrow()
    expect(warnings).toEqual(['head of a slot refused'])
    expect(session.newest).toBe(null)
  })

  it('knows the newest head after a restart, and answers peers with it', async () => {
    node.sessions.acquire(KEYS).accept(head(2).bytes, 'slot')
    node.sessions.closeAll()
    const session = node.newSessions().acquire(KEYS)
    expect(session.newest?.releaseNumber).toBe(2)
    const channel = new SimChannel(1)
    expect(channel.keys.publicKey).toEqual(KEYS.publicKey)
    const peer = await SimPeer.dial(node.sim, channel)
    peer.hello([[channel, 0]])
    await net.until(() => peer.shown([channel]).get(channel) === slotVersion(head(2)))
    expect(session.peers).toBe(1)
    expect(node.discovery.last.hooks.holders()).toBe(1)
    session.close()
  })

  it('dials what a link, the topic and a head name', async () => {
    const publisher = await net.node()
    publisher.sessions.acquire(KEYS).accept(head(1).bytes, 'slot')
    const session = node.sessions.acquire(KEYS)
    session.addPeers([{ ...publisher.sim.address, nodeKey: null }], 'link')
    await net.until(() => session.newest !== null)
    const third = await net.node()
    const other = third.sessions.acquire(KEYS)
    third.discovery.last.hooks.onPeers([publisher.sim.address])
    await net.until(() => other.newest !== null)
    expect(publisher.sessions.acquire(KEYS).peers).toBe(2)
    const fourth = await net.node()
    const last = fourth.sessions.acquire(KEYS)
    last.accept(head(2, { at: publisher.sim.host }).bytes, 'slot')
    await net.until(() => last.peers > 0)
  })

  describe('and slots signed ahead', () => {
    const newest = head(2)
    const hash = headHash(newest.bytes)
    const signed = (): SlotSet =>
      [...signSlotSet(KEYS, newest.bytes, dayOf(net.clock.now()), SET_DAYS)].at(-1) as SlotSet

    /** A node that follows the channel and knows the head. */
    function follow(of: ChannelNode): ChannelSession {
      of.state.subscriptions.add({
        ...{ publicKey: KEYS.publicKey, uri: 'a link', readKey: KEYS.readKey, directory: '/', onlyGlobs: [] },
        ...{ kind: 'follow', state: 'complete', paused: false, addedAt: 0, completeSequence: 0 },
        ...{ errorCode: null, errorMessage: null, title: null },
      })
      const session = of.sessions.acquire(KEYS)
      session.accept(newest.bytes, 'slot')
      return session
    }

    it('go from who has them to who follows, who hands them to whoever looks after slots', async () => {
      const other = await net.node()
      follow(other)
      other.state.slotSets.replace(KEYS.publicKey, hash, encodeSlotSet(signed()))
      const session = follow(node)
      const { slotSet } = node.discovery.last.hooks
      expect(slotSet()).toBeNull()
      session.addPeers([{ ...other.sim.address, nodeKey: null }], 'link')
      await net.until(() => slotSet() !== null)
      expect(slotSet()).toEqual(signed())
      // A newer head has none yet, and the peer that has the old ones does not pass for one that has its own.
      session.accept(head(3).bytes, 'slot')
      expect(slotSet()).toBeNull()
      await net.clock.advance(60_000)
      expect([slotSet(), node.sim.bans.size]).toEqual([null, 0])
    })

    it('that are false are kept by nobody, and who gave them is banned', async () => {
      const other = await net.node()
      follow(other)
      const content = encodeSlotSet(signed())
      content[content.length - 1] = (content[content.length - 1] as number) ^ 1
      other.state.slotSets.replace(KEYS.publicKey, hash, content)
      follow(node).addPeers([{ ...other.sim.address, nodeKey: null }], 'link')
      await net.until(() => node.sim.bans.size > 0)
      expect(node.slotSets.get(KEYS.publicKey, newest)).toBeNull()
    })

    it('are asked for once somebody follows a channel that was only looked at', async () => {
      const other = await net.node()
      follow(other)
      other.state.slotSets.replace(KEYS.publicKey, hash, encodeSlotSet(signed()))
      const look = node.sessions.acquire(KEYS)
      look.accept(newest.bytes, 'slot')
      look.addPeers([{ ...other.sim.address, nodeKey: null }], 'link')
      await net.until(() => look.peers > 0)
      await net.clock.advance(30_000)
      expect(node.slotSets.get(KEYS.publicKey, newest)).toBeNull()
      follow(node)
      await net.until(() => node.slotSets.get(KEYS.publicKey, newest) !== null)
    })

    it('are made for a channel of ours with every head, and not anew for one that has them', async () => {
      node.signer = KEYS
      node.addChannel(KEYS)
      const { runner } = node
      const sign = runner.run.bind(runner)
      // As a worker does it: others go on between two tasks.
      const run = vi.spyOn(runner, 'run').mockImplementation(async (kind, input) => {
        await new Promise((resolve) => setImmediate(resolve))
        return sign(kind, input)
      })
      const session = node.sessions.acquire(KEYS, false)
      session.accept(newest.bytes, 'peer')
      await net.until(() => run.mock.calls.length > 3)
      session.seekSlotSet() // of somebody else who needs the channel: what has begun goes on
      await net.until(() => node.slotSets.get(KEYS.publicKey, newest) !== null)
      expect(node.slotSets.sourceOf(KEYS.publicKey, newest)).toBe('held')
      expect(run).toHaveBeenCalledTimes(SET_DAYS / SLOT_SET_DAYS_PER_TASK)
      const next = head(3)
      session.accept(next.bytes, 'peer')
      expect(node.slotSets.sourceOf(KEYS.publicKey, next)).toBe('sign')
      session.close()
    })
  })

  it('is one for all who need the channel, and ends with the last of them', () => {
    const reader = node.sessions.acquire(KEYS)
    expect(node.sessions.acquire(KEYS)).toBe(reader)
    expect(node.sessions.acquire(OTHER)).not.toBe(reader)
    const follow = node.discovery.follows[0]
    node.sessions.release(reader)
    expect(follow?.isStopped).toBe(false)
    node.sessions.release(reader)
    expect(follow?.isStopped).toBe(true)
    expect(
      [...node.sim.keyring.candidates(net.clock.now())].filter(({ purpose }) => purpose.kind === 'channel'),
    ).toHaveLength(3)
    // Releasing what is not there is nothing.
    node.sessions.release(reader)
    expect(node.sessions.acquire(KEYS)).not.toBe(reader)
  })

  it('of a public channel is not that of a private one of the same key', () => {
    const secret = keysOf(1, new Uint8Array(32).fill(5))
    expect(node.sessions.acquire(secret)).not.toBe(node.sessions.acquire(KEYS))
  })

  it('is followed anew when our key of the channel comes, and when it goes', () => {
    const session = node.sessions.acquire(KEYS)
    expect(node.sessions.acquire(KEYS)).toBe(session)
    expect(node.discovery.follows).toHaveLength(1)
    expect(node.sessions.acquire(KEYS, true)).toBe(session)
    expect(node.discovery.follows.map(({ open, isStopped }) => [open, isStopped])).toEqual([
      [false, true],
      [true, false],
    ])
    session.followAgain(false)
    expect(node.discovery.follows.map(({ isStopped }) => isStopped)).toEqual([true, true, false])
    node.sessions.closeAll()
    session.followAgain(true)
    expect(node.discovery.follows).toHaveLength(3)
  })

  it('passes on the gateways of its link, also when it is followed anew', () => {
    const session = node.sessions.acquire(KEYS)
    session.takeLink({ peers: [], gateways: [node.sim.address] })
    session.takeLink({ peers: [], gateways: [] })
    session.followAgain(true)
    expect(node.discovery.follows.map(({ gateways }) => gateways)).toEqual([
      [node.sim.address],
      [node.sim.address],
    ])
  })

  it('takes in nothing that comes after its end', () => {
    const session = node.sessions.acquire(KEYS)
    const { hooks } = node.discovery.last
    node.sessions.closeAll()
    node.sessions.closeAll()
    hooks.onHead(head(2).bytes)
    hooks.onPeers([node.sim.address])
    expect(session.newest).toBe(null)
    expect(node.heads.newest(KEYS.publicKey)).toBe(null)
    expect(warnings).toEqual([])
  })
})

describe('blobs of a session', () => {
  let net: ChannelNet
  let publisher: ChannelNode
  let reader: ChannelNode
  let newest: Head
  let manifest: Manifest

  beforeEach(async () => {
    net = new ChannelNet()
    publisher = await net.node()
    reader = await net.node()
    publisher.addChannel(KEYS)
    const source = join(publisher.folder, 'source')
    mkdirSync(source)
    writeFileSync(join(source, 'big'), Buffer.alloc(3_500_000, 'some content '))
    const session = publisher.sessions.acquire(KEYS)
    const record = await publisher.ingest(KEYS, source)
    newest = (await publisher.publisher.release({ keys: KEYS, open: false, session, record, title: null }))
      .head
    manifest = await loadManifest({ root: newest.root, store: publisher.store, fetch: async () => {} })
  })

  afterEach(() => net.close())

  const idOf = (index: number): Uint8Array => manifest.blobId(index)
  const all = (): number[] => Array.from({ length: manifest.blobCount }, (_, index) => index)

  async function readAll(): Promise<ReturnType<ChannelNode['sessions']['acquire']>> {
    const session = reader.sessions.acquire(KEYS)
    session.addPeers([publisher.sim.address], 'link')
    await net.until(() => session.newest !== null)
    session.begin(newest)
    let isDone = false
    const { signal } = new AbortController()
    void session.fetch(newest, { indexes: all(), idOf }, { signal, onStored: () => {} }).then(() => {
      isDone = true
    })
    await net.until(() => isDone)
    return session
  }

  it('are fetched, and told of to others as they come', async () => {
    const session = await readAll()
    expect(await session.heldOf(manifest)).toEqual(all())
    publisher.sim.kill()
    const third = await net.node()
    const late = third.sessions.acquire(KEYS)
    late.addPeers([reader.sim.address], 'link')
    await net.until(() => late.newest !== null)
    let isDone = false
    const { signal } = new AbortController()
    void late.fetch(newest, { indexes: all(), idOf }, { signal, onStored: () => {} }).then(() => {
      isDone = true
    })
    await net.until(() => isDone)
  })

  it('that were lost are fetched again, and the fetch of a newer release goes on beside', async () => {
    const session = await readAll()
    session.serve(newest, manifest, await session.heldOf(manifest))
    const lost = [idOf(0), idOf(2)].map((id) => id.slice())
    await reader.store.delete(lost)
    // A release of which nobody has anything yet is being fetched meanwhile.
    const next = head(2, { root: new Uint8Array(64).fill(3) })
    session.accept(next.bytes, 'slot')
    session.begin(next)
    const stop = new AbortController()
    const waiting = session
      .fetch(
        next,
        { indexes: [0], idOf: () => new Uint8Array(32).fill(3) },
        { signal: stop.signal, onStored: () => {} },
      )
      .catch((error: unknown) => error)
    let isBack = false
    void reader.sessions
      .refetch(new Map(lost.map((id) => [toHex(id), id])), net.clock, stop.signal)
      .then(() => {
        isBack = true
      })
    await net.until(() => isBack)
    for (const id of lost) expect(reader.store.has(id)).toBe(true)
    stop.abort()
    const error = await waiting
    expect(isMegatorrentError(error, 'ERR_ABORTED')).toBe(true)
  })

  /** `refetch` for some blobs; `isOver` when it has resolved, which it always does. */
  function refetch(ids: readonly Uint8Array[], signal: AbortSignal): { isOver: boolean } {
    const ending = { isOver: false }
    const wanted = new Map(ids.map((id) => [toHex(id), id.slice()]))
    void reader.sessions.refetch(wanted, net.clock, signal).then(() => {
      ending.isOver = true
    })
    return ending
  }

  it('that a peer says it has and does not give are waited for until the signal fires', async () => {
    await readAll()
    const stop = new AbortController()
    const session = reader.sessions.acquire(KEYS)
    session.serve(newest, manifest, [])
    const { read } = publisher.store
    publisher.store.read = () => new Promise(() => {})
    await reader.store.delete([idOf(1)])
    const waiting = refetch([idOf(1)], stop.signal)
    const startMs = net.clock.monotonicMs()
    await net.until(() => net.clock.monotonicMs() - startMs > 5 * VERIFY_UNOFFERED_MS)
    expect(waiting.isOver).toBe(false)
    stop.abort()
    await net.until(() => waiting.isOver)
    publisher.store.read = read
  })

  it('that nobody has are given up soon', async () => {
    await readAll()
    const { signal } = new AbortController()
    const foreign = refetch([new Uint8Array(32).fill(77)], signal)
    await net.until(() => foreign.isOver, 100) // it is of no release that is served
    const session = reader.sessions.acquire(KEYS)
    session.serve(newest, manifest, [])
    await reader.store.delete([idOf(1), idOf(2)])
    // The peer has told of both, and finds out only when it is asked that it has lost one.
    await publisher.store.delete([idOf(1)])
    const startMs = net.clock.monotonicMs()
    const waiting = refetch([idOf(1), idOf(2)], signal)
    await net.until(() => waiting.isOver)
    expect(net.clock.monotonicMs() - startMs).toBeLessThan(2 * VERIFY_UNOFFERED_MS)
    expect([reader.store.has(idOf(1)), reader.store.has(idOf(2))]).toEqual([false, true])
  })
})
