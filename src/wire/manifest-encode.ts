/**
 * Writing manifests: roots and parts as canonical bencode, measured to the byte
 * before they are written (PROTOCOL_FINAL.md §4.2).
 *
 * What is written is not judged here: order of paths, sums and the use of every
 * blob are the publisher's to get right, and wire/manifest-reader.ts refuses what is
 * not. How entries are spread over parts is decided in channels/.
 *
 * @module wire/manifest-encode
 */
import { Buffer } from 'node:buffer'
import { utf8Bytes } from '../base/bytes.ts'
import { BencodeWriter, measureBytes, measureInteger } from './bencode.ts'
import { BLOB_REF_BYTES, CHUNK_BYTES, MANIFEST_VERSION, MAX_TITLE_BYTES } from './constants.ts'
import type { Extent, ReleaseSummary } from './manifest.ts'

/** An entry as it stands in one part; blobs are numbered by that part's `blobs`. */
export interface EntryInput {
  readonly path: string
  /** Size of the whole file; null for an empty folder. */
  readonly size: number | null
  /** First byte of a fragment; null for a whole file and for a folder. */
  readonly start: number | null
  readonly extents: readonly Extent[]
}

/** Blob references, BLOB_REF_BYTES each, and the entries that use them. */
export interface PartInput {
  readonly blobs: Uint8Array
  readonly entries: readonly EntryInput[]
}

export type RootInput = ReleaseSummary & (PartInput | { readonly parts: Uint8Array })

/** Bytes that an entry takes in a part or a root. */
export function entryBytes(entry: EntryInput): number {
  let length = 2 + measureBytes(Buffer.byteLength(entry.path))
  if (entry.size === null) return length
  length += measureInteger(entry.size)
  if (entry.start !== null) length += measureInteger(entry.start)
  for (const extent of entry.extents) length += extentBytes(extent)
  return length
}

/** Bytes that one extent takes in an entry. */
export function extentBytes(extent: Extent): number {
  return measureInteger(extent.blob) + measureInteger(extent.offset) + measureInteger(extent.length)
}

/** Bytes of a part with that many blobs, whose entries take `entriesBytes` together (`entryBytes`). */
export function partBytes(blobCount: number, entriesBytes: number): number {
  return 2 + contentBytes(blobCount, entriesBytes)
}

/** Bytes of a root that lists that many parts. */
export function listedRootBytes(summary: ReleaseSummary, partCount: number): number {
  return summaryBytes(summary) + keyBytes('parts') + measureBytes(partCount * BLOB_REF_BYTES)
}

/** Bytes of a root that holds the entries itself. */
export function inlineRootBytes(summary: ReleaseSummary, blobCount: number, entriesBytes: number): number {
  return summaryBytes(summary) + contentBytes(blobCount, entriesBytes)
}

/**
 * @returns the bencoded part, fresh, at most CHUNK_BYTES; `padChunk` of wire/blob.ts makes the chunk.
 * @throws RangeError when it does not fit one chunk.
 */
export function encodePart(part: PartInput): Uint8Array {
  const writer = chunkWriter(partBytes(blobCountOf(part.blobs), sumOf(part.entries)))
  writer.openDictionary()
  writeContent(writer, part)
  return writer.close().bytes
}

/** As `encodePart`, for a root. */
export function encodeRoot(root: RootInput): Uint8Array {
  const title = utf8Bytes(root.title)
  if (title.length > MAX_TITLE_BYTES) {
    throw new RangeError(`"title" expected <= ${MAX_TITLE_BYTES} bytes, got ${title.length}`)
  }
  if ('parts' in root) {
    return chunkWriter(listedRootBytes(root, blobCountOf(root.parts)))
      .openDictionary()
      .key('bytes')
      .integer(root.bytes)
      .key('files')
      .integer(root.files)
      .key('parts')
      .string(root.parts)
      .key('time')
      .integer(root.time)
      .key('title')
      .string(title)
      .key('v')
      .integer(MANIFEST_VERSION)
      .close().bytes
  }
  const writer = chunkWriter(inlineRootBytes(root, blobCountOf(root.blobs), sumOf(root.entries)))
  writer.openDictionary()
  writeContent(writer, root, () => writer.key('bytes').integer(root.bytes))
  return writer
    .key('files')
    .integer(root.files)
    .key('time')
    .integer(root.time)
    .key('title')
    .string(title)
    .key('v')
    .integer(MANIFEST_VERSION)
    .close().bytes
}

/** @param between - writes what stands between `blobs` and `entries` in a root. */
function writeContent(writer: BencodeWriter, part: PartInput, between?: () => void): void {
  writer.key('blobs').string(part.blobs)
  between?.()
  writer.key('entries').openList()
  for (const entry of part.entries) writeEntry(writer, entry)
  writer.close()
}

function writeEntry(writer: BencodeWriter, entry: EntryInput): void {
  writer.openList().string(utf8Bytes(entry.path))
  if (entry.size !== null) {
    writer.integer(entry.size)
    if (entry.start !== null) writer.integer(entry.start)
    for (const extent of entry.extents) {
      writer.integer(extent.blob).integer(extent.offset).integer(extent.length)
    }
  }
  writer.close()
}

function summaryBytes(summary: ReleaseSummary): number {
  return (
    2 +
    keyBytes('bytes') +
    measureInteger(summary.bytes) +
    keyBytes('files') +
    measureInteger(summary.files) +
    keyBytes('time') +
    measureInteger(summary.time) +
    keyBytes('title') +
    measureBytes(Buffer.byteLength(summary.title)) +
    keyBytes('v') +
    measureInteger(MANIFEST_VERSION)
  )
}

function contentBytes(blobCount: number, entriesBytes: number): number {
  return keyBytes('blobs') + measureBytes(blobCount * BLOB_REF_BYTES) + keyBytes('entries') + 2 + entriesBytes
}

function keyBytes(key: string): number {
  return measureBytes(key.length)
}

function sumOf(entries: readonly EntryInput[]): number {
  let sum = 0
  for (const entry of entries) sum += entryBytes(entry)
  return sum
}

function blobCountOf(references: Uint8Array): number {
  if (references.length % BLOB_REF_BYTES !== 0) {
    throw new RangeError(`"blobs" expected a multiple of ${BLOB_REF_BYTES} bytes, got ${references.length}`)
  }
  return references.length / BLOB_REF_BYTES
}

function chunkWriter(length: number): BencodeWriter {
  if (length > CHUNK_BYTES)
    throw new RangeError(`"entries" expected to fit ${CHUNK_BYTES} bytes, got ${length}`)
  return new BencodeWriter(length)
}
