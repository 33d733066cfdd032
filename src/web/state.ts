/**
 * What the page knows of the node, and how news changes it. Pure: the views show this and
 * nothing else.
 *
 * @module web/state
 */
import type { RpcEvent } from '../rpc/schema/events.ts'
import type { MethodResult } from '../rpc/schema/methods.ts'
import { peerName } from './format.ts'
import { type LogLine, linesOf } from './log-lines.ts'

export type Status = MethodResult<'getStatus'>
export type Channel = MethodResult<'listChannels'>['channels'][number]
export type Subscription = MethodResult<'getSubscriptions'>['subscriptions'][number]
export type Peers = MethodResult<'getPeers'>
export type Peer = Peers['peers'][number]
export type Ban = Peers['bans'][number]
export type Job = MethodResult<'getJobs'>['jobs'][number]
export type Limits = MethodResult<'getLimits'>

/** Rates at one moment, bytes a second. */
export interface Sample {
  readonly down: number
  readonly up: number
}

/** Everything, as one round of calls found it. */
export interface Snapshot {
  readonly status: Status
  readonly channels: readonly Channel[]
  readonly subscriptions: readonly Subscription[]
  readonly peers: readonly Peer[]
  readonly bans: readonly Ban[]
  readonly jobs: readonly Job[]
  readonly limits: Limits
}

export type Connection = 'connecting' | 'live' | 'lost'

export interface State {
  readonly connection: Connection
  /** Null until the first round of calls. */
  readonly node: Snapshot | null
  /** One a second, newest last. */
  readonly samples: readonly Sample[]
  /** Newest last. */
  readonly log: readonly LogLine[]
}

export type Action =
  | { readonly type: 'connection'; readonly connection: Connection }
  | { readonly type: 'snapshot'; readonly snapshot: Snapshot }
  | { readonly type: 'part'; readonly part: Partial<Snapshot> }
  | { readonly type: 'event'; readonly event: RpcEvent; readonly atMs: number }
  | { readonly type: 'second' }

export const INITIAL: State = { connection: 'connecting', node: null, samples: [], log: [] }

/** Two minutes of the chart. */
export const MAX_SAMPLES = 120
export const MAX_LOG_LINES = 300
export const MAX_JOBS = 50

export function reduce(state: State, action: Action): State {
  switch (action.type) {
    case 'connection':
      return { ...state, connection: action.connection }
    case 'snapshot':
      return { ...state, node: action.snapshot }
    case 'part':
      return state.node === null ? state : { ...state, node: { ...state.node, ...action.part } }
    case 'second':
      return withSample(state)
    case 'event': {
      if (state.node === null) return state
      const lines = linesOf(state.node, action.event, action.atMs)
      const log = lines.length === 0 ? state.log : [...state.log, ...lines].slice(-MAX_LOG_LINES)
      return { ...state, node: withEvent(state.node, action.event), log }
    }
  }
}

/** Nothing is drawn while nothing is known. */
function withSample(state: State): State {
  if (state.node === null || state.connection !== 'live') return state
  const { downloadRate, uploadRate } = state.node.status
  const samples = [...state.samples, { down: downloadRate, up: uploadRate }].slice(-MAX_SAMPLES)
  return { ...state, samples }
}

function withEvent(node: Snapshot, event: RpcEvent): Snapshot {
  switch (event.event) {
    case 'status':
      return { ...node, status: event.data }
    case 'subscription': {
      const { data } = event
      if ('removed' in data) {
        return {
          ...node,
          subscriptions: node.subscriptions.filter((each) => each.publicKey !== data.publicKey),
        }
      }
      return { ...node, subscriptions: upsert(node.subscriptions, data, (each) => each.publicKey) }
    }
    case 'release': {
      const { publicKey, sequence } = event.data
      const channels = node.channels.map((channel) =>
        channel.publicKey === publicKey
          ? { ...channel, sequence: Math.max(sequence, channel.sequence) }
          : channel,
      )
      return { ...node, channels }
    }
    case 'peer': {
      const { data } = event
      if (data.state !== 'closed') return { ...node, peers: upsert(node.peers, data, peerName) }
      return { ...node, peers: node.peers.filter((peer) => peerName(peer) !== peerName(data)) }
    }
    case 'job':
      return { ...node, jobs: upsert(node.jobs, event.data, (job) => job.jobId).slice(-MAX_JOBS) }
  }
}

/** In its place if it is there, at the end if not. */
function upsert<T>(items: readonly T[], item: T, keyOf: (item: T) => string): readonly T[] {
  const key = keyOf(item)
  const at = items.findIndex((each) => keyOf(each) === key)
  return at < 0 ? [...items, item] : items.with(at, item)
}
