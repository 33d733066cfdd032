/** What peers tell each other of channels and heads (STATE.md C1 to C7, I11, I12; PROTOCOL_FINAL.md §7.2, §7.3, §7.5). */
import { describe, expect, it } from 'vitest'
import {
  HEAD_PATIENCE_MS,
  HELLO_BURST,
  HELLO_DEADLINE_MS,
  HELLO_TOLERANCE,
  HELLOS_PER_SECOND,
  MAX_HEADS_ASKED,
} from '../../../src/base/limits.ts'
import { HELLO_PLACES } from '../../../src/wire/constants.ts'
import { type Head, slotVersion } from '../../../src/wire/head.ts'
import { type Rig, useRigs } from './rig.ts'
import { type Following, SimChannel, type SimNode, SimRelease } from './sim-node.ts'
import { listenBare, SimPeer } from './sim-peer.ts'

const CHANNEL = new SimChannel(1)
const OTHER = new SimChannel(2)
const RELEASE = new SimRelease(1, 1)
const SECOND = new SimRelease(2, 1)
const FIRST_HEAD = CHANNEL.head(RELEASE, 1)
const SECOND_HEAD = CHANNEL.head(SECOND, 2, FIRST_HEAD)

/** Of the same number as the first. */
const RIVAL_HEAD = CHANNEL.head(SECOND, 1)
const THIRD = new SimRelease(3, 1)

const newRig = useRigs()

async function member(rig: Rig, channel = CHANNEL): Promise<{ node: SimNode; following: Following }> {
  const node = await rig.node()
  return { node, following: node.follow(channel) }
}

