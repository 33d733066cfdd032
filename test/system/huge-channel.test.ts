/**
 * A channel of 1 TiB, the size that a release may have twice over: what it costs to
 * start with it, to announce it and to talk about it. Nothing of it is on the disk but
 * the database; everything else that looks at it is real (huge-node.ts).
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import {
  BLOB_ANNOUNCES_PER_HOUR,
  MAX_HOLDINGS_BYTES_PER_PEER,
  MAX_MANIFEST_BLOBS,
  MAX_RELEASES_PER_PEER,
  TOPIC_ANNOUNCE_MIN_MS,
} from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { dayOf, topic } from '../../src/crypto/key-schedule.ts'
import { MemoryNetwork } from '../../src/transport/memory.ts'
import { CHUNK_BYTES, DAY_MS, MAX_HAVE_RANGES, SMALL_FRAME_BYTES } from '../../src/wire/constants.ts'
import { slotVersion } from '../../src/wire/head.ts'
import { splitMessage } from '../../src/wire/message.ts'
import { peakRssBytes } from '../swarm/harness/memory.ts'
import { SimClock } from '../unit/swarm/sim-clock.ts'
import { SimChannel, SimNode } from '../unit/swarm/sim-node.ts'
import { SimPeer } from '../unit/swarm/sim-peer.ts'
import { HugeNode, heldMemoryBytes } from './huge-node.ts'
import { HugeRelease } from './huge-release.ts'

const MIB = 1_048_576
const TIB = 2 ** 40
/** Of 1 GiB each. */
const FILES = 1_024

function say(what: string, figures: Readonly<Record<string, number>>): void {
  const rounded = Object.entries(figures).map(([name, value]) => `${name} ${Number(value.toPrecision(3))}`)
  process.stdout.write(`1 TiB channel, ${what}: ${rounded.join(', ')}\n`)
}

interface ToldDht {
  readonly topics: number
  readonly blobs: number
  readonly reads: number
  readonly puts: number
}

/** What a node asks and tells the DHT in the day after its start: from noon to noon, so also around midnight. */
async function dayOfDht(node: HugeNode): Promise<ToldDht> {
  const { announces } = node.dht
  const today = dayOf(node.clock.now())
  await node.clock.advance(DAY_MS)
  const { secret } = node.channel.keys
  const topics = new Set([today, today + 1, today + 2].map((day) => toHex(topic(secret, day))))
  const ofBlobs = announces.filter(({ infohash }) => !topics.has(toHex(infohash)))
  const different = new Set(ofBlobs.map(({ infohash }) => toHex(infohash)))
  // Blobs take turns: none comes twice before all have come.
  expect(different.size).toBe(Math.min(ofBlobs.length, node.release.blobCount))
  const { reads, puts } = node.dht
  return { topics: announces.length - ofBlobs.length, blobs: ofBlobs.length, reads, puts: puts.length }
}

/** The same of a node with a channel of 1 GiB. */
async function dayOfSmall(blobsPerHour: number): Promise<ToldDht> {
  const node = new HugeNode(1, { blobsPerHour })
  try {
    await node.start()
    return await dayOfDht(node)
  } finally {
    await node.close()
  }
}

