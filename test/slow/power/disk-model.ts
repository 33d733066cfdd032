/**
 * A disk as it is known from recorded calls: what is durable by now, and what a power cut
 * may take or leave.
 *
 * Nothing is durable but by a sync: content by a sync of the file, a name by a sync of its
 * folder. That is less than what any real file system promises, so what survives here
 * survives there. That holds for direct writes too: the disk may have them in its cache, and the
 * size of the file is in the journal. Pure.
 */
import type { Call } from './trace.ts'

/** A change of content. */
export type Change =
  | { readonly kind: 'write'; readonly end: number; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: 'size'; readonly end: number; readonly size: number }

export class Inode {
  readonly id: number
  readonly isFolder: boolean
  /** As of its last sync. */
  durable: Buffer = Buffer.alloc(0)
  /** Counts the times at which `durable` changed. */
  version = 0
  /** Made since, in order. */
  changes: Change[] = []
  /** Size of the whole. */
  size = 0
  /** For folders: all names as they are now, and those that are durable by a sync of this very folder. */
  readonly names = new Map<string, Inode>()
  readonly durableNames = new Map<string, Inode>()
  /** Halves of name operations since the last sync of the folder. */
  halves: Half[] = []

  constructor(id: number, isFolder: boolean) {
    this.id = id
    this.isFolder = isFolder
  }
}

/** What one operation does to one folder: first names go, then one comes. */
export interface Half {
  readonly end: number
  readonly folder: Inode
  readonly remove: string | null
  readonly add: { readonly name: string; readonly inode: Inode } | null
  /** Of what came by a rename from elsewhere: how it left. What has left must have come. */
  readonly left?: Half
}

interface Descriptor {
  readonly inode: Inode
  readonly path: string
  readonly isDirect: boolean
  position: number
}

/** A sync, for those who want to see what happens without it. */
export interface Sync {
  /** Relative to the root. */
  readonly path: string
  readonly isFolder: boolean
}

export class DiskModel {
  readonly root = new Inode(0, true)
  /** Operations on names that no sync of any folder has made durable, in order: each one or two halves. */
  operations: (readonly Half[])[] = []
  /** The names of folders when all operations but these are done: folder by folder, by name. */
  readonly settled = new Map<Inode, Map<string, Inode>>()
  /** Writes past the page cache. */
  directWrites = 0
  readonly #prefix: string
  readonly #isSynced: (sync: Sync) => boolean
  readonly #open = new Map<number, Descriptor>()
  #inodes = 1

  /** @param prefix - the folder that is recorded; @param isSynced - false for syncs that are to be left out. */
  constructor(prefix: string, isSynced: (sync: Sync) => boolean = () => true) {
    this.#prefix = prefix
    this.#isSynced = isSynced
  }

  /** The inode of a path, or null. */
  find(path: string): Inode | null {
    let inode: Inode = this.root
    for (const part of path.split('/')) {
      if (part === '' || part === '.') continue
      const next = inode.names.get(part)
      if (next === undefined) return null
      inode = next
    }
    return inode
  }

  /** Does the call change what is recorded, or make it durable? */
  apply(call: Call): boolean {
    const { name, result, args } = call
    if (name === 'openat') return this.#openFile(args, result, call.end)
    if (name === 'exit') return this.#exit()
    if (name === 'close') return this.#close(Number(args[0]))
    if (name === 'mkdir' || name === 'mkdirat') return this.#add(pathOf(args, 0), call, true)
    if (name === 'unlink' || name === 'rmdir' || name === 'unlinkat')
      return this.#remove(pathOf(args, 0), call)
    if (name.startsWith('rename')) return this.#rename(pathOf(args, 0), pathOf(args, 1), call)
    if (name.startsWith('link')) return this.#link(pathOf(args, 0), pathOf(args, 1), call)
    const file = this.#open.get(Number(args[0]))
    if (name === 'copy_file_range' || name === 'sendfile') return this.#copy(name, args, call)
    if (file === undefined) return false
    if (name === 'write' || name === 'writev') return this.#write(file, null, call)
    if (name === 'pwrite64' || name.startsWith('pwritev')) return this.#write(file, offsetOf(args), call)
    if (name === 'ftruncate') return this.#resize(file.inode, Number(args[1]), call.end)
    if (name === 'fsync' || name === 'fdatasync') return this.#sync(file, call.start)
    if (name === 'dup' || name === 'fallocate') throw new Error(`${name} is not modelled`)
    return false
  }

