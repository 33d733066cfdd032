/**
 * What waits to be sent, over all connections: each may have some, and all of them
 * together no more than MAX_QUEUED_TOTAL_BYTES. A pure decision.
 *
 * @module swarm/send-queues
 */
import { MAX_QUEUED_TOTAL_BYTES } from '../base/limits.ts'

/** What the decision looks at. swarm/peer.ts is one. */
export interface Queueing {
  readonly connection: { readonly queuedBytes: number }
}

/** Those that have to go, from the one with most queued, so that what is left is within the bound. */
export function overfull<P extends Queueing>(peers: Iterable<P>, bound = MAX_QUEUED_TOTAL_BYTES): P[] {
  const sizes = [...peers].map((peer) => ({ peer, bytes: peer.connection.queuedBytes }))
  let total = sizes.reduce((sum, { bytes }) => sum + bytes, 0)
  if (total <= bound) return []
  sizes.sort((a, b) => b.bytes - a.bytes)
  const gone: P[] = []
  for (const { peer, bytes } of sizes) {
    if (total <= bound) break
    gone.push(peer)
    total -= bytes
  }
  return gone
}