describe('news of a release', () => {
  it('reach connected peers within 100 ms and the way of a message and its answer', async () => {
    const rig = newRig({ latencyMs: 30 })
    const publisher = await member(rig)
    const subscriber = await member(rig)
    publisher.node.publish(publisher.following, RELEASE, FIRST_HEAD)
    subscriber.node.swarm.addAddresses(subscriber.following.channel, [publisher.node.address], 'topic')
    await rig.until(() => subscriber.following.newest !== null)
    await rig.clock.advance(7) // any moment after the greetings
    const startMs = rig.clock.monotonicMs()
    publisher.node.publish(publisher.following, SECOND, SECOND_HEAD)
    await rig.until(() => subscriber.following.newest?.releaseNumber === 2, 1_000)
    expect(rig.clock.monotonicMs() - startMs).toBeLessThanOrEqual(100 + 3 * 30)
  })

  it('once a second are all that fast, and faster ones wait for each other, a second at most', async () => {
    const rig = newRig({ latencyMs: 30 })
    const publisher = await member(rig)
    const subscriber = await member(rig)
    publisher.node.publish(publisher.following, RELEASE, FIRST_HEAD)
    subscriber.node.swarm.addAddresses(subscriber.following.channel, [publisher.node.address], 'topic')
    await rig.until(() => subscriber.following.newest !== null)
    let head = FIRST_HEAD
    const seenMs = async (): Promise<number> => {
      const number = head.releaseNumber + 1
      head = CHANNEL.head(SECOND, number, head)
      const startMs = rig.clock.monotonicMs()
      publisher.node.publish(publisher.following, SECOND, head)
      await rig.until(() => subscriber.following.newest?.releaseNumber === number, 2_000)
      return rig.clock.monotonicMs() - startMs
    }
    // More than there are HELLOs at once.
    for (let round = 0; round < 3 * HELLO_BURST; round++) {
      expect(await seenMs()).toBeLessThanOrEqual(100 + 3 * 30)
      await rig.clock.advance(1000 / HELLOS_PER_SECOND - 2 * 30)
    }
    const fast: number[] = []
    for (let round = 0; round < 2 * HELLO_BURST; round++) fast.push(await seenMs())
    expect(Math.max(...fast)).toBeGreaterThan(500)
    expect(Math.max(...fast)).toBeLessThanOrEqual(1000 / HELLOS_PER_SECOND + 3 * 30)
  })

  it('travel along a line of five peers in a second, in either direction', async () => {
    const rig = newRig({ latencyMs: 20 })
    const line: { node: SimNode; following: Following }[] = []
    for (let number = 0; number < 5; number++) line.push(await member(rig))
    for (const [number, { node, following }] of line.entries()) {
      const next = line[number + 1]
      // Some dial up the line and some down.
      if (next === undefined) continue
      if (number % 2 === 0) node.swarm.addAddresses(following.channel, [next.node.address], 'topic')
      else next.node.swarm.addAddresses(next.following.channel, [node.address], 'topic')
    }
    const isLinked = (): boolean =>
      line.every(({ node, following }, number) => {
        return node.swarm.peersOf(following.channel) === (number === 0 || number === 4 ? 1 : 2)
      })
    await rig.until(isLinked)
    await rig.clock.advance(2_000)
    const [first, , , , last] = line
    if (first === undefined || last === undefined) throw new Error('no line')
    first.node.publish(first.following, RELEASE, FIRST_HEAD)
    await rig.until(() => line.every(({ following }) => following.newest?.releaseNumber === 1), 1_000)
    await rig.clock.advance(2_000)
    last.node.publish(last.following, SECOND, SECOND_HEAD)
    await rig.until(() => line.every(({ following }) => following.newest?.releaseNumber === 2), 1_000)
  })

  it('reach a peer that the user pinned before either side had the channel (C4)', async () => {
    for (const pinnedBy of ['publisher', 'subscriber']) {
      const rig = newRig()
      const publisher = await rig.node()
      const subscriber = await rig.node()
      const [from, to] = pinnedBy === 'publisher' ? [publisher, subscriber] : [subscriber, publisher]
      from.swarm.addUserAddress(to.pinned)
      await rig.until(() => from.swarm.peers.size === 1 && to.swarm.peers.size === 1)
      await rig.clock.advance(60_000)
      const publishing = publisher.follow(CHANNEL)
      publisher.publish(publishing, RELEASE, FIRST_HEAD)
      await rig.clock.advance(60_000)
      const following = subscriber.follow(CHANNEL)
      await rig.until(() => following.newest !== null, 2_000)
      expect(subscriber.swarm.peersOf(following.channel)).toBe(1)
      expect(publisher.swarm.peersOf(publishing.channel)).toBe(1)
    }
  })

  it('are told of more channels than a HELLO has places for', async () => {
    const rig = newRig()
    const channels = Array.from({ length: 2 * HELLO_PLACES + 9 }, (_, number) => new SimChannel(100 + number))
    const a = await rig.node()
    const b = await rig.node()
    for (const channel of channels) a.publish(a.follow(channel), RELEASE, channel.head(RELEASE, 1))
    const followings = channels.map((channel) => b.follow(channel))
    a.swarm.addUserAddress(b.pinned)
    await rig.until(() => followings.every(({ newest }) => newest !== null), 10_000)
  })
})

