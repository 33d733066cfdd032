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
import { afterTest, openStore, tempFolder } from './harness.ts'

const CHILD = fileURLToPath(new URL('./children/seal-forever.mjs', import.meta.url))
const ROUNDS = 5

/** Let a child seal, kill it when so many blobs are acknowledged, and return those. */
async function sealAndKill(folder: string, seed: number, acknowledgements: number): Promise<string[]> {
  const child = spawn(process.execPath, [CHILD, folder, String(seed)], { stdio: ['ignore', 'pipe', 'pipe'] })
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
    if (line.length !== 64) continue
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
      acknowledged.push(...(await sealAndKill(folder, seed + round, randomInteger(random, 1, 40))))
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
})
