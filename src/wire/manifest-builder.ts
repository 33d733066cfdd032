/**
 * Takes the entries of a manifest one after the other, part by part, holds them to
 * rules 2 to 7 of PROTOCOL_FINAL.md §4.2, and ends as a Manifest.
 *
 * Sizes and numbers come from a publisher who may be hostile: every sum is compared
 * with its bound before it is made, and no work here is larger than the bytes that
 * ask for it. wire/manifest-reader.ts reads those bytes.
 *
 * @module wire/manifest-builder
 */
import { type ErrorCode, MegatorrentError } from '../base/errors.ts'
import { MAX_MANIFEST_EXTENTS, MAX_MANIFEST_PATH_BYTES } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { BlobTable } from './blob-table.ts'
import { BLOB_REF_BYTES, CHUNK_BYTES } from './constants.ts'
import { FOLDER_SIZE, Manifest, type ReleaseSummary } from './manifest.ts'
import { PathSet } from './path-set.ts'
import { checkPath } from './paths.ts'
import { ByteStrings, SegmentedFloat64, SegmentedUint32 } from './segmented.ts'

/** A file whose last fragment has not come yet. */
interface OpenFile {
  readonly size: number
  /** Where the next fragment starts. */
  readonly end: number
}

export interface ManifestBuilderInit {
  /** Keys hash tables. */
  readonly random: Random
  /** What the publisher says will come: it only sizes tables. */
  readonly expected?: Pick<ReleaseSummary, 'files' | 'bytes'>
  /**
   * The first entry may be a fragment from the middle of a file: for a part that is judged
   * without those before it.
   */
  readonly startsInside?: boolean
}

export class ManifestBuilder {
  readonly #table: BlobTable
  readonly #pathSet: PathSet
  readonly #paths = new ByteStrings()
  readonly #sizes = new SegmentedFloat64()
  readonly #extentEnds = new SegmentedUint32()
  readonly #extentBlobs = new SegmentedUint32()
  readonly #extentOffsets = new SegmentedUint32()
  readonly #extentLengths = new SegmentedFloat64()
  /** The number, plus one, of the part that listed a blob last: for each blob of the table. */
  readonly #listedBy = new SegmentedUint32()
  #manifestBlobs = 0
  #partNumber = 0
  #part: PartBlobs | null = null
  #open: OpenFile | null = null
  #files = 0
  #bytes = 0
  /** True until an entry was seen, for a part that is judged alone. */
  #startsInside: boolean

  constructor(init: ManifestBuilderInit) {
    const { random, expected, startsInside = false } = init
    const { files = 0, bytes = 0 } = expected ?? {}
    this.#table = new BlobTable(Math.ceil(bytes / CHUNK_BYTES), random)
    this.#pathSet = new PathSet(files, random)
    this.#startsInside = startsInside
  }

  /** Files of which everything came. */
  get files(): number {
    return this.#files
  }

  /** Sum of the sizes of all files met. */
  get bytes(): number {
    return this.#bytes
  }

  /** Add the root or a part to the table. All of them come before the first `beginPart`. */
  addManifestBlob(reference: Uint8Array): void {
    this.#table.add(reference)
    this.#manifestBlobs = this.#table.size
  }

