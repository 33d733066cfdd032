/**
 * What a release is made of before it becomes a manifest: files and empty
 * folders with their bytes placed in numbered blobs.
 *
 * The numbering is that of one ReleaseBlobs for the whole release; the manifest's
 * parts have numberings of their own (manifest-part.ts).
 *
 * @module channels/release-entry
 */
import { Buffer } from 'node:buffer'
import { BLOB_ID_BYTES, BLOB_REF_BYTES, CHUNK_BYTES } from '../wire/constants.ts'
import type { Extent } from '../wire/manifest.ts'

/** A file, or an empty folder (`size` null, no extents). */
export interface ReleaseEntry {
  readonly path: string
  readonly size: number | null
  readonly extents: readonly Extent[]
}

/** The extents taken apart at chunk boundaries, in file order: each result lies in one blob. */
export function* spansOf(extents: readonly Extent[]): Generator<Extent> {
  for (const extent of extents) {
    let { blob, offset, length } = extent
    while (length > 0) {
      const here = Math.min(length, CHUNK_BYTES - offset)
      yield { blob, offset, length: here }
      length -= here
      blob += 1
      offset = 0
    }
  }
}

/** How many spans `spansOf` yields. Cost: O(extents). */
export function countSpans(extents: readonly Extent[]): number {
  let count = 0
  for (const extent of extents) count += Math.ceil((extent.offset + extent.length) / CHUNK_BYTES)
  return count
}

/** Put spans together again: neighbours that run on from the end of one chunk to the start of the next. */
export class ExtentBuilder {
  readonly extents: Extent[] = []
  #blob = 0
  #offset = 0
  #length = 0

  add(blob: number, offset: number, length: number): void {
    const end = this.#offset + this.#length
    const runsOn =
      this.#length > 0 && offset === 0 && end % CHUNK_BYTES === 0 && blob === this.#blob + end / CHUNK_BYTES
    if (runsOn) {
      this.#length += length
      return
    }
    this.#flush()
    this.#blob = blob
    this.#offset = offset
    this.#length = length
  }

  /** Ends the list; nothing is added after it. */
  finish(): readonly Extent[] {
    this.#flush()
    return this.extents
  }

  #flush(): void {
    if (this.#length > 0) this.extents.push({ blob: this.#blob, offset: this.#offset, length: this.#length })
    this.#length = 0
  }
}

/** Blobs of a release, each with one number. 64 bytes and a map entry a blob. */
export class ReleaseBlobs {
  #references = Buffer.alloc(1024 * BLOB_REF_BYTES)
  readonly #numbers = new Map<string, number>()

  get count(): number {
    return this.#numbers.size
  }

  /** The number of the blob, a new one if it was not known. The bytes are copied. */
  add(id: Uint8Array, key: Uint8Array): number {
    const name = latin1(id)
    const known = this.#numbers.get(name)
    if (known !== undefined) return known
    const number = this.#numbers.size
    const at = number * BLOB_REF_BYTES
    if (at === this.#references.length) {
      this.#references = Buffer.concat([this.#references], this.#references.length * 2)
    }
    this.#references.set(id, at)
    this.#references.set(key, at + BLOB_ID_BYTES)
    this.#numbers.set(name, number)
    return number
  }

  /** Id and key, 64 bytes: a view that is good until the next `add`. */
  reference(number: number): Uint8Array {
    if (!Number.isSafeInteger(number) || number < 0 || number >= this.count) {
      throw new RangeError(`"number" expected 0..${this.count - 1}, got ${number}`)
    }
    return this.#references.subarray(number * BLOB_REF_BYTES, (number + 1) * BLOB_REF_BYTES)
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

/**
 * Order of paths as UTF-8 byte strings, without encoding them: the order of code
 * points. JavaScript compares UTF-16 units, which puts U+E000..U+FFFF last.
 */
export function comparePaths(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length)
  for (let i = 0; i < shorter; i++) {
    const unitA = a.charCodeAt(i)
    const unitB = b.charCodeAt(i)
    if (unitA === unitB) continue
    const surrogateA = (unitA & 0xf800) === 0xd800
    const surrogateB = (unitB & 0xf800) === 0xd800
    if (surrogateA !== surrogateB) return surrogateA ? 1 : -1
    return unitA - unitB
  }
  return a.length - b.length
}