  #relative(path: string | null): string | null {
    if (path === null) return null
    if (path === this.#prefix) return ''
    return path.startsWith(`${this.#prefix}/`) ? path.slice(this.#prefix.length + 1) : null
  }

  #openFile(args: Call['args'], descriptor: number, end: number): boolean {
    this.#open.delete(descriptor)
    const path = this.#relative(pathOf(args, 0))
    if (path === null) return false
    const flags = String(args.find((arg) => typeof arg === 'string' && arg.startsWith('O_')))
    let inode = this.find(path)
    const isNew = inode === null
    if (inode === null) {
      if (!flags.includes('O_CREAT')) throw new Error(`${path} was opened and is not known`)
      inode = this.#addAt(path, new Inode(this.#inodes++, false), end)
    }
    const position = flags.includes('O_APPEND') ? inode.size : 0
    this.#open.set(descriptor, { inode, path, isDirect: flags.includes('O_DIRECT'), position })
    if (flags.includes('O_TRUNC') && inode.size > 0) this.#resize(inode, 0, end)
    return isNew
  }

  #exit(): boolean {
    this.#open.clear()
    return false
  }

  #close(descriptor: number): boolean {
    this.#open.delete(descriptor)
    return false
  }

  #parent(path: string): { readonly folder: Inode; readonly name: string } {
    const slash = path.lastIndexOf('/')
    const folder = this.find(slash === -1 ? '' : path.slice(0, slash))
    if (folder === null) throw new Error(`the folder of ${path} is not known`)
    return { folder, name: path.slice(slash + 1) }
  }

  #addAt(path: string, inode: Inode, end: number): Inode {
    const { folder, name } = this.#parent(path)
    this.#operate([{ end, folder, remove: null, add: { name, inode } }])
    return inode
  }

  #add(full: string | null, { end }: Call, isFolder: boolean): boolean {
    const path = this.#relative(full)
    if (path === null || path === '') return false
    this.#addAt(path, new Inode(this.#inodes++, isFolder), end)
    return true
  }

  #remove(full: string | null, { end }: Call): boolean {
    const path = this.#relative(full)
    if (path === null) return false
    const { folder, name } = this.#parent(path)
    this.#operate([{ end, folder, remove: name, add: null }])
    return true
  }

  #rename(from: string | null, to: string | null, { end }: Call): boolean {
    const [source, target] = [this.#relative(from), this.#relative(to)]
    if (source === null || target === null) return false
    const inode = this.find(source)
    if (inode === null) throw new Error(`${source} was renamed and is not known`)
    const [a, b] = [this.#parent(source), this.#parent(target)]
    const add = { name: b.name, inode }
    if (a.folder === b.folder) {
      this.#operate([{ end, folder: a.folder, remove: a.name, add }])
    } else {
      const left: Half = { end, folder: a.folder, remove: a.name, add: null }
      this.#operate([left, { end, folder: b.folder, remove: null, add, left }])
    }
    return true
  }

  #link(from: string | null, to: string | null, { end }: Call): boolean {
    const [source, target] = [this.#relative(from), this.#relative(to)]
    if (source === null || target === null) return false
    const inode = this.find(source)
    if (inode === null) throw new Error(`${source} got a second name and is not known`)
    this.#addAt(target, inode, end)
    return true
  }

  #operate(halves: readonly Half[]): void {
    for (const half of halves) {
      applyHalf(half.folder.names, half)
      half.folder.halves.push(half)
    }
    this.operations.push(halves)
  }

  #write(file: Descriptor, offset: number | null, { args, result, end }: Call): boolean {
    const all = Buffer.concat(args.filter((arg): arg is Buffer => typeof arg !== 'string'))
    if (file.isDirect) this.directWrites += 1
    const at = offset ?? file.position
    if (offset === null) file.position += result
    this.#change(file.inode, { kind: 'write', end, offset: at, bytes: all.subarray(0, result) })
    return true
  }

  #copy(name: string, args: Call['args'], { result, end }: Call): boolean {
    const [from, to] = name === 'sendfile' ? [args[1], args[0]] : [args[0], args[2]]
    const [source, target] = [this.#open.get(Number(from)), this.#open.get(Number(to))]
    if (target === undefined || result === 0) return false
    if (source === undefined) throw new Error('a copy of what is not recorded')
    const bytes = Buffer.from(wholeContent(source.inode).subarray(target.position, target.position + result))
    this.#change(target.inode, { kind: 'write', end, offset: target.position, bytes })
    target.position += result
    return true
  }

  #resize(inode: Inode, size: number, end: number): boolean {
    if (inode.size === size) return false
    this.#change(inode, { kind: 'size', end, size })
    return true
  }

  #change(inode: Inode, change: Change): void {
    inode.changes.push(change)
    inode.size =
      change.kind === 'size' ? change.size : Math.max(inode.size, change.offset + change.bytes.length)
  }

  #sync({ inode, path }: Descriptor, start: number): boolean {
    if (!this.#isSynced({ path, isFolder: inode.isFolder })) return false
    if (inode.isFolder) this.#syncNames(inode, start)
    const done = inode.changes.filter(({ end }) => end < start)
    if (done.length === 0) return inode.isFolder
    inode.durable = applyChanges(inode.durable, done)
    inode.changes = inode.changes.slice(done.length)
    inode.version += 1
    return true
  }

  #syncNames(folder: Inode, start: number): void {
    const done = folder.halves.filter(({ end }) => end < start)
    for (const half of done) applyHalf(folder.durableNames, half)
    folder.halves = folder.halves.slice(done.length)
    // A journal keeps order: with the last of these, all before it are durable.
    const last = this.operations.findLastIndex((halves) => halves.some((half) => done.includes(half)))
    for (const halves of this.operations.splice(0, last + 1)) {
      for (const half of halves) applyHalf(namesIn(this.settled, half.folder), half)
    }
  }
}

