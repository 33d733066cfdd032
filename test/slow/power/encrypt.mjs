// Gives a passphrase to a data folder that has none, as the next start of a node does: keys and database
// are encrypted. Tells what must hold, as work.mjs does. Argument: folder.
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../../dist/src/base/clock.js'
import { systemRandom } from '../../../dist/src/base/random.js'
import { lockDataFolder } from '../../../dist/src/storage/data-lock.js'
import { Keystore } from '../../../dist/src/storage/keystore.js'
import { openState } from '../../../dist/src/storage/state.js'

const data = join(process.argv[2], 'disk', 'data')
const tell = (fact) => writeSync(1, `${JSON.stringify(fact)}\n`)
const upright = setInterval(() => {}, 60_000)
const lock = lockDataFolder(data, process.pid)
const keystore = Keystore.open({
  folder: join(data, 'keys'),
  random: systemRandom,
  clock: systemClock,
  scryptCost: { logN: 4, r: 8, p: 1 },
})
tell({ fact: 'encrypting' })
await keystore.unlock('a passphrase')
tell({ fact: 'keysEncrypted' })
const state = openState(join(data, 'megatorrent.db'), keystore.databaseKey())
tell({ fact: 'encrypted' })
state.close()
lock.release()
tell({ fact: 'closed' })
clearInterval(upright)
