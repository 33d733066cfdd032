/**
 * Where blobs lie: `blobs/ab/<64 hex>`, in 256 folders by the first byte of the
 * id, `blobs/tmp` for what is being written and `blobs/adopt` for what a crash
 * left unrecorded. A file has its final name only once it is complete and synced.
 *
 * @module storage/blob-files
 */
import { join } from 'node:path'
import { fromHex, toHex } from '../base/bytes.ts'
import { BLOB_ID_BYTES } from '../wire/constants.ts'

export const SHARD_COUNT = 256
const TEMP_FOLDER = 'tmp'
const ADOPT_FOLDER = 'adopt'

/** Final name of a blob's file. */
export function blobPath(root: string, id: Uint8Array): string {
  const hex = toHex(id)
  return join(root, hex.slice(0, 2), hex)
}

/** Folder of all blobs whose id begins with this byte. */
export function shardFolder(root: string, shard: number): string {
  return join(root, shard.toString(16).padStart(2, '0'))
}

export function tempFolder(root: string): string {
  return join(root, TEMP_FOLDER)
}

export function adoptFolder(root: string): string {
  return join(root, ADOPT_FOLDER)
}

/** Where a file waits to be hashed before it counts as held. */
export function adoptPath(root: string, id: Uint8Array): string {
  return join(root, ADOPT_FOLDER, toHex(id))
}

/** Id that a file name stands for, or null for a foreign file. Upper case is foreign: we never write it. */
export function idOfFileName(name: string): Uint8Array | null {
  return name === name.toLowerCase() ? fromHex(name, BLOB_ID_BYTES) : null
}
