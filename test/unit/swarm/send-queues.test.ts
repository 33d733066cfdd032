import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { overfull, type Queueing } from '../../../src/swarm/send-queues.ts'

describe('what is queued for all peers', () => {
  it('is brought within its bound at the cost of those that have most, and of no more than needed', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { maxLength: 40 }), fc.nat(5000), (sizes, bound) => {
        const peers: Queueing[] = sizes.map((queuedBytes) => ({ connection: { queuedBytes } }))
        const gone = overfull(peers, bound)
        const total = (some: readonly Queueing[]): number =>
          some.reduce((sum, { connection }) => sum + connection.queuedBytes, 0)
        const left = peers.filter((peer) => !gone.includes(peer))
        expect(total(left)).toBeLessThanOrEqual(bound)
        const last = gone.at(-1)
        if (last === undefined) return
        expect(total(left) + last.connection.queuedBytes).toBeGreaterThan(bound)
        for (const peer of left)
          expect(peer.connection.queuedBytes).toBeLessThanOrEqual(last.connection.queuedBytes)
      }),
    )
  })
})
