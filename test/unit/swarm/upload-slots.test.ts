import { describe, expect, it } from 'vitest'
import { UploadSlots } from '../../../src/swarm/upload-slots.ts'

describe('places for blobs on their way out', () => {
  it('are as many as there may be now, and more or fewer later', () => {
    let most = 3
    const slots = new UploadSlots<number>(() => most)
    const fill = (): number => {
      for (let peer = 0; peer < 10; peer++)
        slots.ask(peer, { group: `${peer}`, trust: 1, followsUs: false }, 0)
      for (;;) {
        const peer = slots.begin(0, 0)
        if (peer === null) return slots.heldBlobs
        slots.read(peer, true, 0)
      }
    }
    expect(fill()).toBe(3)
    most = 5
    expect(fill()).toBe(5)
    most = 1
    slots.taken(slots.holders()[0] as number, 1)
    expect(fill()).toBe(4)
  })
})
