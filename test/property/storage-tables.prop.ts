import { rmSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { MAX_CONFLICTS_PER_RELEASE } from '../../src/base/limits.ts'
import { openState } from '../../src/storage/state.ts'
import { makeTempFolder } from '../unit/storage/harness.ts'

const folder = makeTempFolder()
const state = openState(join(folder, 'test.db'), null)
afterAll(() => {
  state.close()
  rmSync(folder, { recursive: true, force: true })
})

const KEY = new Uint8Array(32).fill(9)
const head = fc.record({
  sequence: fc.integer({ min: 1, max: 5 }),
  revision: fc.nat({ max: 3 }),
  root: fc.nat({ max: 4 }),
})

describe('the table of releases', () => {
  it('never acts on an older head, nor on the second of two that contradict, in whatever order they come', () => {
    fc.assert(
      fc.property(fc.array(head, { maxLength: 25 }), (heads) => {
        state.releases.remove(KEY)
        let acted: { sequence: number; revision: number; root: number } | null = null
        for (const { sequence, revision, root } of heads) {
          const outcome = state.releases.upsertHead({
            publicKey: KEY,
            sequence,
            revision,
            rootId: new Uint8Array(32).fill(root),
            head: Uint8Array.of(sequence, revision, root),
            signedAt: 1,
            receivedAt: 1,
          })
          if (acted === null || sequence > acted.sequence) {
            expect(outcome).toBe('newer')
            acted = { sequence, revision, root }
          } else if (sequence === acted.sequence && root === acted.root) {
            expect(outcome).toBe(revision > acted.revision ? 'refreshed' : 'known')
            acted = { sequence, root, revision: Math.max(revision, acted.revision) }
          } else {
            expect(outcome === 'newer').toBe(false)
          }
          const newest = state.releases.newest(KEY)
          expect(newest?.head).toEqual(Uint8Array.of(acted.sequence, acted.revision, acted.root))
        }
        const rows = state.releases.list(KEY)
        for (let sequence = 1; sequence <= 5; sequence++) {
          const of = rows.filter((row) => row.sequence === sequence)
          expect(of.filter(({ conflict }) => !conflict).length).toBeLessThanOrEqual(1)
          expect(of.filter(({ conflict }) => conflict).length).toBeLessThanOrEqual(MAX_CONFLICTS_PER_RELEASE)
        }
      }),
      { numRuns: 60 },
    )
  })
})

describe('the table of slots', () => {
  it('keeps the highest version, and of equal ones the first', () => {
    const version = fc.record({ seq: fc.integer({ min: 0, max: 6 }), value: fc.nat({ max: 255 }) })
    fc.assert(
      fc.property(fc.array(version, { minLength: 1, maxLength: 20 }), (versions) => {
        state.slots.remove(KEY)
        let best: { seq: number; value: number } | null = null
        for (const { seq, value } of versions) {
          const isBetter = best === null || seq > best.seq
          if (isBetter) best = { seq, value }
          const saved = state.slots.save({
            slotKey: KEY,
            publicKey: KEY,
            day: 1,
            replica: 0,
            seq,
            signature: new Uint8Array(64),
            head: Uint8Array.of(value),
            updatedAt: 1,
          })
          expect(saved).toBe(isBetter)
        }
        expect(state.slots.highest(KEY)).toMatchObject({
          seq: best?.seq,
          head: Uint8Array.of(best?.value ?? 0),
        })
      }),
      { numRuns: 60 },
    )
  })
})

describe('texts and bytes in rows', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0')),
        fc.uint8Array({ maxLength: 300 }),
        fc.integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER }),
        (text, bytes, number) => {
          state.meta.set('text', text)
          state.meta.set('bytes', bytes)
          state.meta.set('number', number)
          expect(state.meta.get('text')).toBe(text)
          expect(state.meta.get('bytes')).toEqual(bytes)
          expect(state.meta.get('number')).toBe(number)
        },
      ),
      { numRuns: 100 },
    )
  })
})
