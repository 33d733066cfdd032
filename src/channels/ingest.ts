/**
 * Ingest: a file or folder becomes sealed blobs and a sealed manifest, as a stream
 * with bounded memory (PROTOCOL_FINAL.md §4.1, §4.2). Nothing is published by it.
 *
 * Files that did not change since the ingest before are not read, and when nothing
 * did, its record is the result again (ingest-reuse.ts). What was read and turns out
 * to be what is published is the published ingest again.
 *
 * The way: walk, let fresh files settle, seal full chunks and hash pieces, place the
 * pieces, seal the packs, look at every file again, write the manifest, read it as a
 * subscriber would, keep the record. A file that changed meanwhile makes all of it
 * start over once; what did not change is not read again.
 *
 * @module channels/ingest
 */
import { equalBytes, toHex, utf8Bytes } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { BlobStore, FilePiece } from '../storage/blob-store.ts'
import type { State } from '../storage/state.ts'
import type { PieceRow } from '../storage/tables/pieces-table.ts'
import { CHUNK_BYTES, MAX_TITLE_BYTES } from '../wire/constants.ts'
import { ContentHasher } from './content-id.ts'
import { inOrder } from './in-order.ts'
import { checkUnchanged, readBack } from './ingest-check.ts'
import { type IngestRecord, loadIngest, saveIngest } from './ingest-record.ts'
import {
  heldRelease,
  isSameRelease,
  type MadeRelease,
  rememberedContents,
  rememberRelease,
} from './ingest-reuse.ts'
import { type HashName, hashOfName, KnownPieces, pieceRow, savePieces } from './known-pieces.ts'
import { type PartBoundary, partOfPath } from './manifest-layout.ts'
import { type WrittenManifest, writeManifest } from './manifest-writer.ts'
import { type Piece, type PiecePlace, planPacks } from './pack.ts'
import { ExtentBuilder, ReleaseBlobs, type ReleaseEntry } from './release-entry.ts'
import { settleTree } from './settle.ts'
import { SourceMemory } from './source-memory.ts'
import { type FileContent, numberOf, pieceLength, type ReadJob, readSources } from './source-reader.ts'
import { nextTurn, Pacer } from './turns.ts'
import { type SourceTree, walkSource } from './walk.ts'

/** Packs being read and sealed at a time; a job holds the paths of its pieces here, no content. */
const PACKS_IN_FLIGHT = 32
/** The first try and one more. */
const ATTEMPTS = 2
const INGEST_ID_BYTES = 16

export interface IngestDeps {
  readonly store: BlobStore
  readonly state: Pick<State, 'ingests' | 'pieces' | 'sourceMemory'>
  readonly clock: Clock
  /** What a manifest says the time is; where absent, `clock`. */
  readonly statedClock?: Pick<Clock, 'now'>
  readonly random: Random
  readonly log: Log
}

export interface IngestProgress {
  readonly filesDone: number
  readonly filesTotal: number
  readonly bytesDone: number
  readonly bytesTotal: number
}

export interface IngestRequest {
  /** File or folder. */
  readonly source: string
  readonly publicKey: Uint8Array
  /** 32 bytes (§3.2). */
  readonly convergenceSecret: Uint8Array
  /** Title of the release; `retitleManifest` can change it later. */
  readonly title: string
  /** The ingest that the channel's newest release was made of: what it holds keeps its place. */
  readonly publishedIngest: string | null
  /** Read every file, also those whose size, times and inode say that they did not change. */
  readonly rehash?: boolean
  /** Folders that nothing may be published of, the data folder above all. */
  readonly privateFolders?: readonly string[]
  /** Told some hundred times a second at the most. */
  readonly onProgress?: (progress: IngestProgress) => void
  readonly signal?: AbortSignal
}

/**
 * Ingest a file or folder.
 *
 * @throws MegatorrentError ERR_INGEST_SOURCE, ERR_INGEST_PATHS, ERR_SOURCE_CHANGED (a file
 *   changed while it was read, twice), ERR_USAGE (the title is too long), or what the store throws.
 *   Blobs sealed until then stay in the store: garbage until the next ingest uses them.
 */
