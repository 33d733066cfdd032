/**
 * A day in which nothing happens: one node with many peers and channels, and what
 * its transport sends and receives.
 */
import { seededRandom } from '../../src/base/random.ts'
import { MemoryNetwork } from '../../src/transport/memory.ts'
import { SimClock } from '../unit/swarm/sim-clock.ts'
import { type Following, SimChannel, SimNode, SimRelease } from '../unit/swarm/sim-node.ts'
import { SimPeer } from '../unit/swarm/sim-peer.ts'

export const IDLE_PEERS = 50
export const IDLE_CHANNELS = 100
const CHANNELS_PER_PEER = 10

export interface IdleDay {
  readonly bytesIn: number
  readonly bytesOut: number
  /** Peers that are still there at the end. */
  readonly peers: number
}

/**
 * @param hours - how much is simulated; the result is for a whole day. A part of a day lies around
 *   midnight, so that what a change of the day costs is counted more than once, not left out.
 */
export async function idleDay(hours: number): Promise<IdleDay> {
  const clock = new SimClock(Date.UTC(2026, 0, 2) - (hours / 2) * 3_600_000, 500)
  const network = new MemoryNetwork(clock, seededRandom(1), { latencyMs: 40 })
  const node = new SimNode({ clock, network, host: '10.0.0.1', seed: 1 })
  await node.listen()
  const release = new SimRelease(1, 1)
  const channels: SimChannel[] = []
  const followings: Following[] = []
  for (let number = 0; number < IDLE_CHANNELS; number++) {
    const channel = new SimChannel(1_000 + number)
    const following = node.follow(channel)
    node.publish(following, release, channel.head(release, 1))
    channels.push(channel)
    followings.push(following)
  }
  const peers: SimPeer[] = []
  for (let number = 0; number < IDLE_PEERS; number++) {
    const at = (number * 7) % IDLE_CHANNELS
    const shared = Array.from(
      { length: CHANNELS_PER_PEER },
      (_, step) => channels[(at + step) % IDLE_CHANNELS] as SimChannel,
    )
    const peer = await SimPeer.dial(node, shared[0] as SimChannel)
    peer.hello(shared.map((channel) => [channel, 65_536] as const))
    peers.push(peer)
  }
  // What is new is talked about in the first hour, once; only what comes after it goes on all day.
  const firstHours = Math.min(1, hours / 2)
  await clock.advance(firstHours * 3_600_000)
  const first = bytesOf(node)
  await clock.advance((hours - firstHours) * 3_600_000)
  const all = bytesOf(node)
  const left = node.swarm.peers.size
  node.kill()
  const factor = (24 - firstHours) / (hours - firstHours)
  return {
    bytesIn: first.bytesIn + (all.bytesIn - first.bytesIn) * factor,
    bytesOut: first.bytesOut + (all.bytesOut - first.bytesOut) * factor,
    peers: left,
  }
}

function bytesOf(node: SimNode): { readonly bytesIn: number; readonly bytesOut: number } {
  let bytesIn = 0
  let bytesOut = 0
  for (const { connection } of node.swarm.peers) {
    bytesIn += connection.bytesIn
    bytesOut += connection.bytesOut
  }
  return { bytesIn, bytesOut }
}
