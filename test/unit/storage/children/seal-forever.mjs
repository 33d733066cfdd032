// Seals new blobs as fast as it can and writes the id of each to stdout once it is acknowledged.
// Arguments: folder, seed. Ends by being killed.
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { FsBlobStore } from '../../../../dist/src/storage/fs-blob-store.js'
import { openState } from '../../../../dist/src/storage/state.js'
import { WorkerPool } from '../../../../dist/src/storage/worker-pool.js'

const [folder, seed] = process.argv.slice(2)
const state = openState(join(folder, 'test.db'), null)
const store = await FsBlobStore.open({
  root: join(folder, 'blobs'),
  tables: state,
  runner: new WorkerPool({ workers: 2 }),
  limits: { maxBytes: Number.MAX_SAFE_INTEGER, minFreeBytes: 0 },
})
const secret = new Uint8Array(32).fill(7)
let count = 0

async function sealForever() {
  for (;;) {
    const { id } = await store.sealBytes(Buffer.from(`${seed} ${count++}`), secret)
    writeSync(1, `${Buffer.from(id).toString('hex')}\n`)
  }
}

await Promise.all(Array.from({ length: 12 }, sealForever))
