/**
 * Which peer is missed least when there are too many: pure decisions on what is
 * known of each.
 *
 * Some are kept whatever else they are: those of the user; those that gave blobs
 * lately, which nobody can pretend; those that are given some now; the ones that
 * have been here longest; and one of each of some hosts. Each kind protects a part of the
 * places only, so that no kind can be filled to keep newcomers out for ever.
 *
 * @module swarm/eviction
 */
import { IDLE_PEER_MS, PROTECTED_SHARE, USEFUL_PEER_MS } from '../base/limits.ts'
import { hostGroup } from '../transport/host-group.ts'

/** What the decisions look at. swarm/peer.ts is one. Moments are monotonic ms. */
export interface Guest {
  readonly direction: 'in' | 'out'
  readonly byUser: boolean
  readonly isProven: boolean
  /** When it last gave us a blob that was right; -Infinity: never. */
  readonly gaveMs: number
  /** When it was last given one. */
  readonly tookMs: number
  readonly shared: { readonly size: number }
  readonly init: { readonly sinceMs: number; readonly remote: { readonly host: string } }
}

/** Those that stay whatever else is decided. Cost: O(n log n). */
export function protectedOf<G extends Guest>(guests: readonly G[], nowMs: number): ReadonlySet<G> {
  const each = Math.max(1, Math.floor(guests.length * PROTECTED_SHARE))
  const kept = new Set<G>(guests.filter(({ byUser }) => byUser))
  const keepFirst = (some: readonly G[], before: (a: G, b: G) => number): void => {
    for (const guest of [...some].sort(before).slice(0, each)) kept.add(guest)
  }
  const isLately = (ms: number): boolean => nowMs - ms <= USEFUL_PEER_MS
  const byAge = (a: G, b: G): number => a.init.sinceMs - b.init.sinceMs
  keepFirst(
    guests.filter(({ gaveMs }) => isLately(gaveMs)),
    (a, b) => b.gaveMs - a.gaveMs,
  )
  keepFirst(
    guests.filter(({ tookMs }) => isLately(tookMs)),
    (a, b) => b.tookMs - a.tookMs,
  )
  keepFirst(guests, byAge)
  const oldestOf = new Map<string, G>()
  for (const guest of [...guests].sort(byAge)) {
    const group = hostGroup(guest.init.remote.host)
    if (!oldestOf.has(group)) oldestOf.set(group, guest)
  }
  keepFirst([...oldestOf.values()], byAge)
  return kept
}

/**
 * The one through which no blob has come or gone for longest, if that is IDLE_PEER_MS and it is not
 * protected. It loses little: who wants something can come back.
 */
export function idlest<G extends Guest>(guests: readonly G[], nowMs: number): G | null {
  const kept = protectedOf(guests, nowMs)
  const idle = guests.filter((guest) => !kept.has(guest) && nowMs - lastUseMs(guest) > IDLE_PEER_MS)
  return least(idle, lastUseMs)
}

/**
 * Who goes when the user wants fewer connections than there are: strangers first, then those that are
 * not protected, from the one that was of use longest ago; null only when there is nobody.
 */
export function leastUseful<G extends Guest>(guests: readonly G[], nowMs: number): G | null {
  const kept = protectedOf(guests, nowMs)
  const strangers = guests.filter(({ shared, byUser }) => shared.size === 0 && !byUser)
  const others = guests.filter((guest) => !kept.has(guest))
  const notUsers = guests.filter(({ byUser }) => !byUser)
  const from = [strangers, others, notUsers, guests].find((some) => some.length > 0) ?? []
  return least(from, lastUseMs)
}

/** Those that have to go so that no more than `places` are left. */
export function surplus<G extends Guest>(guests: readonly G[], places: number, nowMs: number): G[] {
  const left = new Set(guests)
  const gone: G[] = []
  while (left.size > places) {
    const guest = leastUseful([...left], nowMs)
    if (guest === null) break
    left.delete(guest)
    gone.push(guest)
  }
  return gone
}

/** When a blob last went over it, or when it came. */
function lastUseMs({ gaveMs, tookMs, init }: Guest): number {
  return Math.max(gaveMs, tookMs, init.sinceMs)
}

function least<G>(some: readonly G[], of: (guest: G) => number): G | null {
  return some.reduce<G | null>((a, b) => (a === null || of(b) < of(a) ? b : a), null)
}