describe('a channel', () => {
  it('is shown by the one that is dialled only to those who have shown it (I11)', async () => {
    const rig = newRig()
    const { node, following } = await member(rig)
    node.follow(OTHER)
    node.publish(following, RELEASE, FIRST_HEAD)
    const stranger = await SimPeer.dial(node, CHANNEL)
    stranger.hello([])
    await rig.until(() => stranger.hellos.length === 1)
    await rig.clock.advance(5_000)
    expect(stranger.shown([CHANNEL, OTHER]).size).toBe(0)
    expect(stranger.haves).toEqual([])
    const friend = await SimPeer.dial(node, CHANNEL)
    friend.hello([[CHANNEL, 0]])
    await rig.until(() => friend.haves.length === 1)
    expect([...friend.shown([CHANNEL, OTHER])]).toEqual([[CHANNEL, slotVersion(FIRST_HEAD)]])
  })

  it('is shown by the one that dials only where it is expected (I11)', async () => {
    const rig = newRig()
    const { node, following } = await member(rig)
    node.follow(OTHER)
    const peers: SimPeer[] = []
    const address = await listenBare(rig.network, rig.clock, '10.9.0.1', [CHANNEL, OTHER], (peer) =>
      peers.push(peer),
    )
    node.swarm.addAddresses(following.channel, [address], 'topic')
    await rig.until(() => peers[0] !== undefined && peers[0].hellos.length > 0)
    expect([...(peers[0]?.shown([CHANNEL, OTHER]).keys() ?? [])]).toEqual([CHANNEL])
    // A peer that answers with a tag of a channel that it was not dialled for gets nothing of it.
    peers[0]?.hello([
      [CHANNEL, 0],
      [OTHER, 0],
    ])
    await rig.clock.advance(2_000)
    expect([...node.swarm.peers].map((peer) => [...peer.shared.keys()])).toEqual([[following.channel]])
  })

  it('is talked of only when both have shown it: HELLO comes first (C3)', async () => {
    const rig = newRig()
    const { node, following } = await member(rig)
    node.publish(following, RELEASE, FIRST_HEAD)
    const peer = await SimPeer.dial(node, CHANNEL)
    peer.hello([[CHANNEL, slotVersion(SECOND_HEAD)]])
    await rig.until(() => peer.haves.length === 1 && peer.headsAsked === 1)
    expect(peer.notices.map(({ type }) => type)).toEqual(['hello', 'have'])
  })

  it('is not talked of before our HELLO, also when others have news of it (C3)', async () => {
    const rig = newRig()
    const { node } = await member(rig)
    const early = await SimPeer.dial(node, CHANNEL, { readHead: () => FIRST_HEAD.bytes })
    const other = await SimPeer.dial(node, CHANNEL)
    for (const peer of [early, other]) peer.hello([])
    await rig.until(() => early.hellos.length === 1 && other.hellos.length === 1)
    // The answer to this one waits a moment, since one has just gone out.
    early.hello([[CHANNEL, slotVersion(FIRST_HEAD)]])
    await rig.clock.advance(15)
    const late = await SimPeer.dial(node, CHANNEL)
    late.hello([[CHANNEL, slotVersion(FIRST_HEAD)]])
    await rig.until(() => early.headsAsked === 1 || late.headsAsked === 1)
    expect([early.headsAsked, late.headsAsked]).toEqual([0, 1])
    await rig.until(() => early.headsAsked === 1, 1_000)
    expect(early.shown([CHANNEL]).size).toBe(1)
  })

  it('of many is told of in turns to a peer that says nothing', async () => {
    const rig = newRig()
    const node = await rig.node()
    const channels = Array.from({ length: 2 * HELLO_PLACES + 9 }, (_, number) => new SimChannel(100 + number))
    for (const channel of channels) node.follow(channel)
    const peers: SimPeer[] = []
    const address = await listenBare(rig.network, rig.clock, '10.9.0.3', [], (peer) => peers.push(peer))
    node.swarm.addUserAddress(address)
    await rig.until(() => peers.length === 1)
    await rig.clock.advance(5_000)
    expect(peers[0]?.hellos).toHaveLength(3)
    expect(peers[0]?.shown(channels).size).toBe(channels.length)
  })

  it('that is left is not told or answered any more (C5)', async () => {
    const rig = newRig()
    const { node, following } = await member(rig)
    const other = node.follow(OTHER)
    node.publish(following, RELEASE, FIRST_HEAD)
    node.publish(other, RELEASE, OTHER.head(RELEASE, 1))
    const peer = await SimPeer.dial(node, CHANNEL)
    peer.hello([
      [CHANNEL, 0],
      [OTHER, 0],
    ])
    await rig.until(() => peer.haves.length === 2)
    node.leave(CHANNEL, following)
    await expect(ask(rig, peer.connection.requestHead(peer.handle(CHANNEL)))).resolves.toBe(
      'ERR_REMOTE_NOT_FOUND',
    )
    await expect(ask(rig, peer.connection.requestHead(peer.handle(OTHER)))).resolves.toBe(null)
    node.leave(OTHER, other)
    await rig.until(() => peer.isClosed, 6_000)
  })
})