export async function ingest(deps: IngestDeps, request: IngestRequest): Promise<IngestRecord> {
  if (utf8Bytes(request.title).length > MAX_TITLE_BYTES) {
    throw new MegatorrentError('ERR_USAGE', `the title is longer than ${MAX_TITLE_BYTES} bytes: shorten it`)
  }
  const { publishedIngest } = request
  const published = publishedIngest === null ? null : loadIngest(deps.state.ingests, publishedIngest)
  const run = new IngestRun(deps, request, published)
  // Until the record is in the database nobody else knows what this needs.
  const lease = deps.store.openLease()
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        return await run.attempt()
      } catch (error) {
        if (attempt === ATTEMPTS || !isMegatorrentError(error, 'ERR_SOURCE_CHANGED')) throw error
        deps.log.warn('a file changed while it was read, trying once more')
      }
    }
  } finally {
    lease.release()
  }
}

/** A distinct piece of the release. */
interface PieceSource extends Piece {
  /** The first file that ends in it. */
  readonly file: FileContent
  /** Where it lies in this release. */
  places: readonly PiecePlace[]
}

/** What an ingest comes to. */
interface Made extends Pick<MadeRelease, 'used' | 'manifest'> {
  readonly record: IngestRecord
}

type Pieces = ReadonlyMap<HashName, PieceSource>

class IngestRun {
  readonly #deps: IngestDeps
  readonly #request: IngestRequest
  readonly #published: IngestRecord | null
  readonly #boundaries: readonly PartBoundary[]
  readonly #blobs = new ReleaseBlobs()
  readonly #newBlobs = new Set<number>()
  #contents: FileContent[] = []

  constructor(deps: IngestDeps, request: IngestRequest, published: IngestRecord | null) {
    this.#deps = deps
    this.#request = request
    this.#published = published
    this.#boundaries = published?.boundaries ?? []
  }

