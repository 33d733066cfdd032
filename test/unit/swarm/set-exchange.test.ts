/** Slots signed ahead between peers: who is asked for them and when, who is given them, who is banned (PROTOCOL_FINAL.md §7.4). */
import { describe, expect, it } from 'vitest'
import { MegatorrentError } from '../../../src/base/errors.ts'
import {
  MAX_SLOT_SETS_ASKED,
  REQUEST_TIMEOUT_MS,
  SLOT_SET_BURST,
  SLOT_SET_RETRY_MAX_MS,
  SLOT_SET_RETRY_MIN_MS,
  SLOT_SETS_PER_HOUR,
} from '../../../src/base/limits.ts'
import type { SwarmChannel } from '../../../src/swarm/channel.ts'
import type { Peer } from '../../../src/swarm/peer.ts'
import { peerToAsk, wantSet } from '../../../src/swarm/set-exchange.ts'
import { BLOB_BYTES, BLOB_FRAME_BYTES } from '../../../src/wire/constants.ts'
import { type Rig, useRigs } from './rig.ts'
import { SimChannel, type SimNode, SimRelease, SimStore } from './sim-node.ts'
import { SimPeer, type SimPeerBehaviour } from './sim-peer.ts'

const CHANNEL = new SimChannel(1)
const OTHER = new SimChannel(2)
const RELEASE = new SimRelease(1, 1)
const HASH = new Uint8Array(32).fill(7)
const SET = new Uint8Array(1_000).fill(3)

const newRig = useRigs()

/** A member whose sets are what a test says. */
interface Member {
  readonly node: SimNode
  readonly channel: SwarmChannel
  readonly taken: Uint8Array[]
  verdict: () => Promise<void>
}

async function member(rig: Rig, sim = CHANNEL, set: Uint8Array | null = null): Promise<Member> {
  // Memory that was used before, for whatever.
  const buffers = { take: () => new Uint8Array(BLOB_FRAME_BYTES).fill(0xee), give: () => {} }
  const node = await rig.node({ blobs: Object.assign(new SimStore(), { buffers }) })
  node.keyring.addChannel(sim.keys)
  const taken: Uint8Array[] = []
  const channel: SwarmChannel = node.swarm.join(sim.keys, {
    onHead: () => {},
    onSlotSet: async (bytes) => {
      taken.push(bytes)
      await self.verdict()
    },
    readSlotSet: (hash) => (Buffer.compare(hash, HASH) === 0 ? set : null),
  })
  const self: Member = { node, channel, taken, verdict: async () => node.swarm.wantSlotSet(channel, null) }
  return self
}

/** A bare peer that has shown the channel. */
async function dialled(rig: Rig, to: Member, behaviour: SimPeerBehaviour = {}): Promise<SimPeer> {
  const peer = await SimPeer.dial(to.node, CHANNEL, behaviour)
  peer.hello([[CHANNEL, 1]])
  await rig.until(() => to.node.swarm.peersOf(to.channel) > 0 && peer.hellos.length > 0)
  return peer
}

