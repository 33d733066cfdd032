/**
 * Packing of small pieces into chunks: which keep their place, which are laid
 * anew, and where (PROTOCOL_FINAL.md §4.2.2, not normative).
 *
 * A piece is what remains of a file after its full chunks: less than a chunk.
 * Pieces that the previous release held stay where they are, so that a small
 * change makes few new blobs; new ones are laid end to end in path order and
 * may straddle a chunk boundary. What files leave behind in old packs is waste.
 * It is held under a bound by laying anew the pieces of packs that are less than
 * half alive, only as many as the bound asks for, and first those whose manifest
 * parts change anyway: then one changed file neither makes a burst of new blobs
 * nor rewrites the whole manifest.
 *
 * Pure: numbers in, numbers out. Blobs are whatever integers the caller uses.
 *
 * @module channels/pack
 */
import { CHUNK_BYTES } from '../wire/constants.ts'

/** Waste that is always allowed: below it, repacking costs readers more than it saves. */
export const PACK_WASTE_FLOOR_BYTES = 8 * CHUNK_BYTES

/**
 * Packs that are always allowed to be nearly empty, beside one for each manifest
 * part: then the small changes of each part gather in a pack of its own, however
 * small the files are, and the waste is still no more than the manifest itself.
 */
export const PACK_SPARE_CHUNKS = 2

/** Waste allowed, as a share of the live bytes. */
export const PACK_WASTE_SHARE = 0.25

/** Bytes of one piece that lie in one blob. */
export interface PiecePlace {
  readonly blob: number
  readonly offset: number
  readonly length: number
}

/** A distinct piece of the release. */
export interface Piece {
  /** Bytes, 1..CHUNK_BYTES - 1. */
  readonly length: number
  /** Where the previous release holds it: one place, or two in a row; null when it is new. */
  readonly known: readonly PiecePlace[] | null
  /** Number of the manifest part that will hold its first file: pieces of one region change one part. */
  readonly region: number
}

/** A slice of a piece in a new chunk. */
export interface PackSlice {
  /** Index into the pieces given. */
  readonly piece: number
  readonly pieceOffset: number
  readonly chunkOffset: number
  readonly length: number
}

/** One new chunk; what its slices do not cover is zero. */
export interface Pack {
  readonly slices: readonly PackSlice[]
}

export interface PackPlan {
  /** New chunks, in order. A piece at the end of one may go on at the start of the next. */
  readonly packs: readonly Pack[]
  /** For each piece: does it lie in `packs`? Otherwise it keeps its known place. */
  readonly isNew: readonly boolean[]
  /** Bytes of all packs in use, kept and new, that no piece of this release uses. */
  readonly wasteBytes: number
}

/** Waste allowed beside so many live bytes in so many manifest parts. */
export function allowedWasteBytes(liveBytes: number, regions: number): number {
  return Math.max(
    PACK_WASTE_FLOOR_BYTES,
    (regions + PACK_SPARE_CHUNKS) * CHUNK_BYTES,
    Math.floor(liveBytes * PACK_WASTE_SHARE),
  )
}

/**
 * Place the pieces of a release.
 *
 * @param pieces - distinct pieces in path order of their first use.
 * Cost: O(n log n) in pieces.
 */
export function planPacks(pieces: readonly Piece[]): PackPlan {
  const isNew = pieces.map((piece) => piece.known === null)
  let liveBytes = 0
  let regions = 1
  for (const piece of pieces) {
    liveBytes += piece.length
    regions = Math.max(regions, piece.region + 1)
  }
  const census = takeCensus(pieces)
  const before = wasteOf(census.size, newBytesOf(pieces, isNew), liveBytes)
  const allowed = allowedWasteBytes(liveBytes, regions)
  let wasteBytes = before
  if (before > allowed) {
    const repacked = repack(pieces, isNew, census, liveBytes, allowed)
    // Moving pieces only to end with as many blobs as before would cost readers and gain nothing.
    if (repacked.wasteBytes < before) {
      wasteBytes = repacked.wasteBytes
      for (const index of repacked.moved) isNew[index] = true
    }
  }
  return { packs: layEndToEnd(pieces, isNew), isNew, wasteBytes }
}

