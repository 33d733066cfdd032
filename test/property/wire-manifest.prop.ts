import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MegatorrentError } from '../../src/base/errors.ts'
import { seededRandom } from '../../src/base/random.ts'
import { CHUNK_BYTES } from '../../src/wire/constants.ts'
import type { Extent } from '../../src/wire/manifest.ts'
import { type EntryInput, encodePart, encodeRoot, type PartInput } from '../../src/wire/manifest-encode.ts'
import { ManifestReader } from '../../src/wire/manifest-reader.ts'

const RUNS = { numRuns: Number(process.env.RUNS ?? 150) }
const ROOT = new Uint8Array(64).fill(1)
const random = seededRandom(1)

/** A file as the test thinks of it: bytes of numbered blobs of the release. */
interface ModelFile {
  readonly path: string
  readonly size: number | null
  readonly spans: readonly { readonly blob: number; readonly offset: number; readonly length: number }[]
}

function reference(number: number): Uint8Array {
  return seededRandom(number + 10).bytes(64)
}

const span = fc
  .tuple(
    fc.nat(12),
    fc.oneof(fc.nat(5), fc.nat(CHUNK_BYTES - 1)),
    fc.oneof(fc.nat(5), fc.nat(CHUNK_BYTES - 1)),
  )
  .map(([blob, offset, room]) => ({
    blob,
    offset,
    length: 1 + Math.min(room, CHUNK_BYTES - 1 - offset),
  }))

const files: fc.Arbitrary<readonly ModelFile[]> = fc
  .uniqueArray(
    fc.tuple(
      fc.constantFrom('a', 'b/x', 'b/y', 'c', 'd', 'é', 'f g', 'h/i/j', 'z'),
      fc.option(fc.array(span, { maxLength: 5 })),
    ),
    { selector: ([path]) => path },
  )
  .map((list) =>
    list
      .map(([path, spans]) => ({
        path,
        size: spans === null ? null : spans.reduce((sum, { length }) => sum + length, 0),
        spans: spans ?? [],
      }))
      .sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path))),
  )

/** Write a model as parts, cut where `cuts` says: a cut within a file makes fragments of it. */
function partsOf(model: readonly ModelFile[], cuts: ReadonlySet<number>): PartInput[] {
  const parts: PartInput[] = []
  let entries: EntryInput[] = []
  let numbers: number[] = []
  let step = 0
  const close = (): void => {
    if (entries.length === 0) return
    parts.push({ blobs: new Uint8Array(Buffer.concat(numbers.map(reference))), entries })
    entries = []
    numbers = []
  }
  const local = (extent: Extent): Extent => {
    if (!numbers.includes(extent.blob)) numbers.push(extent.blob)
    return { ...extent, blob: numbers.indexOf(extent.blob) }
  }
  for (const { path, size, spans } of model) {
    if (cuts.has(step++)) close()
    const whole: EntryInput = { path, size, start: null, extents: [] }
    let group: Extent[] = []
    let start = 0
    let position = 0
    let cut = false
    for (const extent of spans) {
      if (group.length > 0 && cuts.has(step++)) {
        entries.push({ ...whole, start, extents: group })
        close()
        start = position
        group = []
        cut = true
      }
      group.push(local(extent))
      position += extent.length
    }
    entries.push({ ...whole, start: cut ? start : null, extents: group })
  }
  close()
  return parts
}

describe('a manifest', () => {
  it('says the same, whether its root holds the entries or any number of parts does', () => {
    fc.assert(
      fc.property(files, fc.array(fc.nat(30), { maxLength: 6 }), (model, cuts) => {
        const summary = {
          title: 'model',
          time: 7,
          files: model.filter(({ size }) => size !== null).length,
          bytes: model.reduce((sum, { size }) => sum + (size ?? 0), 0),
        }
        const parts = partsOf(model, new Set(cuts))
        const whole = partsOf(model, new Set())[0] ?? { blobs: new Uint8Array(0), entries: [] }
        const inline = new ManifestReader(ROOT, encodeRoot({ ...summary, ...whole }), random).finish()
        const listing = parts.length === 0 ? [{ blobs: new Uint8Array(0), entries: [] }] : parts
        const listed = new ManifestReader(
          ROOT,
          encodeRoot({
            ...summary,
            parts: new Uint8Array(Buffer.concat(listing.map((_, index) => reference(1000 + index)))),
          }),
          random,
        )
        for (const part of listing) listed.addPart(encodePart(part))
        for (const manifest of [inline, listed.finish()]) {
          const read = [...manifest.entries()].map(({ path, kind, size, index }) => ({
            path,
            size: kind === 'folder' ? null : size,
            spans: [...manifest.spans(index)].map(({ blob, offset, length }) => [
              Buffer.from(manifest.reference(blob)).toString('hex'),
              offset,
              length,
            ]),
          }))
          const expected = model.map(({ path, size, spans }) => ({
            path,
            size,
            spans: spans.map(({ blob, offset, length }) => [
              Buffer.from(reference(blob)).toString('hex'),
              offset,
              length,
            ]),
          }))
          expect(read).toEqual(expected)
        }
      }),
      RUNS,
    )
  })

  it('changed in any byte is refused with our own error, or is another manifest that adds up', () => {
    fc.assert(
      fc.property(files, fc.nat(), fc.nat(255), (model, at, value) => {
        const whole = partsOf(model, new Set())[0] ?? { blobs: new Uint8Array(0), entries: [] }
        const root = encodeRoot({
          title: 't',
          time: 1,
          files: model.filter(({ size }) => size !== null).length,
          bytes: model.reduce((sum, { size }) => sum + (size ?? 0), 0),
          ...whole,
        })
        root[at % root.length] = value
        try {
          const manifest = new ManifestReader(ROOT, root, random).finish()
          let sum = 0
          for (const { size, extents } of manifest.entries()) {
            expect(extents.reduce((total, { length }) => total + length, 0)).toBe(size)
            sum += size
          }
          expect(sum).toBe(manifest.bytes)
        } catch (error) {
          if (!(error instanceof MegatorrentError)) throw error
        }
      }),
      { numRuns: RUNS.numRuns * 5 },
    )
  })
})
