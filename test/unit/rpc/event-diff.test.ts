/** What is news between two looks. */
import { describe, expect, it } from 'vitest'
import type { NodeStatus, PeerInfo } from '../../../src/node/api.ts'
import { type Look, newsBetween } from '../../../src/rpc/event-diff.ts'
import type { JobInfo } from '../../../src/rpc/jobs.ts'
import { EVENTS } from '../../../src/rpc/schema/events.ts'
import { CHANNEL, fakeNode, KEY, SUBSCRIPTION } from './fake-node.ts'

const STATUS: NodeStatus = await fakeNode().api.getStatus()
const [PEER] = (await fakeNode().api.getPeers()) as readonly [PeerInfo]
const JOB: JobInfo = {
  ...{ jobId: 'j1', method: 'publish', state: 'running', startedAt: 5, endedAt: null },
  ...{ progress: null, result: null, error: null },
}
const OTHER = 'cd'.repeat(32)
const LOOK: Look = {
  ...{ status: STATUS, channels: [CHANNEL], peers: [PEER], jobs: [JOB] },
  subscriptions: [{ ...SUBSCRIPTION, publicKey: OTHER }],
}

const names = (before: Look | null, after: Look): readonly string[] =>
  newsBetween(before, after).map(({ event }) => event)

describe('news', () => {
  it('are all that there is at first, and no release, since none is known to be new', () => {
    expect(names(null, LOOK)).toEqual(['status', 'subscription', 'peer', 'job'])
  })

  it('are none while nothing happens but time', () => {
    expect(newsBetween(LOOK, { ...LOOK, status: { ...STATUS, uptime: 999 } })).toEqual([])
  })

  it('fit what is promised of each', () => {
    for (const { event, data } of newsBetween(null, LOOK)) expect(EVENTS[event].parse(data)).toEqual(data)
  })

  it('tell of a peer that changes its state, and not of each byte', () => {
    expect(names(LOOK, { ...LOOK, peers: [{ ...PEER, bytesIn: 7_777 }] })).toEqual([])
    expect(newsBetween(LOOK, { ...LOOK, peers: [{ ...PEER, state: 'greeting' }] })).toEqual([
      { event: 'peer', data: { ...PEER, state: 'greeting' } },
    ])
    expect(newsBetween(LOOK, { ...LOOK, peers: [] })).toEqual([
      { event: 'peer', data: { ...PEER, state: 'closed' } },
    ])
    // The same peer again is another connection.
    expect(names(LOOK, { ...LOOK, peers: [{ ...PEER, since: PEER.since + 1 }] })).toEqual(['peer', 'peer'])
  })

  it('tell of a subscription that changes or goes', () => {
    const subscriptions = [{ ...SUBSCRIPTION, publicKey: OTHER, blobsDone: 3 }]
    expect(newsBetween(LOOK, { ...LOOK, subscriptions })).toEqual([
      { event: 'subscription', data: subscriptions[0] },
    ])
    expect(newsBetween(LOOK, { ...LOOK, subscriptions: [] })).toEqual([
      { event: 'subscription', data: { publicKey: OTHER, removed: true } },
    ])
  })

  it('tell of a release once, whether ours or followed', () => {
    const channels = [{ ...CHANNEL, sequence: 4 }]
    const own = newsBetween(LOOK, { ...LOOK, channels })
    expect(own).toEqual([{ event: 'release', data: { publicKey: KEY, sequence: 4, own: true } }])
    const subscriptions = [{ ...SUBSCRIPTION, publicKey: OTHER, sequence: 4 }]
    expect(newsBetween(LOOK, { ...LOOK, subscriptions })[0]).toEqual({
      event: 'release',
      data: { publicKey: OTHER, sequence: 4, own: false },
    })
    // Of a channel that is both, told once.
    const both = { ...LOOK, subscriptions: [{ ...SUBSCRIPTION, publicKey: KEY }] }
    const after = { ...both, channels, subscriptions: [{ ...SUBSCRIPTION, publicKey: KEY, sequence: 4 }] }
    expect(names(both, after)).toEqual(['release', 'subscription'])
  })

  it('tell of a job whenever it was replaced, and of those that are the same object not', () => {
    expect(names(LOOK, { ...LOOK, jobs: [JOB] })).toEqual([])
    expect(names(LOOK, { ...LOOK, jobs: [{ ...JOB, state: 'done', endedAt: 6 }] })).toEqual(['job'])
  })
})
