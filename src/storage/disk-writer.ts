/**
 * Writing past the page cache: blobs, and chunks of large files.
 *
 * Where the system allows it (O_DIRECT) the disk takes whole blocks from our memory. Through the page
 * cache each blob would be copied into fresh pages that are written at once, since it is synced:
 * that took more of a core than hash and ciphers together (docs/adr/0018). What is written so is read
 * from the disk when somebody first wants it.
 *
 * @module storage/disk-writer
 */
import { constants } from 'node:fs'
import { isMegatorrentError } from '../base/errors.ts'
import { TASKS_PER_WORKER } from '../base/limits.ts'
import { BLOB_BYTES } from '../wire/constants.ts'
import { errnoOf } from './disk-error.ts'
import { type FilePiece, writePieceLater, writePieces } from './file-pieces.ts'
import type { TaskFs } from './task-fs.ts'

/** Linux alone has it. */
const DIRECT_FLAG: number = constants.O_DIRECT ?? 0
const NEW_FILE_FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL
const OWNER_ONLY = 0o600
/** Of no disk are the blocks larger; memory, places and lengths of direct writes are multiples of it. */
const BLOCK_BYTES = 4_096
/** What of a blob is whole blocks. */
const BLOB_BLOCKS_BYTES = BLOB_BYTES - (BLOB_BYTES % BLOCK_BYTES)
const SLOT_BYTES = BLOB_BLOCKS_BYTES + BLOCK_BYTES
const WASM_PAGE_BYTES = 65_536

/** Of the types of the web, which are not loaded here. */
declare const WebAssembly: {
  readonly Memory: new (size: { readonly initial: number }) => { readonly buffer: ArrayBuffer }
}

export class DiskWriter {
  readonly #fs: TaskFs
  /** Begins at a block where anything can be written directly. */
  readonly #memory: ArrayBuffer
  readonly #idle: Uint8Array[] = []
  /** Blobs and files may lie on different file systems. */
  readonly #canDirectly: { blobs: boolean; files: boolean }

  constructor(fs: TaskFs) {
    const bytes = TASKS_PER_WORKER * SLOT_BYTES
    const aligned = DIRECT_FLAG === 0 ? null : alignedMemory(bytes)
    this.#fs = fs
    this.#memory = aligned ?? new ArrayBuffer(bytes)
    this.#canDirectly = { blobs: aligned !== null, files: aligned !== null }
    for (let slot = 0; slot < TASKS_PER_WORKER; slot++) {
      this.#idle.push(new Uint8Array(this.#memory, slot * SLOT_BYTES, BLOB_BYTES))
    }
  }

  /**
   * BLOB_BYTES of memory, the caller's until it gives them back. Never to be handed to another thread. There is
   * always one; those beyond the tasks of a worker are fresh, and written through the page cache.
   */
  takeSlot(): Uint8Array {
    return this.#idle.pop() ?? new Uint8Array(BLOB_BYTES)
  }

  giveSlot(slot: Uint8Array): void {
    if (slot.buffer === this.#memory) this.#idle.push(slot)
  }

  /**
   * Write the blob in a slot to the new file `temp`, sync it and name it `path`. After an error there is neither.
   *
   * @throws what the system call threw.
   */
  async writeBlob(temp: string, path: string, slot: Uint8Array): Promise<void> {
    const fs = this.#fs
    try {
      const done = await this.#directly('blobs', slot, () => this.#writeBlocks(temp, slot))
      // Without blocks there is no file, or what is left of one.
      if (done === null) removeQuietly(fs, temp)
      const flags = done === null ? NEW_FILE_FLAGS : constants.O_WRONLY
      const fd = fs.open(temp, flags, OWNER_ONLY)
      try {
        for (let at = done ?? 0; at < slot.length; ) at += fs.write(fd, slot, at, slot.length - at, at)
        await fs.fdatasync(fd)
      } finally {
        fs.close(fd)
      }
      fs.rename(temp, path)
    } catch (error) {
      removeQuietly(fs, temp)
      throw error
    }
  }

  /**
   * Write slices of the opened chunk in a slot, as `writePieces`: directly if it is one slice of whole blocks, as
   * most of a large file are.
   *
   * @throws MegatorrentError of kind 'storage'; some pieces may then be written.
   */
  async writePieces(pieces: readonly FilePiece[], slot: Uint8Array): Promise<void> {
    const [piece] = pieces
    if (pieces.length === 1 && piece !== undefined && isWholeBlocks(piece)) {
      const write = (): Promise<void> => writePieceLater(this.#fs, piece, slot, DIRECT_FLAG)
      if ((await this.#directly('files', slot, write)) !== null) return
    }
    writePieces(this.#fs, pieces, slot)
  }

  /** @returns what `write` gives; null if nothing can be written directly, there or from this slot. */
  async #directly<T>(where: 'blobs' | 'files', slot: Uint8Array, write: () => Promise<T>): Promise<T | null> {
    if (!this.#canDirectly[where] || slot.buffer !== this.#memory) return null
    try {
      return await write()
    } catch (error) {
      // A file system that cannot, or one that ends between two blocks: the usual way shows which.
      const cause = isMegatorrentError(error) ? error.cause : error
      if (errnoOf(cause) !== 'EINVAL') throw error
      this.#canDirectly[where] = false
      return null
    }
  }

  /** @returns the bytes that are in the file now. */
  async #writeBlocks(temp: string, slot: Uint8Array): Promise<number> {
    const fs = this.#fs
    const fd = fs.open(temp, NEW_FILE_FLAGS | DIRECT_FLAG, OWNER_ONLY)
    try {
      let done = 0
      while (done < BLOB_BLOCKS_BYTES) {
        done += await fs.writeLater(fd, slot, done, BLOB_BLOCKS_BYTES - done, done)
      }
      return done
    } finally {
      fs.close(fd)
    }
  }
}

function isWholeBlocks({ fileOffset, chunkOffset, length }: FilePiece): boolean {
  return fileOffset % BLOCK_BYTES === 0 && chunkOffset % BLOCK_BYTES === 0 && length % BLOCK_BYTES === 0
}

/** Memory of WebAssembly begins at a page on every system, which no other memory of JavaScript promises. */
function alignedMemory(bytes: number): ArrayBuffer | null {
  try {
    return new WebAssembly.Memory({ initial: Math.ceil(bytes / WASM_PAGE_BYTES) }).buffer
  } catch {
    return null // it reserves a large range of addresses, which a system may refuse
  }
}

function removeQuietly(fs: TaskFs, path: string): void {
  try {
    fs.remove(path)
  } catch {
    // The next start empties the folder; the error that led here is the one to report.
  }
}