  /**
   * Begin the entries of one part, or of a root that holds them itself.
   *
   * @param references - its `blobs`. @throws MegatorrentError ERR_MANIFEST_SHAPE, ERR_MANIFEST_BLOBS,
   *   ERR_MANIFEST_LIMIT, kind 'peer'.
   */
  beginPart(references: Uint8Array): void {
    if (references.length % BLOB_REF_BYTES !== 0) {
      throw refused('ERR_MANIFEST_SHAPE', `blobs of ${references.length} bytes`)
    }
    this.#partNumber++
    const numbers = new Uint32Array(references.length / BLOB_REF_BYTES)
    for (let i = 0; i < numbers.length; i++) {
      const blob = this.#table.add(references.subarray(i * BLOB_REF_BYTES, (i + 1) * BLOB_REF_BYTES))
      while (this.#listedBy.length <= blob) this.#listedBy.push(0)
      if (this.#listedBy.at(blob) === this.#partNumber) {
        throw refused('ERR_MANIFEST_BLOBS', 'one blob id twice in a part')
      }
      this.#listedBy.put(blob, this.#partNumber)
      numbers[i] = blob
    }
    this.#part = new PartBlobs(numbers)
  }

  /** @throws MegatorrentError ERR_MANIFEST_BLOBS, kind 'peer', when no extent touches one of its blobs. */
  endPart(): void {
    this.#currentPart().checkUse()
    this.#part = null
  }

  /**
   * An empty folder.
   *
   * @param path - bytes, copied. @throws MegatorrentError, kind 'peer': those of `checkPath` and
   *   `PathSet.add`, ERR_MANIFEST_ORDER, ERR_MANIFEST_LIMIT.
   */
  addFolder(path: Uint8Array): void {
    this.#addEntry(path, FOLDER_SIZE)
    this.#extentEnds.push(this.#extentBlobs.length)
  }

  /**
   * A file, or a fragment of one.
   *
   * @param start - first byte of the fragment, or null for a whole file.
   * @param numbers - b, o, l of each extent, from index `from` on; from the input as they are.
   * @throws as `addFolder`, and ERR_MANIFEST_EXTENT, ERR_MANIFEST_SUM.
   */
  addFile(
    path: Uint8Array,
    size: number,
    start: number | null,
    numbers: readonly number[],
    from: number,
  ): void {
    const fragment = start !== null
    if (this.#open !== null) {
      this.#checkContinuation(this.#open, path, size, start)
    } else {
      if (fragment && start !== 0 && !this.#startsInside) {
        throw refused('ERR_MANIFEST_ORDER', 'a file does not begin with its first fragment')
      }
      this.#addEntry(path, size)
      if (size > Number.MAX_SAFE_INTEGER - this.#bytes) {
        throw refused('ERR_MANIFEST_SUM', 'the sizes of all files are beyond 2^53 - 1')
      }
      this.#bytes += size
      this.#files++
    }
    const begin = start ?? 0
    // A fragment that starts beyond its file has no room for the one byte that an extent has at least.
    const end = begin + this.#addExtents(numbers, from, size - begin)
    if (!fragment && end !== size) throw refused('ERR_MANIFEST_SUM', 'extents do not add up to the size')
    this.#open = end < size ? { size, end } : null
    if (this.#open === null) this.#extentEnds.push(this.#extentBlobs.length)
  }

  /** @throws MegatorrentError ERR_MANIFEST_ORDER or ERR_MANIFEST_SUM, kind 'peer'. Used up after it. */
  finish(summary: ReleaseSummary): Manifest {
    if (this.#open !== null) throw refused('ERR_MANIFEST_ORDER', 'the last file has no last fragment')
    if (summary.files !== this.#files) throw refused('ERR_MANIFEST_SUM', '"files" is not the true number')
    if (summary.bytes !== this.#bytes) throw refused('ERR_MANIFEST_SUM', '"bytes" is not the true sum')
    return new Manifest(summary, {
      references: this.#table.references,
      manifestBlobs: this.#manifestBlobs,
      paths: this.#paths,
      sizes: this.#sizes,
      extentEnds: this.#extentEnds,
      extentBlobs: this.#extentBlobs,
      extentOffsets: this.#extentOffsets,
      extentLengths: this.#extentLengths,
    })
  }

  #addEntry(path: Uint8Array, size: number): void {
    if (this.#open !== null)
      throw refused('ERR_MANIFEST_ORDER', 'another entry between the fragments of a file')
    this.#startsInside = false
    const text = checkPath(path)
    if (this.#sizes.length > 0 && this.#compareWithLast(path) >= 0) {
      throw refused('ERR_MANIFEST_ORDER', 'paths do not ascend')
    }
    this.#pathSet.add(text)
    if (this.#paths.byteLength + path.length > MAX_MANIFEST_PATH_BYTES) {
      throw refused('ERR_MANIFEST_LIMIT', `paths of more than ${MAX_MANIFEST_PATH_BYTES} bytes`)
    }
    this.#paths.push(path)
    this.#sizes.push(size)
  }

  /** The entry at hand must be the next fragment of the file that is open. */
  #checkContinuation(open: OpenFile, path: Uint8Array, size: number, start: number | null): void {
    if (start === null || this.#compareWithLast(path) !== 0) {
      throw refused('ERR_MANIFEST_ORDER', 'another entry between the fragments of a file')
    }
    if (size !== open.size) throw refused('ERR_MANIFEST_SUM', 'fragments of one file state two sizes')
    if (start !== open.end)
      throw refused('ERR_MANIFEST_ORDER', 'a fragment does not start where the last ended')
  }

  /** Order of the last entry's path against this one, reversed: negative when `path` comes after it. */
  #compareWithLast(path: Uint8Array): number {
    return this.#paths.compare(this.#paths.length - 1, path)
  }

  /** @param room - bytes that the extents may have. @returns how many they have. */
  #addExtents(numbers: readonly number[], from: number, room: number): number {
    const part = this.#currentPart()
    let sum = 0
    for (let at = from; at < numbers.length; at += 3) {
      const blob = numbers[at] as number
      const offset = numbers[at + 1] as number
      const length = numbers[at + 2] as number
      if (blob < 0 || blob >= part.count || offset < 0 || offset >= CHUNK_BYTES || length < 1) {
        throw refused('ERR_MANIFEST_EXTENT', 'an extent out of range')
      }
      if (length > (part.count - blob) * CHUNK_BYTES - offset) {
        throw refused('ERR_MANIFEST_EXTENT', 'an extent beyond the last blob')
      }
      if (length > room - sum) throw refused('ERR_MANIFEST_SUM', 'extents are longer than their file')
      sum += length
      this.#addExtent(part, blob, offset, length)
    }
    return sum
  }

  /**
   * Neighbours in a part may not be neighbours in the release: then one extent becomes several.
   * Their number is bounded for all entries together, so that many long extents over
   * scattered blobs cost no more than any others.
   */
  #addExtent(part: PartBlobs, first: number, firstOffset: number, wholeLength: number): void {
    const last = first + Math.ceil((firstOffset + wholeLength) / CHUNK_BYTES) - 1
    part.touch(first, last)
    let blob = first
    let offset = firstOffset
    let length = wholeLength
    while (length > 0) {
      const runEnd = part.runEnd(blob)
      const here = Math.min(length, (runEnd - blob) * CHUNK_BYTES - offset)
      if (this.#extentBlobs.length >= MAX_MANIFEST_EXTENTS) {
        throw refused('ERR_MANIFEST_LIMIT', `more than ${MAX_MANIFEST_EXTENTS} extents`)
      }
      this.#extentBlobs.push(part.number(blob))
      this.#extentOffsets.push(offset)
      this.#extentLengths.push(here)
      length -= here
      offset = 0
      blob = runEnd
    }
  }

  #currentPart(): PartBlobs {
    if (this.#part === null) throw new RangeError('"part" expected beginPart before')
    return this.#part
  }
}

/** The blobs of one part: their numbers in the release, and which of them are used. */
class PartBlobs {
  readonly #numbers: Uint32Array
  /** For each blob, the end of the run of consecutive numbers that it stands in. */
  readonly #runEnds: Uint32Array
  /** Extents that begin minus extents that have ended at each blob: a walk over it finds gaps. */
  readonly #changes: Int32Array