/** The code of the error that a request ends with, or null. */
async function ask(rig: Rig, request: Promise<unknown>): Promise<string | null> {
  let code: string | null | undefined
  request.then(
    () => {
      code = null
    },
    (error: { code: string }) => {
      code = error.code
    },
  )
  await rig.until(() => code !== undefined)
  return code ?? null
}

describe('heads', () => {
  it('that the channel did not sign ban the peer (B1)', async () => {
    const rig = newRig()
    const { node, following } = await member(rig)
    const forged = SECOND_HEAD.bytes.slice()
    forged[20] = (forged[20] ?? 0) ^ 1
    const liar = await SimPeer.dial(node, CHANNEL, { readHead: () => forged })
    liar.hello([[CHANNEL, slotVersion(SECOND_HEAD)]])
    await rig.until(() => liar.isClosed)
    expect(node.bans.size).toBe(1)
    expect(following.newest).toBe(null)
  })

  it.each([
    ['of another version', 0, 2],
    ['with flags that we do not know', 115, 1],
  ])('that the channel signed %s ban nobody (B2)', async (_, offset, value) => {
    const rig = newRig()
    const { node, following } = await member(rig)
    const strange = CHANNEL.resigned(SECOND_HEAD, offset, value)
    const peer = await SimPeer.dial(node, CHANNEL, { readHead: () => strange })
    peer.hello([[CHANNEL, slotVersion(SECOND_HEAD)]])
    await rig.until(() => peer.headsAsked === 1)
    await rig.clock.advance(2_000)
    expect([peer.isClosed, node.bans.size, following.newest]).toEqual([false, 0, null])
  })

  it('that are older than they were said to be are not acted on, and asked for once', async () => {
    const rig = newRig()
    const { node, following } = await member(rig)
    node.publish(following, SECOND, SECOND_HEAD)
    const peer = await SimPeer.dial(node, CHANNEL, { readHead: () => FIRST_HEAD.bytes })
    for (let hello = 0; hello < 5; hello++) peer.hello([[CHANNEL, slotVersion(SECOND_HEAD) + 9]])
    await rig.clock.advance(10_000)
    expect(peer.headsAsked).toBe(1)
    expect(following.newest).toBe(SECOND_HEAD)
    expect(node.bans.size).toBe(0)
    peer.hello([[CHANNEL, slotVersion(SECOND_HEAD) + 10]])
    await rig.until(() => peer.headsAsked === 2)
  })

  it('are asked of a few peers only, and of others when those do not answer (I12)', async () => {
    const rig = newRig()
    const { node, following } = await member(rig)
    const peers: SimPeer[] = []
    for (let number = 0; number < 3 * MAX_HEADS_ASKED; number++) {
      peers.push(await SimPeer.dial(node, CHANNEL, { readHead: () => null }))
    }
    const asked = (): number => peers.reduce((sum, peer) => sum + peer.headsAsked, 0)
    // Their heads are on the way for ever, as far as the node can tell.
    for (const peer of peers) peer.secured.channel.pauseReading()
    for (const peer of peers) peer.hello([[CHANNEL, slotVersion(FIRST_HEAD)]])
    await rig.clock.advance(HEAD_PATIENCE_MS - 500)
    expect(following.channel.headAsked.size).toBe(MAX_HEADS_ASKED)
    await rig.clock.advance(HEAD_PATIENCE_MS)
    expect(following.channel.headAsked.size).toBe(2 * MAX_HEADS_ASKED)
    for (const peer of peers) peer.secured.channel.resumeReading()
    await rig.until(() => following.channel.headAsked.size === 0)
    expect(asked()).toBe(peers.length)
  })

  it('of another release under our number are asked for when HAVE tells of it (C3a)', async () => {
    const rig = newRig()
    const { node, following } = await member(rig)
    node.publish(following, RELEASE, FIRST_HEAD)
    const peer = await SimPeer.dial(node, CHANNEL, { readHead: () => RIVAL_HEAD.bytes })
    peer.hello([[CHANNEL, slotVersion(FIRST_HEAD)]])
    await rig.until(() => peer.haves.length === 1)
    peer.have(CHANNEL, SECOND, [{ start: 0, length: 1 }], 1)
    await rig.until(() => following.heads.length === 1)
    expect(following.heads[0]?.bytes).toEqual(RIVAL_HEAD.bytes)
    expect(following.newest).toBe(FIRST_HEAD)
  })

  it('of another release under our number are asked for also when that number is ours only later', async () => {
    const rig = newRig()
    const { node, following } = await member(rig)
    node.publish(following, RELEASE, FIRST_HEAD)
    const rival = CHANNEL.head(THIRD, 2, FIRST_HEAD)
    const peer = await SimPeer.dial(node, CHANNEL, { readHead: () => rival.bytes })
    peer.hello([[CHANNEL, slotVersion(FIRST_HEAD)]])
    await rig.until(() => peer.haves.length === 1)
    peer.have(CHANNEL, THIRD, [{ start: 0, length: 1 }], 2)
    await rig.clock.advance(2_000)
    expect(peer.headsAsked).toBe(0)
    node.publish(following, SECOND, SECOND_HEAD)
    await rig.until(() => following.heads.length === 1)
    expect(following.heads[0]?.bytes).toEqual(rival.bytes)
  })

  it('of one release are not asked for because of HAVE, nor for another release of an earlier number', async () => {
    const rig = newRig()
    const { node, following } = await member(rig)
    node.publish(following, SECOND, SECOND_HEAD)
    const peer = await SimPeer.dial(node, CHANNEL, { readHead: () => SECOND_HEAD.bytes })
    peer.hello([[CHANNEL, slotVersion(SECOND_HEAD)]])
    await rig.until(() => peer.haves.length === 1)
    peer.have(CHANNEL, RELEASE, [{ start: 0, length: 1 }], 1)
    peer.have(CHANNEL, SECOND, [{ start: 0, length: 1 }], 2)
    await rig.clock.advance(5_000)
    expect(peer.headsAsked).toBe(0)
  })

  it('that contradict ours are asked for until one proof is there, and once of who has none', async () => {
    const rig = newRig()
    const { node, following } = await member(rig)
    node.publish(following, RELEASE, FIRST_HEAD)
    const tell = async (head: Head): Promise<SimPeer> => {
      const peer = await SimPeer.dial(node, CHANNEL, { readHead: () => head.bytes })
      peer.hello([[CHANNEL, slotVersion(FIRST_HEAD)]])
      await rig.until(() => peer.haves.length === 1)
      for (const release of [SECOND, THIRD, SECOND, THIRD]) {
        peer.have(CHANNEL, release, [{ start: 0, length: 1 }], 1)
        await rig.clock.advance(1_000)
      }
      return peer
    }
    const liars = [await tell(FIRST_HEAD), await tell(FIRST_HEAD)]
    const rivals = [await tell(RIVAL_HEAD), await tell(RIVAL_HEAD), await tell(RIVAL_HEAD)]
    expect([...liars, ...rivals].map(({ headsAsked }) => headsAsked)).toEqual([1, 1, 1, 0, 0])
    expect(following.heads).toHaveLength(1)
    expect(node.bans.size).toBe(0)
  })

  it('that were told by many are fetched from few', async () => {
    const rig = newRig()
    const { node, following } = await member(rig)
    const peers: SimPeer[] = []
    for (let number = 0; number < 12; number++) {
      peers.push(await SimPeer.dial(node, CHANNEL, { readHead: () => FIRST_HEAD.bytes }))
    }
    for (const peer of peers) peer.hello([[CHANNEL, slotVersion(FIRST_HEAD)]])
    await rig.until(() => following.newest !== null)
    await rig.clock.advance(5_000)
    expect(peers.reduce((sum, peer) => sum + peer.headsAsked, 0)).toBe(MAX_HEADS_ASKED)
    expect(following.heads).toHaveLength(1) // the same bytes again are not looked at
  })

  it('are given to those that have shown the channel, and to nobody else', async () => {
    const rig = newRig()
    const { node, following } = await member(rig)
    node.publish(following, RELEASE, FIRST_HEAD)
    const stranger = await SimPeer.dial(node, CHANNEL)
    stranger.hello([])
    expect(await ask(rig, stranger.connection.requestHead(stranger.handle(CHANNEL)))).toBe(
      'ERR_REMOTE_NOT_FOUND',
    )
    stranger.hello([[CHANNEL, 0]])
    expect(await ask(rig, stranger.connection.requestHead(stranger.handle(CHANNEL)))).toBe(null)
  })
})