describe('a set that is wanted', () => {
  it('comes from a member that has it, padded, and nobody is asked any more', async () => {
    const rig = newRig()
    const [from, to] = [await member(rig, CHANNEL, SET), await member(rig)]
    from.node.swarm.setHead(from.channel, CHANNEL.head(RELEASE, 1).bytes, 65_536)
    to.node.swarm.wantSlotSet(to.channel, HASH)
    to.node.swarm.addAddresses(to.channel, [from.node.address], 'topic')
    await rig.until(() => to.taken.length > 0)
    const [bytes] = to.taken
    expect(bytes).toHaveLength(BLOB_BYTES)
    expect(bytes?.subarray(0, SET.length)).toEqual(SET)
    expect(bytes?.subarray(SET.length).every((byte) => byte === 0)).toBe(true)
    await rig.clock.advance(3 * SLOT_SET_RETRY_MIN_MS)
    expect(to.taken).toHaveLength(1)
  })

  it('is asked of one peer after the other, and of the same ones ever more seldom', async () => {
    const rig = newRig()
    const to = await member(rig)
    const peers = [await dialled(rig, to), await dialled(rig, to), await dialled(rig, to)]
    const asked = (): number => peers.reduce((sum, peer) => sum + peer.setsAsked.length, 0)
    to.node.swarm.wantSlotSet(to.channel, HASH)
    await rig.clock.advance(SLOT_SET_RETRY_MIN_MS / 2)
    expect(asked()).toBe(1)
    await rig.clock.advance(3 * SLOT_SET_RETRY_MIN_MS)
    expect(peers.every((peer) => peer.setsAsked.length > 0)).toBe(true)
    await rig.clock.advance(24 * 3_600_000)
    // A day: some while it doubles, then one an hour.
    expect(asked()).toBeGreaterThan(24)
    expect(asked()).toBeLessThan(24 + 20)
    expect(peers.every((peer) => peer.setsAsked.length > 8)).toBe(true)
    expect(peers[0]?.setsAsked[0]).toEqual(HASH)
  })

  it('that nobody was asked for is asked of a newcomer soon, however long it has been wanted', async () => {
    const rig = newRig()
    const to = await member(rig)
    await dialled(rig, to)
    to.node.swarm.wantSlotSet(to.channel, HASH)
    await rig.clock.advance(6 * 3_600_000)
    const late = await dialled(rig, to)
    await rig.clock.advance(SLOT_SET_RETRY_MIN_MS + 2_000)
    expect(late.setsAsked).toHaveLength(1)
  })

  it('and is false: its sender is banned, and others are asked', async () => {
    const rig = newRig()
    const to = await member(rig)
    to.verdict = () => Promise.reject(new MegatorrentError('ERR_SLOT_SET', 'planted'))
    const liar = await dialled(rig, to, { readSlotSet: async () => new Uint8Array(BLOB_BYTES) })
    to.node.swarm.wantSlotSet(to.channel, HASH)
    await rig.until(() => liar.isClosed)
    expect(to.taken).toHaveLength(1)
    expect(to.node.bans.size).toBeGreaterThan(0)
    const honest = await dialled(rig, to)
    await rig.until(() => honest.setsAsked.length > 0)
    expect(honest.isClosed).toBe(false)
  })

  it('and cannot be kept, or is of no use: nobody is banned for it', async () => {
    const rig = newRig()
    const to = await member(rig)
    for (const code of ['ERR_NOT_FOUND', 'ERR_DISK_FULL'] as const) {
      to.verdict = () => Promise.reject(new MegatorrentError(code, 'planted'))
      const peer = await dialled(rig, to, { readSlotSet: async () => new Uint8Array(BLOB_BYTES) })
      const before = to.taken.length
      to.node.swarm.wantSlotSet(to.channel, HASH)
      await rig.until(() => to.taken.length > before)
      await rig.clock.advance(1_000)
      expect(peer.isClosed).toBe(false)
    }
    expect(to.node.bans.size).toBe(0)
  })

  it('is not waited for without end', async () => {
    const rig = newRig()
    const to = await member(rig)
    const tarpit = await dialled(rig, to, { readSlotSet: () => new Promise(() => {}) })
    to.node.swarm.wantSlotSet(to.channel, HASH)
    await rig.until(() => tarpit.setsAsked.length > 0)
    const other = await dialled(rig, to)
    await rig.until(() => other.setsAsked.length > 0, 4 * REQUEST_TIMEOUT_MS)
  })

  it('has its turn beside channels whose peers keep us waiting', async () => {
    const rig = newRig()
    const { node } = await member(rig)
    const stalled = Array.from({ length: 4 }, (_, n) => new SimChannel(10 + n))
    const honest = new SimChannel(20)
    for (const sim of [...stalled, honest]) {
      node.keyring.addChannel(sim.keys)
      node.swarm.wantSlotSet(node.swarm.join(sim.keys, { onHead: () => {} }), HASH)
    }
    const dial = async (sim: SimChannel, behaviour: SimPeerBehaviour = {}): Promise<SimPeer> => {
      const peer = await SimPeer.dial(node, sim, behaviour)
      peer.hello([[sim, 1]])
      return peer
    }
    for (const sim of [...stalled, ...stalled, ...stalled, ...stalled]) {
      await dial(sim, { readSlotSet: () => new Promise(() => {}) })
    }
    const asked = await dial(honest)
    await rig.until(() => asked.setsAsked.length > 0, 5 * REQUEST_TIMEOUT_MS)
  })

  it('is one of few at a time, however many channels there are', async () => {
    const rig = newRig()
    const first = await member(rig)
    const { node } = first
    const channels = [CHANNEL, ...Array.from({ length: 9 }, (_, n) => new SimChannel(10 + n))]
    for (const sim of channels.slice(1)) {
      node.keyring.addChannel(sim.keys)
      const channel = node.swarm.join(sim.keys, { onHead: () => {}, onSlotSet: () => new Promise(() => {}) })
      node.swarm.wantSlotSet(channel, HASH)
    }
    const peer = await SimPeer.dial(node, CHANNEL, { readSlotSet: async () => new Uint8Array(BLOB_BYTES) })
    peer.hello(channels.map((sim) => [sim, 1]))
    await rig.clock.advance(60_000)
    expect(peer.setsAsked).toHaveLength(MAX_SLOT_SETS_ASKED)
  })
})

