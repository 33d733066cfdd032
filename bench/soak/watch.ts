/**
 * Looks at every node again and again while a soak runs: as a user's status page
 * would, and to see when a release has come to everybody.
 */
import type { Cast } from './churn.ts'
import { type Follower, type Shown, subscriptionsOf } from './follower.ts'
import type { SoakNode } from './soak-node.ts'

/** Asked for nothing but the asking. */
const POLLED_METHODS = ['getStatus', 'getPeers', 'getJobs', 'listChannels', 'getLimits'] as const

/** Sets `completeAtMs` of releases that all have who follow them and run. */
export async function watchReleases(cast: Cast, followers: readonly Follower[]): Promise<void> {
  const shown = new Map<SoakNode, readonly Shown[]>()
  await Promise.all(
    cast.nodes.map(async (node) => {
      const subscriptions = await askQuietly(node, () => subscriptionsOf(node))
      if (subscriptions !== null) shown.set(node, subscriptions)
    }),
  )
  for (const { releases, publicKey } of cast.channels) {
    const reached = followers
      .filter(({ channel, isWanted }) => isWanted && channel.publicKey === publicKey)
      .flatMap(({ owner }) => shown.get(owner)?.filter((each) => each.publicKey === publicKey) ?? [])
      .map(({ sequence, state }) => (state === 'complete' ? sequence : sequence - 1))
    if (reached.length === 0) continue
    const least = Math.min(...reached)
    for (const release of releases) {
      if (release.completeAtMs === null && release.sequence <= least) release.completeAtMs = Date.now()
    }
  }
}

export async function pollAll(nodes: readonly SoakNode[]): Promise<void> {
  for (const node of nodes) {
    for (const method of POLLED_METHODS) await askQuietly(node, () => node.node.rpc(method))
  }
}

/** Null when it is down, or goes down meanwhile. */
async function askQuietly<T>(node: SoakNode, ask: () => Promise<T>): Promise<T | null> {
  return (await node.isUp()) ? ask().catch(() => null) : null
}
