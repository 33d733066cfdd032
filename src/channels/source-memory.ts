/**
 * Source memory: what the newest ingest of a channel found in its folder and where
 * it put it, so that the next one reads only what changed.
 *
 * A file is the same when its path, size, times and inode are, as restic and borg
 * hold it; a stamp that was younger than a tick of the file system's clock is not
 * remembered, since a later change could have the same one. What is remembered says
 * nothing about blobs: whoever uses it asks the store whether they are still held.
 *
 * Layout, on the publisher's own disk alone. Page 0 is the header as JSON; pages of
 * blobs: reference 64, used u8; pages of entries in path order: path length u16,
 * path, kind u8; for a file: size, mtime, ctime, inode as f64 in the machine's order, hash of its piece 32
 * if the kind says so, number of runs u32, each first blob u32 and blobs u32.
 *
 * @module channels/source-memory
 */
import { ByteReader, ByteWriter, EMPTY_BYTES, utf8Bytes, utf8Text } from '../base/bytes.ts'
import type { SourceMemoryTable } from '../storage/tables/source-memory-table.ts'
import { BLOB_ID_BYTES, BLOB_REF_BYTES, CHUNK_BYTES } from '../wire/constants.ts'
import { type HashName, hashName, hashOfName } from './known-pieces.ts'
import { spansOf } from './release-entry.ts'
import { type FileContent, pieceLength } from './source-reader.ts'
import type { FileStamp } from './stat-all.ts'
import { nextTurn } from './turns.ts'
import type { SourceEntry } from './walk.ts'

/** Bytes of a page, beyond its last item: some ms of the database. */
const PAGE_BYTES = 262_144
const BLOB_BYTES_HERE = BLOB_REF_BYTES + 1
const HASH_BYTES = 32
/** Four f64 in the machine's order: the file stays on it. */
const STAMP_BYTES = 32

const KIND_FOLDER = 0
const KIND_FILE = 1
const KIND_FILE_WITH_PIECE = 2
/** A file whose stamp cannot be trusted: nothing follows. */
const KIND_UNSETTLED = 3

export interface SourceHeader {
  /** Real path of the file or folder. */
  readonly root: string
  readonly ingestId: string
  readonly title: string
  /** The ingest that counted as published then. */
  readonly publishedIngest: string | null
}

interface StoredHeader extends SourceHeader {
  readonly blobPages: number
  readonly entryPages: number
}

/** Blobs that an entry or the manifest refers to, by their numbers in the memory. */
export interface RememberedBlob {
  readonly id: Uint8Array
  readonly key: Uint8Array
  /** Does the release of that ingest need it? */
  readonly used: boolean
}

/** Numbers of neighbouring blobs that each hold one whole chunk of the file. */
export interface BlobRun {
  readonly blob: number
  readonly count: number
}

export interface RememberedEntry {
  readonly path: string
  /** Null: an empty folder, or a file with a stamp that cannot be trusted. */
  readonly stamp: FileStamp | null
  readonly isFolder: boolean
  readonly pieceHash: HashName | null
  readonly runs: readonly BlobRun[]
}

export class SourceMemory {
  readonly header: SourceHeader
  readonly #table: SourceMemoryTable
  readonly #publicKey: Uint8Array
  readonly #pages: StoredHeader

  private constructor(table: SourceMemoryTable, publicKey: Uint8Array, header: StoredHeader) {
    this.header = header
    this.#table = table
    this.#publicKey = publicKey
    this.#pages = header
  }

  /** What is remembered of the folder `root`, or null. */
  static load(table: SourceMemoryTable, publicKey: Uint8Array, root: string): SourceMemory | null {
    const page = table.get(publicKey, 0)
    const header = page === null ? null : parseHeader(page)
    return header === null || header.root !== root ? null : new SourceMemory(table, publicKey, header)
  }

  /** @throws RangeError when a page is damaged or missing. */
  *blobs(): Generator<RememberedBlob> {
    for (const reader of this.#readers(1, this.#pages.blobPages)) {
      while (reader.remaining > 0) {
        const reference = reader.take(BLOB_REF_BYTES)
        const used = reader.u8() === 1
        yield { id: reference.subarray(0, BLOB_ID_BYTES), key: reference.subarray(BLOB_ID_BYTES), used }
      }
    }
  }

  /** In the order of the tree. @throws RangeError when a page is damaged or missing. */
  *entries(): Generator<RememberedEntry> {
    for (const reader of this.#readers(1 + this.#pages.blobPages, this.#pages.entryPages)) {
      while (reader.remaining > 0) yield readEntry(reader)
    }
  }

  *#readers(first: number, count: number): Generator<ByteReader> {
    for (let page = first; page < first + count; page++) {
      const content = this.#table.get(this.#publicKey, page)
      if (content === null) throw new RangeError(`page ${page} of a source memory is missing`)
      yield new ByteReader(content)
    }
  }
}

/** What is to be remembered. */
export interface SourceFindings {
  readonly header: SourceHeader
  readonly blobs: Iterable<{ readonly reference: Uint8Array; readonly used: boolean }>
  readonly entries: Iterable<{
    readonly entry: SourceEntry
    /** Null for an empty folder, and for a file that is not to be trusted. */
    readonly content: FileContent | null
  }>
}

