/**
 * Which slices of which blobs make up a range of a file.
 *
 * Pure. Whole extents are passed over by arithmetic, so that the end of a file of
 * 1 TiB costs no more than its beginning.
 *
 * @module channels/file-range
 */
import { CHUNK_BYTES } from '../wire/constants.ts'
import type { Extent, Span } from '../wire/manifest.ts'

/**
 * The bytes [start, end) of a file, in their order; none lies over a chunk boundary.
 *
 * @param extents - of the whole file, in file order.
 * Cost: O(extents before the end + spans that are taken).
 */
export function* spansOfRange(extents: Iterable<Extent>, start: number, end: number): Generator<Span> {
  let extentStart = 0
  for (const extent of extents) {
    if (extentStart >= end) return
    const extentEnd = extentStart + extent.length
    if (extentEnd > start)
      yield* spansOfExtent(extent, extentStart, Math.max(start, extentStart), Math.min(end, extentEnd))
    extentStart = extentEnd
  }
}

function* spansOfExtent(extent: Extent, extentStart: number, from: number, to: number): Generator<Span> {
  const first = extent.offset + (from - extentStart)
  let blob = extent.blob + Math.floor(first / CHUNK_BYTES)
  let offset = first % CHUNK_BYTES
  for (let position = from; position < to; blob++) {
    const length = Math.min(to - position, CHUNK_BYTES - offset)
    yield { blob, offset, length, position }
    position += length
    offset = 0
  }
}
