/**
 * States in which a power cut may leave a disk: a choice, by chance, among all that are legal.
 *
 * Names: either those of a journal that keeps order, up to any operation at or after the
 * last that was synced; or each folder for itself, up to any operation after its
 * last sync, where only a rename that went from one folder has come to the other.
 * Content: what was not synced is there, or not, or in part by pages, with zeros where
 * the size came first.
 */
import { type Random, randomInteger } from '../../../src/base/random.ts'
import {
  applyHalf,
  type Change,
  type DiskModel,
  type Half,
  type Inode,
  namesIn,
  wholeContent,
} from './disk-model.ts'

const PAGE_BYTES = 4096

export interface CrashFile {
  readonly path: string
  readonly inode: Inode
  readonly content: Buffer
  /** Names what the content is: equal keys, equal content. Null when it was put together by chance. */
  readonly contentKey: string | null
}

export interface CrashState {
  /** How names and content were chosen, for who looks at a failure. */
  readonly choice: string
  readonly folders: readonly string[]
  readonly files: readonly CrashFile[]
}

type Names = Map<Inode, Map<string, Inode>>

export function crashState(model: DiskModel, random: Random): CrashState {
  const isJournal = randomInteger(random, 0, 1) === 0
  const { names, choice } = isJournal ? journalNames(model, random) : folderNames(model, random)
  const chosen: string[] = [choice]
  const contents = new Map<Inode, Pick<CrashFile, 'content' | 'contentKey'>>()
  const folders: string[] = []
  const files: CrashFile[] = []
  const walk = (folder: Inode, prefix: string): void => {
    for (const [name, inode] of names.get(folder) ?? []) {
      const path = prefix + name
      if (inode.isFolder) {
        folders.push(path)
        walk(inode, `${path}/`)
        continue
      }
      let content = contents.get(inode)
      if (content === undefined) {
        content = contentOf(inode, path, random, chosen)
        contents.set(inode, content)
      }
      files.push({ path, inode, ...content })
    }
  }
  walk(model.root, '')
  return { choice: chosen.join('; '), folders, files }
}

function journalNames(model: DiskModel, random: Random): { names: Names; choice: string } {
  const names: Names = new Map()
  for (const [folder, entries] of model.settled) names.set(folder, new Map(entries))
  const cut = randomInteger(random, 0, model.operations.length)
  for (const halves of model.operations.slice(0, cut)) {
    for (const half of halves) applyHalf(namesIn(names, half.folder), half)
  }
  return { names, choice: `journal: ${cut} of ${model.operations.length} operations` }
}

function folderNames(model: DiskModel, random: Random): { names: Names; choice: string } {
  const folders = allFolders(model)
  const cuts = new Map<Inode, number>()
  for (const folder of folders) cuts.set(folder, randomInteger(random, 0, folder.halves.length))
  // What has left one folder has come to the other: also where the leaving is durable.
  for (let isChanged = true; isChanged; ) {
    isChanged = false
    for (const folder of folders) {
      for (const [index, { left }] of folder.halves.entries()) {
        if (left === undefined || index < (cuts.get(folder) ?? 0) || !isDone(left, cuts)) continue
        cuts.set(folder, index + 1)
        isChanged = true
      }
    }
  }
  const names: Names = new Map()
  const told: string[] = []
  for (const folder of folders) {
    const entries = new Map(folder.durableNames)
    const cut = cuts.get(folder) ?? 0
    for (const half of folder.halves.slice(0, cut)) applyHalf(entries, half)
    names.set(folder, entries)
    if (folder.halves.length > 0) told.push(`#${folder.id} ${cut} of ${folder.halves.length}`)
  }
  return { names, choice: `folders: ${told.join(', ')}` }
}

function isDone(half: Half, cuts: ReadonlyMap<Inode, number>): boolean {
  const at = half.folder.halves.indexOf(half)
  return at === -1 || at < (cuts.get(half.folder) ?? 0)
}

function allFolders(model: DiskModel): Inode[] {
  const found = new Set<Inode>([model.root])
  for (const folder of found) {
    for (const inode of [...folder.names.values(), ...folder.durableNames.values()]) {
      if (inode.isFolder) found.add(inode)
    }
    for (const { add } of folder.halves) if (add?.inode.isFolder === true) found.add(add.inode)
  }
  return [...found]
}

function contentOf(
  inode: Inode,
  path: string,
  random: Random,
  chosen: string[],
): Pick<CrashFile, 'content' | 'contentKey'> {
  if (path.endsWith('-shm')) {
    // Nothing of it is ever synced: mapped memory of a process that is gone.
    const isNoise = randomInteger(random, 0, 1) === 0
    const size = Math.max(inode.size, 32_768)
    return { content: isNoise ? Buffer.from(random.bytes(size)) : Buffer.alloc(size), contentKey: null }
  }
  if (inode.changes.length === 0) {
    return { content: inode.durable, contentKey: `${inode.id}.${inode.version}` }
  }
  const how = randomInteger(random, 0, 3)
  if (how === 0) {
    chosen.push(`${path} as synced`)
    return { content: inode.durable, contentKey: `${inode.id}.${inode.version}` }
  }
  if (how === 1) {
    chosen.push(`${path} whole`)
    return { content: wholeContent(inode), contentKey: null }
  }
  chosen.push(`${path} torn`)
  return { content: tornContent(inode, random), contentKey: null }
}

/** Each page as it was after any number of the changes, and a size that the file had once. */
function tornContent(inode: Inode, random: Random): Buffer {
  const sizes = [inode.durable.length]
  for (const change of inode.changes) sizes.push(sizeAfter(sizes.at(-1) as number, change))
  const size = sizes[randomInteger(random, 0, sizes.length - 1)] as number
  const content = Buffer.alloc(size)
  for (let page = 0; page < size; page += PAGE_BYTES) {
    const end = Math.min(size, page + PAGE_BYTES)
    if (page < inode.durable.length)
      inode.durable.copy(content, page, page, Math.min(end, inode.durable.length))
    const touching = inode.changes.filter((change) =>
      change.kind === 'size'
        ? change.size < end
        : change.offset < end && change.offset + change.bytes.length > page,
    )
    const count = randomInteger(random, 0, touching.length)
    for (const change of touching.slice(0, count)) {
      if (change.kind === 'size') {
        content.fill(0, Math.max(page, change.size), end)
        continue
      }
      const from = Math.max(page, change.offset)
      const to = Math.min(end, change.offset + change.bytes.length)
      change.bytes.copy(content, from, from - change.offset, to - change.offset)
    }
  }
  return content
}

function sizeAfter(size: number, change: Change): number {
  return change.kind === 'size' ? change.size : Math.max(size, change.offset + change.bytes.length)
}
