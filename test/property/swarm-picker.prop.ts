/** The picker against a naive twin: states, who was asked, and the counts of holders (STATE.md I1, I2, I7, I8). */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_SOURCES_PER_BLOB, SECOND_SOURCE_MS } from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { BlobSet } from '../../src/swarm/blob-set.ts'
import { Picker } from '../../src/swarm/picker.ts'

const PEERS = ['a', 'b', 'c', 'd', 'e']

const PEER = fc.constantFrom(...PEERS)

/** What can happen to a release of that many blobs. */
function stepOf(blobs: number) {
  const index = fc.integer({ min: 0, max: blobs - 1 })
  const length = fc.integer({ min: 1, max: blobs })
  const lot = fc.nat()
  return fc.oneof(
    fc.record({ kind: fc.constant('want' as const), index, length }),
    fc.record({ kind: fc.constant('have' as const), peer: PEER, index, length }),
    fc.record({ kind: fc.constant('gone' as const), peer: PEER }),
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('pick' as const), peer: PEER }) },
    fc.record({ kind: fc.constant('fail' as const), lot }),
    fc.record({ kind: fc.constant('lose' as const), lot }),
    fc.record({ kind: fc.constant('arrive' as const), lot }),
    fc.record({ kind: fc.constant('refuse' as const), lot }),
    fc.record({ kind: fc.constant('keep' as const), lot }),
    fc.record({ kind: fc.constant('drop' as const), index }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 2 * SECOND_SOURCE_MS }) }),
  )
}

/** Requests as downloads.ts has them. */
interface Request {
  readonly peer: string
  readonly index: number
}

interface Arrived extends Request {
  readonly notKept: () => void
}

function* numbers(start: number, length: number, blobs: number): Generator<number> {
  for (let at = 0; at < length && start + at < blobs; at++) yield start + at
}

describe('the picker', () => {
  it.each([3, 36])('keeps its counts and its promises in any order of events (%i blobs)', (blobs) => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.array(stepOf(blobs), { minLength: 40, maxLength: 160, size: 'max' }),
        (seed, steps) => {
          const picker = new Picker<string>(seededRandom(seed))
          const holdings = new Map<string, BlobSet>()
          const wanted = new Set<number>()
          let requests: Request[] = []
          let arrived: Arrived[] = []
          const askedMs = new Map<number, number>()
          let nowMs = 0
          const isAsked = (index: number): boolean =>
            requests.some((request) => request.index === index) ||
            arrived.some((blob) => blob.index === index)
          const forget = (index: number): void => {
            wanted.delete(index)
            requests = requests.filter((request) => request.index !== index)
          }
          const at = <T>(items: readonly T[], lot: number): T | undefined =>
            items[lot % Math.max(1, items.length)]

          for (const step of steps) {
            switch (step.kind) {
              case 'want':
                picker.want(numbers(step.index, step.length, blobs))
                for (const index of numbers(step.index, step.length, blobs)) wanted.add(index)
                break
              case 'have': {
                const known = holdings.get(step.peer)
                const set = known ?? new BlobSet()
                const range = { start: step.index, length: Math.min(step.length, blobs - step.index) }
                if (known === undefined) {
                  set.addRange(range)
                  holdings.set(step.peer, set)
                  picker.addSource(step.peer, set)
                } else set.addRange(range, (index) => picker.gained(step.peer, index))
                break
              }
              case 'gone':
                picker.removeSource(step.peer)
                holdings.delete(step.peer)
                requests = requests.filter(({ peer }) => peer !== step.peer)
                break
              case 'pick': {
                const held = holdings.get(step.peer)
                const index = picker.pick(step.peer, nowMs)
                const open = [...wanted].filter((blob) => held?.has(blob) && !isAsked(blob))
                if (index === null) {
                  // I8: nothing was passed over.
                  expect(open).toEqual([])
                  break
                }
                expect(held?.has(index)).toBe(true)
                expect(wanted.has(index)).toBe(true)
                const others = requests.filter((request) => request.index === index)
                // I2: never twice of one peer, and of another only when nothing else is open and the first had its time.
                expect(others.map(({ peer }) => peer)).not.toContain(step.peer)
                expect(arrived.map((blob) => blob.index)).not.toContain(index)
                if (others.length > 0) {
                  expect(open).toEqual([])
                  expect(nowMs - (askedMs.get(index) ?? 0)).toBeGreaterThanOrEqual(SECOND_SOURCE_MS)
                  expect(others.length).toBeLessThan(MAX_SOURCES_PER_BLOB)
                }
                askedMs.set(index, nowMs)
                requests.push({ peer: step.peer, index })
                break
              }
              case 'fail':
              case 'lose': {
                const request = at(requests, step.lot)
                if (request === undefined) break
                requests = requests.filter((other) => other !== request)
                picker.failed(request.index, request.peer)
                if (step.kind === 'lose') picker.lost(request.peer, request.index)
                break
              }
              case 'arrive': {
                const request = at(requests, step.lot)
                if (request === undefined) break
                requests = requests.filter((other) => other !== request)
                arrived.push({ ...request, notKept: picker.arrived(request.index, request.peer) })
                break
              }
              case 'refuse': {
                const blob = at(arrived, step.lot)
                if (blob === undefined) break
                arrived = arrived.filter((other) => other !== blob)
                blob.notKept()
                break
              }
              case 'keep': {
                const blob = at(arrived, step.lot)
                if (blob === undefined) break
                arrived = arrived.filter((other) => other !== blob)
                const left = requests.filter(({ index }) => index === blob.index).map(({ peer }) => peer)
                const told = picker.done(blob.index)
                for (const peer of left) expect(told).toContain(peer)
                forget(blob.index)
                break
              }
              case 'drop':
                // Of a blob that is being kept nobody asks any more, but what is written comes to an end.
                if (arrived.some(({ index }) => index === step.index)) break
                picker.done(step.index)
                forget(step.index)
                break
              case 'wait':
                nowMs += step.ms
            }
            const asked = [...wanted].filter(isAsked)
            expect(picker.remaining).toBe(wanted.size)
            expect(picker.openCount).toBe(wanted.size - asked.length)
          }
          for (const index of wanted) {
            const holders = [...holdings.values()].filter((set) => set.has(index)).length
            expect(picker.holders(index), `holders of ${index}`).toBe(holders)
          }
        },
      ),
      { numRuns: 120 },
    )
  })
})