interface OldPack {
  liveBytes: number
  readonly pieces: number[]
}

function takeCensus(pieces: readonly Piece[]): Map<number, OldPack> {
  const packs = new Map<number, OldPack>()
  pieces.forEach((piece, index) => {
    for (const place of piece.known ?? []) {
      const pack = packs.get(place.blob)
      if (pack === undefined) packs.set(place.blob, { liveBytes: place.length, pieces: [index] })
      else {
        pack.liveBytes += place.length
        pack.pieces.push(index)
      }
    }
  })
  return packs
}

function newBytesOf(pieces: readonly Piece[], isNew: readonly boolean[]): number {
  let bytes = 0
  pieces.forEach((piece, index) => {
    if (isNew[index] === true) bytes += piece.length
  })
  return bytes
}

function wasteOf(keptPacks: number, newBytes: number, liveBytes: number): number {
  return (keptPacks + Math.ceil(newBytes / CHUNK_BYTES)) * CHUNK_BYTES - liveBytes
}

function repack(
  pieces: readonly Piece[],
  isNew: readonly boolean[],
  census: Map<number, OldPack>,
  liveBytes: number,
  allowed: number,
): { moved: Set<number>; wasteBytes: number } {
  const moved = new Set<number>()
  let newBytes = newBytesOf(pieces, isNew)
  let wasteBytes = wasteOf(census.size, newBytes, liveBytes)
  for (const pack of repackOrder(pieces, isNew, census)) {
    if (wasteBytes <= allowed) break
    for (const index of pack.pieces) {
      const piece = pieces[index]
      if (piece === undefined || moved.has(index)) continue
      moved.add(index)
      newBytes += piece.length
      for (const place of piece.known ?? []) leave(census, place)
    }
    wasteBytes = wasteOf(census.size, newBytes, liveBytes)
  }
  return { moved, wasteBytes }
}

function leave(census: Map<number, OldPack>, place: PiecePlace): void {
  const pack = census.get(place.blob)
  if (pack === undefined) return
  pack.liveBytes -= place.length
  if (pack.liveBytes === 0) census.delete(place.blob)
}

/**
 * Packs worth giving up, best first: those that change the fewest further manifest
 * parts, packs of one part together, the emptiest of them first.
 */
function repackOrder(
  pieces: readonly Piece[],
  isNew: readonly boolean[],
  census: ReadonlyMap<number, OldPack>,
): OldPack[] {
  const changing = new Set<number>()
  pieces.forEach((piece, index) => {
    if (isNew[index] === true) changing.add(piece.region)
  })
  const ranked: { pack: OldPack; furtherParts: number; region: number; liveBytes: number }[] = []
  for (const pack of census.values()) {
    if (pack.liveBytes * 2 >= CHUNK_BYTES) continue
    const further = new Set<number>()
    for (const index of pack.pieces) {
      const region = pieces[index]?.region ?? 0
      if (!changing.has(region)) further.add(region)
    }
    const region = Math.min(...further, Number.MAX_SAFE_INTEGER)
    ranked.push({ pack, furtherParts: further.size, region, liveBytes: pack.liveBytes })
  }
  ranked.sort((a, b) => a.furtherParts - b.furtherParts || a.region - b.region || a.liveBytes - b.liveBytes)
  return ranked.map((entry) => entry.pack)
}

function layEndToEnd(pieces: readonly Piece[], isNew: readonly boolean[]): Pack[] {
  const packs: { slices: PackSlice[] }[] = []
  let room = 0
  pieces.forEach((piece, index) => {
    if (isNew[index] !== true) return
    for (let pieceOffset = 0; pieceOffset < piece.length; ) {
      if (room === 0) {
        packs.push({ slices: [] })
        room = CHUNK_BYTES
      }
      const length = Math.min(room, piece.length - pieceOffset)
      packs.at(-1)?.slices.push({ piece: index, pieceOffset, chunkOffset: CHUNK_BYTES - room, length })
      pieceOffset += length
      room -= length
    }
  })
  return packs
}
