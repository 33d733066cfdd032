/**
 * Blobs in a file that came from elsewhere, hashed by the worker threads before anything of it is kept
 * (PROTOCOL_FINAL.md §8).
 *
 * @module storage/bundle-tasks
 */
import { constants } from 'node:fs'
import { equalBytes } from '../base/bytes.ts'
import { blobId } from '../wire/blob.ts'
import { BLOB_BYTES } from '../wire/constants.ts'
import { diskError } from './disk-error.ts'
import type { TaskFs } from './task-fs.ts'

export interface CheckBlobsInput {
  readonly path: string
  /** Where each blob begins, and what it must be. */
  readonly blobs: readonly { readonly offset: number; readonly id: Uint8Array }[]
}

/** What it uses of a worker. */
interface Context {
  readonly fs: TaskFs
  /** BLOB_BYTES. */
  readonly sealed: Uint8Array
}

/** @returns which of them is the first that is not what it must be, or cut off; null for none. Keeps nothing. */
export function checkBlobs({ fs, sealed }: Context, { path, blobs }: CheckBlobsInput): number | null {
  let fd: number | null = null
  try {
    fd = fs.open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    for (const [index, { offset, id }] of blobs.entries()) {
      let done = 0
      while (done < BLOB_BYTES) {
        const count = fs.read(fd, sealed, done, BLOB_BYTES - done, offset + done)
        if (count === 0) return index
        done += count
      }
      if (!equalBytes(blobId(sealed), id)) return index
    }
    return null
  } catch (error) {
    throw diskError(error, `reading ${path}`)
  } finally {
    if (fd !== null) fs.close(fd)
  }
}
