/**
 * Disk state: what lies at the paths of a subscription's folder, looked at from
 * the top down, so that no symlink is ever followed.
 *
 * @module channels/disk-state
 */
import { forEachLimited } from '../base/queue.ts'
import { type DiskNode, parentsOf } from './assemble-plan.ts'
import type { FolderFs } from './folder-fs.ts'
import { nextTurn, Pacer } from './turns.ts'

/** Looks in flight. */
const LOOKS_IN_FLIGHT = 64

/** Where a path of a manifest lies below the folder of a subscription; the empty path is the folder. */
export function placeOf(directory: string, path: string): string {
  return path === '' ? directory : `${directory}/${path}`
}

/**
 * What is at each of these paths and the folders that they stand in. Absent paths
 * are not in the map; below anything but a folder nothing is looked for.
 */
export async function readDiskState(
  fs: FolderFs,
  directory: string,
  paths: Iterable<string>,
): Promise<Map<string, DiskNode>> {
  const levels: Set<string>[] = []
  const pacer = new Pacer()
  for (const path of paths) {
    if (pacer.due()) await nextTurn()
    let depth = 0
    for (const parent of parentsOf(path)) {
      levels[depth] = (levels[depth] ?? new Set()).add(parent)
      depth += 1
    }
    levels[depth] = (levels[depth] ?? new Set()).add(path)
  }
  const nodes = new Map<string, DiskNode>()
  for (const level of levels) {
    const reachable = [...(level ?? [])].filter((path) => isReachable(nodes, path))
    await forEachLimited(reachable, LOOKS_IN_FLIGHT, async (path) => {
      const node = await fs.look(placeOf(directory, path))
      if (node !== null) nodes.set(path, node)
    })
  }
  return nodes
}

function isReachable(nodes: ReadonlyMap<string, DiskNode>, path: string): boolean {
  const slash = path.lastIndexOf('/')
  return slash === -1 || nodes.get(path.slice(0, slash))?.kind === 'folder'
}
