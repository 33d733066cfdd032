/**
 * Manifests made for a test.
 *
 * @module test/unit/wire/manifest-input
 */
import { seededRandom } from '../../../src/base/random.ts'
import type { Extent, Manifest } from '../../../src/wire/manifest.ts'
import { type EntryInput, encodeRoot } from '../../../src/wire/manifest-encode.ts'
import { ManifestReader } from '../../../src/wire/manifest-reader.ts'

/** Of the root, in every test. */
export const ROOT_REFERENCE = new Uint8Array(64).map((_, index) => index + 1)
export const RANDOM = seededRandom(1)

/** Read a manifest whole. */
export function read(root: Uint8Array, parts: readonly Uint8Array[] = []): Manifest {
  const reader = new ManifestReader(ROOT_REFERENCE, root, RANDOM)
  for (const part of parts) reader.addPart(part)
  return reader.finish()
}

/** A blob reference of its own for each number. */
export function reference(number: number): Uint8Array {
  const bytes = new Uint8Array(64)
  new DataView(bytes.buffer).setUint32(0, number + 1)
  new DataView(bytes.buffer).setUint32(60, number + 1)
  return bytes
}

export function references(...numbers: number[]): Uint8Array {
  return new Uint8Array(Buffer.concat(numbers.map(reference)))
}

export const file = (
  path: string,
  size: number,
  ...extents: [blob: number, offset: number, length: number][]
): EntryInput => ({
  path,
  size,
  start: null,
  extents: extents.map(([blob, offset, length]): Extent => ({ blob, offset, length })),
})
export const folder = (path: string): EntryInput => ({ path, size: null, start: null, extents: [] })
export const fragment = (
  path: string,
  size: number,
  start: number,
  ...extents: [number, number, number][]
): EntryInput => ({
  ...file(path, size, ...extents),
  start,
})

export const SUMMARY = { title: 'T', time: 5 }

/** A root that holds these entries, with true sums. */
export function inline(entries: readonly EntryInput[], blobs: Uint8Array = new Uint8Array(0)): Uint8Array {
  const files = entries.filter(({ size, start }) => size !== null && (start ?? 0) === 0)
  const bytes = files.reduce((sum, { size }) => sum + (size ?? 0), 0)
  return encodeRoot({ ...SUMMARY, files: files.length, bytes, entries, blobs })
}
