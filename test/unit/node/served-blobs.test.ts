import { beforeEach, describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import type { SealedFrame } from '../../../src/crypto/sealed-frame.ts'
import type { ChannelOrigins } from '../../../src/node/blob-origins.ts'
import { ServedBlobs } from '../../../src/node/served-blobs.ts'

const idOf = (n: number): Uint8Array => new Uint8Array(32).fill(n)
const release = (...numbers: number[]) => ({
  blobCount: numbers.length,
  blobId: (index: number) => idOf(numbers[index] as number),
})
const FRAME = {} as SealedFrame

/** Everything is held but blob 9; blob 8 is junk when it comes. */
const all = {
  has: (id: Uint8Array) => id[0] !== 9,
  read: async (id: Uint8Array) => new Uint8Array([id[0] as number]),
  put: async (id: Uint8Array) => {
    if (id[0] === 8) throw new Error('not that blob')
    return { placeError: null }
  },
}

let came: Set<string>
let origins: ChannelOrigins
let served: ServedBlobs

beforeEach(() => {
  came = new Set()
  origins = { has: (id) => came.has(toHex(id)), add: (id) => void came.add(toHex(id)) }
  served = new ServedBlobs(all, origins)
})

const given = async (...numbers: number[]): Promise<boolean[]> =>
  Promise.all(numbers.map(async (n) => (await served.read(idOf(n))) !== null))

describe('blobs that a channel gives out', () => {
  it('are none before a release is served', async () => {
    expect(await given(1)).toEqual([false])
  })

  it('are those of its release that came by it, whatever else is held', async () => {
    served.serve(release(1, 2, 5), [0, 1])
    expect(await given(1, 2, 3, 5)).toEqual([true, true, false, false])
    served.serve(release(2, 3), [1])
    expect(await given(1, 2, 3)).toEqual([false, true, true])
  })

  it('are also what came by it before its manifest was here, or was looked through', async () => {
    await served.put(idOf(1), FRAME, {})
    expect(await given(1, 2)).toEqual([true, false])
    served.serve(release(1, 2), [])
    expect(await given(1, 2)).toEqual([true, false])
  })

  it('are not what a peer sent junk for', async () => {
    await expect(served.put(idOf(8), FRAME, {})).rejects.toThrow('not that blob')
    expect(await given(8)).toEqual([false])
    expect(served.holds(idOf(8))).toBe(false)
  })
})

describe('blobs that count as held in a channel', () => {
  it('are those that came by it and are held', async () => {
    expect([1, 9].map((n) => served.holds(idOf(n)))).toEqual([false, false])
    for (const n of [1, 9]) await served.put(idOf(n), FRAME, {})
    expect([1, 2, 9].map((n) => served.holds(idOf(n)))).toEqual([true, false, false])
  })
})
