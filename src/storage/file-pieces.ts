/**
 * Slices of files in and out of a chunk: reading what a publisher seals,
 * writing what a subscriber opened.
 *
 * Paths come from our own walk of a folder or from the staging folder that the
 * assembler made; here they are opened without following a symlink at their
 * end, created only where that is said, and never used unless they are plain
 * files, since what lies there may have changed since the path was made.
 *
 * @module storage/file-pieces
 */
import { constants } from 'node:fs'
import { MegatorrentError } from '../base/errors.ts'
import { CHUNK_BYTES } from '../wire/constants.ts'
import { diskError, errnoOf } from './disk-error.ts'
import type { TaskFs } from './task-fs.ts'

/** A slice of a file and its place in a chunk. All in bytes; lengths are at least 1. */
export interface FilePiece {
  /** Absolute. */
  readonly path: string
  readonly fileOffset: number
  readonly chunkOffset: number
  readonly length: number
  /** Writing: the file is made if it is not there. For a file that this piece is the whole of. */
  readonly create?: boolean
}

// O_NONBLOCK: a pipe put in the place of a file must not hang a worker.
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const WRITE_FLAGS = constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
/** Readable by all as far as the umask allows, executable by nobody. */
const CREATED_MODE = 0o644

/** @throws RangeError unless every piece lies within one chunk and below 2^53. */
export function assertPieces(pieces: readonly FilePiece[]): void {
  for (const { fileOffset, chunkOffset, length } of pieces) {
    const sound =
      Number.isSafeInteger(fileOffset + length) &&
      Number.isSafeInteger(length) &&
      Number.isSafeInteger(chunkOffset) &&
      fileOffset >= 0 &&
      chunkOffset >= 0 &&
      length >= 1 &&
      chunkOffset + length <= CHUNK_BYTES
    if (!sound) {
      throw new RangeError(
        `"pieces" expected slices of one chunk, got ${length} bytes from ${fileOffset} at ${chunkOffset}`,
      )
    }
  }
}

/**
 * Fill `chunk` from the sources; what they do not cover is zero.
 *
 * @throws MegatorrentError ERR_SOURCE_CHANGED when a file is gone, shorter than told or no plain file
 *   any more, or another of kind 'storage'.
 */
export function readPieces(fs: TaskFs, sources: readonly FilePiece[], chunk: Uint8Array): void {
  if (sources.length !== 1 || sources[0]?.length !== chunk.length) chunk.fill(0)
  eachFile(
    fs,
    sources,
    () => READ_FLAGS,
    sourceError,
    (fd, piece) => {
      readFully(fs, fd, piece, chunk.subarray(piece.chunkOffset, piece.chunkOffset + piece.length))
    },
  )
}

/**
 * Bytes of one slice of a file, for hashing.
 *
 * @param into - exactly `length` bytes.
 * @throws as `readPieces`.
 */
export function readSlice(fs: TaskFs, source: Omit<FilePiece, 'chunkOffset'>, into: Uint8Array): void {
  const piece = { ...source, chunkOffset: 0 }
  eachFile(
    fs,
    [piece],
    () => READ_FLAGS,
    sourceError,
    (fd) => readFully(fs, fd, piece, into),
  )
}

/**
 * Write slices of an opened chunk into existing files, or into those that it says to create. Not synced: that is for
 * whoever renames the file into place.
 *
 * @throws MegatorrentError of kind 'storage'; some pieces may then be written.
 */
export function writePieces(fs: TaskFs, targets: readonly FilePiece[], chunk: Uint8Array): void {
  eachFile(fs, targets, writeFlags, targetError, (fd, piece) => {
    let done = 0
    while (done < piece.length) {
      done += fs.write(fd, chunk, piece.chunkOffset + done, piece.length - done, piece.fileOffset + done)
    }
  })
}

/**
 * As `writePieces`, of one slice, while the thread goes on.
 *
 * @param flags - further ones to open the file with.
 * @param chunk - must not change meanwhile.
 */
export async function writePieceLater(
  fs: TaskFs,
  target: FilePiece,
  chunk: Uint8Array,
  flags: number,
): Promise<void> {
  const { path, fileOffset, chunkOffset, length } = target
  const { fd } = openPlainFile(fs, path, writeFlags(target) | flags, targetError)
  try {
    for (let done = 0; done < length; ) {
      done += await fs.writeLater(fd, chunk, chunkOffset + done, length - done, fileOffset + done)
    }
  } catch (error) {
    throw targetError(error, path)
  } finally {
    fs.close(fd)
  }
}

function writeFlags({ create }: FilePiece): number {
  return create === true ? WRITE_FLAGS | constants.O_CREAT : WRITE_FLAGS
}

/** Open each file once for the run of pieces that lie in it. */
function eachFile(
  fs: TaskFs,
  pieces: readonly FilePiece[],
  flagsFor: (piece: FilePiece) => number,
  describe: (error: unknown, path: string) => unknown,
  work: (fd: number, piece: FilePiece) => void,
): void {
  let open: { readonly path: string; readonly fd: number } | null = null
  try {
    for (const piece of pieces) {
      if (open?.path !== piece.path) {
        if (open !== null) fs.close(open.fd)
        open = null
        open = openPlainFile(fs, piece.path, flagsFor(piece), describe)
      }
      try {
        work(open.fd, piece)
      } catch (error) {
        throw describe(error, piece.path)
      }
    }
  } finally {
    if (open !== null) fs.close(open.fd)
  }
}

function openPlainFile(
  fs: TaskFs,
  path: string,
  flags: number,
  describe: (error: unknown, path: string) => unknown,
): { readonly path: string; readonly fd: number } {
  let fd: number | null = null
  try {
    fd = fs.open(path, flags, CREATED_MODE)
    if (!fs.stat(fd).isFile()) throw notPlain(path)
    return { path, fd }
  } catch (error) {
    if (fd !== null) fs.close(fd)
    throw describe(error, path)
  }
}

function readFully(fs: TaskFs, fd: number, piece: FilePiece, into: Uint8Array): void {
  let done = 0
  while (done < into.length) {
    const count = fs.read(fd, into, done, into.length - done, piece.fileOffset + done)
    if (count === 0) {
      const missing = piece.fileOffset + into.length
      throw changed(piece.path, `is shorter than ${missing} bytes`)
    }
    done += count
  }
}

function changed(path: string, how: string): MegatorrentError {
  return new MegatorrentError(
    'ERR_SOURCE_CHANGED',
    `${path} changed while it was read (it ${how}): let it rest, then ingest again`,
  )
}

function notPlain(path: string): MegatorrentError {
  return new MegatorrentError('ERR_FILE_ACCESS', `${path} is not a plain file`)
}

function sourceError(error: unknown, path: string): unknown {
  const errno = errnoOf(error)
  if (errno === 'ENOENT' || errno === 'ENOTDIR') return changed(path, 'is gone')
  if (errno === 'ELOOP') return changed(path, 'became a symlink')
  return diskError(error, `reading ${path}`)
}

function targetError(error: unknown, path: string): unknown {
  return diskError(error, `writing ${path}`)
}
