/**
 * What lies directly in a folder of a release, from the list of its paths.
 *
 * A folder may have a million entries below it, so those of its folders are passed
 * over by searching and not by looking at each.
 *
 * @module channels/folder-listing
 */
import type { Manifest } from '../wire/manifest.ts'

export interface FolderChild {
  readonly name: string
  readonly kind: 'file' | 'folder'
  /** Bytes; 0 for a folder. */
  readonly size: number
}

export interface FolderPage {
  readonly children: readonly FolderChild[]
  /** The name after which to go on; null at the end. */
  readonly next: string | null
}

/** The byte after `/`: no path below a folder is as high as the folder's own with it. */
const AFTER_SLASH = '0'

/**
 * Children of a folder in the byte order of their paths.
 *
 * @param folder - '' for the top, else a path without a slash at the end.
 * @param after - a name to go on after; null: from the first.
 * @returns null when the release has no such folder.
 * Cost: O(limit * log entries).
 */
export function listFolder(
  manifest: Manifest,
  folder: string,
  after: string | null,
  limit: number,
): FolderPage | null {
  const prefix = folder === '' ? '' : `${folder}/`
  let index = after === null ? manifest.firstFrom(prefix) : pastChild(manifest, `${prefix}${after}`)
  const children: FolderChild[] = []
  while (index < manifest.entryCount && children.length < limit) {
    const path = manifest.path(index)
    if (!path.startsWith(prefix)) break
    const [name = '', ...below] = path.slice(prefix.length).split('/')
    const { kind, size } = below.length > 0 ? FOLDER : manifest.entry(index)
    children.push({ name, kind, size })
    index = below.length > 0 ? manifest.firstFrom(`${prefix}${name}${AFTER_SLASH}`) : index + 1
  }
  if (children.length === 0 && !exists(manifest, folder)) return null
  const last = children.at(-1)
  const isMore = index < manifest.entryCount && manifest.path(index).startsWith(prefix)
  return { children, next: isMore && last !== undefined ? last.name : null }
}

const FOLDER = { kind: 'folder', size: 0 } as const

/** Past a child that was listed, and all that lies in it: a folder stands where its slash puts it. */
function pastChild(manifest: Manifest, path: string): number {
  const inside = manifest.firstFrom(`${path}/`)
  const isFolder = inside < manifest.entryCount && manifest.path(inside).startsWith(`${path}/`)
  if (isFolder) return manifest.firstFrom(`${path}${AFTER_SLASH}`)
  const index = manifest.indexOf(path)
  return index >= 0 ? index + 1 : manifest.firstFrom(path)
}

function exists(manifest: Manifest, folder: string): boolean {
  if (folder === '') return true
  const index = manifest.indexOf(folder)
  if (index >= 0) return manifest.entry(index).kind === 'folder'
  const first = manifest.firstFrom(`${folder}/`)
  return first < manifest.entryCount && manifest.path(first).startsWith(`${folder}/`)
}
