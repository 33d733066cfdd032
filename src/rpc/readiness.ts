/**
 * Can this node do its work now, and if not, why? Pure.
 *
 * `/healthz` says that the process answers: restart it when it does not. `/readyz` is for
 * who sends others here, or waits for a start: 503 with reasons until peers can be found.
 *
 * @module rpc/readiness
 */
import type { NodeStatus } from '../node/api.ts'

export interface Readiness {
  readonly ready: boolean
  /** For people; empty when ready. No addresses, no names. */
  readonly reasons: readonly string[]
}

export function readinessOf({ mode, dht, gateways, peers, proxy, onions }: NodeStatus): Readiness {
  const reasons: string[] = []
  if (proxy?.reachable === false)
    reasons.push('the proxy does not answer: nothing leaves this machine until it does')
  if (onions?.error !== null && onions?.error !== undefined)
    reasons.push('Tor makes no onion services: see the log')
  // A server without other nodes may be the first of its network.
  if (dht.enabled && dht.nodes === 0 && !dht.server) reasons.push('no node of the DHT is known yet')
  const isAlone = !dht.enabled && gateways === 0 && peers === 0 && mode !== 'safe'
  if (isAlone) reasons.push('there is no DHT, no gateway and no peer: nothing can be found')
  return { ready: reasons.length === 0, reasons }
}
