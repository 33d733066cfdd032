import { describe, expect, it } from 'vitest'
import {
  LATE_BLOB_FACTOR,
  LATE_BLOB_MIN_MS,
  MAX_BLOBS_IN_FLIGHT,
  MAX_TRIAL_REQUESTS,
  SECOND_SOURCE_MS,
} from '../../../src/base/limits.ts'
import type { BlobRequest } from '../../../src/swarm/fetch.ts'
import type { Peer } from '../../../src/swarm/peer.ts'
import { RequestPlaces } from '../../../src/swarm/request-places.ts'

interface FakePeer {
  readonly peer: Peer
  ask(places: RequestPlaces, sinceMs?: number): BlobRequest
}

function fake(isProven: boolean, window = 8): FakePeer {
  const inFlight = new Set<BlobRequest>()
  const peer = { isProven, inFlight, window: () => window } as unknown as Peer
  return {
    peer,
    ask(places, sinceMs = 0) {
      const request = { peer, sinceMs, isTrial: !peer.isProven } as unknown as BlobRequest
      inFlight.add(request)
      places.take(request)
      return request
    },
  }
}

function fill(places: RequestPlaces, peers: readonly FakePeer[], sinceMs = 0): void {
  for (let turn = 0; places.taken < MAX_BLOBS_IN_FLIGHT; turn++)
    peers[turn % peers.length]?.ask(places, sinceMs)
}

describe('places for requests', () => {
  it('are bounded, and free again when a request is over, once (I3)', () => {
    const a = fake(true)
    const places = new RequestPlaces([a.peer])
    const first = a.ask(places)
    fill(places, [a])
    expect(places.hasRoom(a.peer)).toBe(false)
    places.give(first)
    places.give(first)
    expect(places.taken).toBe(MAX_BLOBS_IN_FLIGHT - 1)
    expect(places.hasRoom(a.peer)).toBe(true)
  })

  it('are for peers that gave nothing in part only (I10)', () => {
    const strangers = Array.from({ length: MAX_TRIAL_REQUESTS }, () => fake(false, 1))
    const known = fake(true)
    const late = fake(false)
    const places = new RequestPlaces([...strangers, known, late].map(({ peer }) => peer))
    const requests = strangers.map((stranger) => stranger.ask(places))
    expect(places.hasRoom(late.peer)).toBe(false)
    expect(places.hasRoom(known.peer)).toBe(true)
    for (const request of requests.slice(0, 1)) places.give(request)
    expect(places.hasRoom(late.peer)).toBe(true)
  })

  it('go from a peer that has stalled with more than it works off, the last one first', () => {
    const slow = fake(true, 1)
    const fast = fake(true, 40)
    const waiting = fake(true)
    const places = new RequestPlaces([slow, fast, waiting].map(({ peer }) => peer))
    slow.ask(places)
    const last = slow.ask(places)
    fill(places, [fast])
    // Slower than before is not stalled: what was asked is on its way.
    expect(places.toCallOff(waiting.peer, SECOND_SOURCE_MS - 1)).toBe(null)
    expect(places.toCallOff(waiting.peer, SECOND_SOURCE_MS)).toBe(last)
    expect(places.toCallOff(slow.peer, SECOND_SOURCE_MS)).toBe(null) // it gains nothing from itself
    expect(places.canMakeRoom(waiting.peer, SECOND_SOURCE_MS)).toBe(true)
  })

  it('go from what is far later than usual, and not before', () => {
    const held = Array.from({ length: MAX_BLOBS_IN_FLIGHT }, () => fake(true, 1))
    const waiting = fake(true)
    const places = new RequestPlaces([...held, waiting].map(({ peer }) => peer))
    for (const [number, each] of held.entries()) each.ask(places, 1_000 - number)
    expect(places.toCallOff(waiting.peer, LATE_BLOB_MIN_MS)).toBe(null)
    const oldest = [...(held.at(-1)?.peer.inFlight ?? [])][0]
    expect(places.toCallOff(waiting.peer, LATE_BLOB_MIN_MS + 1_000)).toBe(oldest)
    // On a slow line all are late: giving up what is nearly here would get us nowhere.
    for (let blob = 0; blob < 50; blob++) places.answered(LATE_BLOB_MIN_MS)
    expect(places.toCallOff(waiting.peer, LATE_BLOB_MIN_MS + 1_000)).toBe(null)
    expect(places.toCallOff(waiting.peer, LATE_BLOB_MIN_MS * (LATE_BLOB_FACTOR + 1))).toBe(oldest)
  })

  it('of peers that gave before do not go to strangers', () => {
    const known = fake(true, 1)
    const strangers = Array.from({ length: MAX_TRIAL_REQUESTS }, () => fake(false, 1))
    const waiting = fake(false, 1)
    const places = new RequestPlaces([known, ...strangers, waiting].map(({ peer }) => peer))
    for (let ask = 0; ask < 4; ask++) known.ask(places, 0)
    const trials = strangers.map((stranger) => stranger.ask(places, 10))
    expect(places.toCallOff(waiting.peer, LATE_BLOB_MIN_MS + 5)).toBe(null)
    expect(places.toCallOff(waiting.peer, LATE_BLOB_MIN_MS + 50)).toBe(trials[0])
  })
})
