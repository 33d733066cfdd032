// Opens a data folder as the start of a node does, mends what there is to mend, and writes to stdout how
// many ms of CPU time this process took. Argument: the folder with `data` in it. It does not stop
// cleanly: whoever opens the folder next finds it as after a crash.
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../../dist/src/base/clock.js'
import { systemRandom } from '../../../dist/src/base/random.js'
import { lockDataFolder } from '../../../dist/src/storage/data-lock.js'
import { FsBlobStore } from '../../../dist/src/storage/fs-blob-store.js'
import { Keystore } from '../../../dist/src/storage/keystore.js'
import { openState } from '../../../dist/src/storage/state.js'
import { WorkerPool } from '../../../dist/src/storage/worker-pool.js'

const data = join(process.argv[2], 'data')
const upright = setInterval(() => {}, 60_000)
lockDataFolder(data, process.pid)
Keystore.open({ folder: join(data, 'keys'), random: systemRandom, clock: systemClock })
const state = openState(join(data, 'megatorrent.db'), null)
const runner = new WorkerPool({ workers: 2 })
const store = await FsBlobStore.open({
  root: join(data, 'blobs'),
  tables: state,
  runner,
  limits: { maxBytes: Number.MAX_SAFE_INTEGER, minFreeBytes: 0 },
})
await store.recovered
const { user, system } = process.cpuUsage()
writeSync(1, `${(user + system) / 1000}`)
clearInterval(upright)
process.exit(0)
