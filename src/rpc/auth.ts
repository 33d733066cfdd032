/**
 * The token of the RPC server: who can read a 0600 file of the daemon's user may
 * call. New at every start, so that an old copy is worth nothing.
 *
 * Files are written here and not in storage, because they belong to the RPC
 * server: no other part knows that they exist.
 *
 * @module rpc/auth
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { toHex } from '../base/bytes.ts'
import type { Random } from '../base/random.ts'

export const COOKIE_FILE = 'rpc.cookie'
export const DAEMON_FILE = 'daemon.json'

/** 256 bits as 64 hex digits. */
export function createToken(random: Random): string {
  return toHex(random.bytes(32))
}

/**
 * Compare with the token in time that does not depend on where they differ:
 * both sides are hashed first, so lengths are equal too.
 */
export function tokenVerifier(token: string): (given: string) => boolean {
  const expected = sha256(token)
  return (given) => timingSafeEqual(sha256(given), expected)
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest()
}

/** Replace a file in the data folder by one that only its user can read (0600). Whole or not at all. */
export async function writePrivateFile(folder: string, name: string, text: string): Promise<void> {
  const path = join(folder, name)
  const temporary = `${path}.new`
  await rm(temporary, { force: true })
  // wx: a link that somebody put in the way is not followed.
  const file = await open(temporary, 'wx', 0o600)
  try {
    await file.writeFile(text)
  } finally {
    await file.close()
  }
  await rename(temporary, path)
}

/** What is only true while we run is removed when we stop. */
export async function removeFile(folder: string, name: string): Promise<void> {
  await rm(join(folder, name), { force: true })
}
