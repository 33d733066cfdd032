/**
 * The end of a soak: everybody runs and follows, each channel gets a last release,
 * and that one must come to all of them byte for byte.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { errorMessage } from '../../src/base/errors.ts'
import type { Cast } from './churn.ts'
import type { Follower } from './follower.ts'

const SETTLE_MS = 300_000
const LOOK_MS = 2_000

/** What is still wrong at the end of the time; empty when nothing is. */
export async function settle(
  cast: Cast,
  followers: readonly Follower[],
  seed: number,
): Promise<readonly string[]> {
  const problems: string[] = []
  for (const node of cast.nodes) await node.revive()
  for (const follower of followers) {
    await follower
      .follow()
      .catch((error: unknown) =>
        problems.push(`${follower.owner.name} does not follow: ${errorMessage(error)}`),
      )
  }
  for (const [i, channel] of cast.channels.entries()) {
    const before = channel.newest
    await channel.release(seed + 100 * i).catch((error: unknown) => problems.push(errorMessage(error)))
    if (channel.newest <= before) {
      problems.push(`${channel.name}: no last release: ${channel.failures.at(-1) ?? 'none was begun'}`)
    }
  }
  const startMs = performance.now()
  let waiting = [...followers]
  let seen: string[] = []
  while (waiting.length > 0) {
    seen = []
    const left: Follower[] = []
    for (const follower of waiting) {
      const problem = await follower.problem().catch((error: unknown) => errorMessage(error))
      if (problem === null) continue
      seen.push(problem)
      left.push(follower)
    }
    waiting = left
    if (performance.now() - startMs > SETTLE_MS) break
    if (waiting.length > 0) await pause(LOOK_MS)
  }
  return [...problems, ...seen, ...(await damaged(cast))]
}

/** Hosts have no files to compare, so they hash what they hold. */
async function damaged({ nodes }: Cast): Promise<readonly string[]> {
  const problems: string[] = []
  for (const { name, node } of nodes.filter(({ role }) => role === 'host')) {
    const { bad } = await node.rpc<{ bad: number }>('verify').catch(() => ({ bad: Number.NaN }))
    if (bad !== 0) problems.push(`${name}: ${bad} damaged blobs`)
  }
  return problems
}
