/**
 * Small files that are either the old or the new version, whatever happens:
 * temp file, fsync, rename, fsync of the folder. Also the checks of folders
 * and files that hold secrets.
 *
 * Synchronous on purpose: these are files of some bytes, written at start, stop
 * and when a key is made, and callers must know that they are on the disk before
 * they go on. Not for blobs, which go through the worker pool.
 *
 * @module storage/atomic-file
 */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname, resolve } from 'node:path'
import { toHex } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { systemRandom } from '../base/random.ts'
import { diskError, errnoOf, withDiskErrors } from './disk-error.ts'

/** Owner only: the mode of everything in the data folder. */
export const PRIVATE_FILE_MODE = 0o600
export const PRIVATE_FOLDER_MODE = 0o700

const GROUP_OR_WORLD = 0o077
const GROUP_OR_WORLD_WRITE = 0o022

/**
 * Replace `path` by `bytes` in one step that survives a power cut.
 *
 * @param mode - of the new file, whatever the umask and the old file say.
 * @throws MegatorrentError of kind 'storage'; the old file is then untouched.
 */
export function writeFileAtomic(path: string, bytes: Uint8Array, mode = PRIVATE_FILE_MODE): void {
  const temp = tempName(path)
  withDiskErrors(`writing ${path}`, () => {
    try {
      writeNewFile(temp, bytes, mode)
      renameSync(temp, path)
    } catch (error) {
      rmSync(temp, { force: true })
      throw error
    }
    fsyncFolder(dirname(path))
  })
}

/**
 * Write a file that must not exist yet, durably. Never follows a symlink. After an error there is none.
 *
 * @throws MegatorrentError ERR_FILE_EXISTS, ERR_USAGE (the folder is missing), or one of kind 'storage'.
 */
export function createFileExclusive(path: string, bytes: Uint8Array, mode = PRIVATE_FILE_MODE): void {
  let isMade = false
  try {
    writeNewFile(path, bytes, mode)
    isMade = true
    fsyncFolder(dirname(path))
  } catch (error) {
    // It would be in the way of whoever tries again, and may hold a secret that nobody expects there.
    if (isMade) rmSync(path, { force: true })
    if (errnoOf(error) === 'EEXIST') {
      throw new MegatorrentError('ERR_FILE_EXISTS', `${path} exists already: choose another name`, {
        cause: error,
      })
    }
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') {
      const message = `there is no folder ${dirname(path)}: make it, or choose another place`
      throw new MegatorrentError('ERR_USAGE', message, { cause: error })
    }
    throw diskError(error, `writing ${path}`)
  }
}

/**
 * Content of a file, or null when there is none.
 *
 * @param maxBytes - a longer file is refused before it is read.
 * @throws MegatorrentError ERR_FILE_ACCESS when it is longer, no plain file, or may not be read.
 */
export function readFileIfExists(path: string, maxBytes: number): Uint8Array | null {
  return readIfExists(path, maxBytes, () => {})
}

/** The first bytes of a file (fewer if it is shorter), or null when there is none. */
export function readFileStart(path: string, maxBytes: number): Uint8Array | null {
  return readIfExists(path, Number.POSITIVE_INFINITY, () => {}, maxBytes)
}

/**
 * Content of a file with secrets, or null when there is none.
 *
 * @throws MegatorrentError ERR_KEY_FILE_MODE when group or others may read or write it.
 */
export function readSecretFileIfExists(path: string, maxBytes: number): Uint8Array | null {
  return readIfExists(path, maxBytes, (mode) => {
    if ((mode & GROUP_OR_WORLD) === 0) return
    const found = (mode & 0o777).toString(8).padStart(4, '0')
    throw new MegatorrentError(
      'ERR_KEY_FILE_MODE',
      `${path} has mode ${found}, so others can reach the key in it: chmod 600 ${path}`,
    )
  })
}

/**
 * Overwrite a file with zeros and remove it. What a copy-on-write file system or a flash disk keeps
 * of the old content is out of reach; on others nothing readable is left. No error when there is none.
 */
export function shredFile(path: string): void {
  withDiskErrors(`removing ${path}`, () => {
    let fd: number
    try {
      fd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return
      throw error
    }
    try {
      overwriteWithZeros(fd)
    } finally {
      closeSync(fd)
    }
    rmSync(path, { force: true })
    fsyncFolder(dirname(path))
  })
}

/**
 * Shred a file under another name, so that a crash on the way never leaves zeros where somebody looks
 * for a secret: they are left in a file whose name ends in `.tmp`, for the owner of the folder to shred.
 * No error when there is none.
 */
export function removeSecretFile(path: string): void {
  const temp = tempName(path)
  const found = withDiskErrors(`removing ${path}`, () => {
    try {
      renameSync(path, temp)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false
      throw error
    }
    fsyncFolder(dirname(path))
    return true
  })
  if (found) shredFile(temp)
}

/**
 * Rename a file over one with secrets, and overwrite what that held.
 *
 * @param to - existing.
 */