describe('a node that hosts a channel of 1 TiB', () => {
  let node: HugeNode
  let day: ToldDht
  const start = { heldBytes: 0, peakBytes: 0, cpuSeconds: 0, longestPauseMs: 0 }

  beforeAll(async () => {
    node = new HugeNode(FILES)
    const heldBefore = await heldMemoryBytes()
    const rssBefore = process.memoryUsage.rss()
    const pauses = monitorEventLoopDelay({ resolution: 1 })
    pauses.enable()
    const cpu = process.cpuUsage()
    await node.start()
    pauses.disable()
    const { user, system } = process.cpuUsage(cpu)
    start.cpuSeconds = (user + system) / 1e6
    start.peakBytes = ((await peakRssBytes(process.pid)) ?? 0) - rssBefore
    start.longestPauseMs = pauses.max / 1e6
    start.heldBytes = (await heldMemoryBytes()) - heldBefore
    day = await dayOfDht(node)
  })

  afterAll(() => node.close())

  it('has as many blobs as that, and a release may have twice as many', () => {
    expect(node.release.dataBlobs * CHUNK_BYTES).toBe(TIB)
    expect(node.release.blobCount).toBe(1_048_576 + 70)
    expect(MAX_MANIFEST_BLOBS).toBe(2 * node.release.dataBlobs)
  })

  it('starts with 96 bytes a blob in memory, 200 MiB for a moment, and a minute of one core', () => {
    const { heldBytes, peakBytes, cpuSeconds, longestPauseMs } = start
    const perBlob = heldBytes / node.release.blobCount
    say('start', {
      'bytes a blob': perBlob,
      'held MiB': heldBytes / MIB,
      'peak MiB': peakBytes / MIB,
      'CPU s': cpuSeconds,
      'longest pause ms': longestPauseMs,
    })
    // A reference is 64 bytes, its place in memory 6; the set of what is held is a bit.
    expect(perBlob).toBeLessThan(96)
    // Besides that the index of ids while the manifest is read, and the numbers of all blobs three times.
    expect(peakBytes).toBeLessThan(200 * MIB)
    // Two looks at the database for each blob, 5 us each, and as much for a busy machine; the rest is some seconds.
    expect(cpuSeconds).toBeLessThan(60)
  })

  it('would show it in that figure if it kept the ids as texts', async () => {
    const before = await heldMemoryBytes()
    const texts = new Set<string>()
    for (const ids of node.release.idBatches()) for (const id of ids) texts.add(toHex(id))
    const perBlob = ((await heldMemoryBytes()) - before) / texts.size
    expect(perBlob).toBeGreaterThan(96)
  })

  it('has a database of 64 bytes a blob', () => {
    const perBlob = node.databaseBytes / node.release.blobCount
    say('database', { MiB: node.databaseBytes / MIB, 'bytes a blob': perBlob })
    // 32 of the id, 6 of the time, 4 of the row; pages of a table filled in random order are two thirds full and more.
    expect(perBlob).toBeLessThan(64)
  })

  it('tells the DHT as much of it in a day as of a channel of 1 GiB, and within the budget', async () => {
    say('a day of the DHT', { ...day })
    expect(day).toEqual(await dayOfSmall(BLOB_ANNOUNCES_PER_HOUR))
    // The times are drawn, so a day may have some more than the mean.
    expect(day.blobs).toBeLessThan(24 * BLOB_ANNOUNCES_PER_HOUR * 1.1)
    expect(day.blobs).toBeGreaterThan(24 * BLOB_ANNOUNCES_PER_HOUR * 0.9)
    // Two topics at a time at most.
    expect(day.topics).toBeLessThan((2 * DAY_MS) / TOPIC_ANNOUNCE_MIN_MS)
  })

  it('would tell it more without that budget', async () => {
    const { blobs } = await dayOfSmall(40 * BLOB_ANNOUNCES_PER_HOUR)
    expect(blobs).toBeGreaterThan(24 * BLOB_ANNOUNCES_PER_HOUR * 10)
  })

  it('tells a peer of all that it holds in one frame beside the HELLO', async () => {
    const { clock, channel, head, release, sim } = node
    const peer = await SimPeer.dial(sim, channel)
    await clock.advance(500)
    const before = peer.connection.bytesIn
    peer.hello([[channel, slotVersion(head)]])
    await clock.advance(2_000)
    expect(peer.haves.map(({ ranges }) => ranges)).toEqual([[{ start: 0, length: release.blobCount }]])
    expect(peer.hellos.length).toBe(1)
    // Whether it knows peers, and has the slots signed ahead, is asked whatever the size of the channel.
    const asked = peer.peersAsked.length + peer.setsAsked.length
    const frames = peer.hellos.length + peer.haves.length + asked
    expect(peer.connection.bytesIn - before).toBe(frames * SMALL_FRAME_BYTES)
    expect(asked).toBe(2)
    peer.connection.destroy()
  })
})

/** A node on the memory transport that peers can be played to, and a channel. */
async function aloneInMemory() {
  const clock = new SimClock()
  const network = new MemoryNetwork(clock, seededRandom(1), { latencyMs: 5 })
  const sim = new SimNode({ clock, network, host: '10.0.1.1', seed: 1 })
  await sim.listen()
  return { clock, sim, channel: new SimChannel(5) }
}

