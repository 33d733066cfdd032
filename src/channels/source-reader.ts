/**
 * Reading the files of a source tree: full chunks are sealed where they lie, what
 * remains of a file (its piece) is hashed. Neither passes through this thread.
 *
 * @module channels/source-reader
 */
import type { BlobStore, HashPiece, SealedChunk } from '../storage/blob-store.ts'
import { CHUNK_BYTES } from '../wire/constants.ts'
import { inOrder } from './in-order.ts'
import { type HashName, hashName } from './known-pieces.ts'
import { ExtentBuilder, type ReleaseBlobs } from './release-entry.ts'
import { type FileStamp, sameStamp } from './stat-all.ts'
import type { SourceTree } from './walk.ts'

/** Jobs under way: what waits for one commit while the workers fill the next; a job holds no content here. */
const JOBS_IN_FLIGHT = 96

/** Pieces in one call for hashes. */
const HASH_BATCH_PIECES = 512
const HASH_BATCH_BYTES = 4 * CHUNK_BYTES

/** What was found in one file. There may be a million of them: hashes are texts, which take a third of the memory. */
export interface FileContent {
  readonly path: string
  readonly stamp: FileStamp
  /** Where the full chunks lie, null when there are none. */
  readonly chunks: ExtentBuilder | null
  /** SHA-256 of the piece, null as long as it is not known, and when there is none. */
  pieceHash: HashName | null
  /** Jobs of this file that have not ended. */
  pending: number
}

/** Bytes of a file that fill no chunk: the length of its piece. */
export function pieceLength(size: number): number {
  return size % CHUNK_BYTES
}

export interface ReadJob {
  readonly store: Pick<BlobStore, 'sealChunk' | 'hashPieces'>
  /** 32 bytes: the publisher's secret. */
  readonly convergenceSecret: Uint8Array
  readonly blobs: ReleaseBlobs
  /** Numbers of blobs that were not held before; added to. */
  readonly newBlobs: Set<number>
  /** Files read by an earlier attempt, by path: those that did not change are not read again. */
  readonly earlier: ReadonlyMap<string, FileContent>
  readonly onProgress: (filesDone: number, bytesDone: number) => void
  readonly signal?: AbortSignal | undefined
}

type Step =
  | { readonly kind: 'chunk'; readonly file: FileContent; readonly source: string; readonly offset: number }
  | { readonly kind: 'hash'; readonly files: FileContent[]; readonly pieces: HashPiece[] }

/**
 * Read all files of the tree, in its order.
 *
 * @param contents - filled with one content for each file, in the tree's order (empty folders have none).
 * @throws MegatorrentError ERR_SOURCE_CHANGED and whatever else the store throws; what was read
 *   until then is in `contents`.
 */
export async function readSources(tree: SourceTree, job: ReadJob, contents: FileContent[]): Promise<void> {
  const steps = inOrder(stepsOf(tree, job, contents), JOBS_IN_FLIGHT, async (step) => {
    job.signal?.throwIfAborted()
    return step.kind === 'chunk' ? sealStep(step, job) : hashStep(step, job)
  })
  let filesDone = 0
  let bytesDone = 0
  for await (const { files, bytes, apply } of steps) {
    apply()
    for (const file of files) {
      file.pending -= 1
      if (file.pending === 0) filesDone += 1
    }
    bytesDone += bytes
    job.onProgress(filesDone, bytesDone)
  }
}

interface StepResult {
  readonly files: readonly FileContent[]
  readonly bytes: number
  /** Enter the result, in the order of the steps: blobs in a row get numbers in a row. */
  readonly apply: () => void
}

async function sealStep(step: Step & { kind: 'chunk' }, job: ReadJob): Promise<StepResult> {
  const source = { path: step.source, fileOffset: step.offset, chunkOffset: 0, length: CHUNK_BYTES }
  const { convergenceSecret } = job
  const sealed = await job.store.sealChunk({ sources: [source], convergenceSecret })
  const apply = (): void => step.file.chunks?.add(numberOf(sealed, job), 0, CHUNK_BYTES)
  return { files: [step.file], bytes: CHUNK_BYTES, apply }
}

async function hashStep(step: Step & { kind: 'hash' }, job: ReadJob): Promise<StepResult> {
  const hashes = await job.store.hashPieces(step.pieces)
  let bytes = 0
  for (const piece of step.pieces) bytes += piece.length
  const apply = (): void => {
    step.files.forEach((file, index) => {
      const hash = hashes[index]
      file.pieceHash = hash === undefined ? null : hashName(hash)
    })
  }
  return { files: step.files, bytes, apply }
}

/** Number of a sealed chunk in the release, noted as new if it is. */
export function numberOf(sealed: SealedChunk, job: Pick<ReadJob, 'blobs' | 'newBlobs'>): number {
  const blob = job.blobs.add(sealed.id, sealed.key)
  if (sealed.isNew) job.newBlobs.add(blob)
  return blob
}

/** Begins each file when its first step is asked for. */
function* stepsOf(tree: SourceTree, job: ReadJob, contents: FileContent[]): Generator<Step> {
  let batch = newBatch()
  for (const { path, stamp } of tree.entries) {
    if (stamp === null) continue
    const earlier = job.earlier.get(path)
    if (earlier !== undefined && earlier.pending === 0 && sameStamp(earlier.stamp, stamp)) {
      contents.push(earlier)
      continue
    }
    const chunks = Math.floor(stamp.size / CHUNK_BYTES)
    const length = pieceLength(stamp.size)
    const pending = chunks + (length > 0 ? 1 : 0)
    const builder = chunks > 0 ? new ExtentBuilder() : null
    const file: FileContent = { path, stamp, chunks: builder, pieceHash: null, pending }
    contents.push(file)
    const source = tree.sourceOf(path)
    for (let chunk = 0; chunk < chunks; chunk++) {
      yield { kind: 'chunk', file, source, offset: chunk * CHUNK_BYTES }
    }
    if (length === 0) continue
    batch.files.push(file)
    batch.pieces.push({ path: source, fileOffset: chunks * CHUNK_BYTES, length })
    batch.bytes += length
    if (batch.pieces.length >= HASH_BATCH_PIECES || batch.bytes >= HASH_BATCH_BYTES) {
      yield { kind: 'hash', files: batch.files, pieces: batch.pieces }
      batch = newBatch()
    }
  }
  if (batch.pieces.length > 0) yield { kind: 'hash', files: batch.files, pieces: batch.pieces }
}

function newBatch(): { files: FileContent[]; pieces: HashPiece[]; bytes: number } {
  return { files: [], pieces: [], bytes: 0 }
}
