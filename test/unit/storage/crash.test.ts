import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../../src/base/bytes.ts'
import { randomInteger, seededRandom } from '../../../src/base/random.ts'
import { openState } from '../../../src/storage/state.ts'
import { WorkerPool } from '../../../src/storage/worker-pool.ts'
import { loops } from '../../loops.ts'
import { afterTest, openStore, tempFolder } from './harness.ts'

const SEALER = fileURLToPath(new URL('./children/seal-forever.mjs', import.meta.url))
const COLLECTOR = fileURLToPath(new URL('./children/collect-forever.mjs', import.meta.url))
const ROUNDS = loops(3, 5)

/** Let a child work, kill it when so much is acknowledged, and return that: lines of the given length. */
async function workAndKill(
  program: string,
  folder: string,
  seed: number,
  acknowledgements: number,
  length = 64,
): Promise<string[]> {
  const child = spawn(process.execPath, [program, folder, String(seed)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = new Promise<NodeJS.Signals | null>((resolve) =>
    child.once('exit', (_, signal) => resolve(signal)),
  )
  let complaint = ''
  child.stderr.on('data', (data: Buffer) => {
    complaint += data.toString()
  })
  const acknowledged: string[] = []
  for await (const line of createInterface(child.stdout)) {
    // A line that the kill cut in two was not acknowledged to anyone.
    if (line.length !== length) continue
    acknowledged.push(line)
    if (acknowledged.length === acknowledgements) child.kill('SIGKILL')
  }
  expect([await exited, complaint]).toEqual(['SIGKILL', ''])
  return acknowledged
}

/** Ids of the table as the crash left it. */
function recorded(folder: string): string[] {
  const state = openState(join(folder, 'test.db'), null)
  const ids = state.blobs.page(null, 100_000).map(toHex)
  state.close()
  return ids
}

function fileNames(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name)
    .sort()
}

describe('kill -9 in the middle of writes', () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)

  it(`loses nothing that was acknowledged and leaves nothing that is false (seed ${seed})`, async () => {
    const random = seededRandom(seed)
    const folder = tempFolder()
    const runner = new WorkerPool({ workers: 2 })
    afterTest(() => runner.close())
    const acknowledged: string[] = []
    for (let round = 0; round < ROUNDS; round++) {
      acknowledged.push(...(await workAndKill(SEALER, folder, seed + round, randomInteger(random, 1, 40))))
      const before = recorded(folder)
      expect(before).toEqual(expect.arrayContaining(acknowledged))

      const { store, root, crash } = await openStore(folder, { runner })
      const { droppedRows } = await store.recovered
      expect(droppedRows).toBe(0)
      const held = [...store.ids()].map(toHex)
      expect(held).toEqual(expect.arrayContaining(before))
      expect(fileNames(root)).toEqual(held)
      const health = await Promise.all(held.map((id) => store.verify(fromHex(id, 32) as Uint8Array)))
      expect(health.filter((one) => one !== 'ok')).toEqual([])
      crash()
    }
  })

  it(`loses nothing but what was collected, and no row its file (seed ${seed})`, async () => {
    const random = seededRandom(seed)
    const folder = tempFolder()
    const runner = new WorkerPool({ workers: 2 })
    afterTest(() => runner.close())
    const stay: string[] = []
    const gone: string[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const lines = await workAndKill(COLLECTOR, folder, seed + round, randomInteger(random, 1, 60), 65)
      for (const line of lines) (line.startsWith('+') ? stay : gone).push(line.slice(1))

      const { store, root, crash } = await openStore(folder, { runner })
      const { droppedRows, discarded } = await store.recovered
      expect([droppedRows, discarded]).toEqual([0, 0])
      const held = [...store.ids()].map(toHex)
      expect(held).toEqual(expect.arrayContaining(stay))
      expect(held.filter((id) => gone.includes(id))).toEqual([])
      expect(fileNames(root)).toEqual(held)
      const health = await Promise.all(held.map((id) => store.verify(fromHex(id, 32) as Uint8Array)))
      expect(health.filter((one) => one !== 'ok')).toEqual([])
      crash()
    }
  })
})