describe('HELLO', () => {
  it('with a counter that is not the next one ends the connection', async () => {
    for (const counter of [1, 0xffff_ffff]) {
      const rig = newRig()
      const { node } = await member(rig)
      const peer = await SimPeer.dial(node, CHANNEL)
      peer.hello([[CHANNEL, 0]], counter)
      await rig.until(() => peer.isClosed, 6_000)
      expect(node.bans.size).toBe(0)
    }
    const rig = newRig()
    const { node } = await member(rig)
    const peer = await SimPeer.dial(node, CHANNEL)
    peer.hello([[CHANNEL, 0]], 0)
    peer.hello([[CHANNEL, 0]], 0)
    await rig.until(() => peer.isClosed, 6_000)
    expect(node.swarm.peers.size).toBe(0)
  })

  it('of other versions only ends the connection; of ours among others does not', async () => {
    const rig = newRig()
    const { node } = await member(rig)
    const later = await SimPeer.dial(node, CHANNEL)
    later.hello([[CHANNEL, 0]], 0, { lowestVersion: 2, highestVersion: 3 })
    await rig.until(() => later.isClosed, 6_000)
    const both = await SimPeer.dial(node, CHANNEL)
    both.hello([[CHANNEL, 0]], 0, { lowestVersion: 1, highestVersion: 9 })
    await rig.until(() => both.shown([CHANNEL]).size === 1)
  })

  it('that does not come ends the connection (C6)', async () => {
    const rig = newRig()
    const { node } = await member(rig)
    const peer = await SimPeer.dial(node, CHANNEL)
    await rig.clock.advance(HELLO_DEADLINE_MS - 2_000)
    expect(peer.isClosed).toBe(false)
    await rig.until(() => peer.isClosed, 4_000)
    expect(node.bans.size).toBe(0)
  })

  it('in floods is looked at so many times a second, and the last one is not missed', async () => {
    const rig = newRig()
    const { node, following } = await member(rig)
    const peer = await SimPeer.dial(node, CHANNEL)
    for (let hello = 0; hello < 40; hello++) peer.hello([])
    peer.hello([[CHANNEL, slotVersion(FIRST_HEAD)]])
    await rig.clock.advance(100)
    expect(node.swarm.peersOf(following.channel)).toBe(0)
    await rig.until(() => node.swarm.peersOf(following.channel) === 1, 3_000)
    // An honest peer with much to tell is not held up.
    const honest = await SimPeer.dial(node, CHANNEL)
    for (let hello = 1; hello < HELLO_BURST * HELLO_TOLERANCE; hello++) honest.hello([])
    honest.hello([[CHANNEL, 0]])
    await rig.until(() => node.swarm.peersOf(following.channel) === 2, 100)
  })

  it('from one that we dialled and that knows none of our channels ends it; not if the user asked (C7)', async () => {
    const rig = newRig()
    const { node, following } = await member(rig)
    const peers: SimPeer[] = []
    const address = await listenBare(rig.network, rig.clock, '10.9.0.1', [CHANNEL], (peer) => {
      peers.push(peer)
      peer.hello([])
    })
    node.swarm.addAddresses(following.channel, [address], 'topic')
    await rig.until(() => peers[0]?.isClosed === true)
    const pinned = await listenBare(rig.network, rig.clock, '10.9.0.2', [], (peer) => {
      peers.push(peer)
      peer.hello([])
    })
    node.swarm.addUserAddress(pinned)
    await rig.until(() => node.swarm.peers.size === 1)
    await rig.clock.advance(60_000)
    expect([...node.swarm.peers].map(({ byUser }) => byUser)).toEqual([true])
  })
})
