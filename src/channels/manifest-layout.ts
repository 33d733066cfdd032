/**
 * Layout of a manifest: which entries stand in which part (PROTOCOL_FINAL.md
 * §4.2; the choice itself is not normative).
 *
 * A release keeps the part boundaries of the one before it, so that a change of
 * one file changes one part: the other parts are the same blobs again. A part
 * that overflows is cut at its middle, neighbours that together are less than
 * half a chunk become one.
 *
 * Pure. Sealing is done by manifest-writer.ts.
 *
 * @module channels/manifest-layout
 */
import { CHUNK_BYTES, MAX_TITLE_BYTES } from '../wire/constants.ts'
import { type EntryInput, entryBytes, partBytes } from '../wire/manifest-encode.ts'
import { itemsOf, type PartPlan, planPart } from './manifest-part.ts'
import { comparePaths, type ReleaseEntry, spansOf } from './release-entry.ts'

/** How full the parts of a first release are made: the rest is room to grow without a split. */
export const PART_FILL_BYTES = Math.floor(CHUNK_BYTES * 0.87)

/** Neighbours that together are smaller become one part. */
export const PART_MERGE_BYTES = CHUNK_BYTES / 2

/**
 * What a root holds beside `blobs` and `entries`, at most: its other keys, four
 * integers, and the longest title, so that a title can be changed later.
 */
export const ROOT_FRAME_BYTES = MAX_TITLE_BYTES + 160

/** Where a part begins: the first item that may stand in it. */
export interface PartBoundary {
  readonly path: string
  /** First byte of the fragment; 0 for a whole entry. */
  readonly start: number
}

/**
 * Lay the entries of a release into parts, one at a time, so that the caller can
 * seal one and let it go before the next is made.
 *
 * A first release that fits in a root is one part. No entries make no part.
 *
 * @param entries - in strictly ascending path order.
 * @param previous - boundaries of the previous release's parts, ascending; empty when
 *   there was none or its root held the entries. The first one is of no consequence.
 * Cost: O(spans); memory: the spans of two parts.
 */
export function* layoutParts(
  entries: Iterable<ReleaseEntry>,
  previous: readonly PartBoundary[],
): Generator<PartPlan> {
  const items = allItems(entries)
  const groups = previous.length === 0 ? fillParts(items) : cutAtBoundaries(items, previous)
  let last: PartPlan | null = null
  for (const group of groups) {
    for (const part of fitParts(group)) {
      if (last === null) {
        last = part
      } else if (last.bytes + part.bytes < PART_MERGE_BYTES) {
        last = planPart([...globalItems(last), ...globalItems(part)])
      } else {
        yield last
        last = part
      }
    }
  }
  if (last !== null) yield last
}

/** Can a root hold this part, when it is the only one? */
export function fitsInRoot(part: PartPlan): boolean {
  return part.bytes + ROOT_FRAME_BYTES <= CHUNK_BYTES
}

/** Where a part begins: what the next release's `layoutParts` wants to know. */
export function boundaryOf(part: PartPlan): PartBoundary {
  const [first] = part.entries
  return { path: first?.path ?? '', start: first?.start ?? 0 }
}

/** Number of the part in which a path stood or would stand. Cost: O(log parts). */
export function partOfPath(path: string, boundaries: readonly PartBoundary[]): number {
  let low = 0
  let high = boundaries.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (comparePaths(boundaries[middle]?.path ?? '', path) <= 0) low = middle + 1
    else high = middle
  }
  return Math.max(0, low - 1)
}

function* allItems(entries: Iterable<ReleaseEntry>): Generator<EntryInput> {
  for (const entry of entries) yield* itemsOf(entry)
}

/** A first release: everything in the root if it fits, else parts filled one after the other. */
function* fillParts(items: Generator<EntryInput>): Generator<readonly EntryInput[]> {
  const head: EntryInput[] = []
  const headGauge = new PartGauge()
  let rest = items.next()
  for (; rest.done !== true && headGauge.bytes + ROOT_FRAME_BYTES <= CHUNK_BYTES; rest = items.next()) {
    head.push(rest.value)
    headGauge.add(rest.value)
  }
  if (rest.done === true && headGauge.bytes + ROOT_FRAME_BYTES <= CHUNK_BYTES) {
    if (head.length > 0) yield head
    return
  }
  const all = rest.done === true ? [head] : [head, [rest.value], items]
  let group: EntryInput[] = []
  let gauge = new PartGauge()
  for (const source of all) {
    for (const item of source) {
      gauge.add(item)
      if (gauge.bytes > PART_FILL_BYTES && group.length > 0) {
        yield group
        group = []
        gauge = new PartGauge()
        gauge.add(item)
      }
      group.push(item)
    }
  }
  yield group
}

function* cutAtBoundaries(
  items: Iterable<EntryInput>,
  previous: readonly PartBoundary[],
): Generator<readonly EntryInput[]> {
  let group: EntryInput[] = []
  let next = 1
  for (const item of items) {
    for (let cut = previous[next]; cut !== undefined && reaches(item, cut); cut = previous[++next]) {
      if (group.length > 0) yield group
      group = []
    }
    group.push(item)
  }
  if (group.length > 0) yield group
}

function reaches(item: EntryInput, boundary: PartBoundary): boolean {
  const order = comparePaths(item.path, boundary.path)
  return order > 0 || (order === 0 && (item.start ?? 0) >= boundary.start)
}

/** One part, or as many as it takes, each cut at the middle of its bytes. */
function fitParts(items: readonly EntryInput[]): PartPlan[] {
  const plan = planPart(items)
  if (plan.bytes <= CHUNK_BYTES) return [plan]
  const middle = middleOf(items)
  return [...fitParts(items.slice(0, middle)), ...fitParts(items.slice(middle))]
}

function middleOf(items: readonly EntryInput[]): number {
  const gauge = new PartGauge()
  for (const item of items) gauge.add(item)
  const half = gauge.bytes / 2
  const measured = new PartGauge()
  for (let index = 0; index < items.length; index++) {
    const item = items[index]
    if (item !== undefined) measured.add(item)
    if (measured.bytes >= half) return Math.min(Math.max(index, 1), items.length - 1)
  }
  return items.length - 1
}

/** The items of a part, numbered again as the release does. */
function globalItems(part: PartPlan): EntryInput[] {
  return part.entries.map((entry) => {
    const spans = [...spansOf(entry.extents)]
    return {
      ...entry,
      extents: spans.map((span) => ({ ...span, blob: part.blobs[span.blob] ?? 0 })),
    }
  })
}

/** Running estimate of a part's size: exact but for the digits of blob numbers and broken runs. */
class PartGauge {
  readonly #blobs = new Set<number>()
  #entryBytes = 0

  get bytes(): number {
    return partBytes(this.#blobs.size, this.#entryBytes)
  }

  add(item: EntryInput): void {
    for (const span of spansOf(item.extents)) this.#blobs.add(span.blob)
    this.#entryBytes += entryBytes(item)
  }
}
