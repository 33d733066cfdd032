/**
 * One part of a manifest: its own table of blobs, its entries numbered by it,
 * and its size to the byte (PROTOCOL_FINAL.md §4.2).
 *
 * The order of the table follows from the part's entries alone, so that a part
 * whose entries did not change is the same bytes and the same blob again.
 *
 * @module channels/manifest-part
 */
import { BLOB_REF_BYTES, CHUNK_BYTES } from '../wire/constants.ts'
import type { Extent } from './release-entry.ts'
import { countSpans, ExtentBuilder, type ReleaseEntry, type Span, spansOf } from './release-entry.ts'

/**
 * Spans of one item. A file of more is cut into fragments, so that no item fills
 * more than a sixth of a part and parts fill evenly. A whole chunk is one span.
 */
export const MAX_ITEM_SPANS = 2048

/** A whole entry, or a fragment of a file: what one part must hold together. */
export interface LayoutItem {
  readonly path: string
  readonly size: number | null
  /** First byte, for a fragment; null for a whole entry. */
  readonly start: number | null
  readonly extents: readonly Extent[]
}

/** A part: blobs by their release-wide numbers, entries numbered by place in `blobs`. */
export interface PartPlan {
  readonly blobs: readonly number[]
  readonly entries: readonly LayoutItem[]
  /** Bytes of the whole bencoded part. */
  readonly bytes: number
}

/** The entry itself, or its fragments. */
export function* itemsOf(entry: ReleaseEntry): Generator<LayoutItem> {
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
export function planPart(items: readonly LayoutItem[]): PartPlan {
  const blobs = orderBlobs(items)
  const places = new Map<number, number>()
  blobs.forEach((blob, place) => {
    places.set(blob, place)
  })
  let bytes = partFrameBytes(blobs.length)
  const entries = items.map((item) => {
    const builder = new ExtentBuilder()
    for (const span of spansOf(item.extents)) {
      builder.add(places.get(span.blob) ?? 0, span.offset, span.length)
    }
    const entry: LayoutItem = { ...item, extents: builder.finish() }
    bytes += itemBytes(entry)
    return entry
  })
  return { blobs, entries, bytes }
}

/**
 * The blobs that the items touch, by first use; a blob whose bytes run on in
 * another is followed by it, so that one extent covers both.
 */
function orderBlobs(items: readonly LayoutItem[]): number[] {
  const next = new Map<number, number>()
  const previous = new Map<number, number>()
  const used = new Set<number>()
  for (const item of items) {
    let last: Span | null = null
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

function runsInto(last: Span, span: Span): boolean {
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

/** Bytes of a part around its entries: d 5:blobs <table> 7:entries l ... e e. */
export function partFrameBytes(blobCount: number): number {
  return 1 + 7 + stringBytes(blobCount * BLOB_REF_BYTES) + 9 + 1 + 1 + 1
}

/** Bytes of one bencoded entry. */
export function itemBytes(item: LayoutItem): number {
  let bytes = 2 + stringBytes(utf8Length(item.path))
  if (item.size !== null) bytes += integerBytes(item.size)
  if (item.start !== null) bytes += integerBytes(item.start)
  for (const extent of item.extents) {
    bytes += integerBytes(extent.blob) + integerBytes(extent.offset) + integerBytes(extent.length)
  }
  return bytes
}

/** Bytes of a bencoded string of that length. */
export function stringBytes(length: number): number {
  return digits(length) + 1 + length
}

/** Bytes of a bencoded integer, not negative. */
export function integerBytes(value: number): number {
  return digits(value) + 2
}

function digits(value: number): number {
  let count = 1
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) count += 1
  return count
}

function utf8Length(text: string): number {
  let length = 0
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) length += 1
    else if (unit < 0x800) length += 2
    else if ((unit & 0xf800) === 0xd800) length += 2
    else length += 3
  }
  return length
}