export function namesIn(tree: Map<Inode, Map<string, Inode>>, folder: Inode): Map<string, Inode> {
  let names = tree.get(folder)
  if (names === undefined) {
    names = new Map()
    tree.set(folder, names)
  }
  return names
}

export function applyHalf(names: Map<string, Inode>, { remove, add }: Half): void {
  if (remove !== null) names.delete(remove)
  if (add !== null) names.set(add.name, add.inode)
}

export function wholeContent(inode: Inode): Buffer {
  return inode.changes.length === 0 ? inode.durable : applyChanges(inode.durable, inode.changes)
}

export function applyChanges(before: Buffer, changes: readonly Change[]): Buffer {
  let size = before.length
  let most = size
  for (const change of changes) {
    size = change.kind === 'size' ? change.size : Math.max(size, change.offset + change.bytes.length)
    most = Math.max(most, size)
  }
  const all = Buffer.alloc(most)
  before.copy(all)
  for (const change of changes) {
    if (change.kind === 'write') change.bytes.copy(all, change.offset)
    else all.fill(0, change.size)
  }
  return all.subarray(0, size)
}

function pathOf(args: Call['args'], number: number): string | null {
  const strings = args.filter((arg): arg is Buffer => typeof arg !== 'string')
  return strings[number]?.toString('utf8') ?? null
}

function offsetOf(args: Call['args']): number {
  return Number(args.at(-1))
}
