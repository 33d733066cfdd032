import { rmSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { FsBlobStore } from '../../src/storage/fs-blob-store.ts'
import { openState, type State } from '../../src/storage/state.ts'
import { sealChunk } from '../../src/wire/blob.ts'
import { CHUNK_BYTES } from '../../src/wire/constants.ts'
import { InlineRunner, makeTempFolder } from '../unit/storage/harness.ts'

const SECRET = new Uint8Array(32).fill(1)
const BLOBS = Array.from({ length: 5 }, (_, n) => {
  const chunk = new Uint8Array(CHUNK_BYTES).fill(n + 1)
  const { reference, sealed } = sealChunk(chunk, SECRET)
  return { chunk, id: reference.slice(0, 32), sealed }
})

/** One step of a history: what is done, and to which blob. Steps of one group run at the same time. */
const step = fc.record({
  what: fc.constantFrom('put' as const, 'seal' as const, 'delete' as const, 'put wrong' as const),
  blob: fc.nat({ max: BLOBS.length - 1 }),
})
const history = fc.array(
  fc.record({
    steps: fc.array(step, { minLength: 1, maxLength: 5 }),
    end: fc.constantFrom('', 'stop', 'crash'),
  }),
  { minLength: 1, maxLength: 8 },
)

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

async function open(folder: string): Promise<{ store: FsBlobStore; state: State }> {
  const state = openState(join(folder, 'test.db'), null)
  const store = await FsBlobStore.open({
    root: join(folder, 'blobs'),
    tables: state,
    runner: new InlineRunner(),
    limits: { maxBytes: Number.MAX_SAFE_INTEGER, minFreeBytes: 0 },
  })
  return { store, state }
}

async function perform(store: FsBlobStore, { what, blob }: Step): Promise<void> {
  const { id, sealed, chunk } = BLOBS[blob] as (typeof BLOBS)[number]
  if (what === 'put') await store.put(id, sealed.slice())
  else if (what === 'seal') await store.sealBytes(chunk, SECRET)
  else if (what === 'delete') await store.delete([id])
  else await expect(store.put(id, new Uint8Array(sealed.length))).rejects.toMatchObject({ kind: 'peer' })
}

/** What each blob must be after these steps, which ran at the same time; null when either is right. */
function expectation(before: boolean, steps: readonly Step[], blob: number): boolean | null {
  const mine = steps.filter((one) => one.blob === blob && one.what !== 'put wrong').map(({ what }) => what)
  const deleted = mine.includes('delete')
  const added = mine.some((what) => what !== 'delete')
  if (deleted && added) return null
  return deleted ? false : added || before
}

describe('the blob store on disk', () => {
  it('holds what was put and not deleted, through stops and crashes, and every row has its file', async () => {
    await fc.assert(
      fc.asyncProperty(history, async (groups) => {
        const folder = makeTempFolder()
        let { store, state } = await open(folder)
        try {
          for (const { steps, end } of groups) {
            const before = BLOBS.map(({ id }) => store.has(id))
            await Promise.all(steps.map((one) => perform(store, one)))
            if (end !== '') {
              if (end === 'stop') await store.close()
              state.close()
              ;({ store, state } = await open(folder))
              await store.recovered
            }
            for (const [n, { id }] of BLOBS.entries()) {
              const expected = expectation(before[n] as boolean, steps, n)
              if (expected !== null) expect(store.has(id)).toBe(expected)
              expect(await store.verify(id)).toBe(store.has(id) ? 'ok' : 'missing')
            }
            const held = BLOBS.filter(({ id }) => store.has(id))
            expect(store.count).toBe(held.length)
            expect([...store.ids()].map(toHex)).toEqual(held.map(({ id }) => toHex(id)).sort())
          }
        } finally {
          await store.close()
          state.close()
          rmSync(folder, { recursive: true, force: true })
        }
      }),
      { numRuns: 12 },
    )
  })
})
