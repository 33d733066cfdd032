import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BlobSet } from '../../src/swarm/blob-set.ts'

const INDEX = fc.integer({ min: 0, max: 400 })
const STEP = fc.oneof(
  fc.record({ kind: fc.constant('add' as const), index: INDEX }),
  fc.record({ kind: fc.constant('delete' as const), index: INDEX }),
  fc.record({ kind: fc.constant('range' as const), index: INDEX, length: fc.integer({ min: 1, max: 200 }) }),
)

describe('a set of blobs', () => {
  it('is what a set of numbers is, whatever is done to it', () => {
    fc.assert(
      fc.property(
        fc.array(STEP, { maxLength: 40, size: 'max' }),
        fc.array(INDEX),
        INDEX,
        (steps, others, from) => {
          const set = new BlobSet()
          const model = new Set<number>()
          for (const step of steps) {
            if (step.kind === 'add') expect(set.add(step.index)).toBe(!model.has(step.index))
            else if (step.kind === 'delete') expect(set.delete(step.index)).toBe(model.has(step.index))
            else {
              const numbers = Array.from({ length: step.length }, (_, at) => step.index + at)
              const fresh: number[] = []
              set.addRange({ start: step.index, length: step.length }, (index) => fresh.push(index))
              expect(fresh).toEqual(numbers.filter((index) => !model.has(index)))
              for (const index of numbers) model.add(index)
            }
            if (step.kind === 'add') model.add(step.index)
            if (step.kind === 'delete') model.delete(step.index)
          }
          const sorted = [...model].sort((a, b) => a - b)
          expect([...set]).toEqual(sorted)
          expect(set.size).toBe(model.size)
          const ranged = [...set.rangesFrom(from)].flatMap(({ start, length }) =>
            Array.from({ length }, (_, at) => start + at),
          )
          expect(ranged).toEqual(sorted.filter((index) => index >= from))
          const other = new BlobSet()
          for (const index of others) other.add(index)
          const common = sorted.filter((index) => index >= from && others.includes(index))
          expect(set.nextCommon(other, from)).toBe(common[0] ?? -1)
          expect(set.hasAll({ start: from, length: 3 })).toBe([0, 1, 2].every((at) => model.has(from + at)))
        },
      ),
      { numRuns: 200 },
    )
  })
})
