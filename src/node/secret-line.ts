/**
 * Secrets of the user that are not keys: they come from files, never from arguments or the environment.
 *
 * @module node/secret-line
 */
import { utf8Text } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { MAX_SECRET_FILE_BYTES } from '../base/limits.ts'
import { readFileIfExists } from '../storage/atomic-file.ts'

/** @returns the text of a file without the end of its line, or null if it is missing or no text. */
export function readSecretLine(path: string): string | null {
  const bytes = readFileIfExists(path, MAX_SECRET_FILE_BYTES)
  const text = bytes === null ? null : utf8Text(bytes)
  return text === null ? null : text.replace(/\r?\n$/, '')
}

/** @throws MegatorrentError ERR_PASSPHRASE_FILE. */
export function readPassphrase(path: string): string {
  const passphrase = readSecretLine(path)
  if (passphrase !== null) return passphrase
  throw new MegatorrentError('ERR_PASSPHRASE_FILE', 'the passphrase file is missing or is not text')
}