  async attempt(): Promise<IngestRecord> {
    const { clock, state } = this.#deps
    const { source, signal, privateFolders = [], title, publicKey } = this.#request
    const tree = await settleTree(await walkSource(source, { privateFolders, signal }), clock, signal)
    const settledAt = clock.now()
    const memory =
      this.#request.rehash === true ? null : SourceMemory.load(state.sourceMemory, publicKey, tree.root)
    const same = memory === null ? null : await this.#sameRecord(memory, tree)
    if (same !== null) return same
    await this.#readFiles(tree, memory)
    const pieces = await this.#collectPieces(memory)
    await this.#placePieces(tree, [...pieces.values()])
    await checkUnchanged(tree, signal)
    const contentId = await this.#contentId(tree)
    const { record, used, manifest } =
      (await this.#publishedAgain(tree, contentId)) ?? (await this.#make(tree, contentId, pieces))
    const { publishedIngest } = this.#request
    await rememberRelease(state.sourceMemory, publicKey, {
      header: { root: tree.root, ingestId: record.ingestId, title, publishedIngest },
      ...{ tree, settledAt, contents: this.#contents, blobs: this.#blobs, used, manifest },
    })
    return record
  }

  /** The record of the ingest before, if this one would find the same and make the same of it. */
  async #sameRecord(memory: SourceMemory, tree: SourceTree): Promise<IngestRecord | null> {
    const { title, publishedIngest } = this.#request
    const { header } = memory
    const isSameBase = header.publishedIngest === publishedIngest || header.ingestId === publishedIngest
    if (header.title !== title || !isSameBase) return null
    const record = loadIngest(this.#deps.state.ingests, header.ingestId)
    if (record === null || !(await isSameRelease(memory, tree, this.#deps.store))) return null
    return { ...record, newBlobs: 0, newManifestBlobs: 0, skipped: tree.skipped }
  }

  /**
   * The published ingest, if all was read and is what that one found, and its release is still held: a second
   * one beside it would be of no use to anybody.
   */
  async #publishedAgain(tree: SourceTree, contentId: Uint8Array): Promise<Made | null> {
    const published = this.#published
    if (published === null || !equalBytes(published.contentId, contentId)) return null
    const release = await heldRelease(published.root, this.#deps.store, this.#blobs)
    if (release === null || release.title !== this.#request.title) return null
    const record = {
      ...published,
      newBlobs: this.#countNew(release.used),
      newManifestBlobs: 0,
      skipped: tree.skipped,
    }
    return { ...release, record }
  }

  async #make(tree: SourceTree, contentId: Uint8Array, pieces: Pieces): Promise<Made> {
    const { clock, statedClock = clock, store } = this.#deps
    const { convergenceSecret, title } = this.#request
    const used = new Set<number>()
    const manifest = await writeManifest({
      store,
      convergenceSecret,
      summary: { title, time: statedClock.now(), files: tree.files, bytes: tree.bytes },
      entries: this.#entries(tree, pieces, used),
      blobs: this.#blobs,
      previousBoundaries: this.#boundaries,
      ...signalOf(this.#request),
    })
    await readBack(manifest.root, store, this.#request.signal)
    const record = await this.#keep(tree, contentId, manifest, used, pieces)
    return { record, used, manifest: [manifest.root, ...manifest.parts] }
  }

  #countNew(used: ReadonlySet<number>): number {
    let count = 0
    for (const blob of used) if (this.#newBlobs.has(blob)) count += 1
    return count
  }

  async #readFiles(tree: SourceTree, memory: SourceMemory | null): Promise<void> {
    const { onProgress, signal, convergenceSecret } = this.#request
    const report = (filesDone: number, bytesDone: number): void =>
      onProgress?.({ filesDone, filesTotal: tree.files, bytesDone, bytesTotal: tree.bytes })
    const earlier =
      memory === null
        ? new Map<string, FileContent>()
        : await rememberedContents(memory, tree, this.#blobs, this.#deps.store)
    // What an attempt before this one read is newer.
    for (const file of this.#contents) earlier.set(file.path, file)
    this.#contents = []
    report(0, 0)
    const job: ReadJob = {
      store: this.#deps.store,
      convergenceSecret,
      blobs: this.#blobs,
      newBlobs: this.#newBlobs,
      earlier,
      onProgress: report,
      signal,
    }
    await readSources(tree, job, this.#contents)
    report(tree.files, tree.bytes)
  }

  /** The distinct pieces in path order. */
  async #collectPieces(memory: SourceMemory | null): Promise<Pieces> {
    const { store, state } = this.#deps
    const { publicKey } = this.#request
    const published = this.#published?.ingestId ?? null
    const known = await KnownPieces.load(state.pieces, publicKey, published)
    // What was ingested and not published lies in packs too: laid anew it would have to be read.
    const last = memory === null || memory.header.ingestId === published ? null : memory.header.ingestId
    const knownLast = await KnownPieces.load(state.pieces, publicKey, last)
    const pieces = new Map<HashName, PieceSource>()
    const pacer = new Pacer()
    for (const file of this.#contents) {
      if (pacer.due()) await nextTurn()
      const { pieceHash: hash, stamp, path } = file
      if (hash === null || pieces.has(hash)) continue
      const length = pieceLength(stamp.size)
      const places =
        known.find(hash, length, this.#blobs, store) ?? knownLast.find(hash, length, this.#blobs, store)
      pieces.set(hash, {
        file,
        length,
        known: places,
        region: partOfPath(path, this.#boundaries),
        places: places ?? [],
      })
    }
    return pieces
  }

  async #placePieces(tree: SourceTree, pieces: readonly PieceSource[]): Promise<void> {
    const { store } = this.#deps
    const { convergenceSecret, signal } = this.#request
    const plan = planPacks(pieces)
    const sealed = inOrder(plan.packs, PACKS_IN_FLIGHT, async (pack) => {
      signal?.throwIfAborted()
      const sources = pack.slices.map(({ piece, pieceOffset, chunkOffset, length }): FilePiece => {
        const { file, length: pieceBytes } = at(pieces, piece)
        const fileOffset = file.stamp.size - pieceBytes + pieceOffset
        return { path: tree.sourceOf(file.path), fileOffset, chunkOffset, length }
      })
      return { pack, chunk: await store.sealChunk({ sources, convergenceSecret }) }
    })
    for await (const { pack, chunk } of sealed) {
      const blob = numberOf(chunk, { blobs: this.#blobs, newBlobs: this.#newBlobs })
      for (const { piece: index, pieceOffset, chunkOffset, length } of pack.slices) {
        const piece = at(pieces, index)
        const place = { blob, offset: chunkOffset, length }
        piece.places = pieceOffset === 0 ? [place] : [...piece.places, place]
      }
    }
  }

  *#entries(tree: SourceTree, pieces: Pieces, used: Set<number>): Generator<ReleaseEntry> {
    let next = 0
    for (const { path, stamp } of tree.entries) {
      if (stamp === null) {
        yield { path, size: null, extents: [] }
        continue
      }
      const { chunks, pieceHash } = at(this.#contents, next++)
      const builder = new ExtentBuilder()
      for (const extent of chunks?.finish() ?? []) builder.add(extent.blob, extent.offset, extent.length)
      const piece = pieceHash === null ? undefined : pieces.get(pieceHash)
      for (const place of piece?.places ?? []) builder.add(place.blob, place.offset, place.length)
      const entry = { path, size: stamp.size, extents: builder.finish() }
      for (const blob of blobsOf(entry)) used.add(blob)
      yield entry
    }
  }

  async #keep(
    tree: SourceTree,
    contentId: Uint8Array,
    manifest: WrittenManifest,
    used: ReadonlySet<number>,
    pieces: Pieces,
  ): Promise<IngestRecord> {
    const { state, random, clock } = this.#deps
    const { publicKey } = this.#request
    const record: IngestRecord = {
      ingestId: toHex(random.bytes(INGEST_ID_BYTES)),
      publicKey,
      root: manifest.root,
      files: tree.files,
      bytes: tree.bytes,
      blobs: used.size,
      newBlobs: this.#countNew(used),
      manifestBlobs: manifest.manifestBlobs,
      newManifestBlobs: manifest.newManifestBlobs,
      skipped: tree.skipped,
      contentId,
      boundaries: manifest.boundaries,
      createdAt: clock.now(),
    }
    // The ingest is there when its own row is, so that row comes last.
    await savePieces(state.pieces, publicKey, record.ingestId, this.#rows(pieces))
    saveIngest(state.ingests, record)
    return record
  }

  *#rows(pieces: Pieces): Generator<PieceRow> {
    for (const [hash, { length, places }] of pieces) {
      yield pieceRow(hashOfName(hash), length, places, this.#blobs)
    }
  }

  async #contentId(tree: SourceTree): Promise<Uint8Array> {
    const hasher = new ContentHasher()
    const pacer = new Pacer()
    let next = 0
    for (const { path, stamp } of tree.entries) {
      if (pacer.due()) await nextTurn()
      if (stamp === null) hasher.addFolder(path)
      else hasher.addFile(at(this.#contents, next++), this.#blobs)
    }
    return hasher.finish()
  }
}

function* blobsOf(entry: ReleaseEntry): Generator<number> {
  for (const { blob, offset, length } of entry.extents) {
    const last = blob + Math.ceil((offset + length) / CHUNK_BYTES)
    for (let each = blob; each < last; each++) yield each
  }
}

function at<T>(items: readonly T[], index: number): T {
  const item = items[index]
  if (item === undefined) throw new RangeError(`"index" expected 0..${items.length - 1}, got ${index}`)
  return item
}

function signalOf(request: IngestRequest): { readonly signal?: AbortSignal } {
  return request.signal === undefined ? {} : { signal: request.signal }
}
