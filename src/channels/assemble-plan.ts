/**
 * Assembly plan: what to write, keep and delete so that a folder becomes a
 * release, without touching what is not ours.
 *
 * A file is ours when a record says that we wrote it and it still has the size,
 * time and inode that it had then. Everything else in the folder is foreign: it is
 * never written over, moved or deleted, and where it stands in the way the plan
 * says so and nothing is done at all.
 *
 * Pure: a snapshot of the disk in, lists out. The work is done by assemble.ts.
 *
 * @module channels/assemble-plan
 */
import { Pacer } from './turns.ts'

/** What lies at a path of the folder. Symlinks, sockets and the like are `other`. */
export type DiskNode =
  | { readonly kind: 'file'; readonly size: number; readonly mtimeNs: string; readonly inode: string }
  | { readonly kind: 'folder' }
  | { readonly kind: 'other' }

/** A file that we wrote, as it was when we put it in place. */
export interface WrittenFile {
  readonly path: string
  /** What was written: hex of `fileIdentity` (file-index.ts). */
  readonly identity: string
  readonly size: number
  /** Decimal texts, since neither fits a number. */
  readonly mtimeNs: string
  readonly inode: string
}

/** A file of the release that the user wants. */
export interface WantedFile {
  readonly path: string
  readonly size: number
  /** Number of its entry in the manifest. */
  readonly entry: number
}

export interface AssembleSnapshot {
  /** Files of the release that the selection asks for, in path order. */
  readonly files: readonly WantedFile[]
  /** Empty folders of the release that the selection asks for. */
  readonly emptyFolders: readonly string[]
  /** What a file of the release is: asked for those that have a record of that size. */
  readonly identityOf: (file: WantedFile) => string
  /** Does the release have a file of this path, selected or not? */
  readonly isInRelease: (path: string) => boolean
  readonly written: ReadonlyMap<string, WrittenFile>
  /** Folders that we made. */
  readonly madeFolders: ReadonlySet<string>
  /**
   * What lies on the disk, without following symlinks: below anything that is not a
   * folder there is nothing. Asked for every path of the lists above and the folders
   * that they stand in.
   */
  readonly onDisk: (path: string) => DiskNode | null
}

export interface AssemblePlan {
  /** Foreign things in the way. When there is one, nothing of this plan may be done. */
  readonly foreign: readonly string[]
  /** Files that are in place already. */
  readonly keep: readonly WantedFile[]
  /** Files to write; each takes the place of nothing or of a file of ours. */
  readonly write: readonly WantedFile[]
  /** Folders to make, parents first. */
  readonly makeFolders: readonly string[]
  /** Files of ours that stand where the release has a folder, or in a folder where it has a file: delete first. */
  readonly clearFiles: readonly string[]
  /** Folders of ours that stand where the release has a file, deepest first: they must be empty by then. */
  readonly clearFolders: readonly string[]
  /** Files of ours that the release dropped: delete last. */
  readonly dropFiles: readonly string[]
  /** Folders of ours that the release no longer needs, deepest first: remove those that are empty. */
  readonly dropFolders: readonly string[]
  /** Records of files that are gone, or were changed and so are no longer ours. */
  readonly forgetFiles: readonly string[]
  /** Records of folders that are gone. */
  readonly forgetFolders: readonly string[]
}

/** Decide. Cost: O(n log n) in paths and their parts. */
export function planAssembly(snapshot: AssembleSnapshot): AssemblePlan {
  const steps = planSteps(snapshot)
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

/** The same with a `yield` wherever a pause is due, for releases of any size. */
export function planSteps(snapshot: AssembleSnapshot): Generator<void, AssemblePlan, void> {
  return new Planner(snapshot).plan()
}

/** Is it still the file that we wrote? */
export function isUntouched(record: WrittenFile, node: DiskNode | null): boolean {
  return (
    node !== null &&
    node.kind === 'file' &&
    node.size === record.size &&
    node.mtimeNs === record.mtimeNs &&
    node.inode === record.inode
  )
}

/** The folders that a path stands in, outermost first: `a`, `a/b` for `a/b/c`. */
export function* parentsOf(path: string): Generator<string> {
  for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
    yield path.slice(0, slash)
  }
}

class Planner {
  readonly #in: AssembleSnapshot
  readonly #foreign = new Set<string>()
  readonly #keep: WantedFile[] = []
  readonly #write: WantedFile[] = []
  readonly #needed = new Set<string>()
  readonly #clearFiles = new Set<string>()
  readonly #clearFolders = new Set<string>()
  readonly #pacer = new Pacer()
  #sortedFiles: readonly string[] | null = null
  #sortedFolders: readonly string[] | null = null

  constructor(snapshot: AssembleSnapshot) {
    this.#in = snapshot
  }

