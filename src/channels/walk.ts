/**
 * Walk: the files and empty folders below a folder, as a release will name them.
 *
 * Names are read as bytes, since a name need not be UTF-8. What the path rules
 * refuse (PROTOCOL_FINAL.md §4.2.3) is gathered, not repaired: one such name ends
 * the ingest. Symlinks are neither followed nor published; sockets, pipes and
 * devices are not published either; both are counted.
 *
 * Reads names and sizes only, never content. Reach: node:fs, since this is where
 * the publisher's own files are looked at.
 *
 * @module channels/walk
 */
import { Buffer } from 'node:buffer'
import type { Stats } from 'node:fs'
import { lstat, readdir, realpath } from 'node:fs/promises'
import { basename, join, resolve, sep } from 'node:path'
import { compareBytes, EMPTY_BYTES } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { errnoOf } from '../storage/disk-error.ts'
import { PathGate } from './path-gate.ts'
import { comparePaths } from './release-entry.ts'
import { type FileStamp, isMissing, type Looked, stampOf, statAll } from './stat-all.ts'

const SLASH = Buffer.from('/')

/** A file or, with `stamp` null, an empty folder below the root. */
export interface SourceEntry {
  /** As the manifest has it. */
  readonly path: string
  readonly stamp: FileStamp | null
}

export interface SourceTree {
  /** Real path of the file or folder. */
  readonly root: string
  /** In strictly ascending order of path bytes. */
  readonly entries: readonly SourceEntry[]
  /** Symlinks and special files left out. */
  readonly skipped: number
  /** Sum of the sizes. */
  readonly bytes: number
  /** Files, without empty folders. */
  readonly files: number
  /** Where the content of a file of this tree is read, absolute. */
  sourceOf(path: string): string
}

/** Where `walkSource` looks, and where it must not. */
export interface WalkOptions {
  /** Folders that nothing may be published of: the keys are in the data folder. Missing ones are fine. */
  readonly privateFolders?: readonly string[]
  readonly signal?: AbortSignal | undefined
}

/**
 * Look at everything below `source`, or at the one file that it is.
 *
 * A symlink given as `source` itself is followed: the user named it. A single file
 * is published under its own name. What vanishes during the walk is left out.
 *
 * @throws MegatorrentError ERR_INGEST_SOURCE (missing, unreadable, neither file nor
 *   folder, or a private folder is in it or around it), ERR_INGEST_PATHS (names that the path rules refuse; the first 20 are listed).
 * Memory: some 200 bytes an entry.
 */
export async function walkSource(source: string, options: WalkOptions = {}): Promise<SourceTree> {
  const { privateFolders = [], signal } = options
  try {
    const root = await realpath(source)
    await assertNotPrivate(root, privateFolders)
    const stat = await lstat(root)
    if (stat.isFile()) return singleFile(basename(resolve(source)), root, stat)
    if (!stat.isDirectory()) {
      throw new MegatorrentError('ERR_INGEST_SOURCE', `${source} is neither a file nor a folder`)
    }
    const walker = new Walker(root, signal)
    await walker.walkFolder(EMPTY_BYTES)
    return await walker.finish()
  } catch (error) {
    if (errnoOf(error) === null) throw error
    const remedy = 'check that it exists and that this user may read it'
    throw new MegatorrentError('ERR_INGEST_SOURCE', `cannot read ${source}: ${remedy}`, { cause: error })
  }
}

async function assertNotPrivate(root: string, privateFolders: readonly string[]): Promise<void> {
  for (const folder of privateFolders) {
    const real = await realpath(folder).catch((error: unknown) => {
      if (isMissing(error)) return null
      throw error
    })
    if (real === null || !(isWithin(root, real) || isWithin(real, root))) continue
    throw new MegatorrentError(
      'ERR_INGEST_SOURCE',
      `${root} holds, or lies in, the private folder ${real}: publish another folder`,
    )
  }
}

