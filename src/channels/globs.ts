/**
 * Globs of wanted paths (`--only`), as picomatch has them on whole paths.
 *
 * The glob is the user's and the paths are a stranger's: a pattern whose regular
 * expression could walk through a path in many ways would let a release stop the
 * process. Such patterns are refused when they are given.
 *
 * @module channels/globs
 */
import picomatch from 'picomatch'
import { MegatorrentError } from '../base/errors.ts'
import { MAX_GLOB_CHARACTERS, MAX_GLOB_GLOBSTARS, MAX_GLOB_STARS_A_PART } from '../base/limits.ts'

/** A repeated group with something in it that can match in several ways: `+(*a)`, `*(a?b*)`. */
const REPEATED_WILDCARD = /[*+]\([^)]*[*+?]/

/**
 * A test for paths: true when one of the globs matches, or when there is none. `*` stops at `/`.
 *
 * @throws MegatorrentError ERR_USAGE for a glob that is empty, too long or too ambiguous.
 */
export function compileGlobs(globs: readonly string[]): (path: string) => boolean {
  for (const glob of globs) assertGlob(glob)
  return globs.length === 0 ? () => true : picomatch([...globs])
}

function assertGlob(glob: string): void {
  const parts = glob.split('/')
  const globstars = parts.filter((part) => part.includes('**')).length
  const stars = Math.max(...parts.map(countStars))
  const isSound =
    glob.length > 0 &&
    glob.length <= MAX_GLOB_CHARACTERS &&
    globstars <= MAX_GLOB_GLOBSTARS &&
    stars <= MAX_GLOB_STARS_A_PART &&
    !REPEATED_WILDCARD.test(glob)
  if (isSound) return
  const bounds = `at most ${MAX_GLOB_GLOBSTARS} of **, and ${MAX_GLOB_STARS_A_PART} of * between two slashes`
  const shown = glob.length > 80 ? `${glob.slice(0, 80)}...` : glob
  throw new MegatorrentError(
    'ERR_USAGE',
    `the pattern ${JSON.stringify(shown)} is too complex: use ${bounds}`,
  )
}

function countStars(part: string): number {
  return part === '**' ? 0 : (part.match(/\*+|\+\(/g) ?? []).length
}
