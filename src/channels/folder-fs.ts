/**
 * What the assembler does to a folder, as an interface, so that a test can stop
 * it at any step.
 *
 * No operation follows a symlink at the end of its path; whoever calls checks the
 * folders before it. Reach: node:fs, for the folders of subscriptions.
 *
 * @module channels/folder-fs
 */
import {
  type BigIntStats,
  close,
  constants,
  copyFile,
  fchmod,
  fstat,
  fsync,
  ftruncate,
  link,
  lstat,
  open,
  rename,
  type Stats,
  unlink,
} from 'node:fs'
import { mkdir, readdir, rmdir, statfs } from 'node:fs/promises'
import type { DiskNode } from './assemble-plan.ts'
import { isMissing } from './stat-all.ts'

export interface FolderFs {
  /** What is there, or null. */
  look(path: string): Promise<DiskNode | null>
  /** Names in a folder. */
  list(path: string): Promise<string[]>
  /** The folder must not exist, its parent must. */
  makeFolder(path: string, mode: number): Promise<void>
  /** A new, empty file; with `size`, one that reads as so many zeros and takes no space yet. */
  createFile(path: string, size: number): Promise<void>
  /**
   * A new file with the content of `from`, cut or filled with zeros to `size`. The system copies, and
   * where it can it only shares the blocks.
   */
  cloneFile(from: string, path: string, size: number): Promise<void>
  /** Content and size are on the disk after it. @returns how the file looks from now on. */
  syncFile(path: string): Promise<DiskNode>
  /** Give a file a second name, which must not exist. */
  link(from: string, to: string): Promise<void>
  /** Move over whatever has the name `to`. */
  rename(from: string, to: string): Promise<void>
  removeFile(path: string): Promise<void>
  /** The folder must be empty. */
  removeFolder(path: string): Promise<void>
  /** The names in a folder are on the disk after it. */
  syncFolder(path: string): Promise<void>
  /** Bytes that this user may still write there. */
  freeBytes(path: string): Promise<number>
}

/** Mode of folders: open to all as far as the umask allows. */
export const FOLDER_MODE = 0o777

/** Readable by all as far as the umask allows, executable by nobody. */
const FILE_MODE = 0o644
const CREATE_FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
const CHANGE_FLAGS = constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const SYNC_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const FOLDER_FLAGS = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW

export const systemFolderFs: FolderFs = {
  async look(path) {
    try {
      return nodeOf(await call<BigIntStats>((done) => lstat(path, { bigint: true }, done)))
    } catch (error) {
      if (isMissing(error)) return null
      throw error
    }
  },
  list: (path) => readdir(path),
  async makeFolder(path, mode) {
    await mkdir(path, { mode })
  },
  createFile: (path, size) =>
    withFile(path, CREATE_FLAGS, async (fd) => {
      if (size > 0) await call<void>((done) => ftruncate(fd, size, done))
    }),
  async cloneFile(from, path, size) {
    // The copy takes the mode of what it is made of, which its user may have set.
    const mode = await withFile(path, CREATE_FLAGS, async (fd) => {
      return (await call<Stats>((done) => fstat(fd, done))).mode
    })
    await call<void>((done) => copyFile(from, path, constants.COPYFILE_FICLONE, done))
    await withFile(path, CHANGE_FLAGS, async (fd) => {
      await call<void>((done) => fchmod(fd, mode & 0o777, done))
      await call<void>((done) => ftruncate(fd, size, done))
    })
  },
  syncFile: (path) => call(syncAndStat.bind(null, path)),
  link: (from, to) => call<void>((done) => link(from, to, done)),
  rename: (from, to) => call<void>((done) => rename(from, to, done)),
  removeFile: (path) => call<void>((done) => unlink(path, done)),
  removeFolder: (path) => rmdir(path),
  syncFolder: (path) => withFile(path, FOLDER_FLAGS, (fd) => call<void>((done) => fsync(fd, done))),
  async freeBytes(path) {
    const { bavail, bsize } = await statfs(path)
    return bavail * bsize
  },
}

/** In callbacks alone: it is done once a file. */
function syncAndStat(path: string, done: (error: Error | null, node?: DiskNode) => void): void {
  open(path, SYNC_FLAGS, (openError, fd) => {
    if (openError !== null) return done(openError)
    fsync(fd, (syncError) => {
      fstat(fd, { bigint: true }, (statError, stat) => {
        close(fd, (closeError) => {
          const error = syncError ?? statError ?? closeError ?? null
          if (error !== null) done(error)
          else done(null, nodeOf(stat))
        })
      })
    })
  })
}

/** A callback of node:fs as a promise: half the cost of node:fs/promises, for calls made once a file. */
function call<T>(begin: (done: (error: Error | null, value?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    begin((error, value) => {
      if (error === null) resolve(value as T)
      else reject(error)
    })
  })
}

async function withFile<T>(path: string, flags: number, work: (fd: number) => Promise<T>): Promise<T> {
  const fd = await call<number>((done) => open(path, flags, FILE_MODE, done))
  try {
    return await work(fd)
  } finally {
    await call<void>((done) => close(fd, done))
  }
}

interface BigStats {
  readonly size: bigint
  readonly mtimeNs: bigint
  readonly ino: bigint
  isFile(): boolean
  isDirectory(): boolean
}

/** What a stat says, as the assembler sees it. */
export function nodeOf(stat: BigStats): DiskNode {
  if (stat.isDirectory()) return { kind: 'folder' }
  if (!stat.isFile()) return { kind: 'other' }
  return {
    kind: 'file',
    size: Number(stat.size),
    mtimeNs: stat.mtimeNs.toString(),
    inode: stat.ino.toString(),
  }
}
