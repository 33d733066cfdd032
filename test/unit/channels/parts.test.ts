/** Small parts of the data path, each alone. */
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { compileGlobs } from '../../../src/channels/globs.ts'
import { inOrder } from '../../../src/channels/in-order.ts'
import { hashName, KnownPieces, pieceRow } from '../../../src/channels/known-pieces.ts'
import { boundaryOf, layoutParts, partOfPath } from '../../../src/channels/manifest-layout.ts'
import { planPart } from '../../../src/channels/manifest-part.ts'
import { allowedWasteBytes, type Piece, planPacks } from '../../../src/channels/pack.ts'
import { quotePath } from '../../../src/channels/path-gate.ts'
import { comparePaths, ExtentBuilder, ReleaseBlobs } from '../../../src/channels/release-entry.ts'
import { settleTree } from '../../../src/channels/settle.ts'
import type { PiecesTable } from '../../../src/storage/tables/pieces-table.ts'
import { CHUNK_BYTES } from '../../../src/wire/constants.ts'

const KIB = 1024

describe('packing', () => {
  function known(blob: number, length: number, region = 0): Piece {
    return { length, known: [{ blob, offset: 0, length }], region }
  }

  it('a piece that straddles two chunks has two places in a row', () => {
    const plan = planPacks([
      { length: CHUNK_BYTES - 10, known: null, region: 0 },
      { length: 30, known: null, region: 0 },
    ])
    expect(
      plan.packs.map((pack) =>
        pack.slices.map(({ piece, chunkOffset, length }) => [piece, chunkOffset, length]),
      ),
    ).toEqual([
      [
        [0, 0, CHUNK_BYTES - 10],
        [1, CHUNK_BYTES - 10, 10],
      ],
      [[1, 0, 20]],
    ])
  })

  it('nothing is laid anew while waste is within the bound, and as little as will do beyond it', () => {
    const within = Array.from({ length: 8 }, (_, blob) => known(blob, 10 * KIB))
    expect(planPacks(within).packs).toEqual([])
    const beyond = Array.from({ length: 10 }, (_, blob) => known(blob, 10 * KIB))
    const plan = planPacks(beyond)
    expect(plan.wasteBytes).toBeLessThanOrEqual(allowedWasteBytes(100 * KIB, 1))
    expect(plan.packs.length).toBe(1)
    expect(plan.isNew.filter((isNew) => isNew).length).toBe(3)
  })

  it('packs more than half alive are left alone, whatever the waste', () => {
    const pieces = Array.from({ length: 100 }, (_, blob) => known(blob, CHUNK_BYTES / 2 + 1))
    expect(planPacks(pieces).packs).toEqual([])
  })

  it('nothing is laid anew when that would make no blob less', () => {
    const half = Array.from({ length: 100 }, (_, blob) => known(blob, CHUNK_BYTES * 0.6))
    expect(planPacks([...half, known(100, 10 * KIB)]).packs).toEqual([])
  })

  it('packs that are less than half alive are laid anew until the waste is within the bound', () => {
    const length = Math.floor(CHUNK_BYTES * 0.4)
    const plan = planPacks(Array.from({ length: 100 }, (_, blob) => known(blob, length)))
    const allowed = allowedWasteBytes(100 * length, 1)
    expect(plan.wasteBytes).toBeLessThanOrEqual(allowed)
    expect(plan.wasteBytes).toBeGreaterThan(allowed - 2 * CHUNK_BYTES)
  })

  it('what is laid anew comes from parts that change anyway, if that is enough', () => {
    const old = Array.from({ length: 14 }, (_, blob) => known(blob, 10 * KIB, blob % 4))
    const plan = planPacks([...old, { length: 1, known: null, region: 2 }])
    const moved = old.filter((_, index) => plan.isNew[index]).map((piece) => piece.region)
    expect(moved.length).toBeGreaterThan(0)
    expect(moved.filter((region) => region === 2).length).toBe(
      old.filter((piece) => piece.region === 2).length,
    )
  })
})

