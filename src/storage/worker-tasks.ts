/**
 * What the worker threads do: read, hash, seal, open and write blobs. The only
 * code that touches blob content in bulk.
 *
 * Each task is a function of its input and of the context that it is handed
 * (file operations, two buffers, temp names). Between its start and its first
 * `await`, when the disk writes, a task has the buffers for itself.
 *
 * A blob gets its name (its hash) after it is complete and synced, so a file with a
 * blob's name is that blob. Whether it is held is not decided here: see
 * storage/fs-blob-store.ts.
 *
 * @module storage/worker-tasks
 */
import { constants } from 'node:fs'
import { join } from 'node:path'
import { equalBytes } from '../base/bytes.ts'
import { isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import type { Argon2idInput } from '../crypto/argon2id.ts'
import { blobKey } from '../crypto/blob-key.ts'
import { sha256 } from '../crypto/hash.ts'
import { type FrameKey, openFrame } from '../crypto/sealed-frame.ts'
import { blobId, openBlobInto, sealChunkWithKey, verifyBlob } from '../wire/blob.ts'
import { BLOB_BYTES, BLOB_FRAME_BYTES, CHUNK_BYTES } from '../wire/constants.ts'
import { adoptPath, blobPath, shardFolder, tempFolder } from './blob-files.ts'
import { type CheckBlobsInput, checkBlobs } from './bundle-tasks.ts'
import { diskError, errnoOf } from './disk-error.ts'
import { DiskWriter } from './disk-writer.ts'
import { type FilePiece, readPieces, readSlice } from './file-pieces.ts'
import { puzzleHash } from './puzzle-task.ts'
import { type SignSlotsInput, signSlots, type VerifySlotsInput, verifySlots } from './slot-tasks.ts'
import { encodeTaskError, type TaskError } from './task-error.ts'
import { systemTaskFs, type TaskFs } from './task-fs.ts'

/** written: now on the disk under its name, its folder not synced. existed: a file of that name was there. */
export type WriteStatus = 'written' | 'existed' | 'refused'

interface InStore {
  /** Folder of the blobs. */
  readonly root: string
}

interface MayWrite {
  /** False when the store is full: what is not there yet is then `refused`. */
  readonly mayWrite: boolean
}

export interface SealInput extends InStore, MayWrite {
  readonly source: { readonly pieces: readonly FilePiece[] } | { readonly bytes: Uint8Array }
  readonly convergenceSecret: Uint8Array
}

export interface SealOutput {
  readonly id: Uint8Array
  readonly key: Uint8Array
  readonly chunkHash: Uint8Array
  readonly status: WriteStatus
}

export interface PutInput extends InStore, MayWrite {
  readonly id: Uint8Array
  /** The blob, or the frame that it came in. Transferred here and back. */
  readonly sealed: Uint8Array
  /** Opens the frame; null: it is the blob. */
  readonly frameKey: FrameKey | null
  /** Open it too and write these pieces; null: only keep it. */
  readonly place: { readonly key: Uint8Array; readonly pieces: readonly FilePiece[] } | null
}

export interface PutOutput {
  readonly status: WriteStatus
  readonly sealed: Uint8Array
  /** Why the pieces could not be written, though the blob is kept. */
  readonly placeError: TaskError | null
}

export interface ReadInput extends InStore {
  readonly id: Uint8Array
  /** Hash the bytes, some 0.6 ms: our disk may have changed them. */
  readonly check: boolean
  /** BLOB_FRAME_BYTES, transferred here and back; null: a fresh one is made. */
  readonly buffer: Uint8Array | null
}

/** `bytes` is null when there is no such file. */
export interface ReadOutput {
  readonly bytes: Uint8Array | null
}

export interface OpenInput extends Omit<ReadInput, 'check'> {
  readonly key: Uint8Array
}

export interface OpenToInput extends InStore {
  readonly id: Uint8Array
  readonly key: Uint8Array
  readonly pieces: readonly FilePiece[]
}

export interface HashInput {
  readonly pieces: readonly Omit<FilePiece, 'chunkOffset'>[]
}

export type BlobHealth = 'ok' | 'bad' | 'missing'

/** Input and output of each task. */
export interface Tasks {
  seal: { input: SealInput; output: SealOutput }
  put: { input: PutInput; output: PutOutput }
  read: { input: ReadInput; output: ReadOutput }
  open: { input: OpenInput; output: ReadOutput }
  openTo: { input: OpenToInput; output: boolean }
  /** 32 bytes for each piece, one after the other. */
  hash: { input: HashInput; output: Uint8Array }
  verify: { input: InStore & { readonly id: Uint8Array }; output: BlobHealth }
  adopt: { input: InStore & { readonly id: Uint8Array }; output: boolean }
  remove: { input: InStore & { readonly ids: readonly Uint8Array[] }; output: null }
  syncShards: { input: InStore & { readonly shards: readonly number[] }; output: null }
  signSlots: { input: SignSlotsInput; output: Uint8Array }
  verifySlots: { input: VerifySlotsInput; output: null }
  checkBlobs: { input: CheckBlobsInput; output: number | null }
  puzzleHash: { input: Argon2idInput; output: Uint8Array }
}

export type TaskKind = keyof Tasks

/** What one worker has: made once, used by one task after the other. */
export interface TaskContext {
  readonly fs: TaskFs
  readonly writer: DiskWriter
  /** CHUNK_BYTES. */
  readonly chunk: Uint8Array
  /** BLOB_BYTES: one that was read. */
  readonly sealed: Uint8Array
  /** A file name that no other worker of this store uses. */
  tempName(): string
}

/** @param prefix - unique among the workers of one store, those that crashed included. */
export function createTaskContext(prefix: string, fs: TaskFs = systemTaskFs): TaskContext {
  let count = 0
  return {
    fs,
    writer: new DiskWriter(fs),
    chunk: new Uint8Array(CHUNK_BYTES),
    sealed: new Uint8Array(BLOB_BYTES),
    tempName: () => `${prefix}-${count++}`,
  }
}

type TaskTable = {
  readonly [K in TaskKind]: (
    context: TaskContext,
    input: Tasks[K]['input'],
  ) => Tasks[K]['output'] | Promise<Tasks[K]['output']>
}

/** Every task by its name. They throw MegatorrentError, or TypeError and RangeError for input that is our own fault. */
export const TASKS: TaskTable = {
  ...{ seal, put, read, open, openTo, hash, verify, adopt, remove, syncShards },
  ...{ signSlots, verifySlots, checkBlobs, puzzleHash },
}

async function seal(context: TaskContext, input: SealInput): Promise<SealOutput> {
  const { fs, chunk, writer } = context
  const slot = writer.takeSlot()
  try {
    if ('pieces' in input.source) {
      readPieces(fs, input.source.pieces, chunk)
    } else {
      chunk.fill(0)
      chunk.set(input.source.bytes)
    }
    const chunkHash = sha256(chunk)
    const key = blobKey(input.convergenceSecret, chunkHash)
    const id = sealChunkWithKey(chunk, key, slot)
    const status = await writeBlob(context, input, id, slot)
    return { id, key, chunkHash, status }
  } finally {
    writer.giveSlot(slot)
  }
}

async function put(context: TaskContext, input: PutInput): Promise<PutOutput> {
  const { id, frameKey, place } = input
  const { writer } = context
  const blob = frameKey === null ? input.sealed : openFrame({ bytes: input.sealed, ...frameKey })
  if (blob === null) throw new MegatorrentError('ERR_FRAME_OPEN', 'a frame did not open')
  verifyBlob(blob, id)
  const slot = writer.takeSlot()
  try {
    let placeError: TaskError | null = null
    // Before it is kept: what nobody can open is not worth the place, and the publisher is at fault.
    if (place !== null) placeError = await putInPlace(writer, blob, place, slot)
    slot.set(blob)
    const status = await writeBlob(context, input, id, slot)
    return { status, sealed: input.sealed, placeError }
  } finally {
    writer.giveSlot(slot)
  }
}

/** @returns why the disk did not take it. @throws MegatorrentError ERR_BLOB_OPEN. */
async function putInPlace(
  writer: DiskWriter,
  blob: Uint8Array,
  place: NonNullable<PutInput['place']>,
  slot: Uint8Array,
): Promise<TaskError | null> {
  openBlobInto(blob, place.key, slot.subarray(0, CHUNK_BYTES))
  try {
    await writer.writePieces(place.pieces, slot)
    return null
  } catch (error) {
    if (!isMegatorrentError(error)) throw error
    return encodeTaskError(error)
  }
}

function read(context: TaskContext, input: ReadInput): ReadOutput {
  const blob = blobMemory(input)
  if (!readBlobFile(context.fs, input, blob)) return { bytes: null }
  if (input.check) checkOurCopy(blob, input.id)
  return { bytes: blob }
}

function open(context: TaskContext, input: OpenInput): ReadOutput {
  const blob = blobMemory(input)
  if (!readBlobFile(context.fs, input, blob)) return { bytes: null }
  const chunk = blob.subarray(0, CHUNK_BYTES)
  openOurCopy(context, input, blob, chunk)
  return { bytes: chunk }
}

/** BLOB_BYTES with room behind them for the tag of a frame. */
function blobMemory({ buffer }: { readonly buffer: Uint8Array | null }): Uint8Array {
  return (buffer ?? new Uint8Array(BLOB_FRAME_BYTES)).subarray(0, BLOB_BYTES)
}

async function openTo(context: TaskContext, input: OpenToInput): Promise<boolean> {
  const { fs, sealed, writer } = context
  if (!readBlobFile(fs, input, sealed)) return false
  const slot = writer.takeSlot()
  try {
    openOurCopy(context, input, sealed, slot.subarray(0, CHUNK_BYTES))
    await writer.writePieces(input.pieces, slot)
    return true
  } finally {
    writer.giveSlot(slot)
  }
}

function hash(context: TaskContext, input: HashInput): Uint8Array {
  const out = new Uint8Array(32 * input.pieces.length)
  for (const [index, piece] of input.pieces.entries()) {
    const bytes = context.chunk.subarray(0, piece.length)
    readSlice(context.fs, piece, bytes)
    out.set(sha256(bytes), 32 * index)
  }
  return out
}

function verify(context: TaskContext, input: InStore & { readonly id: Uint8Array }): BlobHealth {
  try {
    if (!readBlobFile(context.fs, input, context.sealed)) return 'missing'
  } catch (error) {
    // A sector that cannot be read, or a file of a wrong size: fetching the blob again mends both.
    if (isMegatorrentError(error, 'ERR_DISK_FAULT') || isMegatorrentError(error, 'ERR_BLOB_DAMAGED'))
      return 'bad'
    throw error
  }
  return equalBytes(blobId(context.sealed), input.id) ? 'ok' : 'bad'
}

/** Hash a file that a crash left and move it to its place, or remove it. @returns whether it was good. */
function adopt(context: TaskContext, input: InStore & { readonly id: Uint8Array }): boolean {
  const { fs, sealed } = context
  const waiting = adoptPath(input.root, input.id)
  const good = readBlobBytes(fs, waiting, sealed) === 'ok' && equalBytes(blobId(sealed), input.id)
  if (good) fs.rename(waiting, blobPath(input.root, input.id))
  else fs.remove(waiting)
  return good
}

function remove(context: TaskContext, input: InStore & { readonly ids: readonly Uint8Array[] }): null {
  for (const id of input.ids) {
    try {
      context.fs.remove(blobPath(input.root, id))
    } catch (error) {
      throw diskError(error, 'removing a blob')
    }
  }
  return null
}

/** Make the names in these shard folders durable; the disk works on all of them at once. */
async function syncShards(
  context: TaskContext,
  input: InStore & { readonly shards: readonly number[] },
): Promise<null> {
  const { fs } = context
  const results = await Promise.allSettled(
    input.shards.map(async (shard) => {
      const fd = fs.open(shardFolder(input.root, shard), constants.O_RDONLY)
      try {
        await fs.fsync(fd)
      } finally {
        fs.close(fd)
      }
    }),
  )
  for (const result of results) {
    if (result.status === 'rejected') throw diskError(result.reason, 'syncing a blob folder')
  }
  return null
}

/** Temp file, fdatasync, rename. The folder is synced by the caller's batch. */
async function writeBlob(
  context: TaskContext,
  input: InStore & MayWrite,
  id: Uint8Array,
  slot: Uint8Array,
): Promise<WriteStatus> {
  const path = blobPath(input.root, id)
  if (context.fs.exists(path)) return 'existed'
  if (!input.mayWrite) return 'refused'
  try {
    await context.writer.writeBlob(join(tempFolder(input.root), context.tempName()), path, slot)
    return 'written'
  } catch (error) {
    throw diskError(error, 'writing a blob')
  }
}

/** @returns false when there is no such file. @throws MegatorrentError ERR_BLOB_DAMAGED for a wrong size. */
function readBlobFile(fs: TaskFs, input: InStore & { readonly id: Uint8Array }, into: Uint8Array): boolean {
  const found = readBlobBytes(fs, blobPath(input.root, input.id), into)
  if (found === 'wrong size') throw damaged()
  return found === 'ok'
}

function readBlobBytes(fs: TaskFs, path: string, into: Uint8Array): 'ok' | 'missing' | 'wrong size' {
  let fd: number | null = null
  try {
    fd = fs.open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
    if (fs.stat(fd).size !== BLOB_BYTES) return 'wrong size'
    let done = 0
    while (done < BLOB_BYTES) {
      const count = fs.read(fd, into, done, BLOB_BYTES - done, done)
      if (count === 0) return 'wrong size'
      done += count
    }
    return 'ok'
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 'missing'
    throw diskError(error, 'reading a blob')
  } finally {
    if (fd !== null) fs.close(fd)
  }
}

/** The bytes came from our disk: if they are not what the name says, the disk is at fault. */
function checkOurCopy(sealed: Uint8Array, id: Uint8Array): void {
  if (!equalBytes(blobId(sealed), id)) throw damaged()
}

/** Open what was read from our disk. If it does not open, its hash tells whether the disk or the publisher is at fault. */
function openOurCopy(
  context: TaskContext,
  input: InStore & { readonly id: Uint8Array; readonly key: Uint8Array },
  sealed: Uint8Array,
  chunk: Uint8Array,
): void {
  try {
    openBlobInto(sealed, input.key, chunk)
  } catch (error) {
    // Read again, since `chunk` may be the memory that `sealed` was in.
    if (isMegatorrentError(error, 'ERR_BLOB_OPEN') && readBlobFile(context.fs, input, context.sealed)) {
      checkOurCopy(context.sealed, input.id)
    }
    throw error
  }
}

function damaged(): MegatorrentError {
  return new MegatorrentError(
    'ERR_BLOB_DAMAGED',
    'a stored blob was damaged on the disk: run `megatorrent verify`',
  )
}
