/**
 * Reads the project as data: every lint test is a pure function over these
 * files, so that each can also be run on planted faults.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** One file of the project. `path` is relative to its root, with forward slashes. */
export interface ProjectFile {
  readonly path: string
  readonly text: string
}

export const PROJECT_ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

const NEVER_READ: ReadonlySet<string> = new Set(['node_modules', 'dist', 'coverage', '.git'])

/** All files below the folders or files named, whose name ends in one of `endings`. */
export function readProjectFiles(
  places: readonly string[],
  endings: readonly string[],
): readonly ProjectFile[] {
  const found: ProjectFile[] = []
  for (const place of places) collect(join(PROJECT_ROOT, place), endings, found)
  return found.sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** One file, or null when the project has none of that name. */
export function readProjectFile(path: string): ProjectFile | null {
  const full = join(PROJECT_ROOT, path)
  return existsSync(full) ? { path, text: readFileSync(full, 'utf8') } : null
}

function collect(full: string, endings: readonly string[], found: ProjectFile[]): void {
  if (!existsSync(full)) return
  const path = relative(PROJECT_ROOT, full).split('\\').join('/')
  if (endings.some((ending) => full.endsWith(ending))) {
    found.push({ path, text: readFileSync(full, 'utf8') })
    return
  }
  const entries = tryReadFolder(full)
  for (const name of entries) {
    if (!NEVER_READ.has(name)) collect(join(full, name), endings, found)
  }
}

function tryReadFolder(full: string): readonly string[] {
  try {
    return readdirSync(full)
  } catch {
    return [] // a file of another kind, or one that another test has just removed
  }
}
