/**
 * File index: the part of a manifest that a user wants, and which bytes of which
 * files lie in each blob.
 *
 * @module channels/file-index
 */
import { ByteWriter, toHex } from '../base/bytes.ts'
import { sha256 } from '../crypto/hash.ts'
import { BLOB_ID_BYTES, CHUNK_BYTES } from '../wire/constants.ts'
import type { Manifest } from '../wire/manifest.ts'
import type { WantedFile } from './assemble-plan.ts'
import { compileGlobs } from './globs.ts'
import { nextTurn, Pacer, STEPS_A_TURN } from './turns.ts'

/** Spans hashed at a time by `fileIdentity`, at most. */
const IDENTITY_BATCH_SPANS = 1024
/** Paths held against globs between two pauses: a hostile path takes some 20 ms. */
const MATCHES_A_TURN = 4
const SPAN_BYTES = BLOB_ID_BYTES + 8

/** What the user wants of a release. */
export interface Selection {
  /** Files in path order. */
  readonly files: readonly WantedFile[]
  readonly emptyFolders: readonly string[]
  /** Sum of the sizes of the files. */
  readonly bytes: number
}

/**
 * Entries whose whole path matches one of the globs; all of them when there is none.
 *
 * @throws MegatorrentError ERR_USAGE for a glob that `compileGlobs` refuses.
 */
export async function selectEntries(manifest: Manifest, onlyGlobs: readonly string[]): Promise<Selection> {
  const isWanted = compileGlobs(onlyGlobs)
  const files: WantedFile[] = []
  const emptyFolders: string[] = []
  let bytes = 0
  const pacer = new Pacer(onlyGlobs.length === 0 ? STEPS_A_TURN : MATCHES_A_TURN)
  for (const { index, path, kind, size } of manifest.entries()) {
    if (pacer.due()) await nextTurn()
    if (!isWanted(path)) continue
    if (kind === 'folder') {
      emptyFolders.push(path)
    } else {
      files.push({ path, size, entry: index })
      bytes += size
    }
  }
  return { files, emptyFolders, bytes }
}

/**
 * Hash over what a file is made of: its size, and blob id, offset and length of each
 * span. The same bytes elsewhere have another identity; another file never has this one.
 *
 * Cost: O(spans), so look at the size first.
 * @returns hex.
 */
export function fileIdentity(manifest: Manifest, file: WantedFile): string {
  const steps = identitySteps(manifest, file)
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

/** The same with a `yield` wherever a pause is due, for files of any size. */
export function* identitySteps(manifest: Manifest, file: WantedFile): Generator<void, string, void> {
  let state = new ByteWriter(8).u64(file.size).bytes
  const spans = Math.min(Math.ceil(file.size / CHUNK_BYTES) + 1, IDENTITY_BATCH_SPANS)
  let writer = new ByteWriter(spans * SPAN_BYTES)
  for (const span of manifest.spans(file.entry)) {
    writer.put(manifest.blobId(span.blob)).u32(span.offset).u32(span.length)
    if (writer.offset < writer.bytes.length) continue
    state = sha256(state, writer.bytes)
    writer = new ByteWriter(writer.bytes.length)
    yield
  }
  return toHex(sha256(state, writer.bytes.subarray(0, writer.offset)))
}

/** A slice of a blob and where it goes. */
export interface Placing {
  /** Index into the files that the index was made of. */
  readonly file: number
  readonly fileOffset: number
  readonly chunkOffset: number
  readonly length: number
}

/** For each blob, the slices of files that lie in it. 20 bytes a slice. */
export class PlacingIndex {
  /** Numbers of the blobs that hold something, in manifest order. */
  readonly blobs: readonly number[]
  readonly #ends: Uint32Array
  readonly #files: Uint32Array
  readonly #chunkOffsets: Uint32Array
  readonly #lengths: Uint32Array
  readonly #fileOffsets: Float64Array

  private constructor(
    blobs: readonly number[],
    columns: {
      readonly ends: Uint32Array
      readonly files: Uint32Array
      readonly chunkOffsets: Uint32Array
      readonly lengths: Uint32Array
      readonly fileOffsets: Float64Array
    },
  ) {
    this.blobs = blobs
    this.#ends = columns.ends
    this.#files = columns.files
    this.#chunkOffsets = columns.chunkOffsets
    this.#lengths = columns.lengths
    this.#fileOffsets = columns.fileOffsets
  }

  /**
   * @param files - whose sizes were found to fit the disk: each span of them takes memory here.
   * @param isThere - is what lies at this position of that file in place already? Then it is left out.
   */
  static async build(
    manifest: Manifest,
    files: readonly WantedFile[],
    isThere: (file: number, position: number) => boolean = () => false,
  ): Promise<PlacingIndex> {
    const pacer = new Pacer()
    const counts = new Uint32Array(manifest.blobCount + 1)
    let total = 0
    for (const [index, file] of files.entries()) {
      for (const span of manifest.spans(file.entry)) {
        if (pacer.due()) await nextTurn()
        if (isThere(index, span.position)) continue
        counts[span.blob] = (counts[span.blob] ?? 0) + 1
        total += 1
      }
    }
    const blobs: number[] = []
    const next = new Uint32Array(manifest.blobCount)
    const ends = new Uint32Array(manifest.blobCount)
    let end = 0
    for (let blob = 0; blob < manifest.blobCount; blob++) {
      const count = counts[blob] ?? 0
      if (count > 0) blobs.push(blob)
      next[blob] = end
      end += count
      ends[blob] = end
    }
    const columns = {
      ends,
      files: new Uint32Array(total),
      chunkOffsets: new Uint32Array(total),
      lengths: new Uint32Array(total),
      fileOffsets: new Float64Array(total),
    }
    for (const [index, file] of files.entries()) {
      for (const span of manifest.spans(file.entry)) {
        if (pacer.due()) await nextTurn()
        if (isThere(index, span.position)) continue
        const at = next[span.blob] ?? 0
        next[span.blob] = at + 1
        columns.files[at] = index
        columns.chunkOffsets[at] = span.offset
        columns.lengths[at] = span.length
        columns.fileOffsets[at] = span.position
      }
    }
    return new PlacingIndex(blobs, columns)
  }

  /** In the order of files and of their bytes. */
  *placingsOf(blob: number): Generator<Placing> {
    const start = blob === 0 ? 0 : (this.#ends[blob - 1] ?? 0)
    const end = this.#ends[blob] ?? 0
    for (let at = start; at < end; at++) {
      yield {
        file: this.#files[at] ?? 0,
        fileOffset: this.#fileOffsets[at] ?? 0,
        chunkOffset: this.#chunkOffsets[at] ?? 0,
        length: this.#lengths[at] ?? 0,
      }
    }
  }
}
