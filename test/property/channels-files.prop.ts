/** Ranges of files and folders of releases against naive twins. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { spansOfRange } from '../../src/channels/file-range.ts'
import { type FolderChild, listFolder } from '../../src/channels/folder-listing.ts'
import { CHUNK_BYTES } from '../../src/wire/constants.ts'
import type { Extent, Manifest } from '../../src/wire/manifest.ts'

const EXTENT = fc.record({
  blob: fc.nat({ max: 1000 }),
  offset: fc.oneof(fc.nat({ max: CHUNK_BYTES - 1 }), fc.constantFrom(0, CHUNK_BYTES - 1)),
  length: fc.oneof(fc.integer({ min: 1, max: 10 }), fc.integer({ min: 1, max: 4 * CHUNK_BYTES })),
})

/** Blob and place of each byte that lies at a border, from walking all extents. */
function placeOf(extents: readonly Extent[], at: number): [blob: number, offset: number] | null {
  let start = 0
  for (const { blob, offset, length } of extents) {
    if (at < start + length) {
      const absolute = offset + at - start
      return [blob + Math.floor(absolute / CHUNK_BYTES), absolute % CHUNK_BYTES]
    }
    start += length
  }
  return null
}

describe('a range of a file', () => {
  it('is where its bytes are, whole and in order', () => {
    const shape = fc.record({ extents: fc.array(EXTENT, { maxLength: 6 }), from: fc.nat(), to: fc.nat() })
    fc.assert(
      fc.property(shape, ({ extents, from, to }) => {
        const size = extents.reduce((sum, { length }) => sum + length, 0)
        const [start = 0, end = 0] = [from % (size + 1), to % (size + 1)].sort((a, b) => a - b)
        let position = start
        for (const span of spansOfRange(extents, start, end)) {
          expect(span.position).toBe(position)
          expect(span.length).toBeGreaterThan(0)
          expect(span.offset + span.length).toBeLessThanOrEqual(CHUNK_BYTES)
          expect(placeOf(extents, position)).toEqual([span.blob, span.offset])
          const last = placeOf(extents, position + span.length - 1)
          expect(last).toEqual([span.blob, span.offset + span.length - 1])
          position += span.length
        }
        expect(position).toBe(end)
      }),
    )
  })

  it('at the end of a file of 1 TiB is found at once', () => {
    const extents = [{ blob: 5, offset: 0, length: 2 ** 40 }]
    const spans = [...spansOfRange(extents, 2 ** 40 - 10, 2 ** 40)]
    expect(spans).toEqual([
      { blob: 5 + 2 ** 20 - 1, offset: CHUNK_BYTES - 10, length: 10, position: 2 ** 40 - 10 },
    ])
  })
})

/** Paths as a manifest has them, and no more of one than is looked at. */
function manifestOf(paths: readonly string[]): Manifest {
  const sorted = [...paths].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  const firstFrom = (path: string): number => {
    const index = sorted.findIndex((other) => Buffer.compare(Buffer.from(other), Buffer.from(path)) >= 0)
    return index < 0 ? sorted.length : index
  }
  return {
    entryCount: sorted.length,
    path: (index: number) => sorted[index] as string,
    entry: (index: number) => ({
      kind: (sorted[index] as string).endsWith('-dir') ? 'folder' : 'file',
      size: 7,
    }),
    indexOf: (path: string) => sorted.indexOf(path),
    firstFrom,
  } as unknown as Manifest
}

function naiveList(paths: readonly string[], folder: string): Map<string, FolderChild['kind']> {
  const prefix = folder === '' ? '' : `${folder}/`
  const found = new Map<string, FolderChild['kind']>()
  for (const path of paths) {
    if (!path.startsWith(prefix)) continue
    const [name = '', ...below] = path.slice(prefix.length).split('/')
    found.set(name, below.length > 0 || path.endsWith('-dir') ? 'folder' : 'file')
  }
  return found
}

describe('a folder of a release', () => {
  // Names around `/` in the order of bytes: there a folder does not stand where its name would.
  const name = fc.constantFrom('a', 'a-b', 'a.b', 'a0', 'ab', 'b', 'b-dir', '\u00e9')
  const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'))

  it('has what lies directly in it, page by page, each once', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(path, { maxLength: 30 }),
        fc.integer({ min: 1, max: 4 }),
        path,
        (all, limit, other) => {
          const paths = all.filter((each) => !all.some((file) => each.startsWith(`${file}/`)))
          const manifest = manifestOf(paths)
          const folders = new Set([
            '',
            other,
            ...paths.flatMap((each) => [each, each.slice(0, each.lastIndexOf('/'))]),
          ])
          for (const folder of folders) {
            const expected = naiveList(paths, folder)
            const isThere =
              folder === '' || expected.size > 0 || (folder.endsWith('-dir') && paths.includes(folder))
            const found: FolderChild[] = []
            for (let after: string | null = null, pages = 0; ; pages++) {
              expect(pages).toBeLessThanOrEqual(expected.size)
              const page = listFolder(manifest, folder, after, limit)
              expect(page === null).toBe(!isThere)
              if (page === null) break
              expect(page.children.length).toBeLessThanOrEqual(limit)
              found.push(...page.children)
              if (page.next === null) break
              after = page.next
            }
            expect(new Map(found.map(({ name: child, kind }) => [child, kind]))).toEqual(expected)
            expect(found).toHaveLength(expected.size)
          }
        },
      ),
    )
  })
})
