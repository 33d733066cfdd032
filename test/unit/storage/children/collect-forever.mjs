// Seals new blobs and collects every second one, for ever. Writes to stdout `+id` for a blob that is to stay, once it
// is acknowledged, and `-id` for one that was collected, once that is.
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

async function seal() {
  const { id } = await store.sealBytes(Buffer.from(`${seed} ${count++}`), secret)
  return id
}

function say(sign, id) {
  writeSync(1, `${sign}${Buffer.from(id).toString('hex')}\n`)
}

for (;;) {
  const ids = await Promise.all(Array.from({ length: 12 }, seal))
  const garbage = ids.filter((_, n) => n % 2 === 1)
  for (const id of ids) if (!garbage.includes(id)) say('+', id)
  await Promise.all([store.collect(garbage), seal().then((id) => say('+', id))])
  for (const id of garbage) say('-', id)
}
