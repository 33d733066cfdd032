import { describe, expect, it } from 'vitest'
import type { SealedFrame } from '../../../src/crypto/sealed-frame.ts'
import { ServedBlobs } from '../../../src/node/served-blobs.ts'

const idOf = (n: number): Uint8Array => new Uint8Array(32).fill(n)
const all = {
  read: async (id: Uint8Array) => new Uint8Array([id[0] as number]),
  put: async () => ({ placeError: null }),
}
const release = (...numbers: number[]) => ({
  blobCount: numbers.length,
  blobId: (index: number) => idOf(numbers[index] as number),
})

describe('blobs that a channel gives out', () => {
  it('are none before a release is served', async () => {
    expect(await new ServedBlobs(all).read(idOf(1))).toBe(null)
  })

  it('are those of its release, whatever else is held', async () => {
    const served = new ServedBlobs(all)
    served.serve(release(1, 2))
    expect(await served.read(idOf(2))).toEqual(Uint8Array.of(2))
    expect(await served.read(idOf(3))).toBe(null)
    served.serve(release(2, 3))
    expect(await served.read(idOf(1))).toBe(null)
    expect(await served.read(idOf(3))).toEqual(Uint8Array.of(3))
  })

  it('are also what came by it before its manifest was here', async () => {
    const served = new ServedBlobs(all)
    await served.put(idOf(1), {} as SealedFrame, {})
    expect(await served.read(idOf(1))).toEqual(Uint8Array.of(1))
    expect(await served.read(idOf(2))).toBe(null)
  })
})
