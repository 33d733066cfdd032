/**
 * The keystore: seeds and read keys of our channels and the node key, one file
 * each in `keys/`, readable by their owner alone.
 *
 * With a passphrase every file is sealed under a random master key, which the
 * file `master` keeps sealed under the passphrase; so the passphrase can change
 * without touching the keys, and the database is encrypted under a key of the
 * same root. File names then say nothing either. A plain keystore becomes an encrypted
 * one when a passphrase is first given; a crash on the way is finished at the next
 * unlock.
 *
 * Every file is replaced in one step; what is removed is overwritten first. Nothing
 * secret is kept in memory but the master key, and nothing is in any message.
 *
 * @module storage/keystore
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { assertBytes, equalBytes, toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import { MAX_KEY_FILE_BYTES } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { SigningKey } from '../crypto/ed25519.ts'
import {
  DEFAULT_SCRYPT_COST,
  PASSPHRASE_SALT_BYTES,
  passphraseKey,
  type ScryptCost,
} from '../crypto/passphrase.ts'
import { wipe } from '../crypto/wipe.ts'
import {
  ensurePrivateFolder,
  readSecretFileIfExists,
  removeSecretFile,
  replaceSecretFile,
  shredFile,
  writeFileAtomic,
} from './atomic-file.ts'
import { withDiskErrors } from './disk-error.ts'
import {
  decodeKeyFile,
  decodeMasterFile,
  deriveDatabaseKey,
  deriveFileName,
  encodeKeyFile,
  encodeMasterFile,
  isSealedKeyFile,
  type KeyRecord,
  MASTER_KEY_BYTES,
  openMasterKey,
} from './key-file.ts'

const MASTER_FILE = 'master'
const NODE_FILE = 'node.key'
const KEY_SUFFIX = '.key'
const SEED_BYTES = 32

export interface KeystoreInit {
  /** The folder `keys`, made with mode 0700 if missing. */
  readonly folder: string
  readonly random: Random
  readonly clock: Clock
  /** Cost of one guess of the passphrase; for files made from now on. */
  readonly scryptCost?: ScryptCost
}

/** A channel's key with its secrets: the caller wipes what it does not need. */
export interface ChannelKey extends Omit<KeyRecord, 'kind'> {
  readonly publicKey: Uint8Array
}

export interface NewChannel {
  readonly name: string
  readonly private: boolean
  readonly open: boolean
}

export class Keystore {
  readonly #folder: string
  readonly #random: Random
  readonly #clock: Clock
  readonly #scryptCost: ScryptCost
  #encrypted: boolean
  #masterKey: Uint8Array | null = null

  private constructor(init: KeystoreInit) {
    this.#folder = init.folder
    this.#random = init.random
    this.#clock = init.clock
    this.#scryptCost = init.scryptCost ?? DEFAULT_SCRYPT_COST
    this.#encrypted = this.#read(MASTER_FILE) !== null
  }

  /**
   * Open the keystore. An encrypted one is locked until `unlock`.
   *
   * @throws MegatorrentError ERR_DATA_DIR_MODE, ERR_KEY_FILE_MODE (others can reach a file), or one of kind 'storage'.
   */
  static open(init: KeystoreInit): Keystore {
    ensurePrivateFolder(init.folder)
    const store = new Keystore(init)
    for (const name of store.#names()) {
      // What a crash left of writeFileAtomic or removeSecretFile may hold a key.
      if (name.endsWith('.tmp')) shredFile(join(init.folder, name))
      else if (name.endsWith(KEY_SUFFIX)) store.#read(name)
    }
    return store
  }

  /** Is there a master key, known or not? */
  get encrypted(): boolean {
    return this.#encrypted
  }

  /** Encrypted, and no passphrase was given yet: nothing can be read or written. */
  get locked(): boolean {
    return this.#encrypted && this.#masterKey === null
  }

  /**
   * Give the passphrase. The first one that a plain keystore is given encrypts it.
   *
   * @throws MegatorrentError ERR_PASSPHRASE when it is another one. Cost: some 0.4 s and 128 MiB, off the main thread.
   */
  async unlock(passphrase: string): Promise<void> {
    if (passphrase === '') throw new MegatorrentError('ERR_PASSPHRASE', 'the passphrase is empty')
    if (this.#encrypted) {
      this.#masterKey = await this.#openMaster(passphrase)
    } else {
      const masterKey = this.#random.bytes(MASTER_KEY_BYTES)
      await this.#writeMaster(masterKey, passphrase)
      this.#masterKey = masterKey
      this.#encrypted = true
    }
    this.#sealPlainFiles(this.#masterKey)
  }

