/**
 * One daemon at a time on a data folder.
 *
 * The lock is an exclusive SQLite transaction on `lock.db`. Node has no flock, and
 * a pid file alone has a race between reading and taking it over and is fooled by
 * pids that come again; the lock of a file ends with the process in the kernel, after
 * kill -9 too, and two that try at once cannot both have it. `lock.pid` beside it
 * only serves the message.
 *
 * @module storage/data-lock
 */
import { chmodSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { utf8Bytes, utf8Text } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { type Log, silentLog } from '../base/log.ts'
import { ensurePrivateFolder, PRIVATE_FOLDER_MODE, readFileIfExists, writeFileAtomic } from './atomic-file.ts'
import { lockDatabaseFile } from './database.ts'
import { withDiskErrors } from './disk-error.ts'

const LOCK_FILE = 'lock.db'
const PID_FILE = 'lock.pid'
const MAX_PID_FILE_BYTES = 32

/** Held until released or the process ends. */
export interface DataLock {
  /** Idempotent. */
  release(): void
}

/**
 * Make the data folder if needed, lock it, and close it to all but its owner.
 *
 * @param pid - of this process, for whoever comes second.
 * @throws MegatorrentError ERR_DATA_DIR_LOCKED, ERR_DATA_DIR_MODE, or one of kind 'storage'.
 */
export function lockDataFolder(dataDir: string, pid: number, log: Log = silentLog): DataLock {
  ensurePrivateFolder(dataDir)
  const pidFile = join(dataDir, PID_FILE)
  const lock = lockDatabaseFile(join(dataDir, LOCK_FILE))
  if (lock === null) {
    const holder = readPid(pidFile)
    throw new MegatorrentError(
      'ERR_DATA_DIR_LOCKED',
      `${dataDir} is in use by ${holder === null ? 'another process' : `process ${holder}`}: stop it, or use another --data-dir`,
    )
  }
  try {
    tighten(dataDir, log)
    writeFileAtomic(pidFile, utf8Bytes(`${pid}\n`))
  } catch (error) {
    lock.release()
    throw error
  }
  let held = true
  return {
    release: () => {
      if (!held) return
      held = false
      rmSync(pidFile, { force: true })
      lock.release()
    },
  }
}

/** A folder that others can look into, perhaps made by hand: names and sizes of what is in it are theirs to see. */
function tighten(dataDir: string, log: Log): void {
  withDiskErrors(`setting the mode of ${dataDir}`, () => {
    const { mode, uid } = statSync(dataDir)
    if ((mode & 0o777 & ~PRIVATE_FOLDER_MODE) === 0) return
    const fields = { mode: (mode & 0o777).toString(8) }
    if (uid !== process.getuid?.()) {
      log.warn('others can look into the data folder, and its owner is another user: chmod 700 it', fields)
      return
    }
    chmodSync(dataDir, PRIVATE_FOLDER_MODE)
    log.warn('others could look into the data folder: it has mode 700 from now on', fields)
  })
}

function readPid(path: string): number | null {
  const bytes = readFileIfExists(path, MAX_PID_FILE_BYTES)
  const text = bytes === null ? null : utf8Text(bytes)
  return text !== null && /^[1-9][0-9]{0,9}\n$/.test(text) ? Number(text) : null
}
