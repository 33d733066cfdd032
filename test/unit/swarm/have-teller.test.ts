/** What peers hear of what we hold (PROTOCOL_FINAL.md §7.5). */
import { describe, expect, it } from 'vitest'
import { HAVE_INTERVAL_MS } from '../../../src/base/limits.ts'
import { BlobSet } from '../../../src/swarm/blob-set.ts'
import { MAX_HAVE_RANGES } from '../../../src/wire/constants.ts'
import { type Rig, useRigs } from './rig.ts'
import { type Following, SimChannel, type SimNode, SimRelease } from './sim-node.ts'
import { SimPeer } from './sim-peer.ts'

const CHANNEL = new SimChannel(1)
const RELEASE = new SimRelease(1, 1)
const SECOND = new SimRelease(2, 1)

const newRig = useRigs()

async function holder(rig: Rig, held: Iterable<number>): Promise<{ node: SimNode; following: Following }> {
  const node = await rig.node()
  const following = node.follow(CHANNEL)
  node.swarm.setInventory(following.channel, RELEASE.releaseId(1), held)
  return { node, following }
}

async function listener(node: SimNode): Promise<SimPeer> {
  const peer = await SimPeer.dial(node, CHANNEL)
  peer.hello([[CHANNEL, 0]])
  return peer
}

/** What a peer was told of a release, in all. */
function told(peer: SimPeer, release: SimRelease): number[] {
  const set = new BlobSet()
  for (const have of peer.haves) {
    if (Buffer.compare(have.rootId, release.id(0)) === 0) for (const range of have.ranges) set.addRange(range)
  }
  return [...set]
}

describe('what we hold', () => {
  it('is told whole, however full of holes it is, a few messages at a time', async () => {
    const rig = newRig()
    const held = Array.from({ length: 14 * MAX_HAVE_RANGES + 5 }, (_, at) => 2 * at)
    const { node } = await holder(rig, held)
    const peer = await listener(node)
    await rig.until(() => peer.haves.length > 0)
    await rig.clock.advance(HAVE_INTERVAL_MS / 2)
    expect(peer.haves.length).toBeLessThan(6)
    await rig.until(() => told(peer, RELEASE).length === held.length, 5_000)
    expect(told(peer, RELEASE)).toEqual(held)
    const messages = peer.haves.length
    await rig.clock.advance(60_000)
    expect(peer.haves).toHaveLength(messages)
  })

  it('is told blob by blob as it comes, gathered, and to those only that do not hold it', async () => {
    const rig = newRig()
    const { node, following } = await holder(rig, [0])
    const peer = await listener(node)
    const seed = await listener(node)
    seed.have(CHANNEL, RELEASE, [{ start: 0, length: 100 }])
    await rig.clock.advance(1_000)
    const before = [peer.haves.length, seed.haves.length]
    for (const index of [7, 5, 6, 9]) node.swarm.addHeld(following.channel, index)
    node.swarm.addHeld(following.channel, 7)
    await rig.clock.advance(1_000)
    expect([peer.haves.length, seed.haves.length]).toEqual([(before[0] ?? 0) + 1, before[1]])
    expect(peer.haves.at(-1)?.ranges).toEqual([
      { start: 5, length: 3 },
      { start: 9, length: 1 },
    ])
  })

  it('of another release is told to all, and of the old one nothing more', async () => {
    const rig = newRig()
    const { node, following } = await holder(rig, [0, 1])
    const peer = await listener(node)
    await rig.until(() => peer.haves.length === 1)
    node.swarm.addHeld(following.channel, 2)
    node.swarm.setInventory(following.channel, SECOND.releaseId(2), [0])
    await rig.clock.advance(2_000)
    expect([told(peer, RELEASE), told(peer, SECOND)]).toEqual([[0, 1], [0]])
    expect(peer.haves.at(-1)?.releaseNumber).toBe(2)
  })

  it('of the same release set anew tells only what is new', async () => {
    const rig = newRig()
    const { node, following } = await holder(rig, [0, 1])
    const peer = await listener(node)
    await rig.until(() => peer.haves.length === 1)
    node.swarm.setInventory(following.channel, RELEASE.releaseId(1), [0, 1])
    await rig.clock.advance(1_000)
    expect(peer.haves).toHaveLength(1)
    node.swarm.setInventory(following.channel, RELEASE.releaseId(1), [0, 1, 2])
    await rig.clock.advance(1_000)
    expect(peer.haves.map(({ ranges }) => ranges).slice(1)).toEqual([[{ start: 2, length: 1 }]])
  })

  it('is told again of a blob that was lost and came back', async () => {
    const rig = newRig()
    const { node, following } = await holder(rig, [0, 1])
    const peer = await listener(node)
    await rig.until(() => peer.haves.length === 1)
    node.swarm.removeHeld(following.channel, SECOND.releaseId(2), 1)
    node.swarm.addHeld(following.channel, 1)
    await rig.clock.advance(1_000)
    expect(peer.haves).toHaveLength(1) // that was another release
    node.swarm.removeHeld(following.channel, RELEASE.releaseId(1), 1)
    node.swarm.addHeld(following.channel, 1)
    await rig.until(() => peer.haves.length === 2, 1_000)
  })

  it('is told once of a blob that was lost and came back before it was told of', async () => {
    const rig = newRig()
    const { node, following } = await holder(rig, [0])
    const peer = await listener(node)
    await rig.clock.advance(1_000)
    node.swarm.addHeld(following.channel, 3)
    node.swarm.removeHeld(following.channel, RELEASE.releaseId(1), 3)
    node.swarm.addHeld(following.channel, 3)
    await rig.clock.advance(1_000)
    expect(peer.haves.at(-1)?.ranges).toEqual([{ start: 3, length: 1 }])
  })

  it('is not told where nothing is held', async () => {
    const rig = newRig()
    const { node } = await holder(rig, [])
    const peer = await listener(node)
    await rig.clock.advance(5_000)
    expect(peer.haves).toEqual([])
  })
})
