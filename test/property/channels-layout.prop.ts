/** Manifest layout: every part fits, nothing is lost, small changes touch few parts. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { boundaryOf, layoutParts, type PartBoundary } from '../../src/channels/manifest-layout.ts'
import { itemsOf, type PartPlan, planPart } from '../../src/channels/manifest-part.ts'
import { comparePaths, ExtentBuilder, type ReleaseEntry, spansOf } from '../../src/channels/release-entry.ts'
import { CHUNK_BYTES } from '../../src/wire/constants.ts'
import type { Extent } from '../../src/wire/manifest.ts'

function entry(path: string, extents: readonly Extent[]): ReleaseEntry {
  return { path, size: extents.reduce((sum, extent) => sum + extent.length, 0), extents }
}

/** Name of a part that is the same exactly when its sealed bytes are. */
function partName(part: PartPlan): string {
  return JSON.stringify([part.blobs, part.entries])
}

/** Entries of all parts with the release's numbering, fragments joined. */
function rejoin(parts: readonly PartPlan[]): ReleaseEntry[] {
  const out: {
    path: string
    size: number | null
    spans: { blob: number; offset: number; length: number }[]
  }[] = []
  for (const part of parts) {
    for (const item of part.entries) {
      const spans = [...spansOf(item.extents)].map((span) => ({ ...span, blob: part.blobs[span.blob]! }))
      const last = out.at(-1)
      if (item.start !== null && item.start > 0) {
        expect(last?.path).toBe(item.path)
        expect(last?.size).toBe(item.size)
        expect(last?.spans.reduce((sum, span) => sum + span.length, 0)).toBe(item.start)
        last?.spans.push(...spans)
      } else {
        out.push({ path: item.path, size: item.size, spans })
      }
    }
  }
  return out.map(({ path, size, spans }) => {
    const builder = new ExtentBuilder()
    for (const span of spans) builder.add(span.blob, span.offset, span.length)
    return { path, size, extents: builder.finish() }
  })
}

function normal(entries: readonly ReleaseEntry[]): ReleaseEntry[] {
  return rejoin([{ ...planPart([]), ...identityPart(entries) }])
}

function identityPart(entries: readonly ReleaseEntry[]): PartPlan {
  const items = entries.flatMap((each) => [...itemsOf({ ...each })].map((item) => item))
  const most = items.reduce((max, item) => Math.max(max, ...[...spansOf(item.extents)].map((s) => s.blob)), 0)
  return {
    blobs: Array.from({ length: most + 1 }, (_, index) => index),
    entries: items,
    entriesBytes: 0,
    bytes: 0,
  }
}

const extentArbitrary = fc.record({
  blob: fc.nat(200),
  offset: fc.oneof(fc.constant(0), fc.nat(CHUNK_BYTES - 1)),
  length: fc.oneof(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 1, max: 4_000_000 })),
})

const releaseArbitrary = fc
  .uniqueArray(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }), { maxLength: 80 })
  .chain((paths) =>
    fc.tuple(
      fc.constant([...paths].sort(comparePaths)),
      fc.array(fc.array(extentArbitrary, { maxLength: 4 }), {
        minLength: paths.length,
        maxLength: paths.length,
      }),
    ),
  )
  .map(([paths, extents]) => paths.map((path, index) => entry(path, extents[index]!)))

