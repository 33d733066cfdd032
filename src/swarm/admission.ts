/**
 * Who makes room when one more peer comes in: pure decisions on what is known of
 * the peers that are here.
 *
 * Peers that come in get three quarters of all places, so that nobody can keep us
 * from dialling by filling them, and one host a quarter of those. Among them those
 * that share no channel with us go first; then those of the host that has the most
 * places, the youngest that gave us nothing; then one that has been idle for long
 * (swarm/eviction.ts). Behind a proxy or an onion all are one host.
 *
 * @module swarm/admission
 */
import { ADMISSION_GRACE_MS, GROUP_SHARE, INBOUND_SHARE, TARGET_PEERS_PER_CHANNEL } from '../base/limits.ts'
import { hostGroup, isIpOfOthers } from '../transport/host-group.ts'
import { type Guest, idlest } from './eviction.ts'

export type { Guest } from './eviction.ts'

/** Places for peers that come in. */
export function inboundPlaces(maxPeers: number): number {
  return Math.max(1, Math.floor(maxPeers * INBOUND_SHARE))
}

/** Of these, for one host; a few where all of them are few. */
export function placesOfHost(maxPeers: number): number {
  return Math.max(TARGET_PEERS_PER_CHANNEL, Math.floor(inboundPlaces(maxPeers) * GROUP_SHARE))
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
  const group = hostGroup(host)
  const neighbours = inbound.filter(({ init }) => hostGroup(init.remote.host) === group)
  if (isIpOfOthers(host) && neighbours.length >= placesOfHost(maxPeers)) {
    return longestStranger(neighbours, nowMs) ?? 'full'
  }
  if (all.length < maxPeers && inbound.length < inboundPlaces(maxPeers)) return 'welcome'
  const stranger = longestStranger(inbound, nowMs)
  if (stranger !== null) return stranger
  const largest = largestGroup(inbound)
  // Its place would only move from one to another if the newcomer's host had as many.
  if (largest.length > neighbours.length + 1) {
    const spare = largest.filter(({ isProven }) => !isProven)
    const youngest = spare.reduce<G | null>((a, b) => (a === null || isOlder(a, b) ? b : a), null)
    if (youngest !== null) return youngest
  }
  return idlest(inbound, nowMs) ?? 'full'
}

/** Of those that share no channel with us after their time of grace, the one that has been here longest. */
function longestStranger<G extends Guest>(guests: readonly G[], nowMs: number): G | null {
  const strangers = guests.filter(
    ({ shared, init }) => shared.size === 0 && nowMs - init.sinceMs > ADMISSION_GRACE_MS,
  )
  return strangers.reduce<G | null>((a, b) => (a === null || isOlder(b, a) ? b : a), null)
}

function largestGroup<G extends Guest>(guests: readonly G[]): readonly G[] {
  const groups = new Map<string, G[]>()
  for (const guest of guests) {
    const group = hostGroup(guest.init.remote.host)
    const members = groups.get(group)
    if (members === undefined) groups.set(group, [guest])
    else members.push(guest)
  }
  return [...groups.values()].reduce<G[]>((a, b) => (b.length > a.length ? b : a), [])
}

function isOlder(a: Guest, b: Guest): boolean {
  return a.init.sinceMs < b.init.sinceMs
}
