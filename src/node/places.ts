/**
 * Connections shared out among the swarms of a node: a pure decision.
 *
 * Each is sure of its part, or the channels that came first would leave the hundredth none.
 *
 * @module node/places
 */
import { TARGET_PEERS_PER_CHANNEL } from '../base/limits.ts'

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
