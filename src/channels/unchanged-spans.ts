/**
 * Unchanged spans: which bytes of a file are the same, at the same position, as in
 * the release before, so that they can be copied from the file that is there
 * instead of being opened and written again.
 *
 * That the file on the disk is the one of that release is proven by its record in
 * the ledger: what was written had this identity, and the file is untouched since.
 *
 * @module channels/unchanged-spans
 */
import { equalBytes } from '../base/bytes.ts'
import { CHUNK_BYTES } from '../wire/constants.ts'
import type { Manifest, Span } from '../wire/manifest.ts'
import type { WantedFile, WrittenFile } from './assemble-plan.ts'
import { fileIdentity } from './file-index.ts'
import { nextTurn, Pacer } from './turns.ts'

/** Below it a copy costs as much as it saves. */
const MIN_CLONED_BYTES = 4 * CHUNK_BYTES

/** What of a file need not be written. */
export interface UnchangedSpans {
  /** Positions in the file; each span is as long as the manifest has it. */
  readonly positions: ReadonlySet<number>
  readonly bytes: number
}

/**
 * Those of the files, by their numbers in the list, that begin best as a copy of what is in place.
 *
 * @param written - the ledger's files.
 * @param previous - the release that they may be of; asked once, and only for a large file.
 */
export async function findUnchanged(
  manifest: Manifest,
  files: readonly WantedFile[],
  written: ReadonlyMap<string, WrittenFile>,
  previous: () => Promise<Manifest | null>,
): Promise<Map<number, UnchangedSpans>> {
  const found = new Map<number, UnchangedSpans>()
  let before: Manifest | null = null
  for (const [number, file] of files.entries()) {
    const record = file.size < MIN_CLONED_BYTES ? undefined : written.get(file.path)
    if (record === undefined || record.size < MIN_CLONED_BYTES) continue
    before ??= await previous()
    if (before === null) break
    const unchanged = await unchangedSpans(manifest, file, before, record)
    if (unchanged !== null) found.set(number, unchanged)
  }
  return found
}

/**
 * Compare a file with what was written at its place.
 *
 * @param previous - the release that `record` may be of.
 * @returns null when that is not so, or when less than half of the file would be copied.
 */
async function unchangedSpans(
  manifest: Manifest,
  file: WantedFile,
  previous: Manifest,
  record: WrittenFile,
): Promise<UnchangedSpans | null> {
  const entry = previous.indexOf(file.path)
  if (entry < 0) return null
  const before = previous.entry(entry)
  if (before.kind !== 'file' || before.size !== record.size) return null
  if (fileIdentity(previous, { path: file.path, size: before.size, entry }) !== record.identity) return null
  const positions = new Set<number>()
  let bytes = 0
  const pacer = new Pacer()
  const olds = previous.spans(entry)
  let old = olds.next()
  for (const span of manifest.spans(file.entry)) {
    if (pacer.due()) await nextTurn()
    while (old.done !== true && old.value.position < span.position) old = olds.next()
    if (old.done === true) break
    if (!isSameSpan(manifest, span, previous, old.value)) continue
    positions.add(span.position)
    bytes += span.length
  }
  return bytes >= MIN_CLONED_BYTES && bytes * 2 >= file.size ? { positions, bytes } : null
}

function isSameSpan(manifest: Manifest, a: Span, previous: Manifest, b: Span): boolean {
  return (
    a.position === b.position &&
    a.length === b.length &&
    a.offset === b.offset &&
    equalBytes(manifest.blobId(a.blob), previous.blobId(b.blob))
  )
}
