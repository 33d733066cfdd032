/** Ingest and assembly together: what is published is what lies in the folder, release after release. */
import { mkdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { seededRandom } from '../../src/base/random.ts'
import { WrittenLedger } from '../../src/channels/written-ledger.ts'
import { CHUNK_BYTES } from '../../src/wire/constants.ts'
import { loops } from '../loops.ts'
import { Bench, readTree } from '../unit/channels/harness.ts'

const benches: Bench[] = []

afterAll(() => {
  for (const bench of benches) bench.close()
})

/** Names that meet each other: files in the place of folders and the reverse are likely. */
const name = fc.constantFrom('a', 'b', 'a b', 'a.b', 'é', '日本', 'A0', '~', '\u{1F600}', 'n'.repeat(200))
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'))
const size = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 2_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: CHUNK_BYTES - 2, max: CHUNK_BYTES + 2 }) },
  { weight: 1, arbitrary: fc.constant(2 * CHUNK_BYTES + 77) },
)
const node = fc.record({ path, size: fc.option(size, { freq: 6, nil: null }), seed: fc.nat(20) })
const tree = fc.array(node, { maxLength: 14 })

/** Make the source folder hold these nodes; a later one gives way to an earlier one. */
function plant(bench: Bench, nodes: readonly { path: string; size: number | null; seed: number }[]): void {
  rmSync(bench.source, { recursive: true, force: true })
  mkdirSync(bench.source)
  for (const each of nodes) {
    try {
      if (each.size === null) mkdirSync(join(bench.source, each.path), { recursive: true })
      else {
        mkdirSync(dirname(join(bench.source, each.path)), { recursive: true })
        bench.put(each.path, contentOf(each.size, each.seed))
      }
    } catch {
      // A file stands where this one wants a folder, or the reverse: it is left out.
    }
  }
}

/** Zeros and repetition are as likely as noise. */
function contentOf(bytes: number, seed: number): Uint8Array {
  if (seed < 5) return new Uint8Array(bytes).fill(seed)
  const noise = seededRandom(seed).bytes(Math.min(bytes, 5_000))
  const content = new Uint8Array(bytes)
  for (let at = 0; at < bytes; at += noise.length || 1) content.set(noise.subarray(0, bytes - at), at)
  return content
}

describe('releases of random trees', () => {
  it('lie in the folder exactly, one after the other, and as a fresh folder would have them', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(tree, { minLength: 1, maxLength: 3 }), async (releases) => {
        const bench = new Bench()
        benches.push(bench)
        let last: Awaited<ReturnType<Bench['release']>> | null = null
        for (const nodes of releases) {
          plant(bench, nodes)
          last = await bench.release()
          await bench.assemble(last)
          expect(readTree(bench.directory)).toEqual(readTree(bench.source))
        }
        const directory = join(bench.folder, 'fresh')
        const ledger = new WrittenLedger(bench.state, new Uint8Array(32).fill(77))
        await bench.assemble(last!, { directory, ledger })
        expect(readTree(directory)).toEqual(readTree(bench.source))
      }),
      { numRuns: loops(6, 30) },
    )
  })
})