/** Write it down in the place of what was remembered of the channel, with pauses for others. */
export async function rememberSource(
  table: SourceMemoryTable,
  publicKey: Uint8Array,
  findings: SourceFindings,
): Promise<void> {
  // Without its header the rest counts for nothing: a crash on the way leaves no mixture.
  table.removePage(publicKey, 0)
  let page = 0
  const save = async (parts: Iterable<Uint8Array>): Promise<number> => {
    const first = page
    for (const content of pagesOf(parts)) {
      page += 1
      table.save(publicKey, page, content)
      await nextTurn()
    }
    return page - first
  }
  const blobPages = await save(blobParts(findings.blobs))
  const entryPages = await save(entryParts(findings.entries))
  while (table.removePage(publicKey, page + 1)) page += 1
  const header: StoredHeader = { ...findings.header, blobPages, entryPages }
  table.save(publicKey, 0, utf8Bytes(JSON.stringify(header)))
}

function* pagesOf(parts: Iterable<Uint8Array>): Generator<Uint8Array> {
  let batch: Uint8Array[] = []
  let bytes = 0
  for (const part of parts) {
    batch.push(part)
    bytes += part.length
    if (bytes < PAGE_BYTES) continue
    yield joined(batch, bytes)
    batch = []
    bytes = 0
  }
  if (bytes > 0) yield joined(batch, bytes)
}

function joined(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  const writer = new ByteWriter(bytes)
  for (const part of parts) writer.put(part)
  return writer.bytes
}

function* blobParts(blobs: SourceFindings['blobs']): Generator<Uint8Array> {
  for (const { reference, used } of blobs) {
    yield new ByteWriter(BLOB_BYTES_HERE).put(reference).u8(used ? 1 : 0).bytes
  }
}

/** One part an entry, since a page never ends within one. */
function* entryParts(entries: SourceFindings['entries']): Generator<Uint8Array> {
  for (const { entry, content } of entries) {
    const path = utf8Bytes(entry.path)
    const startBytes = 2 + path.length + 1
    if (entry.stamp === null || content === null) {
      const kind = entry.stamp === null ? KIND_FOLDER : KIND_UNSETTLED
      yield new ByteWriter(startBytes).u16(path.length).put(path).u8(kind).bytes
      continue
    }
    const { stamp, pieceHash } = content
    const runs = runsOf(content)
    const hash = pieceHash === null ? EMPTY_BYTES : hashOfName(pieceHash)
    const writer = new ByteWriter(startBytes + STAMP_BYTES + hash.length + 4 + 8 * runs.length)
    writer.u16(path.length).put(path)
    writer.u8(pieceHash === null ? KIND_FILE : KIND_FILE_WITH_PIECE)
    writer.put(stampBytes(stamp)).put(hash).u32(runs.length)
    for (const { blob, count } of runs) writer.u32(blob).u32(count)
    yield writer.bytes
  }
}

function runsOf({ chunks }: FileContent): readonly BlobRun[] {
  const runs: { blob: number; count: number }[] = []
  for (const { blob } of spansOf(chunks?.finish() ?? [])) {
    const last = runs.at(-1)
    if (last !== undefined && last.blob + last.count === blob) last.count += 1
    else runs.push({ blob, count: 1 })
  }
  return runs
}

function stampBytes({ size, mtimeMs, ctimeMs, inode }: FileStamp): Uint8Array {
  const floats = Float64Array.of(size, mtimeMs, ctimeMs, inode)
  return new Uint8Array(floats.buffer)
}

function readStamp(reader: ByteReader): FileStamp {
  // A copy: floats must lie at a multiple of eight.
  const [size = 0, mtimeMs = 0, ctimeMs = 0, inode = 0] = new Float64Array(
    reader.take(STAMP_BYTES).slice().buffer,
  )
  return { size, mtimeMs, ctimeMs, inode }
}

function readEntry(reader: ByteReader): RememberedEntry {
  const path = utf8Text(reader.take(reader.u16()))
  if (path === null) throw new RangeError('a path of a source memory is damaged')
  const kind = reader.u8()
  const isFolder = kind === KIND_FOLDER
  if (isFolder || kind === KIND_UNSETTLED) return { path, stamp: null, isFolder, pieceHash: null, runs: [] }
  const stamp = readStamp(reader)
  const pieceHash = kind === KIND_FILE_WITH_PIECE ? hashName(reader.take(HASH_BYTES)) : null
  const runs: BlobRun[] = []
  let chunks = 0
  for (let left = reader.u32(); left > 0; left--) {
    const run = { blob: reader.u32(), count: reader.u32() }
    chunks += run.count
    runs.push(run)
  }
  const isWhole =
    chunks === Math.floor(stamp.size / CHUNK_BYTES) && (pieceHash !== null) === pieceLength(stamp.size) > 0
  if (!isWhole) throw new RangeError('an entry of a source memory is damaged')
  return { path, stamp, isFolder, pieceHash, runs }
}

function parseHeader(page: Uint8Array): StoredHeader | null {
  const text = utf8Text(page)
  if (text === null) return null
  try {
    const header: unknown = JSON.parse(text)
    return isHeader(header) ? header : null
  } catch {
    return null // not JSON: as good as nothing
  }
}

function isHeader(value: unknown): value is StoredHeader {
  if (typeof value !== 'object' || value === null) return false
  const { root, ingestId, title, publishedIngest, blobPages, entryPages } = value as Partial<StoredHeader>
  return (
    typeof root === 'string' &&
    typeof ingestId === 'string' &&
    typeof title === 'string' &&
    (publishedIngest === null || typeof publishedIngest === 'string') &&
    Number.isSafeInteger(blobPages) &&
    Number.isSafeInteger(entryPages)
  )
}
