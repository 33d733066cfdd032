/**
 * Reading manifests: a root chunk first, then each of its parts in order; what comes
 * out at the end is valid by all seven rules of PROTOCOL_FINAL.md §4.2.
 *
 * A part is judged as it comes, so a hostile manifest is refused at its first fault
 * and no more of it is fetched. One part costs some 20 ms and its own length in
 * memory; what stays is listed in wire/manifest.ts.
 *
 * @module wire/manifest-reader
 */
import { assertBytes, EMPTY_BYTES, isZeroBytes, utf8Text } from '../base/bytes.ts'
import { type ErrorCode, MegatorrentError } from '../base/errors.ts'
import { MAX_MANIFEST_PARTS } from '../base/limits.ts'
import { type Random, systemRandom } from '../base/random.ts'
import { BencodeReader } from './bencode.ts'
import { BLOB_REF_BYTES, CHUNK_BYTES, MANIFEST_VERSION, MAX_TITLE_BYTES } from './constants.ts'
import type { Manifest, ReleaseSummary } from './manifest.ts'
import { ManifestBuilder, type ManifestBuilderInit } from './manifest-builder.ts'

export class ManifestReader {
  /** What the root says. Not proven before `finish`. */
  readonly summary: ReleaseSummary
  readonly #parts: Uint8Array
  readonly #builder: ManifestBuilder
  #partsRead = 0

  /**
   * Read the root.
   *
   * @param rootReference - BLOB_REF_BYTES, as the head has it: the first blob in manifest order.
   * @param chunk - at most CHUNK_BYTES; read, not kept.
   * @param random - keys hash tables; must be the operating system's outside tests.
   * @throws MegatorrentError, kind 'peer': ERR_MANIFEST_SHAPE, ERR_MANIFEST_VERSION,
   *   ERR_MANIFEST_PADDING, ERR_MANIFEST_LIMIT, ERR_MANIFEST_BLOBS and those of bencode; for
   *   a root that holds the entries itself also those of `addPart`.
   */
  constructor(rootReference: Uint8Array, chunk: Uint8Array, random: Random = systemRandom) {
    assertBytes(rootReference, BLOB_REF_BYTES, 'rootReference')
    const root = readChunk(chunk, (reader) => readRoot(reader, rootReference, random))
    this.summary = root.summary
    this.#parts = root.parts
    this.#builder = root.builder
    for (let part = 0; part < this.partCount; part++) this.#builder.addManifestBlob(this.partReference(part))
  }

  /** Parts to read; 0 when the root holds the entries itself. */
  get partCount(): number {
    return this.#parts.length / BLOB_REF_BYTES
  }

  /** Parts read so far: the number of the one to read next. */
  get partsRead(): number {
    return this.#partsRead
  }

  /** Blob reference of a part: a view. */
  partReference(part: number): Uint8Array {
    if (!Number.isInteger(part) || part < 0 || part >= this.partCount) {
      throw new RangeError(`"part" expected 0..${this.partCount - 1}, got ${part}`)
    }
    return this.#parts.subarray(part * BLOB_REF_BYTES, (part + 1) * BLOB_REF_BYTES)
  }

