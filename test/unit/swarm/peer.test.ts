import { describe, expect, it } from 'vitest'
import {
  BUSY_PAUSE_MS,
  MAX_BUSY_PAUSE_MS,
  MAX_MISSES,
  MAX_WINDOW,
  WINDOW_AHEAD_MS,
} from '../../../src/base/limits.ts'
import type { BlobRequest } from '../../../src/swarm/fetch.ts'
import { Peer, type PeerInit } from '../../../src/swarm/peer.ts'

function newPeer(): Peer {
  const init = { connection: { closed: false }, address: null, hello: { received: 0 } }
  return new Peer(init as unknown as PeerInit, false)
}

/** Blobs come one after the other, each after `tookMs`. */
function give(peer: Peer, blobs: number, tookMs: number, fromMs = 1_000): number {
  let nowMs = fromMs
  for (let blob = 0; blob < blobs; blob++) {
    const askedMs = nowMs
    nowMs += tookMs
    peer.blobArrived(nowMs, askedMs)
    peer.blobVerified()
  }
  return nowMs
}

describe('the window of a peer (I6)', () => {
  it('grows by one with each blob that hashed right', () => {
    const peer = newPeer()
    const windows = [peer.window(0)]
    for (let blob = 0; blob < MAX_WINDOW + 3; blob++) {
      peer.blobVerified()
      windows.push(peer.window(0))
    }
    expect(windows).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 8])
  })

  it('is no wider than what the peer works off in time', () => {
    const fast = newPeer()
    expect(fast.window(give(fast, 20, 50))).toBe(MAX_WINDOW)
    const slow = newPeer()
    expect(slow.window(give(slow, 20, WINDOW_AHEAD_MS / 2))).toBe(3)
    const slower = newPeer()
    expect(slower.window(give(slower, 20, WINDOW_AHEAD_MS * 3))).toBe(1)
  })

  it('shrinks while a peer that was fast is silent', () => {
    const peer = newPeer()
    const nowMs = give(peer, 20, 50)
    peer.inFlight.add({ sinceMs: nowMs } as BlobRequest)
    expect(peer.window(nowMs + 100)).toBe(MAX_WINDOW)
    expect(peer.window(nowMs + WINDOW_AHEAD_MS)).toBe(2)
    expect(peer.window(nowMs + WINDOW_AHEAD_MS + 1)).toBe(1)
  })

  it('does not shrink because nothing was asked for a while', () => {
    const peer = newPeer()
    const nowMs = give(peer, 20, 50) + 600_000
    expect(peer.window(nowMs)).toBe(MAX_WINDOW)
    peer.inFlight.add({ sinceMs: nowMs } as BlobRequest)
    peer.blobArrived(nowMs + 50, nowMs)
    expect(peer.window(nowMs + 50)).toBe(MAX_WINDOW)
  })
})

describe('a peer', () => {
  it('that is busy is left alone longer each time, until it gives something', () => {
    const peer = newPeer()
    peer.pause(0)
    expect([peer.mayBeAsked(BUSY_PAUSE_MS - 1), peer.mayBeAsked(BUSY_PAUSE_MS)]).toEqual([false, true])
    peer.pause(0)
    expect([peer.mayBeAsked(2 * BUSY_PAUSE_MS - 1), peer.mayBeAsked(2 * BUSY_PAUSE_MS)]).toEqual([
      false,
      true,
    ])
    for (let time = 0; time < 20; time++) peer.pause(0)
    expect(peer.mayBeAsked(MAX_BUSY_PAUSE_MS)).toBe(true)
    peer.blobVerified()
    peer.pause(0)
    expect(peer.mayBeAsked(BUSY_PAUSE_MS)).toBe(true)
  })

  it('that gives much may miss as much, and a few more', () => {
    const peer = newPeer()
    peer.misses = MAX_MISSES
    expect(peer.isUnreliable).toBe(false)
    peer.misses++
    expect(peer.isUnreliable).toBe(true)
    peer.blobVerified()
    expect(peer.isUnreliable).toBe(false)
  })
})