export function renameOverSecret(from: string, to: string): void {
  withDiskErrors(`replacing ${to}`, () => {
    // Opened first: once its name is taken there is no other way to the old content.
    const old = openSync(to, constants.O_WRONLY | constants.O_NOFOLLOW)
    try {
      renameSync(from, to)
      fsyncFolder(dirname(to))
      overwriteWithZeros(old)
    } finally {
      closeSync(old)
    }
  })
}

/** Replace the content of an existing file with secrets, as `writeFileAtomic` does, and overwrite what it held. */
export function replaceSecretFile(path: string, bytes: Uint8Array): void {
  const temp = tempName(path)
  withDiskErrors(`writing ${temp}`, () => writeNewFile(temp, bytes, PRIVATE_FILE_MODE))
  renameOverSecret(temp, path)
}

/** Zeros over all of an open file, on the disk when this returns. */
export function overwriteWithZeros(fd: number): void {
  const { size } = fstatSync(fd)
  const zeros = new Uint8Array(Math.min(size, 65_536))
  for (let offset = 0; offset < size; ) {
    offset += writeSync(fd, zeros, 0, Math.min(zeros.length, size - offset), offset)
  }
  fsyncSync(fd)
}

/** Make the names in a folder durable: what was renamed into it stays. */
export function fsyncFolder(path: string): void {
  const fd = openSync(path, constants.O_RDONLY)
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/**
 * Make the folder with mode 0700 if it is missing, parents included.
 *
 * @throws MegatorrentError ERR_DATA_DIR_MODE when it exists and group or others may write to it: they
 *   could swap files under us.
 */
export function ensurePrivateFolder(path: string): void {
  withDiskErrors(`making the folder ${path}`, () => {
    const absolute = resolve(path)
    if (makeMissingFolders(absolute)) return
    const { mode } = statSync(path)
    if ((mode & GROUP_OR_WORLD_WRITE) !== 0) {
      throw new MegatorrentError(
        'ERR_DATA_DIR_MODE',
        `${path} can be written by others (mode ${(mode & 0o777).toString(8)}): chmod 700 ${path}`,
      )
    }
  })
}

/**
 * As `mkdir -p`, and ends where Node's own recursive mkdir goes round for ever: below a folder that is
 * there and in which the system says ENOENT for whatever is to be made, such as /proc.
 *
 * @returns false when there was nothing to make.
 */
function makeMissingFolders(absolute: string): boolean {
  const missing: string[] = []
  // The root is always there, so this ends.
  for (let at = absolute; statSync(at, { throwIfNoEntry: false }) === undefined; at = dirname(at)) {
    missing.unshift(at)
  }
  if (missing.length === 0 && !statSync(absolute).isDirectory()) {
    throw new MegatorrentError(
      'ERR_FILE_ACCESS',
      `${absolute} is there and is not a folder: choose another place`,
    )
  }
  for (const path of missing) {
    try {
      mkdirSync(path, { mode: PRIVATE_FOLDER_MODE })
    } catch (error) {
      // Another process was faster, which is fine; `path` was missing, so its parent is what refuses.
      if (errnoOf(error) === 'EEXIST' && statSync(path).isDirectory()) continue
      if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') throw error
      throw new MegatorrentError(
        'ERR_FILE_ACCESS',
        `making the folder ${absolute}: nothing can be made in ${dirname(path)}, choose another place`,
        { cause: error },
      )
    }
    // Each folder that was made is a name in its parent.
    fsyncFolder(dirname(path))
  }
  return missing.length > 0
}

function tempName(path: string): string {
  return `${path}.${toHex(systemRandom.bytes(6))}.tmp`
}

function writeNewFile(path: string, bytes: Uint8Array, mode: number): void {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  const fd = openSync(path, flags, mode)
  try {
    // Each at its place, as all that we write.
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, at)
    fsyncSync(fd)
  } catch (error) {
    // Half a file would be in the way of whoever tries again.
    rmSync(path, { force: true })
    throw error
  } finally {
    closeSync(fd)
  }
}

function readIfExists(
  path: string,
  maxBytes: number,
  checkMode: (mode: number) => void,
  wantedBytes = maxBytes,
): Uint8Array | null {
  let fd: number
  try {
    // Without O_NONBLOCK a pipe put in the file's place would hang the start.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw diskError(error, `reading ${path}`)
  }
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile()) throw new MegatorrentError('ERR_FILE_ACCESS', `${path} is not a file`)
    checkMode(stat.mode)
    if (stat.size > maxBytes) {
      throw new MegatorrentError(
        'ERR_FILE_ACCESS',
        `${path} has ${stat.size} bytes, expected ${maxBytes} at most`,
      )
    }
    const bytes = new Uint8Array(Math.min(stat.size, wantedBytes))
    let offset = 0
    while (offset < bytes.length) {
      const count = readSync(fd, bytes, offset, bytes.length - offset, offset)
      if (count === 0) break
      offset += count
    }
    return bytes.subarray(0, offset)
  } catch (error) {
    throw diskError(error, `reading ${path}`)
  } finally {
    closeSync(fd)
  }
}
