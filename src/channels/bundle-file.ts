/**
 * A bundle on the disk, read a record at a time (PROTOCOL_FINAL.md §8).
 *
 * The file may be many GiB and hostile: no more of it is in memory than what stands before the records and the
 * blob that is being looked at, and its length is checked before anything else.
 *
 * @module channels/bundle-file
 */
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { MegatorrentError } from '../base/errors.ts'
import { diskError, errnoOf } from '../storage/disk-error.ts'
import {
  type DecodedBundleStart,
  decodeBundleStart,
  MAX_BUNDLE_START_BYTES,
  recordBlobOffset,
  recordOffset,
} from '../wire/bundle.ts'
import { BLOB_BYTES, BLOB_ID_BYTES } from '../wire/constants.ts'

export class BundleFile {
  readonly path: string
  readonly start: DecodedBundleStart
  readonly #handle: FileHandle

  private constructor(path: string, start: DecodedBundleStart, handle: FileHandle) {
    this.path = path
    this.start = start
    this.#handle = handle
  }

  /**
   * @param path - absolute.
   * @throws MegatorrentError ERR_BUNDLE_FORMAT, ERR_NOT_FOUND, ERR_FILE_ACCESS, or others of kind 'storage'.
   */
  static async open(path: string): Promise<BundleFile> {
    let handle: FileHandle
    try {
      // Without O_NONBLOCK a pipe of that name would keep us waiting.
      handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') {
        throw new MegatorrentError('ERR_NOT_FOUND', `there is no file ${path}`, { cause: error })
      }
      throw diskError(error, `reading ${path}`)
    }
    try {
      const stat = await handle.stat()
      if (!stat.isFile()) throw new MegatorrentError('ERR_FILE_ACCESS', `${path} is not a file`)
      const bytes = new Uint8Array(Math.min(stat.size, MAX_BUNDLE_START_BYTES))
      await readFully(handle, bytes, 0)
      return new BundleFile(path, decodeBundleStart(bytes, stat.size), handle)
    } catch (error) {
      await handle.close()
      throw diskError(error, `reading ${path}`)
    }
  }

  /** The id that record `n` says: nothing is proven of it. 32 fresh bytes. */
  async readId(n: number): Promise<Uint8Array> {
    const id = new Uint8Array(BLOB_ID_BYTES)
    await this.#read(id, recordOffset(this.start, n))
    return id
  }

  /** The blob of record `n`, not hashed. @param into - at least BLOB_BYTES. @returns a view of it. */
  async readBlob(n: number, into: Uint8Array): Promise<Uint8Array> {
    const blob = into.subarray(0, BLOB_BYTES)
    await this.#read(blob, recordBlobOffset(this.start, n))
    return blob
  }

  close(): Promise<void> {
    return this.#handle.close()
  }

  async #read(into: Uint8Array, position: number): Promise<void> {
    try {
      await readFully(this.#handle, into, position)
    } catch (error) {
      throw diskError(error, `reading ${this.path}`)
    }
  }
}

async function readFully(handle: FileHandle, into: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < into.length; ) {
    const { bytesRead } = await handle.read(into, done, into.length - done, position + done)
    if (bytesRead === 0) {
      throw new MegatorrentError('ERR_BUNDLE_FORMAT', 'this bundle became shorter while it was read')
    }
    done += bytesRead
  }
}
