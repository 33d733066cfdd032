/**
 * From two looks at the node to what is news. Pure.
 *
 * @module rpc/event-diff
 */
import type { ChannelInfo, NodeStatus, PeerInfo, SubscriptionInfo } from '../node/api.ts'
import type { JobInfo } from './jobs.ts'

/** Everything that events tell of, at one moment. */
export interface Look {
  readonly status: NodeStatus
  readonly channels: readonly ChannelInfo[]
  readonly subscriptions: readonly SubscriptionInfo[]
  readonly peers: readonly PeerInfo[]
  readonly jobs: readonly JobInfo[]
}

export interface News {
  readonly event: 'status' | 'subscription' | 'release' | 'peer' | 'job'
  readonly data: unknown
}

/** @param before - null: all that there is, and no release, since none is new. */
export function newsBetween(before: Look | null, after: Look): readonly News[] {
  return [
    ...statusNews(before, after),
    ...(before === null ? [] : releaseNews(before, after)),
    ...subscriptionNews(before?.subscriptions ?? [], after.subscriptions),
    ...peerNews(before?.peers ?? [], after.peers),
    ...jobNews(before?.jobs ?? [], after.jobs),
  ]
}

function statusNews(before: Look | null, after: Look): readonly News[] {
  // The time that has passed is no news.
  const isSame = before !== null && isEqual({ ...before.status, uptime: 0 }, { ...after.status, uptime: 0 })
  return isSame ? [] : [{ event: 'status', data: after.status }]
}

function releaseNews(before: Look, after: Look): readonly News[] {
  const known = new Map(before.subscriptions.map(({ publicKey, sequence }) => [publicKey, sequence]))
  for (const { publicKey, sequence } of before.channels) known.set(publicKey, sequence)
  const owned = new Set(after.channels.map(({ publicKey }) => publicKey))
  const followed = after.subscriptions.filter(({ publicKey }) => !owned.has(publicKey))
  return [...after.channels, ...followed]
    .filter(({ publicKey, sequence }) => sequence > (known.get(publicKey) ?? 0))
    .map(({ publicKey, sequence }) => ({
      event: 'release',
      data: { publicKey, sequence, own: owned.has(publicKey) },
    }))
}

function subscriptionNews(
  before: readonly SubscriptionInfo[],
  after: readonly SubscriptionInfo[],
): readonly News[] {
  const known = byKey(before, ({ publicKey }) => publicKey)
  const now = new Set(after.map(({ publicKey }) => publicKey))
  const removed = before.filter(({ publicKey }) => !now.has(publicKey))
  const changed = after.filter((subscription) => !isEqual(known.get(subscription.publicKey), subscription))
  return [
    ...removed.map(({ publicKey }): News => ({ event: 'subscription', data: { publicKey, removed: true } })),
    ...changed.map((data): News => ({ event: 'subscription', data })),
  ]
}

function peerNews(before: readonly PeerInfo[], after: readonly PeerInfo[]): readonly News[] {
  // Nothing names a connection, so what stays the same through its life does.
  const nameOf = ({ nodeKey, address, direction, since }: PeerInfo): string =>
    JSON.stringify([nodeKey, address, direction, since])
  const known = byKey(before, nameOf)
  const now = byKey(after, nameOf)
  const closed = before.filter((peer) => !now.has(nameOf(peer)))
  const changed = after.filter((peer) => known.get(nameOf(peer))?.state !== peer.state)
  return [
    ...closed.map((peer): News => ({ event: 'peer', data: { ...peer, state: 'closed' } })),
    ...changed.map((data): News => ({ event: 'peer', data })),
  ]
}

function jobNews(before: readonly JobInfo[], after: readonly JobInfo[]): readonly News[] {
  const known = byKey(before, ({ jobId }) => jobId)
  // A job is replaced by another object whenever it changes.
  return after.filter((job) => known.get(job.jobId) !== job).map((data): News => ({ event: 'job', data }))
}

function byKey<T>(items: readonly T[], keyOf: (item: T) => string): ReadonlyMap<string, T> {
  return new Map(items.map((item) => [keyOf(item), item]))
}

/** Plain JSON whose members always come in one order. */
function isEqual(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
