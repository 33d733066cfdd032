/**
 * Which of the neighbours that came in makes room for another: a pure decision.
 *
 * Whoever holds all places of a relay decides what it hears from those who come. So a
 * newcomer gets a place when all have had theirs for a while; those that brought most are
 * kept, since news cannot be made up for nothing, and of the others one of the host
 * that has most goes, by chance.
 *
 * @module swarm/relay-places
 */
import { RELAY_KEPT_NEIGHBOURS, RELAY_SETTLED_MS } from '../base/limits.ts'
import { type Random, shuffle } from '../base/random.ts'

export interface PlacedRelay {
  /** Monotonic ms. */
  readonly sinceMs: number
  /** Hosts that count as one have one name. */
  readonly host: string
  /** Statements that it was the first to bring. */
  readonly news: number
}

/** @returns null while each of them is new, or worth keeping. */
export function leastMissed<R extends PlacedRelay>(
  relays: readonly R[],
  nowMs: number,
  random: Random,
): R | null {
  const kept = new Set(
    relays
      .filter(({ news }) => news > 0)
      .sort((a, b) => b.news - a.news || a.sinceMs - b.sinceMs)
      .slice(0, RELAY_KEPT_NEIGHBOURS),
  )
  const ofHost = (host: string): number => relays.filter((relay) => relay.host === host).length
  const [least = null] = shuffle(
    random,
    relays.filter((relay) => !kept.has(relay) && nowMs - relay.sinceMs >= RELAY_SETTLED_MS),
  ).sort((a, b) => ofHost(b.host) - ofHost(a.host))
  return least
}
