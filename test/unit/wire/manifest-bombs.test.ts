import { describe, expect, it } from 'vitest'
import { MAX_MANIFEST_EXTENTS, MAX_MANIFEST_PARTS } from '../../../src/base/limits.ts'
import { CHUNK_BYTES } from '../../../src/wire/constants.ts'
import type { Manifest } from '../../../src/wire/manifest.ts'
import { encodePart, encodeRoot, entryBytes } from '../../../src/wire/manifest-encode.ts'
import { checkManifestPart, ManifestReader } from '../../../src/wire/manifest-reader.ts'
import {
  file,
  fragment,
  inline,
  RANDOM,
  ROOT_REFERENCE,
  read,
  references,
  SUMMARY,
} from './manifest-input.ts'
import { codeOf, leastMs } from './refusal.ts'

describe('bombs', () => {
  it('of extents that overlap cost what their bytes cost: 10,000 blobs under each of thousands of extents', () => {
    const count = 10_000
    const all = count * CHUNK_BYTES
    const blobs = references(...Array.from({ length: count }, (_, i) => i))
    const one = file('p0000000', all, [0, 0, all])
    const entries = Array.from(
      { length: Math.floor((CHUNK_BYTES - 64 * count - 400) / entryBytes(one)) },
      (_, i) => file(`p${String(i).padStart(7, '0')}`, all, [0, 0, all]),
    )
    expect(entries.length).toBeGreaterThan(5_000)
    expect(entries.length * all).toBeGreaterThan(2 ** 45)
    let manifest: Manifest | null = null
    const root = inline(entries, blobs)
    const readIt = (): void => {
      manifest = read(root)
    }
    expect(leastMs(readIt, 3)).toBeLessThan(300)
    expect((manifest as unknown as Manifest).entryCount).toBe(entries.length)
  })

  it('of extents over scattered blobs are refused at the bound for all of them', () => {
    // Blobs listed backwards in the second part: no two neighbours run on, so each extent is one a blob.
    const count = 8_000
    const forward = Array.from({ length: count }, (_, i) => i)
    const all = count * CHUNK_BYTES
    const first = encodePart({ blobs: references(...forward), entries: [file('a', all, [0, 0, all])] })
    const needed = Math.ceil(MAX_MANIFEST_EXTENTS / count) + 1
    const entries = Array.from({ length: needed }, (_, i) =>
      file(`b${String(i).padStart(6, '0')}`, all, [0, 0, all]),
    )
    const second = encodePart({ blobs: references(...forward.reverse()), entries })
    const root = encodeRoot({
      ...SUMMARY,
      files: needed + 1,
      bytes: all * (needed + 1),
      parts: references(90_000, 90_001),
    })
    let code: string | null = null
    const readIt = (): void => {
      code = codeOf(() => read(root, [first, second]))
    }
    expect(leastMs(readIt, 2)).toBeLessThan(3000) // 0.4 s; without the bound each further part costs as much
    expect(code).toBe('ERR_MANIFEST_LIMIT')
  })

  it('of sizes whose sum passes 2^53 are refused before anything is added', () => {
    const top = Number.MAX_SAFE_INTEGER
    const sum = (first: number, second: number): string | null =>
      codeOf(() =>
        read(
          encodeRoot({
            ...SUMMARY,
            files: 2,
            bytes: top,
            blobs: references(0),
            entries: [file('a', first, [0, 0, first]), fragment('b', second, 0, [0, 0, 1])],
          }),
        ),
      )
    expect(sum(1, top)).toBe('ERR_MANIFEST_SUM')
    // One less is a sum that can be; what is missing then is the rest of the file.
    expect(sum(1, top - 1)).toBe('ERR_MANIFEST_ORDER')
    const huge = 2 ** 33 * CHUNK_BYTES
    expect(huge).toBe(2 ** 53)
    const claim = encodeRoot({
      ...SUMMARY,
      files: 1,
      bytes: top,
      blobs: references(0),
      entries: [fragment('a', top, 0, [0, 0, 5], [0, 0, top])],
    })
    expect(codeOf(() => read(claim))).toBe('ERR_MANIFEST_EXTENT')
  })

  it('of parts are refused by their number before one is fetched', () => {
    const parts = (count: number): Uint8Array =>
      encodeRoot({
        ...SUMMARY,
        files: 0,
        bytes: 0,
        parts: references(...Array.from({ length: count }, (_, i) => i)),
      })
    expect(new ManifestReader(ROOT_REFERENCE, parts(MAX_MANIFEST_PARTS), RANDOM).partCount).toBe(
      MAX_MANIFEST_PARTS,
    )
    expect(codeOf(() => new ManifestReader(ROOT_REFERENCE, parts(MAX_MANIFEST_PARTS + 1), RANDOM))).toBe(
      'ERR_MANIFEST_LIMIT',
    )
  })

  it('of files that a root claims cost no memory of their own', () => {
    const before = process.memoryUsage().rss
    const claims = Array.from(
      { length: 20 },
      () =>
        new ManifestReader(
          ROOT_REFERENCE,
          encodeRoot({ ...SUMMARY, files: 2 ** 53 - 1, bytes: 2 ** 53 - 1, parts: references(7) }),
          RANDOM,
        ),
    )
    expect(claims.length).toBe(20)
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 2 ** 20)
  })

  it('of entries without end in one chunk are read in the time of a chunk', () => {
    const bodies = [
      'le',
      'l0:e',
      'l1:ae',
      `l1:a${'i0e'.repeat(300_000)}e`,
      'i0e',
      '0:',
      'de',
      'l1:xi0ei0ei0ee',
    ]
    for (const body of bodies) {
      const text = `d5:blobs0:7:entriesl${body.repeat(Math.ceil(CHUNK_BYTES / body.length))}`
      const chunk = Buffer.from(text.slice(0, CHUNK_BYTES), 'latin1')
      expect(leastMs(() => codeOf(() => checkManifestPart(chunk)), 3)).toBeLessThan(100)
    }
  })
})
