/**
 * Who makes room when one more peer comes in: pure decisions on what is known of
 * the peers that are here.
 *
 * Peers that come in get three quarters of all places, so that nobody can keep us
 * from dialling by filling them. Among them those that share no channel with us go
 * first; then those of the host that has the most places, the youngest that gave
 * us nothing. Behind a proxy or an onion all are one host.
 *
 * @module swarm/admission
 */
import { ADMISSION_GRACE_MS, INBOUND_SHARE } from '../base/limits.ts'
import { hostGroup } from '../transport/host-group.ts'

/** What the decision looks at. swarm/peer.ts is one. */
export interface Guest {
  readonly direction: 'in' | 'out'
  readonly isProven: boolean
  readonly shared: { readonly size: number }
  readonly init: { readonly sinceMs: number; readonly remote: { readonly host: string } }
}

/** Places for peers that come in. */
export function inboundPlaces(maxPeers: number): number {
  return Math.max(1, Math.floor(maxPeers * INBOUND_SHARE))
}

/**
 * A peer of `host` wants to come in.
 *
 * @returns `welcome`, the guest that has to go for it, or `full`.
 */
export function admit<G extends Guest>(
  host: string,
  guests: Iterable<G>,
  maxPeers: number,
  nowMs: number,
): 'welcome' | 'full' | G {
  const all = [...guests]
  const inbound = all.filter(({ direction }) => direction === 'in')
  if (all.length < maxPeers && inbound.length < inboundPlaces(maxPeers)) return 'welcome'
  const useless = inbound.filter(
    ({ shared, init }) => shared.size === 0 && nowMs - init.sinceMs > ADMISSION_GRACE_MS,
  )
  const longest = useless.reduce<G | null>((a, b) => (a === null || isOlder(b, a) ? b : a), null)
  if (longest !== null) return longest
  const groups = new Map<string, G[]>()
  for (const guest of inbound) {
    const group = hostGroup(guest.init.remote.host)
    groups.set(group, [...(groups.get(group) ?? []), guest])
  }
  const ours = groups.get(hostGroup(host))?.length ?? 0
  const largest = [...groups.values()].reduce<G[]>((a, b) => (b.length > a.length ? b : a), [])
  // Its place would only move from one to another if the newcomer's host had as many.
  if (largest.length <= ours + 1) return 'full'
  const spare = largest.filter(({ isProven }) => !isProven)
  return spare.reduce<G | null>((a, b) => (a === null || isOlder(a, b) ? b : a), null) ?? 'full'
}

function isOlder(a: Guest, b: Guest): boolean {
  return a.init.sinceMs < b.init.sinceMs
}
