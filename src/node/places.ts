/**
 * Connections and memory shared out among the swarms of a node: pure decisions.
 *
 * Each is sure of its part, or the channels that came first would leave the hundredth none.
 *
 * @module node/places
 */
import { MAX_QUEUED_UPLOADS, TARGET_PEERS_PER_CHANNEL } from '../base/limits.ts'

/**
 * How many connections one swarm may have.
 *
 * @param own - those that it has.
 * @param others - those that each of the others has.
 * @param maxPeers - of the node.
 */
export function placesOf(own: number, others: readonly number[], maxPeers: number): number {
  const part = Math.min(TARGET_PEERS_PER_CHANNEL, Math.max(1, Math.floor(maxPeers / (others.length + 1))))
  let free = maxPeers - own
  let kept = 0
  for (const size of others) {
    free -= size
    kept += Math.max(0, part - size)
  }
  return Math.max(Math.min(part, own + free), own + free - kept, 0)
}

/**
 * How many blobs one swarm may have read for its peers that are not taken yet: what nobody else holds, and
 * always one.
 *
 * @param own - those that it has.
 * @param all - those that each swarm has, this one too.
 */
export function uploadPlacesOf(own: number, all: readonly number[]): number {
  return Math.max(1, own + MAX_QUEUED_UPLOADS - all.reduce((sum, held) => sum + held, 0))
}
