import { describe, expect, it } from 'vitest'
import { MAX_QUEUED_UPLOADS, TARGET_PEERS_PER_CHANNEL } from '../../../src/base/limits.ts'
import { placesOf, uploadPlacesOf } from '../../../src/node/places.ts'

/** All swarms take what they may, in that order, until none may take more. */
function fill(maxPeers: number, greed: readonly number[]): number[] {
  const sizes = greed.map(() => 0)
  for (let isBusy = true; isBusy; ) {
    isBusy = false
    for (const [index, wanted] of greed.entries()) {
      const own = sizes[index] as number
      const others = sizes.filter((_, other) => other !== index)
      const size = Math.max(own, Math.min(wanted, placesOf(own, others, maxPeers)))
      isBusy ||= size > own
      sizes[index] = size
    }
  }
  return sizes
}

describe('places of one swarm of several', () => {
  it('are all for one that is alone', () => {
    expect(placesOf(0, [], 200)).toBe(200)
    expect(placesOf(150, [], 200)).toBe(200)
  })

  it('are the same few for each of a hundred that want more', () => {
    expect(fill(200, Array<number>(100).fill(TARGET_PEERS_PER_CHANNEL))).toEqual(Array(100).fill(2))
  })

  it('are some for each, whatever one of them takes', () => {
    const [greedy, ...others] = fill(200, [1_000, ...Array<number>(9).fill(TARGET_PEERS_PER_CHANNEL)])
    expect(others).toEqual(Array(9).fill(TARGET_PEERS_PER_CHANNEL))
    expect(greedy).toBe(200 - 9 * TARGET_PEERS_PER_CHANNEL)
  })

  it('never add up to more than there are, unless there are more swarms than places', () => {
    for (const [maxPeers, count] of [
      [1, 1],
      [7, 3],
      [10, 10],
      [200, 26],
    ] as const) {
      const sizes = fill(maxPeers, Array<number>(count).fill(1_000))
      expect(sizes.reduce((a, b) => a + b)).toBe(maxPeers)
      expect(Math.min(...sizes)).toBeGreaterThan(0)
    }
    expect(fill(3, Array<number>(5).fill(9))).toEqual([1, 1, 1, 0, 0])
  })

  it('are none that are not there, when the user wants fewer than there are', () => {
    expect(placesOf(8, [8], 8)).toBe(0)
    expect(placesOf(2, [8], 8)).toBe(0)
  })
})

describe('blobs that wait to be sent', () => {
  it('are as many for one swarm that serves as for a node with one', () => {
    expect(uploadPlacesOf(0, [0, 0, 0])).toBe(MAX_QUEUED_UPLOADS)
    expect(uploadPlacesOf(MAX_QUEUED_UPLOADS, [MAX_QUEUED_UPLOADS, 0])).toBe(MAX_QUEUED_UPLOADS)
  })

  it('are no more for a hundred, but that each may always have one', () => {
    const held = Array<number>(100).fill(0)
    for (let round = 0; round < MAX_QUEUED_UPLOADS; round++) {
      for (const [index, own] of held.entries()) if (own < uploadPlacesOf(own, held)) held[index] = own + 1
    }
    expect(Math.min(...held)).toBe(1)
    expect(held.reduce((a, b) => a + b)).toBeLessThan(MAX_QUEUED_UPLOADS + 100)
  })
})
