/**
 * Keeps the state of the page in step with the node: events as they come, and one round of
 * calls whenever the stream opens, since events do not tell what went away meanwhile.
 *
 * What comes while the round is on its way waits for it: each event carries the whole of
 * what it is about, so in that order the last word is the newest.
 *
 * @module web/follow
 */
import type { RpcEvent } from '../rpc/schema/events.ts'
import { followEvents } from './feed.ts'
import type { Call, Fetch } from './rpc.ts'
import type { Action, Snapshot } from './state.ts'

/** ms between two points of the chart. */
const SECOND_MS = 1_000

export interface FollowInit {
  readonly token: string
  readonly fetch: Fetch
  readonly call: Call
  readonly dispatch: (action: Action) => void
  readonly onRefused: () => void
}

/** @returns how to stop. */
export function followNode({ token, fetch, call, dispatch, onRefused }: FollowInit): () => void {
  const stopping = new AbortController()
  let waiting: RpcEvent[] | null = []
  let round = 0

  const tell = (event: RpcEvent): void => {
    dispatch({ type: 'event', event, atMs: Date.now() })
    // The event says that there is a release; what the channel is now, it does not.
    if (event.event === 'release' && event.data.own) void refreshChannels(call, dispatch)
  }
  const lookAround = async (): Promise<void> => {
    const mine = ++round
    waiting = []
    const snapshot = await takeSnapshot(call)
    if (stopping.signal.aborted || mine !== round) return
    dispatch({ type: 'snapshot', snapshot })
    dispatch({ type: 'connection', connection: 'live' })
    const events = waiting
    waiting = null
    for (const event of events ?? []) tell(event)
  }

  void followEvents({
    token,
    fetch,
    signal: stopping.signal,
    onOpen: lookAround,
    onEvent: (event) => {
      if (waiting === null) tell(event)
      else waiting.push(event)
    },
    onLost: () => dispatch({ type: 'connection', connection: 'lost' }),
    onRefused,
    wait,
  })
  const timer = setInterval(() => dispatch({ type: 'second' }), SECOND_MS)
  return () => {
    clearInterval(timer)
    stopping.abort()
  }
}

async function takeSnapshot(call: Call): Promise<Snapshot> {
  const [status, { channels }, { subscriptions }, { peers, bans }, { jobs }, limits] = await Promise.all([
    call('getStatus', {}),
    call('listChannels', {}),
    call('getSubscriptions', {}),
    call('getPeers', {}),
    call('getJobs', {}),
    call('getLimits', {}),
  ])
  return { status, channels, subscriptions, peers, bans, jobs, limits }
}

export async function refreshChannels(call: Call, dispatch: (action: Action) => void): Promise<void> {
  try {
    const { channels } = await call('listChannels', {})
    dispatch({ type: 'part', part: { channels } })
  } catch {
    // The stream tells that the daemon is gone, and the next round of calls makes up for it.
  }
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    const onAbort = (): void => {
      clearTimeout(timer)
      resolve()
    }
    signal.addEventListener('abort', onAbort, { once: true })
  })
}
