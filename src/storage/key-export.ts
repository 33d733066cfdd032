/**
 * A channel key in a file of its own, to be kept elsewhere: plain, sealed under a passphrase, or as words for
 * paper. An import tells by the content which of them a file is.
 *
 * @module storage/key-export
 */
import { utf8Bytes, utf8Text } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { MAX_KEY_FILE_BYTES } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import {
  DEFAULT_SCRYPT_COST,
  PASSPHRASE_SALT_BYTES,
  passphraseKey,
  type ScryptCost,
} from '../crypto/passphrase.ts'
import { loadSeedWords } from '../crypto/seed-words.ts'
import { wipe } from '../crypto/wipe.ts'
import { createFileExclusive, readSecretFileIfExists } from './atomic-file.ts'
import {
  decodeKeyFile,
  decodePassphraseKeyFile,
  encodeKeyFile,
  encodePassphraseKeyFile,
  isKeyFile,
  isPassphraseKeyFile,
  isSealedKeyFile,
  type KeyRecord,
  openPassphraseKeyFile,
} from './key-file.ts'
import { formatKeyWords, parseKeyWords, type WordsRecord } from './key-words.ts'

/** What an export is to be. */
export type KeyForm =
  | { readonly kind: 'plain' }
  | { readonly kind: 'words' }
  | { readonly kind: 'sealed'; readonly passphrase: string; readonly cost?: ScryptCost }

/**
 * Write a channel's key to a new file of mode 0600.
 *
 * @throws MegatorrentError ERR_PASSPHRASE (an empty one), ERR_FILE_EXISTS, ERR_USAGE (there is no such folder),
 *   or one of kind 'storage'. Cost of a sealed one: some 0.4 s and 128 MiB, off the main thread.
 */
export async function writeKeyExport(
  record: Omit<KeyRecord, 'kind'>,
  form: KeyForm,
  path: string,
  random: Random,
): Promise<void> {
  const bytes = await encodeExport(record, form, random)
  try {
    createFileExclusive(path, bytes)
  } finally {
    wipe(bytes)
  }
}

async function encodeExport(
  channel: Omit<KeyRecord, 'kind'>,
  form: KeyForm,
  random: Random,
): Promise<Uint8Array> {
  const record: KeyRecord = { ...channel, kind: 'channel' }
  switch (form.kind) {
    case 'plain':
      return encodeKeyFile(record, null, random)
    case 'words':
      return utf8Bytes(formatKeyWords(record, await loadSeedWords()))
    case 'sealed': {
      if (form.passphrase === '') throw new MegatorrentError('ERR_PASSPHRASE', 'the passphrase is empty')
      const cost = form.cost ?? DEFAULT_SCRYPT_COST
      const salt = random.bytes(PASSPHRASE_SALT_BYTES)
      const key = await passphraseKey(form.passphrase, salt, cost)
      try {
        return encodePassphraseKeyFile(record, key, salt, cost, random)
      } finally {
        wipe(key)
      }
    }
  }
}

/**
 * Read the key of an exported file, whatever its form. Nothing but reading is done.
 *
 * @param passphrase - null: none was given. One that is not needed is refused, since who gives it
 *   believes the file to be protected.
 * @throws MegatorrentError ERR_NOT_FOUND, ERR_KEY_FILE_MODE, ERR_KEY_FILE_FORMAT, ERR_KEY_WORDS, ERR_PASSPHRASE,
 *   ERR_KDF_PARAMETERS, ERR_USAGE, or one of kind 'storage'.
 */
export async function readKeyExport(path: string, passphrase: string | null): Promise<WordsRecord> {
  const bytes = readSecretFileIfExists(path, MAX_KEY_FILE_BYTES)
  if (bytes === null) throw new MegatorrentError('ERR_NOT_FOUND', `${path} does not exist`)
  try {
    if (isPassphraseKeyFile(bytes)) return channelOf(await openSealed(bytes, path, passphrase), path)
    if (passphrase !== null) {
      throw new MegatorrentError('ERR_USAGE', `${path} is under no passphrase: leave out --passphrase-file`)
    }
    if (isSealedKeyFile(bytes)) {
      throw unreadable(path, 'it is sealed for the keys beside it: export the channel there')
    }
    if (isKeyFile(bytes)) return channelOf(decodeKeyFile(bytes, null, path), path)
    return parseKeyWords(textOf(bytes, path), await loadSeedWords(), path)
  } finally {
    wipe(bytes)
  }
}

async function openSealed(bytes: Uint8Array, path: string, passphrase: string | null): Promise<KeyRecord> {
  const file = decodePassphraseKeyFile(bytes, path)
  if (passphrase === null) {
    throw new MegatorrentError('ERR_PASSPHRASE', `${path} is under a passphrase: give --passphrase-file`)
  }
  const key = await passphraseKey(passphrase, file.salt, file.cost)
  const record = openPassphraseKeyFile(file, key, path)
  wipe(key)
  if (record === null) throw new MegatorrentError('ERR_PASSPHRASE', 'the passphrase is not the right one')
  return record
}

function channelOf({ kind, ...record }: KeyRecord, path: string): WordsRecord {
  if (kind === 'channel') return record
  throw unreadable(path, "it holds a node key, not a channel's")
}

function textOf(bytes: Uint8Array, path: string): string {
  const text = utf8Text(bytes)
  // Tabs and ends of lines aside: what people type has none, and a damaged key file has.
  const isText = text !== null && !/(?![\t\n\v\f\r])\p{Cc}/u.test(text)
  if (!isText) throw unreadable(path, 'it is neither a key file nor text in UTF-8')
  return text
}

function unreadable(path: string, why: string): MegatorrentError {
  return new MegatorrentError('ERR_KEY_FILE_FORMAT', `${path} cannot be read: ${why}`)
}