  /**
   * Read the next part.
   *
   * @param chunk - at most CHUNK_BYTES, of the blob that `partReference(partsRead)` names; not kept.
   * @throws MegatorrentError, kind 'peer': those of bencode, ERR_MANIFEST_* and ERR_PATH_*. The
   *   reader is of no more use after it.
   */
  addPart(chunk: Uint8Array): void {
    if (this.#partsRead >= this.partCount) throw new RangeError('"chunk" expected no more parts')
    this.#partsRead++
    readChunk(chunk, (reader) => readPart(reader, this.#builder))
    if (this.#builder.files > this.summary.files || this.#builder.bytes > this.summary.bytes) {
      throw refused('ERR_MANIFEST_SUM', 'more files or bytes than the root says')
    }
  }

  /** The manifest, when all parts were read. @throws MegatorrentError ERR_MANIFEST_ORDER, ERR_MANIFEST_SUM. */
  finish(): Manifest {
    if (this.#partsRead < this.partCount) {
      throw new RangeError(`"finish" expected ${this.partCount} parts before, got ${this.#partsRead}`)
    }
    return this.#builder.finish(this.summary)
  }
}

/**
 * Judge one part alone, as far as that goes: its first entry may be a fragment from the middle
 * of a file, and its last file may end in another part. For tests and outside checks.
 *
 * @throws MegatorrentError as `ManifestReader.addPart`.
 */
export function checkManifestPart(chunk: Uint8Array, random: Random = systemRandom): void {
  const builder = new ManifestBuilder({ random, startsInside: true })
  readChunk(chunk, (reader) => readPart(reader, builder))
}

/** The blobs that a root or part names, one BLOB_REF_BYTES after the other. */
export interface References {
  /** data: of files. parts: further blobs of the manifest. */
  readonly kind: 'data' | 'parts'
  readonly references: Uint8Array
}

/**
 * What the blob of a manifest names, without judging the rest of it: for who wants to know which blobs
 * belong together and nothing else.
 *
 * @param chunk - of a root or a part. `references` is a view into it.
 * @throws MegatorrentError, kind 'peer': ERR_MANIFEST_SHAPE and those of bencode.
 */
export function listReferences(chunk: Uint8Array): References {
  const reader = new BencodeReader(chunk)
  reader.openDictionary()
  let key = readKey(reader)
  if (key === 'blobs') return { kind: 'data', references: wholeReferences(reader.bytes()) }
  for (const passed of ['bytes', 'files']) {
    if (key !== passed) throw unexpectedKey()
    readCount(reader)
    key = readKey(reader)
  }
  if (key !== 'parts') throw unexpectedKey()
  return { kind: 'parts', references: wholeReferences(reader.bytes()) }
}

function wholeReferences(bytes: Uint8Array): Uint8Array {
  if (bytes.length % BLOB_REF_BYTES === 0) return bytes
  throw refused('ERR_MANIFEST_SHAPE', `references of ${bytes.length} bytes`)
}

function readChunk<T>(chunk: Uint8Array, read: (reader: BencodeReader) => T): T {
  if (chunk.length > CHUNK_BYTES) throw refused('ERR_MANIFEST_SHAPE', `a chunk of ${chunk.length} bytes`)
  const reader = new BencodeReader(chunk)
  const result = read(reader)
  if (!isZeroBytes(chunk.subarray(reader.offset))) {
    throw refused('ERR_MANIFEST_PADDING', 'bytes after the value are not zero')
  }
  return result
}

interface Root {
  readonly summary: ReleaseSummary
  /** Blob references of the parts; empty when the root holds the entries. */
  readonly parts: Uint8Array
  /** Knows the root, and its entries when it holds them. */
  readonly builder: ManifestBuilder
}

/** Keys are read in the order that canonical bencode gives them, so their order needs no check of its own. */
function readRoot(reader: BencodeReader, rootReference: Uint8Array, random: Random): Root {
  reader.openDictionary()
  const first = readKey(reader)
  const inline = first === 'blobs' ? makeBuilder(rootReference, { random }) : null
  if (inline !== null) {
    inline.beginPart(reader.bytes())
    expectKey(reader, 'bytes')
  } else if (first !== 'bytes') {
    throw unexpectedKey()
  }
  const bytes = readCount(reader)
  if (inline !== null) {
    expectKey(reader, 'entries')
    readEntries(reader, inline)
  }
  expectKey(reader, 'files')
  const files = readCount(reader)
  const parts = inline === null ? readParts(reader) : EMPTY_BYTES
  expectKey(reader, 'time')
  const time = readCount(reader)
  expectKey(reader, 'title')
  const title = readTitle(reader)
  expectKey(reader, 'v')
  const version = readCount(reader)
  if (version !== MANIFEST_VERSION) throw refused('ERR_MANIFEST_VERSION', `manifest of version ${version}`)
  if (!reader.atEnd()) throw unexpectedKey()
  reader.close()
  const summary = { title, time, files, bytes }
  const builder = inline ?? makeBuilder(rootReference, { random, expected: summary })
  return { summary, parts, builder }
}

function makeBuilder(rootReference: Uint8Array, init: ManifestBuilderInit): ManifestBuilder {
  const builder = new ManifestBuilder(init)
  builder.addManifestBlob(rootReference)
  return builder
}

function readPart(reader: BencodeReader, builder: ManifestBuilder): void {
  reader.openDictionary()
  expectKey(reader, 'blobs')
  builder.beginPart(reader.bytes())
  expectKey(reader, 'entries')
  readEntries(reader, builder)
  if (!reader.atEnd()) throw unexpectedKey()
  reader.close()
}

function readParts(reader: BencodeReader): Uint8Array {
  expectKey(reader, 'parts')
  const parts = reader.bytes()
  if (parts.length === 0 || parts.length % BLOB_REF_BYTES !== 0) {
    throw refused('ERR_MANIFEST_SHAPE', `parts of ${parts.length} bytes`)
  }
  if (parts.length > MAX_MANIFEST_PARTS * BLOB_REF_BYTES) {
    throw refused('ERR_MANIFEST_LIMIT', `more than ${MAX_MANIFEST_PARTS} parts`)
  }
  return new Uint8Array(parts)
}

function readEntries(reader: BencodeReader, builder: ManifestBuilder): void {
  // One array for all entries: its length is the part's own at most.
  const numbers: number[] = []
  reader.openList()
  while (!reader.atEnd()) {
    reader.openList()
    const path = reader.bytes()
    numbers.length = 0
    while (!reader.atEnd()) numbers.push(reader.integer())
    reader.close()
    addEntry(builder, path, numbers)
  }
  reader.close()
  builder.endPart()
}

/** What an entry is follows from how many integers come after its path. */
function addEntry(builder: ManifestBuilder, path: Uint8Array, numbers: readonly number[]): void {
  const [size, start] = numbers
  if (size === undefined) {
    builder.addFolder(path)
    return
  }
  if (size < 0) throw refused('ERR_MANIFEST_SHAPE', 'a negative size')
  if (numbers.length % 3 === 1) {
    builder.addFile(path, size, null, numbers, 1)
    return
  }
  // Size, start and at least one extent.
  if (numbers.length % 3 !== 2 || numbers.length < 5 || start === undefined || start < 0) {
    throw refused('ERR_MANIFEST_SHAPE', `an entry with ${numbers.length} integers`)
  }
  builder.addFile(path, size, start, numbers, 2)
}

function readKey(reader: BencodeReader): string {
  if (reader.atEnd()) throw unexpectedKey()
  return reader.latin1()
}

function expectKey(reader: BencodeReader, key: string): void {
  if (readKey(reader) !== key) throw unexpectedKey()
}

function readCount(reader: BencodeReader): number {
  const count = reader.integer()
  if (count < 0) throw refused('ERR_MANIFEST_SHAPE', 'a negative number')
  return count
}

function readTitle(reader: BencodeReader): string {
  const bytes = reader.bytes()
  if (bytes.length > MAX_TITLE_BYTES) throw refused('ERR_MANIFEST_SHAPE', `a title of ${bytes.length} bytes`)
  const title = utf8Text(bytes)
  if (title === null) throw refused('ERR_MANIFEST_SHAPE', 'a title that is not UTF-8')
  return title
}

function unexpectedKey(): MegatorrentError {
  return refused('ERR_MANIFEST_SHAPE', 'keys are not those of a manifest')
}

function refused(code: ErrorCode, message: string): MegatorrentError {
  return new MegatorrentError(code, message)
}
