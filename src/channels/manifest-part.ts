/**
 * One part of a manifest: its own table of blobs, its entries numbered by it,
 * and its size to the byte (PROTOCOL_FINAL.md §4.2).
 *
 * The order of the table follows from the part's entries alone, so that a part
 * whose entries did not change is the same bytes and the same blob again.
 *
 * @module channels/manifest-part
 */
import { CHUNK_BYTES } from '../wire/constants.ts'
import type { Extent } from '../wire/manifest.ts'
import { type EntryInput, entryBytes, partBytes } from '../wire/manifest-encode.ts'
import { countSpans, ExtentBuilder, type ReleaseEntry, spansOf } from './release-entry.ts'

/**
 * Spans of one item. A file of more is cut into fragments, so that no item fills
 * more than a sixth of a part and parts fill evenly. A whole chunk is one span.
 */
export const MAX_ITEM_SPANS = 2048

/** A part: blobs by their release-wide numbers, entries numbered by place in `blobs`. */
export interface PartPlan {
  readonly blobs: readonly number[]
  readonly entries: readonly EntryInput[]
  /** Bytes of the bencoded entries. */
  readonly entriesBytes: number
  /** Bytes of the whole bencoded part. */
  readonly bytes: number
}

/** The entry itself, or its fragments. */
export function* itemsOf(entry: ReleaseEntry): Generator<EntryInput> {
  if (countSpans(entry.extents) <= MAX_ITEM_SPANS) {
    yield { path: entry.path, size: entry.size, start: null, extents: entry.extents }
    return
  }
  let builder = new ExtentBuilder()
  let spans = 0
  let start = 0
  let position = 0
  for (const span of spansOf(entry.extents)) {
    if (spans === MAX_ITEM_SPANS) {
      yield { path: entry.path, size: entry.size, start, extents: builder.finish() }
      builder = new ExtentBuilder()
      spans = 0
      start = position
    }
    builder.add(span.blob, span.offset, span.length)
    spans += 1
    position += span.length
  }
  yield { path: entry.path, size: entry.size, start, extents: builder.finish() }
}

/** Renumber the items of one part and measure it. Cost: O(spans). */
export function planPart(items: readonly EntryInput[]): PartPlan {
  const blobs = orderBlobs(items)
  const places = new Map<number, number>()
  blobs.forEach((blob, place) => {
    places.set(blob, place)
  })
  let entriesBytes = 0
  const entries = items.map((item) => {
    const builder = new ExtentBuilder()
    for (const span of spansOf(item.extents)) {
      builder.add(places.get(span.blob) ?? 0, span.offset, span.length)
    }
    const entry: EntryInput = { ...item, extents: builder.finish() }
    entriesBytes += entryBytes(entry)
    return entry
  })
  return { blobs, entries, entriesBytes, bytes: partBytes(blobs.length, entriesBytes) }
}

/**
 * The blobs that the items touch, by first use; a blob whose bytes run on in
 * another is followed by it, so that one extent covers both.
 */
function orderBlobs(items: readonly EntryInput[]): number[] {
  const next = new Map<number, number>()
  const previous = new Map<number, number>()
  const used = new Set<number>()
  for (const item of items) {
    let last: Extent | null = null
    for (const span of spansOf(item.extents)) {
      used.add(span.blob)
      if (last !== null && runsInto(last, span) && !next.has(last.blob) && !previous.has(span.blob)) {
        next.set(last.blob, span.blob)
        previous.set(span.blob, last.blob)
      }
      last = span
    }
  }
  const order = new Set<number>()
  for (const blob of used) {
    if (order.has(blob)) continue
    for (let at: number | undefined = headOf(blob, previous); at !== undefined && !order.has(at); ) {
      order.add(at)
      at = next.get(at)
    }
  }
  return [...order]
}

function runsInto(last: Extent, span: Extent): boolean {
  return last.offset + last.length === CHUNK_BYTES && span.offset === 0 && span.blob !== last.blob
}

// A file that repeats chunks can tie the run into a ring: then its head is where we came in.
function headOf(blob: number, previous: ReadonlyMap<number, number>): number {
  let head = blob
  for (;;) {
    const before = previous.get(head)
    if (before === undefined || before === blob) return head
    head = before
  }
}