  constructor(numbers: Uint32Array) {
    this.#numbers = numbers
    this.#runEnds = new Uint32Array(numbers.length)
    this.#changes = new Int32Array(numbers.length + 1)
    let end = numbers.length
    for (let i = numbers.length - 1; i >= 0; i--) {
      this.#runEnds[i] = end
      if (i > 0 && numbers[i] !== (numbers[i - 1] as number) + 1) end = i
    }
  }

  get count(): number {
    return this.#numbers.length
  }

  number(blob: number): number {
    return this.#numbers[blob] as number
  }

  runEnd(blob: number): number {
    return this.#runEnds[blob] as number
  }

  /** Note that an extent uses the blobs from `first` to `last`. Cost: O(1), however long it is. */
  touch(first: number, last: number): void {
    this.#changes[first] = (this.#changes[first] as number) + 1
    this.#changes[last + 1] = (this.#changes[last + 1] as number) - 1
  }

  checkUse(): void {
    let users = 0
    for (let blob = 0; blob < this.count; blob++) {
      users += this.#changes[blob] as number
      if (users === 0) throw refused('ERR_MANIFEST_BLOBS', 'a blob that no extent uses')
    }
  }
}

function refused(code: ErrorCode, message: string): MegatorrentError {
  return new MegatorrentError(code, message)
}
