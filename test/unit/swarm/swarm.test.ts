/** Connections as a whole: who comes in, who is given blobs, who is banned, what is left at the end. */

import { describe, expect, it } from 'vitest'
import { equalBytes } from '../../../src/base/bytes.ts'
import { MegatorrentError } from '../../../src/base/errors.ts'
import { BAN_MS, HELLO_DEADLINE_MS, INBOUND_BAN_MS, MAX_REFUSALS } from '../../../src/base/limits.ts'
import { openFrame } from '../../../src/crypto/sealed-frame.ts'
import { type Rig, useRigs } from './rig.ts'
import { type Following, falseBlob, SimChannel, type SimNode, SimRelease } from './sim-node.ts'
import { listenBare, SimPeer } from './sim-peer.ts'

const CHANNEL = new SimChannel(1)
const RELEASE = new SimRelease(1, 2)
const HEAD = CHANNEL.head(RELEASE, 1)

const newRig = useRigs()

async function publisher(rig: Rig, maxPeers = 200): Promise<{ node: SimNode; following: Following }> {
  const node = await rig.node({ maxPeers })
  const following = node.follow(CHANNEL)
  node.publish(following, RELEASE, HEAD)
  return { node, following }
}

async function friend(node: SimNode, host?: string): Promise<SimPeer> {
  const peer = await SimPeer.dial(node, CHANNEL, {}, host)
  peer.hello([[CHANNEL, 0]])
  return peer
}

interface Answer {
  blob: Uint8Array | null
  code: string | null
}

async function request(rig: Rig, peer: SimPeer, id: Uint8Array): Promise<Answer> {
  let answer: Answer | null = null
  peer.connection.requestBlob(id).then(
    (frame) => {
      answer = { blob: openFrame(frame), code: null }
    },
    (error: { code: string }) => {
      answer = { blob: null, code: error.code }
    },
  )
  await rig.until(() => answer !== null)
  return answer as unknown as Answer
}

describe('a blob', () => {
  it('is given to peers that have shown a channel of ours, and to nobody else', async () => {
    const rig = newRig()
    const { node, following } = await publisher(rig)
    for (const under of [null, CHANNEL]) {
      const stranger = await SimPeer.dial(node, under)
      stranger.hello([])
      expect((await request(rig, stranger, RELEASE.id(0))).code).toBe('ERR_REMOTE_NOT_FOUND')
    }
    expect(node.store.reads).toBe(0)
    const peer = await friend(node)
    const { blob } = await request(rig, peer, RELEASE.id(0))
    expect(blob !== null && equalBytes(blob, RELEASE.blob(0))).toBe(true)
    expect((await request(rig, peer, new Uint8Array(32))).code).toBe('ERR_REMOTE_NOT_FOUND')
    expect(following.channel.upload.rate).toBeGreaterThan(0)
    expect(node.swarm.upload.rate).toBe(following.channel.upload.rate)
  })

  it('that our disk has damaged is "not found"; other troubles of ours are "busy"', async () => {
    const rig = newRig()
    const { node } = await publisher(rig)
    const peer = await friend(node)
    node.store.readInstead = () => Promise.reject(new MegatorrentError('ERR_BLOB_DAMAGED', 'damaged'))
    expect((await request(rig, peer, RELEASE.id(0))).code).toBe('ERR_REMOTE_NOT_FOUND')
    node.store.readInstead = () => Promise.reject(new MegatorrentError('ERR_DISK_FAULT', 'I/O error'))
    expect((await request(rig, peer, RELEASE.id(0))).code).toBe('ERR_REMOTE_BUSY')
    expect(peer.isClosed).toBe(false)
  })
})