  *plan(): Generator<void, AssemblePlan, void> {
    const { files, emptyFolders, madeFolders, onDisk } = this.#in
    for (const folder of emptyFolders) {
      if (this.#pacer.due()) yield
      for (const parent of parentsOf(folder)) this.#needFolder(parent)
      this.#needFolder(folder)
    }
    for (const file of files) {
      if (this.#pacer.due()) yield
      for (const parent of parentsOf(file.path)) this.#needFolder(parent)
    }
    for (const file of files) {
      if (this.#pacer.due()) yield
      this.#placeFile(file)
    }
    const { dropFiles, forgetFiles } = yield* this.#leftovers()
    const makeFolders = [...this.#needed].filter(
      (folder) => onDisk(folder)?.kind !== 'folder' || this.#clearFolders.has(folder),
    )
    const unneeded = [...madeFolders].filter(
      (folder) => !this.#needed.has(folder) && !this.#clearFolders.has(folder),
    )
    return {
      foreign: [...this.#foreign],
      keep: this.#keep,
      write: this.#write,
      makeFolders: makeFolders.sort(byDepth),
      clearFiles: [...this.#clearFiles],
      clearFolders: [...this.#clearFolders].sort(byDepth).reverse(),
      dropFiles,
      dropFolders: unneeded
        .filter((folder) => onDisk(folder)?.kind === 'folder')
        .sort(byDepth)
        .reverse(),
      forgetFiles,
      forgetFolders: unneeded.filter((folder) => onDisk(folder)?.kind !== 'folder'),
    }
  }

  #needFolder(path: string): void {
    if (this.#needed.has(path)) return
    this.#needed.add(path)
    const node = this.#in.onDisk(path)
    if (node === null || node.kind === 'folder') return
    if (this.#isOurs(path)) this.#clearFiles.add(path)
    else this.#foreign.add(path)
  }

  #placeFile(file: WantedFile): void {
    const node = this.#in.onDisk(file.path)
    const record = this.#in.written.get(file.path)
    if (node === null) {
      this.#write.push(file)
    } else if (record !== undefined && isUntouched(record, node)) {
      // The size first: it is what the disk has, so the cost of the identity is bounded by the disk.
      const isSame = record.size === file.size && record.identity === this.#in.identityOf(file)
      if (isSame) this.#keep.push(file)
      else this.#write.push(file)
    } else if (node.kind === 'folder' && this.#clearFolder(file.path)) {
      this.#write.push(file)
    } else {
      this.#foreign.add(file.path)
    }
  }

  /** Can a folder make place for a file? Only one that we made, with nothing recorded in it that was changed. */
  #clearFolder(path: string): boolean {
    if (!this.#in.madeFolders.has(path)) return false
    this.#sortedFiles ??= [...this.#in.written.keys()].sort()
    this.#sortedFolders ??= [...this.#in.madeFolders].sort()
    const files = [...startingWith(this.#sortedFiles, `${path}/`)]
    const present = files.filter((each) => this.#in.onDisk(each) !== null)
    if (!present.every((each) => this.#isOurs(each))) return false
    for (const each of present) this.#clearFiles.add(each)
    this.#clearFolders.add(path)
    for (const folder of startingWith(this.#sortedFolders, `${path}/`)) {
      if (this.#in.onDisk(folder)?.kind === 'folder') this.#clearFolders.add(folder)
    }
    return true
  }

  *#leftovers(): Generator<void, { dropFiles: string[]; forgetFiles: string[] }, void> {
    const wanted = new Set(this.#in.files.map((file) => file.path))
    const dropFiles: string[] = []
    const forgetFiles: string[] = []
    for (const [path, record] of this.#in.written) {
      if (this.#pacer.due()) yield
      if (wanted.has(path) || this.#clearFiles.has(path)) continue
      const node = this.#in.onDisk(path)
      if (!isUntouched(record, node)) forgetFiles.push(path)
      // A file that the selection no longer asks for stays as it is while the release has it.
      else if (this.#in.isInRelease(path)) for (const parent of parentsOf(path)) this.#needed.add(parent)
      else dropFiles.push(path)
    }
    return { dropFiles, forgetFiles }
  }

  #isOurs(path: string): boolean {
    const record = this.#in.written.get(path)
    return record !== undefined && isUntouched(record, this.#in.onDisk(path))
  }
}

/** Those that begin with `prefix`: neighbours in sorted order, found by halving. */
function* startingWith(sorted: readonly string[], prefix: string): Generator<string> {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sorted[middle] ?? '') < prefix) low = middle + 1
    else high = middle
  }
  for (let at = low; at < sorted.length; at++) {
    const each = sorted[at] ?? ''
    if (!each.startsWith(prefix)) return
    yield each
  }
}

function byDepth(a: string, b: string): number {
  return a.length - b.length
}