describe('a part of a manifest', () => {
  it('keeps runs of blobs together, so that one extent covers them, whoever used them first', () => {
    const part = planPart([
      { path: 'a', size: 5, start: null, extents: [{ blob: 8, offset: 100, length: 5 }] },
      { path: 'b', size: 5, start: null, extents: [{ blob: 3, offset: 0, length: 5 }] },
      { path: 'c', size: 20, start: null, extents: [{ blob: 7, offset: CHUNK_BYTES - 10, length: 20 }] },
    ])
    expect(part.blobs).toEqual([7, 8, 3])
    expect(part.entries.map((entry) => entry.extents)).toEqual([
      [{ blob: 1, offset: 100, length: 5 }],
      [{ blob: 2, offset: 0, length: 5 }],
      [{ blob: 0, offset: CHUNK_BYTES - 10, length: 20 }],
    ])
  })

  it('a file that repeats its chunks in a ring is laid out all the same', () => {
    const builder = new ExtentBuilder()
    for (const blob of [4, 5, 4, 5, 6, 4]) builder.add(blob, 0, CHUNK_BYTES)
    const part = planPart([{ path: 'r', size: 6 * CHUNK_BYTES, start: null, extents: builder.finish() }])
    expect([...part.blobs].sort()).toEqual([4, 5, 6])
    const order = part.entries[0]!.extents.flatMap((extent) =>
      Array.from({ length: extent.length / CHUNK_BYTES }, (_, n) => part.blobs[extent.blob + n]),
    )
    expect(order).toEqual([4, 5, 4, 5, 6, 4])
  })

  it('the part of a path is the last one that begins at or before it', () => {
    const boundaries = ['b', 'd', 'f'].map((path) => ({ path, start: 0 }))
    expect(['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((path) => partOfPath(path, boundaries))).toEqual([
      0, 0, 0, 1, 1, 2, 2,
    ])
    expect(partOfPath('x', [])).toBe(0)
  })

  it('neighbours become one part below half a chunk together, and not above', () => {
    const entries = Array.from({ length: 200 }, (_, n) => {
      const path = `${String(n).padStart(3, '0')}${'x'.repeat(2_990)}`
      return { path, size: 0, extents: [] }
    })
    const partsAfter = (first: number, second: number): number => {
      const cut = { path: entries[first]!.path, start: 0 }
      return [...layoutParts(entries.slice(0, first + second), [{ path: '', start: 0 }, cut])].length
    }
    expect(partsAfter(85, 85)).toBe(1)
    expect(partsAfter(95, 95)).toBe(2)
  })

  it('no entries make no part, and a part begins where its first entry does', () => {
    expect([...layoutParts([], [])]).toEqual([])
    const [part] = layoutParts([{ path: 'p', size: null, extents: [] }], [])
    expect(boundaryOf(part!)).toEqual({ path: 'p', start: 0 })
  })
})

describe('paths', () => {
  it('are ordered as their UTF-8 bytes are', () => {
    const paths = [
      '',
      'a',
      'a/b',
      'a-b',
      'é',
      '\uffff',
      '\ud7ff',
      '\ue000',
      '\u{10000}',
      '\u{10ffff}',
      '\u{10000}a',
    ]
    for (const a of paths) {
      for (const b of paths) {
        const bytes = Buffer.compare(Buffer.from(a), Buffer.from(b))
        expect(Math.sign(comparePaths(a, b)), `${a} ${b}`).toBe(bytes)
      }
    }
  })

  it('are quoted so that nothing in them acts on a terminal', () => {
    expect(quotePath('a "b" \\ é')).toBe('"a \\"b\\" \\\\ é"')
    expect(quotePath('\u001b[2J\n\u202e\u2028')).toBe('"\\u{1b}[2J\\u{a}\\u{202e}\\u{2028}"')
    expect(quotePath(Uint8Array.of(0x61, 0xff, 0x22, 0x0a))).toBe('"a\\xff\\x22\\x0a"')
  })
})

describe('globs', () => {
  it('match whole paths, any of them, and everything when there is none', () => {
    const matches = compileGlobs(['docs/**/*.txt', 'READ*'])
    expect(['docs/a.txt', 'docs/x/y/a.txt', 'README'].every(matches)).toBe(true)
    expect(['a.txt', 'docs/a.bin', 'x/README', 'docs/.hidden.txt'].some(matches)).toBe(false)
    expect(compileGlobs([])('anything')).toBe(true)
    expect(compileGlobs(['+(jpg|png)/*.{a,b}'])('png/x.b')).toBe(true)
  })

  it.each(['', '**/**/**', 'a/**/b/**/c/**', '*a*b*c*d', 'x/+(*a)x', '*(a?)b', '*+(a)*b*'])(
    'refuses %j, which is empty or could match in too many ways',
    (glob) => {
      expect(() => compileGlobs([glob])).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
    },
  )

  it('refuses one that is longer than anybody types', () => {
    expect(() => compileGlobs(['x'.repeat(1025)])).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
  })

  it.each(['*a*a*b', '**/a/**/*.x', '**/*a*a*b', '*(a)*(b)*(d)'])(
    'what %j lets through costs little on the worst path',
    (glob) => {
      const matches = compileGlobs([glob])
      const worst = [`${'a'.repeat(254)}c`, `${'a/'.repeat(2047)}b`, `${`${'a'.repeat(255)}/`.repeat(15)}c`]
      const started = process.cpuUsage().user
      for (const path of worst) expect(matches(path)).toBe(false)
      expect(process.cpuUsage().user - started).toBeLessThan(600_000)
    },
  )
})

