/**
 * Keys of channels on their way out and in: as files that people keep elsewhere.
 *
 * @module node/channel-keys
 */
import { equalBytes, toHex } from '../base/bytes.ts'
import { isChannelName } from '../base/channel-name.ts'
import type { Clock } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { SigningKey } from '../crypto/ed25519.ts'
import { PUBLIC_READ_KEY } from '../crypto/key-schedule.ts'
import { wipe } from '../crypto/wipe.ts'
import { type KeyForm, readKeyExport, writeKeyExport } from '../storage/key-export.ts'
import type { Keystore } from '../storage/keystore.ts'
import type { State } from '../storage/state.ts'
import type { ChannelRow } from '../storage/tables/channels-table.ts'
import type { ExportChannelParams, ImportChannelParams } from './api.ts'
import { readPassphrase } from './secret-line.ts'

export interface ChannelKeysDeps {
  readonly state: State
  readonly keystore: Keystore
  readonly clock: Clock
  readonly random: Random
}

/** What a channel of which nothing is known begins with. */
export const NEW_CHANNEL = { sequence: 0, revision: 0, publishedIngest: null } as const

/** Marks a channel whose numbers may go on elsewhere: look before the first release here. */
export const importedMark = (publicKey: Uint8Array): string => `channel.imported.${toHex(publicKey)}`

/** @throws MegatorrentError ERR_KEY_MISSING, ERR_PASSPHRASE_FILE, ERR_KEYSTORE_LOCKED, or as `writeKeyExport`. */
export async function exportChannelKey(
  { keystore, random }: ChannelKeysDeps,
  publicKey: Uint8Array,
  { file, words, passphraseFile }: Omit<ExportChannelParams, 'channel'>,
): Promise<void> {
  const form = formOf(words, passphraseFile)
  const record = keystore.get(publicKey)
  if (record === null) throw new MegatorrentError('ERR_KEY_MISSING', 'the key of this channel is missing')
  try {
    await writeKeyExport(record, form, file, random)
  } finally {
    wipe(record.seed, record.readKey)
  }
}

function formOf(words: boolean, passphraseFile: string | null): KeyForm {
  if (passphraseFile === null) return { kind: words ? 'words' : 'plain' }
  if (words) throw new MegatorrentError('ERR_USAGE', 'words are under no passphrase: leave out one of them')
  return { kind: 'sealed', passphrase: readPassphrase(passphraseFile) }
}

/**
 * Take a key in: durable when this resolves. A channel that is here stays as it is, but for a key that was lost.
 *
 * @throws MegatorrentError ERR_USAGE (it has no name), ERR_NAME_TAKEN, ERR_KEY_EXISTS, ERR_KEYSTORE_LOCKED,
 *   ERR_PASSPHRASE_FILE, or as `readKeyExport`. Nothing has changed then.
 */
export async function importChannelKey(
  { keystore, state, clock }: ChannelKeysDeps,
  { file, name, passphraseFile }: ImportChannelParams,
): Promise<ChannelRow> {
  const passphrase = passphraseFile === null ? null : readPassphrase(passphraseFile)
  const read = await readKeyExport(file, passphrase)
  try {
    // From here on nothing else runs in between.
    const { publicKey } = new SigningKey(read.seed)
    const known = state.channels.get(publicKey)
    const called = known?.name ?? checkedName(name ?? read.name)
    const taken = state.channels.byName(called)
    if (taken !== null && !equalBytes(taken.publicKey, publicKey)) {
      throw new MegatorrentError('ERR_NAME_TAKEN', 'there is a channel of that name: choose another')
    }
    keystore.add({ ...read, name: called, createdAt: read.createdAt ?? clock.now() })
    if (known !== null) return known
    const row: ChannelRow = {
      ...NEW_CHANNEL,
      publicKey,
      name: called,
      private: !equalBytes(read.readKey, PUBLIC_READ_KEY),
      open: read.open,
      createdAt: clock.now(),
    }
    state.database.transaction(() => {
      state.channels.add(row)
      state.meta.set(importedMark(publicKey), 1)
    })
    return row
  } finally {
    wipe(read.seed, read.readKey)
  }
}

function checkedName(name: string | null): string {
  if (name === null) {
    throw new MegatorrentError('ERR_USAGE', 'there is no name in the file: give one with --name')
  }
  if (isChannelName(name)) return name
  throw new MegatorrentError('ERR_USAGE', 'a channel cannot be called as the file says: give --name')
}