it('sets of one channel are few in an hour, however many heads its publisher signs', async () => {
  const rig = newRig()
  const to = await member(rig)
  const peer = await dialled(rig, to, { readSlotSet: async () => new Uint8Array(BLOB_BYTES) })
  for (let number = 0; number < 2 * 3_600; number += 20) {
    to.node.swarm.wantSlotSet(to.channel, new Uint8Array(32).fill(number))
    await rig.clock.advance(20_000)
  }
  expect(to.taken.length).toBeGreaterThanOrEqual(SLOT_SET_BURST + SLOT_SETS_PER_HOUR)
  expect(peer.setsAsked.length).toBeLessThanOrEqual(SLOT_SET_BURST + 2 * SLOT_SETS_PER_HOUR)
})

describe('a set that is held', () => {
  it('is given to members, and to nobody else', async () => {
    const rig = newRig()
    const from = await member(rig, CHANNEL, SET)
    const peer = await dialled(rig, from)
    const answer = async (by: SimPeer, channel: SimChannel, hash = HASH): Promise<string> => {
      let outcome: string | null = null
      by.connection.requestSlotSet(by.handle(channel), hash).then(
        () => (outcome = 'given'),
        (error: { code: string }) => (outcome = error.code),
      )
      await rig.until(() => outcome !== null)
      return outcome ?? ''
    }
    expect(await answer(peer, CHANNEL)).toBe('given')
    expect(await answer(peer, CHANNEL, new Uint8Array(32))).toBe('ERR_REMOTE_NOT_FOUND')
    expect(await answer(peer, OTHER)).toBe('ERR_REMOTE_NOT_FOUND')
    const stranger = await SimPeer.dial(from.node, null)
    stranger.hello([])
    expect(await answer(stranger, CHANNEL)).toBe('ERR_REMOTE_NOT_FOUND')
    // An unpublished channel gives no blob out, and hands its head on: slots with it.
    from.node.swarm.setInventory(from.channel, null, [])
    expect(await answer(peer, CHANNEL)).toBe('given')
  })
})

describe('who is asked', () => {
  const [a, b, proven] = [{ isProven: false }, { isProven: false }, { isProven: true }] as [Peer, Peer, Peer]

  it('is who was not asked before, then who was asked longest ago, each in its time', () => {
    const want = wantSet(HASH)
    expect(peerToAsk(want, [], 0)).toBeNull()
    expect(peerToAsk(want, [a, b], 0)).toBe(a)
    want.asked.set(a, 0)
    expect(peerToAsk(want, [a, b], 0)).toBe(b)
    want.asked.set(b, 5)
    expect(peerToAsk(want, [b, a], 100)).toBe(a)
    want.againMs = 200
    expect(peerToAsk(want, [a, b], 199)).toBeNull()
    expect(peerToAsk(want, [b, a], 200)).toBe(a)
    want.asked.delete(b)
    expect(peerToAsk(want, [a, b], 199)).toBe(b)
    want.nextMs = 150
    expect(peerToAsk(want, [a, b], 149)).toBeNull()
    want.nextMs = 0
    expect(peerToAsk(want, [b, proven], 199)).toBe(proven)
    want.isAsking = true
    expect(peerToAsk(want, [a, b], 1_000)).toBeNull()
    expect(SLOT_SET_RETRY_MAX_MS).toBeGreaterThan(SLOT_SET_RETRY_MIN_MS)
  })

  it('is again who gave us blobs, in his time, however many strangers come', () => {
    const want = wantSet(HASH)
    want.asked.set(proven, 5).set(b, 0)
    want.againMs = 100
    expect(peerToAsk(want, [a, b, proven], 99)).toBe(a)
    expect(peerToAsk(want, [a, b, proven], 100)).toBe(proven)
    const other = { isProven: true } as Peer
    expect(peerToAsk(want, [a, b, proven, other], 100)).toBe(other)
    // Where no stranger is, it is who was asked longest ago.
    expect(peerToAsk(want, [b, proven], 100)).toBe(b)
  })
})