describe('a peer that comes in', () => {
  it('is refused where all places are taken by peers that share a channel, and told why', async () => {
    const rig = newRig()
    const { node } = await publisher(rig, 4)
    const peers = [await friend(node), await friend(node), await friend(node)]
    await rig.clock.advance(1_000)
    const late = await SimPeer.dial(node, CHANNEL)
    await rig.until(() => late.isClosed, 6_000)
    expect(late.closeReason).toBe(null)
    expect(node.swarm.peers.size).toBe(3)
    // There is a place for whom we dial.
    const other = await rig.node()
    node.swarm.addUserAddress(other.pinned)
    await rig.until(() => node.swarm.peers.size === 4)
    peers[0]?.connection.destroy()
    await rig.until(() => node.swarm.peers.size === 3)
    const next = await friend(node)
    await rig.clock.advance(1_000)
    expect(next.isClosed).toBe(false)
  })

  it('takes the place of one that shows no channel', async () => {
    const rig = newRig()
    const { node } = await publisher(rig, 4)
    const idle: SimPeer[] = []
    for (let number = 0; number < 3; number++) idle.push(await SimPeer.dial(node, null))
    for (const peer of idle) peer.hello([])
    await rig.clock.advance(15_000)
    expect(node.swarm.peers.size).toBe(3)
    const peer = await friend(node)
    await rig.until(() => idle[0]?.isClosed === true, 1_000)
    await rig.clock.advance(1_000)
    expect([peer.isClosed, idle[1]?.isClosed, node.swarm.peers.size]).toEqual([false, false, 3])
  })

  it('in a crowd that does not go away costs a few connections beyond the limit', async () => {
    const rig = newRig()
    const { node } = await publisher(rig, 4)
    const crowd: SimPeer[] = []
    for (let number = 0; number < 3; number++) crowd.push(await friend(node, '172.30.0.1'))
    for (let number = 0; number < MAX_REFUSALS + 20; number++) {
      const late = await SimPeer.dial(node, CHANNEL, {}, '172.30.0.1')
      late.secured.channel.pauseReading()
      crowd.push(late)
    }
    await rig.clock.advance(20)
    expect(node.swarm.peers.size).toBe(3)
    expect(crowd.filter(({ isClosed }) => !isClosed)).toHaveLength(3 + MAX_REFUSALS)
    await rig.clock.advance(HELLO_DEADLINE_MS)
    expect(crowd.filter(({ isClosed }) => !isClosed)).toHaveLength(3)
  })
})