describe('manifest layout', () => {
  it('keeps every byte of every file in place, whatever the boundaries before', () => {
    const boundaries = fc.array(fc.record({ path: fc.string({ unit: 'grapheme' }), start: fc.nat(10) }), {
      maxLength: 6,
    })
    fc.assert(
      fc.property(releaseArbitrary, boundaries, (release, previous) => {
        const sorted = [...previous].sort((a, b) => comparePaths(a.path, b.path) || a.start - b.start)
        const parts = [...layoutParts(release, sorted)]
        expect(rejoin(parts)).toEqual(normal(release))
        for (const part of parts) {
          expect(part.bytes).toBeLessThanOrEqual(CHUNK_BYTES)
          expect(new Set(part.blobs).size).toBe(part.blobs.length)
          const touched = new Set(
            part.entries.flatMap((item) => [...spansOf(item.extents)].map((s) => s.blob)),
          )
          expect(touched.size).toBe(part.blobs.length)
        }
      }),
      { numRuns: 200 },
    )
  })

  it('one changed, added or removed file of 15,000 remakes at most 3 parts, release after release', () => {
    const kind = fc.constantFrom('change', 'add', 'remove')
    const operation = fc.record({ kind, at: fc.nat(29_999), pathLength: fc.integer({ min: 10, max: 4000 }) })
    const base: ReleaseEntry[] = []
    for (let n = 0; n < 15_000; n++) {
      base.push(
        entry(pathOf(n * 2, 40), [{ blob: Math.floor(n / 100), offset: (n % 100) * 10_240, length: 10_240 }]),
      )
    }
    const first = [...layoutParts(base, [])]
    expect(first.length).toBeGreaterThan(1)
    fc.assert(
      fc.property(fc.array(operation, { minLength: 1, maxLength: 8 }), (operations) => {
        const files = new Map(base.map((each) => [each.path, each]))
        let boundaries: PartBoundary[] = first.map(boundaryOf)
        let names = new Set(first.map(partName))
        let blob = 1000
        for (const { kind: what, at, pathLength } of operations) {
          const existing = pathOf(at - (at % 2), 40)
          const extents = [{ blob: blob++, offset: 0, length: 10_240 }]
          if (what === 'remove') files.delete(existing)
          else if (what === 'change') files.set(existing, entry(existing, extents))
          else
            files.set(
              pathOf(at - (at % 2) + 1, pathLength),
              entry(pathOf(at - (at % 2) + 1, pathLength), extents),
            )
          const sorted = [...files.values()].sort((a, b) => comparePaths(a.path, b.path))
          const parts = [...layoutParts(sorted, boundaries)]
          const now = new Set(parts.map(partName))
          expect([...now].filter((name) => !names.has(name)).length).toBeLessThanOrEqual(3)
          boundaries = parts.map(boundaryOf)
          names = now
        }
      }),
      { numRuns: 3 },
    )
  })

  it('files of up to a TiB and over are cut into parts that fit', () => {
    const sizes = fc.integer({ min: 1, max: 2 ** 36 })
    fc.assert(
      fc.property(sizes, fc.boolean(), (size, repeated) => {
        const chunks = Math.ceil(size / CHUNK_BYTES)
        const extents = repeated
          ? repeatedChunks(Math.min(size, 2 ** 36))
          : [{ blob: 0, offset: 0, length: size }]
        const parts = [...layoutParts([entry('huge', extents)], [])]
        let position = 0
        for (const part of parts) {
          expect(part.bytes).toBeLessThanOrEqual(CHUNK_BYTES)
          for (const item of part.entries) {
            if (item.start !== null) expect(item.start).toBe(position)
            position += item.extents.reduce((sum, extent) => sum + extent.length, 0)
          }
        }
        expect(position).toBe(repeated ? Math.min(size, 2 ** 36) : size)
        if (!repeated)
          expect(parts.length).toBeLessThanOrEqual(Math.ceil((chunks * 64) / (CHUNK_BYTES * 0.7)) + 1)
      }),
      {
        numRuns: 5,
        examples: [
          [2 ** 40, false],
          [2 ** 36, true],
        ],
      },
    )
  })

  it('a layout made again from its own boundaries is the same', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 400 }),
        fc.integer({ min: 1, max: 4000 }),
        (count, pathLength) => {
          const release = Array.from({ length: count }, (_, n) =>
            entry(pathOf(n, pathLength), [{ blob: n, offset: 0, length: 5 * CHUNK_BYTES }]),
          )
          const once = [...layoutParts(release, [])]
          const twice = [...layoutParts(release, once.length > 1 ? once.map(boundaryOf) : [])]
          expect(twice.map(partName)).toEqual(once.map(partName))
        },
      ),
      { numRuns: 20 },
    )
  })
})

function pathOf(n: number, length: number): string {
  return `f${String(n).padStart(8, '0')}`.padEnd(length, 'x')
}

/** A file of equal chunks: no two of them run on, so each is an extent of its own. */
function repeatedChunks(size: number): Extent[] {
  const extents: Extent[] = []
  for (let left = size; left > 0; left -= CHUNK_BYTES) {
    extents.push({ blob: 0, offset: 0, length: Math.min(left, CHUNK_BYTES) })
  }
  return extents
}