/** Is `inner` the same path as `outer` or below it? */
function isWithin(inner: string, outer: string): boolean {
  return inner === outer || inner.startsWith(outer.endsWith(sep) ? outer : outer + sep)
}

function singleFile(name: string, real: string, stat: Stats): SourceTree {
  const refused = new PathGate()
  const path = refused.check(Buffer.from(name))
  refused.throwIfAny()
  const entries = path === null ? [] : [{ path, stamp: stampOf(stat) }]
  return { root: real, entries, skipped: 0, bytes: stat.size, files: 1, sourceOf: () => real }
}

interface Child {
  /** Below the root. */
  readonly path: Uint8Array
  readonly kind: 'file' | 'folder' | 'other'
  readonly order: Uint8Array
}

class Walker {
  readonly #root: string
  readonly #signal: AbortSignal | undefined
  readonly #gate = new PathGate()
  readonly #entries: SourceEntry[] = []
  #skipped = 0
  #bytes = 0
  #files = 0

  constructor(root: string, signal: AbortSignal | undefined) {
    this.#root = root
    this.#signal = signal
  }

  /** @param folder - path below the root as bytes, empty for the root itself. */
  async walkFolder(folder: Uint8Array): Promise<void> {
    const children = await this.#childrenOf(folder)
    const before = this.#entries.length + this.#gate.refused
    const files = children.filter((child) => child.kind === 'file')
    const found = await statAll(
      files.map((child) => this.#absolute(child.path)),
      this.#signal,
    )
    let next = 0
    for (const child of children) {
      if (child.kind === 'other') this.#skipped += 1
      else if (child.kind === 'file') this.#addFile(child.path, found[next++] ?? null)
      // A refused folder is one line of the report, not one for each file below it.
      else if (this.#gate.check(child.path) !== null) await this.walkFolder(child.path)
    }
    if (folder.length > 0 && this.#entries.length + this.#gate.refused === before) this.#addEmpty(folder)
  }

  /** In the order in which their paths sort, but for empty folders. */
  async #childrenOf(folder: Uint8Array): Promise<Child[]> {
    this.#signal?.throwIfAborted()
    const found = await readdir(this.#absolute(folder), { encoding: 'buffer', withFileTypes: true })
    const children = found.map((entry): Child => {
      const path = folder.length === 0 ? entry.name : Buffer.concat([folder, SLASH, entry.name])
      if (entry.isDirectory()) return { path, kind: 'folder', order: Buffer.concat([path, SLASH]) }
      return { path, kind: entry.isFile() ? 'file' : 'other', order: path }
    })
    return children.sort((a, b) => compareBytes(a.order, b.order))
  }

  async finish(): Promise<SourceTree> {
    this.#entries.sort((a, b) => comparePaths(a.path, b.path))
    await this.#gate.checkTogether(this.#entries.map((entry) => entry.path))
    this.#gate.throwIfAny()
    const root = this.#root
    return {
      root,
      entries: this.#entries,
      skipped: this.#skipped,
      bytes: this.#bytes,
      files: this.#files,
      sourceOf: (path) => join(root, path),
    }
  }

  #addFile(path: Uint8Array, looked: Looked | null): void {
    const text = this.#gate.check(path)
    if (text === null || looked === null) return
    // Replaced since the folder was read.
    if (!looked.isFile) {
      this.#skipped += 1
      return
    }
    this.#entries.push({ path: text, stamp: looked.stamp })
    this.#bytes += looked.stamp.size
    this.#files += 1
  }

  #addEmpty(folder: Uint8Array): void {
    const text = this.#gate.check(folder)
    if (text !== null) this.#entries.push({ path: text, stamp: null })
  }

  #absolute(path: Uint8Array): Buffer {
    return path.length === 0 ? Buffer.from(this.#root) : Buffer.concat([Buffer.from(this.#root), SLASH, path])
  }
}
