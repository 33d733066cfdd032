/**
 * Writing a bundle: a release that is held, as one file (PROTOCOL_FINAL.md §8).
 *
 * The file gets its name when it is whole and on the disk. It is for its owner alone: whoever can read it has the
 * content of the release, and of a private channel the key to all that follow.
 *
 * @module channels/bundle-writer
 */
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { toHex } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { BUNDLE_BLOBS_IN_FLIGHT } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import type { PublisherKeys } from '../crypto/key-schedule.ts'
import { fsyncFolder, PRIVATE_FILE_MODE } from '../storage/atomic-file.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import { diskError } from '../storage/disk-error.ts'
import type { IdSet } from '../storage/id-set.ts'
import { encodeBundleStart } from '../wire/bundle.ts'
import { BUNDLE_RECORD_BYTES } from '../wire/constants.ts'
import type { Head } from '../wire/head.ts'
import type { Manifest } from '../wire/manifest.ts'
import { buildOpenItem } from '../wire/slot.ts'
import { inOrder } from './in-order.ts'

export interface BundleContent {
  readonly keys: PublisherKeys
  readonly open: boolean
  readonly head: Head
  /** Slots of that head signed ahead, encoded. */
  readonly slotSet: Uint8Array
  /** All of it held. */
  readonly manifest: Manifest
  /** Blobs that who receives it holds already; null: none. */
  readonly without: IdSet | null
}

export interface BundleWriterDeps {
  readonly store: Pick<BlobStore, 'read' | 'buffers'>
  readonly random: Random
}

/**
 * Write a bundle. Durable when it resolves; after an error there is no file of that name, or the one that was there.
 *
 * @param path - absolute.
 * @returns its length in bytes.
 * @throws MegatorrentError of kind 'storage', or what the signal says. Memory: some blobs.
 */
export async function writeBundle(
  path: string,
  { keys, open: isOpen, head, slotSet, manifest, without }: BundleContent,
  { store, random }: BundleWriterDeps,
  signal: AbortSignal,
  onBlobs: (done: number) => void = () => {},
): Promise<number> {
  const numbers = Array.from({ length: manifest.blobCount }, (_, number) => number)
  const carried = numbers.filter((number) => without?.has(manifest.blobId(number)) !== true)
  const start = encodeBundleStart({
    publicKey: keys.publicKey,
    readKey: keys.readKey,
    openSignature: isOpen ? buildOpenItem(keys, head.bytes).signature : null,
    blobs: carried.length,
    slotSet,
  })
  const temp = `${path}.${toHex(random.bytes(6))}.tmp`
  try {
    const file = await open(temp, 'wx', PRIVATE_FILE_MODE)
    try {
      await writeFully(file, start, 0)
      await writeRecords(file, start.length, { manifest, carried }, store, signal, onBlobs)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temp, path)
    fsyncFolder(dirname(path))
  } catch (error) {
    await rm(temp, { force: true })
    throw diskError(error, `writing ${path}`)
  }
  return start.length + carried.length * BUNDLE_RECORD_BYTES
}

async function writeRecords(
  file: FileHandle,
  from: number,
  { manifest, carried }: { readonly manifest: Manifest; readonly carried: readonly number[] },
  store: BundleWriterDeps['store'],
  signal: AbortSignal,
  onBlobs: (done: number) => void,
): Promise<void> {
  const blobs = inOrder(carried, BUNDLE_BLOBS_IN_FLIGHT, async (number) => {
    signal.throwIfAborted()
    const id = manifest.blobId(number)
    return { id, blob: await store.read(id) }
  })
  let done = 0
  for await (const { id, blob } of blobs) {
    if (blob === null)
      throw new MegatorrentError('ERR_BLOB_DAMAGED', 'a blob of this release is not held any more')
    const at = from + done * BUNDLE_RECORD_BYTES
    await writeFully(file, id, at)
    await writeFully(file, blob, at + id.length)
    store.buffers.give(blob)
    onBlobs(++done)
  }
}

async function writeFully(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten
  }
}
