import { describe, expect, it } from 'vitest'
import type { RpcEvent } from '../../../src/rpc/schema/events.ts'
import {
  INITIAL,
  type Job,
  MAX_JOBS,
  MAX_LOG_LINES,
  MAX_SAMPLES,
  type Peer,
  reduce,
  type Snapshot,
  type State,
  type Status,
  type Subscription,
} from '../../../src/web/state.ts'

const KEY = 'ab'.repeat(32)

/** The reducer looks at the rates and at nothing else of it. */
const STATUS = { downloadRate: 3, uploadRate: 2 } as Status

const subscription = (changes: Partial<Subscription> = {}): Subscription => ({
  publicKey: KEY,
  uri: `megatorrent://${KEY}`,
  title: 'Trip',
  sequence: 1,
  state: 'fetching',
  directory: '/x',
  hosted: false,
  files: 1,
  bytes: 1,
  blobsDone: 0,
  blobsTotal: 1,
  downloadRate: 0,
  uploadRate: 0,
  peers: 0,
  onionAddress: null,
  signedAt: null,
  refreshedAt: null,
  silentSince: null,
  conflicts: [],
  error: null,
  ...changes,
})

const peer = (changes: Partial<Peer> = {}): Peer => ({
  nodeKey: KEY,
  address: '127.0.0.1:1',
  direction: 'out',
  since: 5,
  bytesIn: 0,
  bytesOut: 0,
  state: 'open',
  ...changes,
})

const job = (changes: Partial<Job> = {}): Job => ({
  jobId: 'j1',
  method: 'publish',
  state: 'running',
  startedAt: 0,
  endedAt: null,
  progress: null,
  result: null,
  error: null,
  ...changes,
})

const SNAPSHOT: Snapshot = {
  status: STATUS,
  channels: [],
  subscriptions: [],
  peers: [],
  bans: [],
  jobs: [],
  limits: { uploadLimit: 0, downloadLimit: 0, maxPeers: 10 },
}

const LIVE: State = reduce(reduce(INITIAL, { type: 'snapshot', snapshot: SNAPSHOT }), {
  type: 'connection',
  connection: 'live',
})

const told = (state: State, ...events: readonly RpcEvent[]): State =>
  events.reduce((now, event) => reduce(now, { type: 'event', event, atMs: 7 }), state)
const texts = (state: State): readonly string[] => state.log.map(({ text }) => text)

describe('the state of the page', () => {
  it('knows nothing before the first round of calls, whatever comes', () => {
    expect(told(INITIAL, { event: 'peer', data: peer() })).toBe(INITIAL)
    expect(reduce(INITIAL, { type: 'part', part: { channels: [] } })).toBe(INITIAL)
    expect(reduce(INITIAL, { type: 'second' })).toBe(INITIAL)
  })

  it('forgets with a new round what is gone', () => {
    const full = told(LIVE, { event: 'peer', data: peer() }, { event: 'subscription', data: subscription() })
    const again = reduce(full, { type: 'snapshot', snapshot: SNAPSHOT })
    expect(again.node).toEqual(SNAPSHOT)
    expect(again.log).toEqual(full.log)
  })

  it('keeps one of each subscription, in its place, and takes it away', () => {
    const other = subscription({ publicKey: 'cd'.repeat(32) })
    const both = told(
      LIVE,
      { event: 'subscription', data: subscription() },
      { event: 'subscription', data: other },
      { event: 'subscription', data: subscription({ state: 'complete', blobsDone: 1 }) },
    )
    expect(both.node?.subscriptions).toEqual([subscription({ state: 'complete', blobsDone: 1 }), other])
    const one = told(both, { event: 'subscription', data: { publicKey: KEY, removed: true } })
    expect(one.node?.subscriptions).toEqual([other])
    expect(texts(one)).toEqual(['Trip: fetching', 'Trip: fetching', 'Trip: complete', 'Trip: removed'])
  })

  it('tells a peer that comes and goes, and one connection from another of the same node', () => {
    const state = told(
      LIVE,
      { event: 'peer', data: peer() },
      { event: 'peer', data: peer({ since: 6 }) },
      { event: 'peer', data: peer({ state: 'closed' }) },
      { event: 'peer', data: { ...peer({ since: 99 }), state: 'closed' } },
    )
    expect(state.node?.peers).toEqual([peer({ since: 6 })])
    expect(texts(state).filter((text) => text.includes('closed'))).toHaveLength(1)
  })

  it('raises the release of a channel of ours, and never lowers it', () => {
    const channel = { publicKey: KEY, name: 'mine', uri: '', private: false, open: false, sequence: 2 }
    const mine = { ...channel, unpublished: false, onionAddress: null }
    const owning = reduce(LIVE, { type: 'part', part: { channels: [mine] } })
    const release = (sequence: number): RpcEvent => ({
      event: 'release',
      data: { publicKey: KEY, sequence, own: true },
    })
    const state = told(owning, release(3), release(1))
    expect(state.node?.channels[0]?.sequence).toBe(3)
    expect(texts(state)[0]).toBe('mine: release 3 is signed')
  })

  it('follows a job to its end, with a line for each state and none for progress', () => {
    const progress = { phase: 'hashing', done: 1, total: 2, unit: 'blobs' } as const
    const state = told(
      LIVE,
      { event: 'job', data: job() },
      { event: 'job', data: job({ progress }) },
      { event: 'job', data: job({ state: 'failed', error: { code: 1, message: 'no room' } }) },
    )
    expect(state.node?.jobs).toHaveLength(1)
    expect(texts(state)).toEqual(['publish: begun', 'publish: failed: no room'])
    expect(state.log.map(({ isBad }) => isBad)).toEqual([false, true])
  })

  it('draws a point a second, while it knows what to draw', () => {
    const one = reduce(LIVE, { type: 'second' })
    expect(one.samples).toEqual([{ down: 3, up: 2 }])
    const lost = reduce(one, { type: 'connection', connection: 'lost' })
    expect(reduce(lost, { type: 'second' }).samples).toEqual(one.samples)
  })

  it('stays of bounded size', () => {
    let state = LIVE
    for (let i = 0; i < MAX_LOG_LINES + 50; i++) {
      state = reduce(told(state, { event: 'job', data: job({ jobId: `j${i}` }) }), { type: 'second' })
    }
    expect(state.log).toHaveLength(MAX_LOG_LINES)
    expect(state.samples).toHaveLength(MAX_SAMPLES)
    expect(state.node?.jobs).toHaveLength(MAX_JOBS)
    expect(state.node?.jobs.at(-1)?.jobId).toBe(`j${MAX_LOG_LINES + 49}`)
  })

  it('changes nothing that it was given', () => {
    const frozen = Object.freeze({ ...LIVE, log: Object.freeze([]) })
    expect(() => told(frozen, { event: 'peer', data: peer() })).not.toThrow()
  })
})

describe('names of others', () => {
  it('lose marks that would turn them, and never stand empty', () => {
    const turned = told(LIVE, {
      event: 'subscription',
      data: subscription({ title: 'a\u202egnp.exe\u001b[31m' }),
    })
    expect(texts(turned)[0]).toBe('a\ufffdgnp.exe\ufffd[31m: fetching')
    const blank = told(LIVE, { event: 'subscription', data: subscription({ title: ' ' }) })
    expect(texts(blank)[0]).toBe(`${KEY.slice(0, 12)}: fetching`)
  })
})