describe('known pieces', () => {
  const id = new Uint8Array(32).fill(1)
  const key = new Uint8Array(32).fill(2)
  const hash = new Uint8Array(32).fill(3)

  async function found(extents: Uint8Array | null, length: number, held = true): Promise<unknown> {
    const rows = extents === null ? [] : [{ hash, size: length, extents }]
    const table = { list: () => rows.values() } as unknown as PiecesTable
    const pieces = await KnownPieces.load(table, id, 'ingest')
    return pieces.find(hashName(hash), length, new ReleaseBlobs(), { has: () => held })
  }

  it('come back as they were kept', async () => {
    const blobs = new ReleaseBlobs()
    const places = [
      { blob: blobs.add(id, key), offset: 1_000_000, length: 48_576 },
      { blob: blobs.add(hash, key), offset: 0, length: 7 },
    ]
    const row = pieceRow(hash, 48_583, places, blobs)
    expect(await found(row.extents, 48_583)).toEqual(places)
    expect(await found(row.extents, 48_583, false)).toBeNull()
  })

  it('a row that is not whole is as good as none', async () => {
    const blobs = new ReleaseBlobs()
    const row = pieceRow(hash, 5, [{ blob: blobs.add(id, key), offset: 0, length: 5 }], blobs)
    expect(await found(row.extents, 6)).toBeNull()
    expect(await found(row.extents.subarray(0, 71), 5)).toBeNull()
    expect(await found(new Uint8Array(0), 0)).toBeNull()
    expect(await found(null, 5)).toBeNull()
  })
})

describe('work in order', () => {
  it('gives results in the order of the items, with no more under way than allowed', async () => {
    let running = 0
    let most = 0
    const delays = [5, 1, 4, 0, 3, 2, 0]
    const seen: number[] = []
    const results = inOrder(delays, 3, async (turns) => {
      running += 1
      most = Math.max(most, running)
      for (let n = 0; n < turns; n++) await new Promise((resolve) => setImmediate(resolve))
      running -= 1
      return turns
    })
    for await (const result of results) seen.push(result)
    expect(seen).toEqual(delays)
    expect(most).toBe(3)
  })

  it('throws the first failure when its turn comes, begins nothing more, and leaves nothing running', async () => {
    let begun = 0
    let running = 0
    const results = inOrder([0, 1, 2, 3, 4, 5, 6], 3, async (item) => {
      begun += 1
      running += 1
      await new Promise((resolve) => setImmediate(resolve))
      running -= 1
      if (item === 1) throw new Error('one')
      return item
    })
    const seen: number[] = []
    const consume = async (): Promise<void> => {
      for await (const result of results) seen.push(result)
    }
    await expect(consume()).rejects.toThrow('one')
    expect(seen).toEqual([0])
    expect(begun).toBeLessThanOrEqual(4)
    expect(running).toBe(0)
  })
})

describe('settling', () => {
  const NOW = Date.UTC(2026, 0, 1)

  function treeOf(stampMs: number): Parameters<typeof settleTree>[0] {
    const stamp = { size: 3, mtimeMs: stampMs, ctimeMs: stampMs, inode: 1 }
    return {
      root: '/nowhere',
      entries: [{ path: 'gone', stamp }],
      skipped: 0,
      bytes: 3,
      files: 1,
      sourceOf: (path) => `/nowhere/${path}`,
    }
  }

  it('does not wait for what is older than a tick, or claims to come from the future', async () => {
    const clock = new ManualClock(NOW)
    for (const age of [40.5, -5_000.5]) {
      const tree = treeOf(NOW - age)
      expect(await settleTree(tree, clock)).toBe(tree)
    }
    expect(clock.pendingTimers).toBe(0)
  })

  it.each([
    ['fine stamps', 0.25, 32],
    ['stamps of whole seconds', 1_000, 1_102],
  ])('waits until %s are older than a tick', async (_, ageMs, waitMs) => {
    const clock = new ManualClock(NOW)
    let settled = false
    const settling = settleTree(treeOf(NOW - ageMs), clock).then(() => {
      settled = true
    })
    await clock.advance(waitMs - 0.5)
    expect([settled, clock.pendingTimers]).toEqual([false, 1])
    await clock.advance(1)
    await settling
    expect(clock.pendingTimers).toBe(0)
  })
})
