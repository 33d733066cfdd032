/**
 * Carries out the plan of a soak. Events of different nodes run side by side, so a
 * publisher may be killed while it publishes and a reader while it fetches.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { RpcFailure } from '../../test/swarm/harness/test-node.ts'
import type { SoakChannel } from './channel.ts'
import type { Follower } from './follower.ts'
import type { PlannedEvent } from './plan.ts'
import type { SoakNode } from './soak-node.ts'

export interface Cast {
  readonly nodes: readonly SoakNode[]
  readonly channels: readonly SoakChannel[]
  /** Those that may be switched off and on. */
  readonly fickle: readonly Follower[]
}

/** How often what came to what: `toggle: done`, `publish: ERR_NO_CARRIER`. */
export type Outcomes = Map<string, number>

/** Runs until the plan is at its end, or the signal fires; then waits for what has begun. */
export async function carryOut(
  plan: readonly PlannedEvent[],
  cast: Cast,
  signal: AbortSignal,
  note: (text: string) => void,
): Promise<Outcomes> {
  const outcomes: Outcomes = new Map()
  const running = new Set<Promise<void>>()
  const startMs = performance.now()
  for (const event of plan) {
    const waitMs = event.atMs - (performance.now() - startMs)
    if (waitMs > 0) await pause(waitMs, undefined, { signal }).catch(() => {})
    if (signal.aborted) break
    const one = outcomeOf(event, cast, signal).then(({ what, outcome }) => {
      note(`${what}: ${outcome}`)
      const key = `${event.happening.kind}: ${outcome}`
      outcomes.set(key, (outcomes.get(key) ?? 0) + 1)
      running.delete(one)
    })
    running.add(one)
  }
  await Promise.all(running)
  return outcomes
}

async function outcomeOf(
  event: PlannedEvent,
  cast: Cast,
  signal: AbortSignal,
): Promise<{ readonly what: string; readonly outcome: string }> {
  const { what, run } = actionOf(event, cast, signal)
  try {
    return { what, outcome: (await run()) ? 'done' : 'not possible now' }
  } catch (error) {
    // Nodes are killed in the middle of calls: that one breaks is no fault, what the daemon refuses may be.
    return { what, outcome: error instanceof RpcFailure ? (error.code ?? error.message) : 'interrupted' }
  }
}

interface Action {
  readonly what: string
  readonly run: () => Promise<boolean>
}

function actionOf({ happening, choice, seed }: PlannedEvent, cast: Cast, signal: AbortSignal): Action {
  switch (happening.kind) {
    case 'restart': {
      const node = pick(
        cast.nodes.filter(({ isSteady }) => !isSteady),
        choice,
      )
      const { how, downMs } = happening
      return { what: `${how} ${node.name}`, run: () => node.restart(how, downMs, signal) }
    }
    case 'publish': {
      const channel = pick(cast.channels, choice)
      return { what: `publish ${channel.name}`, run: () => channel.release(seed) }
    }
    case 'toggle': {
      const follower = pick(cast.fickle, choice)
      return {
        what: `toggle ${follower.owner.name} of ${follower.channel.name}`,
        run: () => toggle(follower, seed),
      }
    }
    case 'collect':
    case 'verify': {
      const node = pick(
        cast.nodes.filter(({ role }) => role !== 'dht'),
        choice,
      )
      const method = happening.kind === 'collect' ? 'gc' : 'verify'
      return { what: `${method} ${node.name}`, run: () => call(node, method) }
    }
  }
}

async function toggle(follower: Follower, seed: number): Promise<boolean> {
  if (!(await follower.owner.isUp())) return false
  await (follower.isWanted ? follower.unfollow(seed % 2 === 0) : follower.follow())
  return true
}

async function call(node: SoakNode, method: string): Promise<boolean> {
  if (!(await node.isUp())) return false
  await node.node.rpc(method)
  return true
}

function pick<T>(from: readonly T[], choice: number): T {
  return from[Math.floor(choice * from.length)] as T
}
