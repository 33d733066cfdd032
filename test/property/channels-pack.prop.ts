/** Packing: nothing lost or overlapping, small changes stay small, waste stays bounded. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { randomInteger, seededRandom } from '../../src/base/random.ts'
import {
  allowedWasteBytes,
  type PackPlan,
  type Piece,
  type PiecePlace,
  planPacks,
} from '../../src/channels/pack.ts'
import { CHUNK_BYTES } from '../../src/wire/constants.ts'

/** A publisher's memory of its pieces over several releases; a file's name is its number. */
class PackedFolder {
  readonly files = new Map<number, { length: number; content: number }>()
  #places = new Map<number, readonly PiecePlace[]>()
  #nextBlob = 0
  #nextContent = 0
  readonly #filesPerRegion: number

  constructor(filesPerRegion: number) {
    this.#filesPerRegion = filesPerRegion
  }

  write(name: number, length: number): void {
    this.files.set(name, { length, content: this.#nextContent++ })
  }

  release(): { plan: PackPlan; pieces: Piece[]; partsTouched: number } {
    const names = [...this.files.keys()].sort((a, b) => a - b)
    const contents: number[] = []
    const regions: number[] = []
    const pieces: Piece[] = names.map((name) => {
      const { length, content } = this.files.get(name)!
      const region = Math.floor(name / this.#filesPerRegion)
      contents.push(content)
      regions.push(region)
      return { length, known: this.#places.get(content) ?? null, region }
    })
    const plan = planPacks(pieces)
    const places = placesAfter(plan, pieces, this.#nextBlob)
    this.#nextBlob += plan.packs.length
    this.#places = new Map(contents.map((content, index) => [content, places[index]!]))
    const touched = new Set(regions.filter((_, index) => plan.isNew[index]))
    return { plan, pieces, partsTouched: touched.size }
  }
}

function placesAfter(plan: PackPlan, pieces: readonly Piece[], firstBlob: number): PiecePlace[][] {
  const places: PiecePlace[][] = pieces.map((piece, index) => (plan.isNew[index] ? [] : [...piece.known!]))
  plan.packs.forEach((pack, number) => {
    for (const slice of pack.slices) {
      places[slice.piece]!.push({ blob: firstBlob + number, offset: slice.chunkOffset, length: slice.length })
    }
  })
  return places
}

describe('packing', () => {
  it('lays every new piece whole, once, without overlap, and straddles only to the next chunk', () => {
    const lengths = fc.array(
      fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: CHUNK_BYTES - 1 })),
      {
        maxLength: 60,
      },
    )
    fc.assert(
      fc.property(lengths, (all) => {
        const pieces = all.map((length) => ({ length, known: null, region: 0 }))
        const plan = planPacks(pieces)
        const total = all.reduce((sum, length) => sum + length, 0)
        expect(plan.packs.length).toBe(Math.ceil(total / CHUNK_BYTES))
        let position = 0
        let pieceAt = 0
        let inPiece = 0
        plan.packs.forEach((pack, number) => {
          for (const slice of pack.slices) {
            expect(number * CHUNK_BYTES + slice.chunkOffset).toBe(position)
            expect([slice.piece, slice.pieceOffset]).toEqual([pieceAt, inPiece])
            position += slice.length
            inPiece += slice.length
            if (inPiece === all[pieceAt]) {
              pieceAt += 1
              inPiece = 0
            }
          }
        })
        expect(position).toBe(total)
        expect(pieceAt).toBe(all.length)
      }),
      { numRuns: 100 },
    )
  })

  it('an unchanged release makes no pack', () => {
    const change = fc.record({ name: fc.nat(300), length: fc.integer({ min: 0, max: 200_000 }) })
    fc.assert(
      fc.property(fc.array(change, { maxLength: 120 }), fc.nat(30), (changes, perRelease) => {
        const folder = new PackedFolder(20)
        changes.forEach(({ name, length }, index) => {
          if (length === 0) folder.files.delete(name)
          else folder.write(name, length)
          if (index % (perRelease + 1) === 0) folder.release()
        })
        const last = folder.release()
        const again = folder.release()
        expect(again.plan.packs).toEqual([])
        expect(again.plan.wasteBytes).toBe(last.plan.wasteBytes)
      }),
      { numRuns: 100 },
    )
  })

  it('waste stays within the bound, or no pack is less than half alive but one', () => {
    const change = fc.record({ name: fc.nat(200), length: fc.integer({ min: 0, max: 400_000 }) })
    fc.assert(
      fc.property(fc.array(change, { minLength: 50, maxLength: 300 }), (changes) => {
        const folder = new PackedFolder(20)
        changes.forEach(({ name, length }, index) => {
          if (length === 0) folder.files.delete(name)
          else folder.write(name, length)
          if (index % 7 !== 0) return
          const { plan, pieces } = folder.release()
          const live = pieces.reduce((sum, piece) => sum + piece.length, 0)
          expect(plan.wasteBytes).toBeGreaterThanOrEqual(0)
          expect(plan.wasteBytes).toBeLessThanOrEqual(
            Math.max(allowedWasteBytes(live, 11), live + 2 * CHUNK_BYTES),
          )
        })
      }),
      { numRuns: 50 },
    )
  })

  it.each([
    { title: '10,000 files of 10 KiB', files: 10_000, bytes: 10_240, filesPerRegion: 10_000, rounds: 60 },
    { title: '5,000 files of 200 bytes', files: 5_000, bytes: 200, filesPerRegion: 1_000, rounds: 120 },
  ])('$title: hundreds of small releases make <= 3 packs each and touch <= 3 parts', (sizes) => {
    const random = seededRandom(7)
    const folder = new PackedFolder(sizes.filesPerRegion)
    for (let name = 0; name < sizes.files; name++) folder.write(name * 2, sizes.bytes)
    const first = folder.release()
    expect(first.plan.packs.length).toBe(Math.ceil((sizes.files * sizes.bytes) / CHUNK_BYTES))
    let mostPacks = 0
    let mostParts = 0
    for (let round = 0; round < sizes.rounds; round++) {
      const name = randomInteger(random, 0, sizes.files * 2 - 1)
      if (round % 3 === 2) folder.files.delete(name - (name % 2))
      else folder.write(name, randomInteger(random, 1, sizes.bytes * 2))
      const { plan, partsTouched, pieces } = folder.release()
      const live = pieces.reduce((sum, piece) => sum + piece.length, 0)
      mostPacks = Math.max(mostPacks, plan.packs.length)
      mostParts = Math.max(mostParts, partsTouched)
      expect(plan.wasteBytes).toBeLessThanOrEqual(allowedWasteBytes(live, 11))
    }
    expect(mostPacks).toBeLessThanOrEqual(3)
    expect(mostParts).toBeLessThanOrEqual(3)
  })
})
