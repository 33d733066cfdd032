/**
 * Manifest in memory: the files and blobs of a release, as wire/manifest-reader.ts
 * found them valid (PROTOCOL_FINAL.md §4.2).
 *
 * A release may have 1,000,000 entries, so everything lies in typed arrays
 * and paths are bytes; an object is made for an entry when it is looked at. Blobs
 * have one numbering, the manifest order (root, parts, then data blobs by first
 * appearance), which is also that of HAVE.
 *
 * Nothing here is a path to write to: whoever writes joins the text below the
 * folder of the subscription and follows no symlink.
 *
 * @module wire/manifest
 */
import { utf8Bytes } from '../base/bytes.ts'
import { referenceId, referenceKey } from './blob.ts'
import { CHUNK_BYTES } from './constants.ts'
import type { ByteStrings, SegmentedFloat64, SegmentedUint32 } from './segmented.ts'

/** `length` bytes from `offset` of blob `blob` on, going on at offset 0 of the blobs that follow by number. */
export interface Extent {
  readonly blob: number
  /** 0..CHUNK_BYTES - 1. */
  readonly offset: number
  /** At least 1. */
  readonly length: number
}

/** Bytes of a file that lie in one blob: never over a chunk boundary. */
export interface Span extends Extent {
  /** Where they stand in the file. */
  readonly position: number
}

/** A file or an empty folder. */
export interface ManifestEntry {
  /** Number of the entry, in ascending byte order of paths. */
  readonly index: number
  readonly path: string
  readonly kind: 'file' | 'folder'
  /** Bytes; 0 for a folder. */
  readonly size: number
  /** In file order; their lengths add up to `size`. Built when read. */
  readonly extents: readonly Extent[]
}

/** What the root of a manifest says about its release. */
export interface ReleaseSummary {
  readonly title: string
  /** When the release was made, ms since 1970. */
  readonly time: number
  /** Files; empty folders do not count. */
  readonly files: number
  /** Sum of the sizes of all files. */
  readonly bytes: number
}

/** The arrays that the reader fills. Owned by the manifest from then on. */
export interface ManifestArrays {
  /** Blob references in manifest order. */
  readonly references: ByteStrings
  /** Blobs at the beginning of `references` that are root or parts. */
  readonly manifestBlobs: number
  /** UTF-8, ascending. */
  readonly paths: ByteStrings
  /** Size of each entry's file; FOLDER_SIZE for an empty folder. */
  readonly sizes: SegmentedFloat64
  /** End of each entry's extents. */
  readonly extentEnds: SegmentedUint32
  readonly extentBlobs: SegmentedUint32
  readonly extentOffsets: SegmentedUint32
  readonly extentLengths: SegmentedFloat64
}

/** Stands in `sizes` for an empty folder. */
export const FOLDER_SIZE = -1

export class Manifest implements ReleaseSummary {
  readonly title: string
  readonly time: number
  readonly files: number
  readonly bytes: number
  /** Blobs of the manifest itself: numbers 0 to this, root first. What follows is data. */
  readonly manifestBlobCount: number
  readonly #arrays: ManifestArrays

  constructor(summary: ReleaseSummary, arrays: ManifestArrays) {
    this.title = summary.title
    this.time = summary.time
    this.files = summary.files
    this.bytes = summary.bytes
    this.manifestBlobCount = arrays.manifestBlobs
    this.#arrays = arrays
  }

  /** All blobs of the release, those of the manifest included, each once. */
  get blobCount(): number {
    return this.#arrays.references.length
  }

  /** Files and empty folders. */
  get entryCount(): number {
    return this.#arrays.sizes.length
  }

  /** Id and key of a blob: a view. @param blob - number in manifest order. */
  reference(blob: number): Uint8Array {
    if (!Number.isInteger(blob) || blob < 0 || blob >= this.blobCount) {
      throw new RangeError(`"blob" expected 0..${this.blobCount - 1}, got ${blob}`)
    }
    return this.#arrays.references.at(blob)
  }

  /** A view. @param blob - number in manifest order. */
  blobId(blob: number): Uint8Array {
    return referenceId(this.reference(blob))
  }

  /** A view. @param blob - number in manifest order. */
  blobKey(blob: number): Uint8Array {
    return referenceKey(this.reference(blob))
  }

  entry(index: number): ManifestEntry {
    const size = this.#arrays.sizes.at(this.#checked(index))
    return {
      index,
      path: this.path(index),
      kind: size === FOLDER_SIZE ? 'folder' : 'file',
      size: size === FOLDER_SIZE ? 0 : size,
      extents: [...this.extents(index)],
    }
  }

  /** All entries, in ascending byte order of their paths. */
  *entries(): Generator<ManifestEntry> {
    for (let index = 0; index < this.entryCount; index++) yield this.entry(index)
  }

  path(index: number): string {
    return this.#arrays.paths.text(this.#checked(index))
  }

  *extents(index: number): Generator<Extent> {
    const { extentEnds, extentBlobs, extentOffsets, extentLengths } = this.#arrays
    const end = extentEnds.at(this.#checked(index))
    for (let at = index === 0 ? 0 : extentEnds.at(index - 1); at < end; at++) {
      yield { blob: extentBlobs.at(at), offset: extentOffsets.at(at), length: extentLengths.at(at) }
    }
  }

  /**
   * The bytes of a file, blob by blob. A hostile manifest may name a file of 2^53 bytes:
   * whoever walks all of it has looked at the size before.
   */
  *spans(index: number): Generator<Span> {
    let position = 0
    for (const extent of this.extents(index)) {
      let { blob, offset, length } = extent
      while (length > 0) {
        const here = Math.min(length, CHUNK_BYTES - offset)
        yield { blob, offset, length: here, position }
        position += here
        length -= here
        offset = 0
        blob++
      }
    }
  }

  /** Number of the entry of a path, or -1. Cost: O(log entries). */
  indexOf(path: string): number {
    const index = this.firstFrom(path)
    return index < this.entryCount && this.path(index) === path ? index : -1
  }

  /** Number of the first entry whose path is that or comes after it; `entryCount` for none. Cost: O(log entries). */
  firstFrom(path: string): number {
    const wanted = utf8Bytes(path)
    let low = 0
    let high = this.entryCount
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#arrays.paths.compare(middle, wanted) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  #checked(index: number): number {
    if (!Number.isInteger(index) || index < 0 || index >= this.entryCount) {
      throw new RangeError(`"index" expected 0..${this.entryCount - 1}, got ${index}`)
    }
    return index
  }
}
