/** Availability against a naive twin, whenever HAVE comes and whenever fetches begin and end (STATE.md I7, I9). */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../src/base/clock.ts'
import { MAX_MANIFEST_BLOBS } from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { SwarmChannel } from '../../src/swarm/channel.ts'
import { Downloads } from '../../src/swarm/downloads.ts'
import type { Peer } from '../../src/swarm/peer.ts'
import { PeerHoldings } from '../../src/swarm/peer-holdings.ts'
import { SimChannel } from '../unit/swarm/sim-node.ts'

const PEERS = 4
const RELEASES = 5
const BLOBS = 40

const PEER = fc.nat({ max: PEERS - 1 })
const RELEASE = fc.nat({ max: RELEASES - 1 })
const INDEX = fc.oneof(
  { weight: 9, arbitrary: fc.nat({ max: BLOBS + 5 }) },
  // What no fetch wants, and what fills the memory of a peer.
  { weight: 1, arbitrary: fc.constantFrom(100_000, MAX_MANIFEST_BLOBS - 1) },
)
const RANGES = fc
  .array(fc.tuple(INDEX, fc.integer({ min: 1, max: 20 })), { maxLength: 3 })
  .map((pairs) => pairs.sort((a, b) => a[0] - b[0]).map(([start, length]) => ({ start, length })))
const STEP = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('told' as const),
      peer: PEER,
      release: RELEASE,
      ranges: RANGES,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('fetch' as const),
      release: RELEASE,
      upTo: fc.integer({ min: 1, max: BLOBS }),
    }),
  },
  fc.record({ kind: fc.constant('stop' as const), release: RELEASE }),
  fc.record({ kind: fc.constant('gone' as const), peer: PEER }),
  fc.record({ kind: fc.constant('came' as const), peer: PEER }),
)

/** A peer of which nothing is ever asked. */
function quietPeer(): Peer {
  const connection = { closed: false }
  return {
    holdings: new PeerHoldings(),
    inFlight: new Set(),
    isProven: false,
    mayBeAsked: () => false,
    connection,
  } as unknown as Peer
}

function rootOf(release: number): Uint8Array {
  return new Uint8Array(32).fill(release + 1)
}

describe('availability', () => {
  it('is the number of connected peers that told of a blob, and whose word is remembered', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(STEP, { minLength: 20, maxLength: 80, size: 'max' }), async (steps) => {
        const clock = new ManualClock()
        const random = seededRandom(1)
        const peers = new Set<Peer>()
        const everybody = Array.from({ length: PEERS }, quietPeer)
        const channel = new SwarmChannel(new SimChannel(1).keys, { onHead: () => {} }, clock, random)
        const downloads = new Downloads({
          clock,
          random,
          peers,
          sink: { put: async () => ({ placeError: null }) },
          onStored: () => {},
          onFalse: () => {},
        })
        const stops = new Map<number, AbortController>()
        const ends: Promise<unknown>[] = []
        for (const step of steps) {
          if (step.kind === 'told') {
            const peer = everybody[step.peer] as Peer
            if (peers.has(peer)) downloads.told(peer, channel, rootOf(step.release), step.ranges)
          } else if (step.kind === 'fetch') {
            const stop = stops.get(step.release) ?? new AbortController()
            stops.set(step.release, stop)
            const indexes = Array.from({ length: step.upTo }, (_, index) => index)
            const wants = { indexes, idOf: () => new Uint8Array(32) }
            const options = { signal: stop.signal, onStored: () => {} }
            const release = { number: step.release + 1, rootId: rootOf(step.release) }
            ends.push(downloads.fetch(channel, release, wants, options).catch((error: unknown) => error))
          } else if (step.kind === 'stop') {
            stops.get(step.release)?.abort()
            stops.delete(step.release)
          } else {
            const peer = everybody[step.peer] as Peer
            if (step.kind === 'came' && !peers.has(peer)) {
              // A connection begins with nothing.
              everybody[step.peer] = quietPeer()
              peers.add(everybody[step.peer] as Peer)
            } else if (step.kind === 'gone' && peers.delete(peer)) downloads.peerGone(peer)
          }
          await null
        }
        expect([...channel.fetches.values()].length).toBe(stops.size)
        for (const { release, picker } of channel.fetches.values()) {
          for (let index = 0; index < BLOBS; index++) {
            if (!picker.isWanted(index)) continue
            const holders = [...peers].filter((peer) => peer.holdings.of(channel, release.rootId)?.has(index))
            expect(picker.holders(index), `of blob ${index}`).toBe(holders.length)
          }
        }
        for (const stop of stops.values()) stop.abort()
        await Promise.all(ends)
        expect(channel.fetches.size).toBe(0)
      }),
      { numRuns: 120 },
    )
  })
})
