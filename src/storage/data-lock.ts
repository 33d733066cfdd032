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
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { utf8Bytes, utf8Text } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { ensurePrivateFolder, readFileIfExists, writeFileAtomic } from './atomic-file.ts'
import { lockDatabaseFile } from './database.ts'

const LOCK_FILE = 'lock.db'
const PID_FILE = 'lock.pid'
const MAX_PID_FILE_BYTES = 32

/** Held until released or the process ends. */
export interface DataLock {
  /** Idempotent. */
  release(): void
}

/**
 * Make the data folder if needed and lock it.
 *
 * @param pid - of this process, for whoever comes second.
 * @throws MegatorrentError ERR_DATA_DIR_LOCKED, ERR_DATA_DIR_MODE, or one of kind 'storage'.
 */
export function lockDataFolder(dataDir: string, pid: number): DataLock {
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

function readPid(path: string): number | null {
  const bytes = readFileIfExists(path, MAX_PID_FILE_BYTES)
  const text = bytes === null ? null : utf8Text(bytes)
  return text !== null && /^[1-9][0-9]{0,9}\n$/.test(text) ? Number(text) : null
}
