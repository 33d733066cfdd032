/** The picker against a naive twin: states, who was asked, and the counts of holders (STATE.md I1, I2, I7, I8, I15). */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_SOURCES_PER_BLOB } from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { BlobSet } from '../../src/swarm/blob-set.ts'
import type { Patience } from '../../src/swarm/patience.ts'
import { Picker } from '../../src/swarm/picker.ts'

const PEERS = ['a', 'b', 'c', 'd', 'e']

/** Three different times, so that one taken for another is seen. */
const PATIENCE: Patience = { lateMs: 4_000, endMs: 1_500, urgentMs: 500 }

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
    fc.record({ kind: fc.constant('arriveLate' as const), peer: PEER, index }),
    fc.record({ kind: fc.constant('refuse' as const), lot }),
    fc.record({ kind: fc.constant('keep' as const), lot }),
    fc.record({ kind: fc.constant('drop' as const), index }),
    fc.record({ kind: fc.constant('urge' as const), index }),
    fc.record({ kind: fc.constant('relax' as const), lot }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 2 * PATIENCE.lateMs }) }),
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
          let urgent: number[] = []
          let nowMs = 0
          const isAsked = (index: number): boolean =>
            requests.some((request) => request.index === index) ||
            arrived.some((blob) => blob.index === index)
          const forget = (index: number): void => {
            wanted.delete(index)
            urgent = urgent.filter((other) => other !== index)
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
                const index = picker.pick(step.peer, nowMs, PATIENCE)
                const open = [...wanted].filter((blob) => !isAsked(blob))
                const openHere = open.filter((blob) => held?.has(blob))
                /** Asked of others alone, long enough ago, and of few enough. */
                const isLate = (blob: number, afterMs: number): boolean => {
                  const asked = requests.filter((request) => request.index === blob)
                  const isTaken = asked.some(({ peer }) => peer === step.peer)
                  if (asked.length === 0 || isTaken || asked.length >= MAX_SOURCES_PER_BLOB) return false
                  if (arrived.some((other) => other.index === blob) || held?.has(blob) !== true) return false
                  return nowMs - (askedMs.get(blob) ?? 0) >= afterMs
                }
                const first = urgent.find(
                  (blob) => openHere.includes(blob) || isLate(blob, PATIENCE.urgentMs),
                )
                // I15: what is read comes first, in its order.
                if (first !== undefined) expect(index).toBe(first)
                const afterMs = open.length === 0 ? PATIENCE.endMs : PATIENCE.lateMs
                if (index === null) {
                  // I8: nothing was passed over. Nor does a blob wait for a peer that has had its time.
                  expect(openHere).toEqual([])
                  expect([...wanted].filter((blob) => isLate(blob, afterMs))).toEqual([])
                  break
                }
                expect(held?.has(index)).toBe(true)
                expect(wanted.has(index)).toBe(true)
                // I2: never twice of one peer, and of another only when the first had its time.
                if (isAsked(index) && first === undefined) {
                  expect(openHere).toEqual([])
                  expect(isLate(index, afterMs)).toBe(true)
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
              case 'arriveLate': {
                // Of a peer that was given up meanwhile.
                const { peer, index } = step
                if (!wanted.has(index) || requests.some((it) => it.peer === peer && it.index === index)) break
                arrived.push({ peer, index, notKept: picker.arrived(index, peer) })
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
                // Another copy, if there is one, is of no blob that is wanted any more.
                arrived = arrived.filter((other) => other.index !== blob.index)
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
              case 'urge':
                picker.urge(step.index)
                if (wanted.has(step.index)) urgent.push(step.index)
                break
              case 'relax': {
                const index = at(urgent, step.lot)
                if (index === undefined) break
                picker.relax(index)
                // The last of several that urge, so that its place is that of the first.
                urgent.splice(urgent.lastIndexOf(index), 1)
                break
              }
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

  it('has everything asked in the end, whoever goes, and nothing of two peers while all answer', () => {
    const shape = fc.record({
      seed: fc.integer(),
      blobs: fc.integer({ min: 1, max: 60 }),
      shares: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 6 }),
      goes: fc.array(fc.nat({ max: 40 }), { maxLength: 3 }),
    })
    fc.assert(
      fc.property(shape, ({ seed, blobs, shares, goes }) => {
        const random = seededRandom(seed)
        const picker = new Picker<number>(random)
        picker.want(numbers(0, blobs, blobs))
        // The first holds everything and stays.
        for (const [peer, share] of shares.entries()) {
          const set = new BlobSet()
          for (const index of numbers(0, blobs, blobs)) {
            if (peer === 0 || random.fraction() < share) set.add(index)
          }
          picker.addSource(peer, set)
        }
        const given = new Set<number>()
        for (let round = 0; picker.remaining > 0; round++) {
          expect(round).toBeLessThanOrEqual(blobs)
          if (goes.includes(round)) picker.removeSource(1 + (round % shares.length))
          const asked = [...picker.sources].map((peer) => picker.pick(peer, round, PATIENCE))
          const found = asked.filter((index) => index !== null)
          expect(new Set(found).size).toBe(found.length)
          for (const index of found) {
            expect(given.has(index)).toBe(false)
            given.add(index)
            picker.done(index)
          }
        }
        expect(given.size).toBe(blobs)
      }),
      { numRuns: 60 },
    )
  })
})
