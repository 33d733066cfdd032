/**
 * What the operating system says about the disk, in our words and with a remedy.
 *
 * Used wherever this folder touches files, in the worker threads too. Messages
 * name the operation and its place, never content; a place is a path that the
 * user chose or that follows from the data folder.
 *
 * @module storage/disk-error
 */
import { type ErrorCode, errorMessage, MegatorrentError } from '../base/errors.ts'

const REMEDIES: Readonly<Record<string, { readonly code: ErrorCode; readonly text: string }>> = {
  ENOSPC: { code: 'ERR_DISK_FULL', text: 'the disk is full: free some space, then it goes on' },
  EDQUOT: { code: 'ERR_DISK_FULL', text: 'the disk quota of this user is used up: free some space' },
  EFBIG: { code: 'ERR_DISK_FULL', text: 'the file system takes no file of this size' },
  EROFS: { code: 'ERR_DISK_READ_ONLY', text: 'the file system is read-only: mount it writable' },
  EIO: { code: 'ERR_DISK_FAULT', text: 'the disk reports a fault: check the system log and the disk' },
  EMFILE: { code: 'ERR_TOO_MANY_OPEN_FILES', text: 'too many open files: raise the limit (ulimit -n)' },
  ENFILE: { code: 'ERR_TOO_MANY_OPEN_FILES', text: 'the system has too many open files' },
}

/** The `code` of a Node system error ('ENOENT'), or null for anything else. */
export function errnoOf(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error)) return null
  const { code } = error
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : null
}

/**
 * A MegatorrentError of kind 'storage' for a failed system call; anything else
 * (our own errors, wrong arguments) comes back as it is.
 *
 * @param doing - what was tried, as in "writing a blob".
 */
export function diskError(error: unknown, doing: string): unknown {
  const errno = errnoOf(error)
  if (errno === null || error instanceof MegatorrentError) return error
  const known = REMEDIES[errno]
  if (known !== undefined)
    return new MegatorrentError(known.code, `${doing}: ${known.text}`, { cause: error })
  return new MegatorrentError('ERR_FILE_ACCESS', `${doing}: ${errorMessage(error)}`, { cause: error })
}

/** Run synchronous file work and say what it was if the system refuses. */
export function withDiskErrors<T>(doing: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw diskError(error, doing)
  }
}