describe('a set of blobs of a channel of 1 TiB that is full of holes', () => {
  const release = new HugeRelease(FILES)
  const releaseId = { number: 1, rootId: release.id(0) }

  it('takes 4.4 MB to tell when every second one is missing, spread over seconds, and no set takes more', async () => {
    const { clock, sim, channel } = await aloneInMemory()
    const following = sim.follow(channel)
    const head = channel.head(release, 1)
    const held = function* (): Generator<number> {
      for (let index = 0; index < release.blobCount; index += 2) yield index
    }
    sim.swarm.setInventory(following.channel, releaseId, held())
    sim.swarm.setHead(following.channel, head.bytes, slotVersion(head))
    const peer = await SimPeer.dial(sim, channel)
    await clock.advance(500)
    const before = peer.connection.bytesIn
    peer.hello([[channel, slotVersion(head)]])
    await clock.advance(1_000)
    const soon = peer.connection.bytesIn - before
    await clock.advance(9_000)
    const bytes = peer.connection.bytesIn - before
    const ranges = Math.ceil(release.blobCount / 2)
    expect(peer.haves.reduce((sum, have) => sum + have.ranges.length, 0)).toBe(ranges)
    const whole = Math.floor(ranges / MAX_HAVE_RANGES)
    const frames =
      1 + peer.peersAsked.length + whole * haveFrames(MAX_HAVE_RANGES) + haveFrames(ranges % MAX_HAVE_RANGES)
    say('half of it', { ranges, messages: peer.haves.length, MB: bytes / 1e6 })
    expect(bytes).toBe(frames * SMALL_FRAME_BYTES)
    expect(bytes).toBeLessThan(4_500_000)
    // A peer is told a part, and the rest while it reads: 4 MiB at once would close the connection.
    expect(soon).toBeLessThan(bytes / 4)
    sim.kill()
  })

  /** Frames of a HAVE of that many ranges, by the codec. */
  function haveFrames(count: number): number {
    const ranges = Array.from({ length: count }, (_, n) => ({ start: 2 * n, length: 1 }))
    return splitMessage({
      type: 'have',
      handle: new Uint8Array(16),
      releaseNumber: 1,
      rootId: releaseId.rootId,
      ranges,
    }).length
  }
})

describe('peers that say that they have all of 1 TiB', () => {
  const PEERS = 40

  it('cost one set each while it is fetched, however many releases they tell of', async () => {
    const release = new HugeRelease(FILES)
    const { clock, sim, channel } = await aloneInMemory()
    const following = sim.follow(channel)
    const releaseId = { number: 1, rootId: release.id(0) }
    sim.swarm.setInventory(following.channel, releaseId, [])
    const peers: SimPeer[] = []
    const never = (): Promise<null> => new Promise(() => {})
    for (let n = 0; n < PEERS; n++) {
      const peer = await SimPeer.dial(sim, channel, { readBlob: never })
      peer.hello([[channel, 0]])
      peers.push(peer)
    }
    await clock.advance(1_000)
    const indexes = Array.from({ length: release.blobCount }, (_, index) => index)
    const quiet = await heldMemoryBytes()
    const stop = new AbortController()
    const wants = { indexes, idOf: (index: number) => release.id(index) }
    const fetching = sim.swarm.fetch(following.channel, releaseId, wants, {
      signal: stop.signal,
      onStored: () => {},
    })
    fetching.catch(() => {}) // it is called off below
    const wanted = await heldMemoryBytes()
    const cpu = process.cpuUsage()
    for (const peer of peers) peer.have(channel, release, [{ start: 0, length: release.blobCount }])
    await clock.advance(500)
    const { user, system } = process.cpuUsage(cpu)
    const told = await heldMemoryBytes()
    const perPeer = (told - wanted) / PEERS
    say('availability', {
      'KiB a peer': perPeer / 1_024,
      'MiB of a fetch': (wanted - quiet) / MIB,
      'CPU ms a claim': (user + system) / 1_000 / PEERS,
    })
    expect(peers.filter(({ asked }) => asked.length > 0).length).toBeGreaterThan(10)
    // The set, and what is said to each of them.
    expect(perPeer).toBeGreaterThan(0.9 * MAX_HOLDINGS_BYTES_PER_PEER)
    expect(perPeer).toBeLessThan(1.25 * MAX_HOLDINGS_BYTES_PER_PEER)
    // Bits of what is left and what is open, and two bytes for how many hold it.
    expect(wanted - quiet).toBeLessThan(4 * MIB)

    for (let number = 2; number < 2 + 2 * MAX_RELEASES_PER_PEER; number++) {
      const other = { id: () => release.id(number) }
      for (const peer of peers) {
        peer.have(channel, other, [{ start: 0, length: MAX_MANIFEST_BLOBS }], number)
      }
      await clock.advance(500)
    }
    expect(((await heldMemoryBytes()) - wanted) / PEERS).toBeLessThan(1.25 * MAX_HOLDINGS_BYTES_PER_PEER)
    stop.abort()
    sim.kill()
  })
})