  /** @throws MegatorrentError ERR_PASSPHRASE when `current` is not the passphrase; nothing changes then. */
  async changePassphrase(current: string, next: string): Promise<void> {
    if (next === '') throw new MegatorrentError('ERR_PASSPHRASE', 'the new passphrase is empty')
    const masterKey = await this.#openMaster(current)
    await this.#writeMaster(masterKey, next)
    this.#masterKey = masterKey
  }

  /** 32 bytes for `openState`, or null when the keystore is plain. @throws MegatorrentError ERR_KEYSTORE_LOCKED. */
  databaseKey(): Uint8Array | null {
    const masterKey = this.#unlockedKey()
    return masterKey === null ? null : deriveDatabaseKey(masterKey)
  }

  /** Seed of the node key, made when there is none. 32 fresh bytes. @throws MegatorrentError ERR_KEYSTORE_LOCKED. */
  nodeSeed(): Uint8Array {
    const masterKey = this.#unlockedKey()
    const bytes = this.#read(NODE_FILE)
    if (bytes !== null) return decodeKeyFile(bytes, masterKey, join(this.#folder, NODE_FILE)).seed
    const seed = this.#random.bytes(SEED_BYTES)
    const record = {
      kind: 'node',
      name: '',
      private: false,
      open: false,
      seed,
      readKey: new Uint8Array(SEED_BYTES),
    } as const
    this.#write(NODE_FILE, { ...record, createdAt: this.#clock.now() })
    return seed
  }

  /**
   * Make a channel: durable when this returns.
   *
   * @throws MegatorrentError ERR_NAME_TAKEN, ERR_KEYSTORE_LOCKED, or one of kind 'storage'.
   */
  create(channel: NewChannel): ChannelKey {
    const readKey = channel.private ? this.#random.bytes(SEED_BYTES) : new Uint8Array(SEED_BYTES)
    return this.add({
      ...channel,
      createdAt: this.#clock.now(),
      seed: this.#random.bytes(SEED_BYTES),
      readKey,
    })
  }

  /**
   * Add a key made elsewhere. The same key again changes nothing but its name.
   *
   * @throws as `create`; ERR_KEY_EXISTS when the key is here with another read key.
   */
  add(record: Omit<KeyRecord, 'kind'>): ChannelKey {
    assertBytes(record.seed, SEED_BYTES, 'seed')
    assertBytes(record.readKey, SEED_BYTES, 'readKey')
    const { publicKey } = new SigningKey(record.seed)
    const others = this.list()
    if (others.some((other) => other.name === record.name && !equalBytes(other.publicKey, publicKey))) {
      throw new MegatorrentError(
        'ERR_NAME_TAKEN',
        `a channel named "${record.name}" exists already: choose another name`,
      )
    }
    const same = others.find((other) => equalBytes(other.publicKey, publicKey))
    if (same !== undefined && !equalBytes(same.readKey, record.readKey)) {
      throw new MegatorrentError(
        'ERR_KEY_EXISTS',
        `channel "${same.name}" has this key with another read key`,
      )
    }
    const kept = same === undefined ? { ...record, publicKey } : { ...same, name: record.name }
    this.#write(this.#fileName(publicKey), { ...kept, kind: 'channel' })
    return kept
  }

  /** All channel keys in order of names, secrets included. Cost: some 0.1 ms each. @throws MegatorrentError ERR_KEYSTORE_LOCKED. */
  list(): ChannelKey[] {
    const masterKey = this.#unlockedKey()
    const keys: ChannelKey[] = []
    for (const name of this.#names()) {
      if (!name.endsWith(KEY_SUFFIX) || name === NODE_FILE) continue
      const bytes = this.#read(name)
      if (bytes !== null) keys.push(channelKey(decodeKeyFile(bytes, masterKey, join(this.#folder, name))))
    }
    return keys.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** One channel's key, or null when it is not ours. @throws MegatorrentError ERR_KEYSTORE_LOCKED. */
  get(publicKey: Uint8Array): ChannelKey | null {
    const masterKey = this.#unlockedKey()
    const name = this.#fileName(publicKey)
    const bytes = this.#read(name)
    if (bytes === null) return null
    const key = channelKey(decodeKeyFile(bytes, masterKey, join(this.#folder, name)))
    if (equalBytes(key.publicKey, publicKey)) return key
    throw new MegatorrentError(
      'ERR_KEY_FILE_FORMAT',
      `${name} in ${this.#folder} holds the key of another channel`,
    )
  }

  /** Overwrite and remove a channel's key. @returns whether there was one. @throws MegatorrentError ERR_KEYSTORE_LOCKED. */
  remove(publicKey: Uint8Array): boolean {
    if (this.get(publicKey) === null) return false
    removeSecretFile(join(this.#folder, this.#fileName(publicKey)))
    return true
  }

  /** Forget the master key. The keystore is locked then, if it is encrypted. */
  lock(): void {
    if (this.#masterKey !== null) wipe(this.#masterKey)
    this.#masterKey = null
  }

  #unlockedKey(): Uint8Array | null {
    if (this.locked)
      throw new MegatorrentError('ERR_KEYSTORE_LOCKED', 'the keys are locked: give the passphrase')
    return this.#masterKey
  }

  #fileName(publicKey: Uint8Array): string {
    const masterKey = this.#unlockedKey()
    const stem = masterKey === null ? publicKey : deriveFileName(masterKey, publicKey)
    return `${toHex(stem)}${KEY_SUFFIX}`
  }

  #names(): string[] {
    return withDiskErrors(`reading ${this.#folder}`, () => readdirSync(this.#folder).sort())
  }

  #read(name: string): Uint8Array | null {
    return readSecretFileIfExists(join(this.#folder, name), MAX_KEY_FILE_BYTES)
  }

  #write(name: string, record: KeyRecord): void {
    writeFileAtomic(join(this.#folder, name), encodeKeyFile(record, this.#masterKey, this.#random))
  }

  async #openMaster(passphrase: string): Promise<Uint8Array> {
    const path = join(this.#folder, MASTER_FILE)
    const bytes = this.#read(MASTER_FILE)
    if (bytes === null) throw new MegatorrentError('ERR_PASSPHRASE', 'the keys have no passphrase yet')
    const file = decodeMasterFile(bytes, path)
    const key = await passphraseKey(passphrase, file.salt, file.cost)
    const masterKey = openMasterKey(file, key)
    wipe(key)
    if (masterKey === null)
      throw new MegatorrentError('ERR_PASSPHRASE', 'the passphrase is not the right one')
    return masterKey
  }

  async #writeMaster(masterKey: Uint8Array, passphrase: string): Promise<void> {
    const salt = this.#random.bytes(PASSPHRASE_SALT_BYTES)
    const key = await passphraseKey(passphrase, salt, this.#scryptCost)
    const bytes = encodeMasterFile(masterKey, key, salt, this.#scryptCost, this.#random)
    wipe(key)
    const path = join(this.#folder, MASTER_FILE)
    // What the old passphrase opened must not be found on the disk again.
    if (this.#encrypted) replaceSecretFile(path, bytes)
    else writeFileAtomic(path, bytes)
  }

  /** Seal what is still plain: all files after the first passphrase, or what a crash left of that. */
  #sealPlainFiles(masterKey: Uint8Array): void {
    for (const name of this.#names()) {
      const bytes = name.endsWith(KEY_SUFFIX) ? this.#read(name) : null
      if (bytes === null || isSealedKeyFile(bytes)) continue
      const path = join(this.#folder, name)
      const record = decodeKeyFile(bytes, masterKey, path)
      const sealed = encodeKeyFile(record, masterKey, this.#random)
      if (record.kind === 'node') {
        replaceSecretFile(path, sealed)
        continue
      }
      const target = `${toHex(deriveFileName(masterKey, new SigningKey(record.seed).publicKey))}${KEY_SUFFIX}`
      writeFileAtomic(join(this.#folder, target), sealed)
      removeSecretFile(path)
    }
  }
}

function channelKey({ kind: _, ...record }: KeyRecord): ChannelKey {
  return { ...record, publicKey: new SigningKey(record.seed).publicKey }
}