describe('bans', () => {
  async function caught(rig: Rig, host: string): Promise<{ node: SimNode; liar: SimPeer }> {
    const node = await rig.node()
    const following = node.follow(CHANNEL)
    void node.fetch(following, RELEASE, 1).catch(() => {}) // ends with the node
    const liar = await SimPeer.dial(node, CHANNEL, { readBlob: async (id) => falseBlob(id) }, host)
    liar.hello([[CHANNEL, 0]])
    liar.have(CHANNEL, RELEASE, [{ start: 0, length: 2 }])
    await rig.until(() => liar.isClosed)
    return { node, liar }
  }

  it('keep a host that sent false data out for minutes (B4)', async () => {
    const rig = newRig()
    const { node } = await caught(rig, '198.51.100.1')
    const again = await SimPeer.dial(node, CHANNEL, {}, '198.51.100.1')
    await rig.until(() => again.isClosed, 1_000)
    const other = await friend(node, '198.51.100.2')
    await rig.clock.advance(INBOUND_BAN_MS)
    expect(other.isClosed).toBe(false)
    const later = await friend(node, '198.51.100.1')
    await rig.clock.advance(1_000)
    expect(later.isClosed).toBe(false)
  })

  it('never keep others out that come by loopback, as all do behind an onion (B4)', async () => {
    const rig = newRig()
    const { node } = await caught(rig, '127.0.0.1')
    const other = await friend(node, '127.0.0.1')
    await rig.clock.advance(1_000)
    expect(other.isClosed).toBe(false)
    expect(node.bans.size).toBe(0)
  })

  it('keep us from dialling who sent false data, under any address (B3)', async () => {
    const rig = newRig()
    const node = await rig.node()
    const following = node.follow(CHANNEL)
    void node.fetch(following, RELEASE, 1).catch(() => {}) // ends with the node
    const peers: SimPeer[] = []
    const address = await listenBare(
      rig.network,
      rig.clock,
      '10.9.0.1',
      [CHANNEL],
      (peer) => {
        peers.push(peer)
        peer.hello([[CHANNEL, 0]])
        peer.have(CHANNEL, RELEASE, [{ start: 0, length: 2 }])
      },
      { readBlob: async (id) => falseBlob(id) },
    )
    node.swarm.addAddresses(following.channel, [{ ...address, nodeKey: null }], 'topic')
    await rig.until(() => peers[0]?.isClosed === true)
    node.swarm.addAddresses(following.channel, [address], 'topic')
    await rig.clock.advance(BAN_MS / 2)
    expect(peers).toHaveLength(1)
    expect([...node.bans.keys()].map((subject) => subject.split(':')[0]).sort()).toEqual(['address', 'node'])
  })

  it('of the user close the connection at once, and keep the node out (B5)', async () => {
    const rig = newRig()
    const { node } = await publisher(rig)
    const other = await rig.node()
    node.swarm.addUserAddress(other.pinned)
    await rig.until(() => node.swarm.peers.size === 1)
    node.banned.banNode(other.nodeKey.publicKey)
    node.swarm.dropNode(other.nodeKey.publicKey)
    await rig.until(() => other.swarm.peers.size === 0, 6_000)
    await rig.clock.advance(BAN_MS + 60_000)
    expect(node.swarm.peers.size).toBe(0)
    expect(node.banned.list()).toHaveLength(1)
    expect(node.banned.liftNode(other.nodeKey.publicKey)).toBe(true)
    expect(node.banned.liftNode(other.nodeKey.publicKey)).toBe(false)
    await rig.until(() => node.swarm.peers.size === 1, 120_000)
  })

  it('that cannot be written down still end the connection', async () => {
    const rig = newRig()
    const node = await rig.node()
    const following = node.follow(CHANNEL)
    node.bans.set = () => {
      throw new MegatorrentError('ERR_DATABASE', 'disk full')
    }
    void node.fetch(following, RELEASE, 1).catch(() => {}) // ends with the node
    const liar = await SimPeer.dial(node, CHANNEL, { readBlob: async (id) => falseBlob(id) })
    liar.hello([[CHANNEL, 0]])
    liar.have(CHANNEL, RELEASE, [{ start: 0, length: 2 }])
    await rig.until(() => liar.isClosed)
    expect([...node.swarm.peers]).toEqual([])
  })
})

describe('the end', () => {
  it('is told to peers, and nothing is left that acts later (I13)', async () => {
    const rig = newRig()
    const { node, following } = await publisher(rig)
    const peer = await friend(node)
    await rig.until(() => peer.haves.length === 1)
    // Everything that has a timer is under way.
    node.swarm.addHeld(following.channel, 7)
    for (let hello = 0; hello < 40; hello++) peer.hello([])
    node.swarm.setHead(following.channel, HEAD.bytes, 70_000)
    node.swarm.setHead(following.channel, HEAD.bytes, 70_001)
    node.swarm.addUserAddress({ kind: 'ipv4', host: '10.77.0.1', port: 7117, nodeKey: null })
    await rig.clock.advance(30)
    node.swarm.close()
    await rig.until(() => peer.isClosed, 6_000)
    expect(peer.closeReason).toBe(null)
    node.kill()
    await rig.clock.advance(15_000)
    expect(rig.clock.pendingTimers).toBe(0)
  })

  it('leaves no timer, from one moment to the next (I13)', async () => {
    const rig = newRig()
    const { node, following } = await publisher(rig)
    expect(rig.clock.pendingTimers).toBeGreaterThan(0)
    node.swarm.addHeld(following.channel, 7)
    node.swarm.destroy()
    expect(rig.clock.pendingTimers).toBe(0)
  })

  it('may come twice, and connections that come later are closed', async () => {
    const rig = newRig()
    const { node } = await publisher(rig)
    node.swarm.close()
    node.swarm.close()
    const late = await SimPeer.dial(node, CHANNEL)
    await rig.until(() => late.isClosed, 1_000)
    node.swarm.destroy()
    node.swarm.destroy()
    expect(node.swarm.peers.size).toBe(0)
  })
})
