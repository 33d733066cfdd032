/**
 * What a subscription may ask for, apart from what is followed already.
 *
 * @module node/subscription-rules
 */
import { MegatorrentError } from '../base/errors.ts'
import { isWithin, ownFolder } from '../config/rules.ts'

/** A release may have any names: it could bring us settings and keys. */
export function assertNotOurs(dataDir: string, directory: string): void {
  if (ownFolder(dataDir, directory) === null && !isWithin(directory, dataDir)) return
  const message = `${directory} is or holds a folder of the daemon's own: choose another`
  throw new MegatorrentError('ERR_SUBSCRIPTION_DIR', message)
}

/** In whatever order they were given. */
export function isSameSelection(a: readonly string[], b: readonly string[]): boolean {
  return JSON.stringify([...new Set(a)].sort()) === JSON.stringify([...new Set(b)].sort())
}
