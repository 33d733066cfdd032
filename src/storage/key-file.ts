/**
 * Key files as bytes: one channel key or the node key, and the master file that
 * keeps the key of an encrypted keystore. Pure; storage/keystore.ts has the files.
 *
 * Key file, integers big-endian:
 *
 *   offset  size  field
 *        0     8  magic 'megakey\n'
 *        8     1  version, 1
 *        9     1  protection: 0 plain, 1 sealed under the master key, 2 sealed under a passphrase
 *       10   155  plain: body 139 and the first 16 bytes of its SHA-256
 *             or  master key: nonce 24, body 139 under XChaCha20-Poly1305, tag 16 (179)
 *             or  passphrase: log2 N, r, p of scrypt, salt 32, nonce 24, body 139, tag 16,
 *                 and the first 16 bytes of the SHA-256 of all that (230)
 *
 * Body:
 *
 *        0     1  kind: 1 channel, 2 node
 *        1     1  flags: bit 0 private, bit 1 open
 *        2     8  made, ms since 1970
 *       10    32  seed
 *       42    32  read key, zeros for a public channel
 *       74     1  n, bytes of the name
 *       75    64  name, the rest zero
 *
 * Master file: magic 'megamst\n', version, log2 N, r, p of scrypt, salt 32, then
 * nonce 24, the master key 32 under the passphrase's key, tag 16. The fields in
 * front of a sealed part are its additional data, so none can be exchanged. The hash
 * of a file under a passphrase is no secret: it tells damage from a wrong passphrase.
 *
 * @module storage/key-file
 */
import {
  ByteReader,
  ByteWriter,
  concatBytes,
  equalBytes,
  isZeroBytes,
  utf8Bytes,
  utf8Text,
} from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { LOCAL_DOMAINS } from '../crypto/domains.ts'
import { hkdfSha256, sha256 } from '../crypto/hash.ts'
import {
  openSecret,
  PASSPHRASE_SALT_BYTES,
  type ScryptCost,
  SEALED_SECRET_OVERHEAD_BYTES,
  sealSecret,
} from '../crypto/passphrase.ts'

export const MASTER_KEY_BYTES = 32
export const MAX_KEY_NAME_BYTES = 64

const KEY_MAGIC = utf8Bytes('megakey\n')
const MASTER_MAGIC = utf8Bytes('megamst\n')
const MAGIC_BYTES = 8
const VERSION = 1
const PLAIN = 0
const SEALED = 1
const UNDER_PASSPHRASE = 2
const KEY_HEADER_BYTES = MAGIC_BYTES + 2
const BODY_BYTES = 139
const CHECK_BYTES = 16
const SECRET_BYTES = 32
const SCRYPT_BYTES = 3 + PASSPHRASE_SALT_BYTES
const MASTER_HEADER_BYTES = MAGIC_BYTES + 1 + SCRYPT_BYTES
const UNDER_PASSPHRASE_HEADER_BYTES = KEY_HEADER_BYTES + SCRYPT_BYTES
const UNDER_PASSPHRASE_BYTES =
  UNDER_PASSPHRASE_HEADER_BYTES + BODY_BYTES + SEALED_SECRET_OVERHEAD_BYTES + CHECK_BYTES
const NAME_BYTES = 16

/** One key as the keystore keeps it. */
export interface KeyRecord {
  readonly kind: 'channel' | 'node'
  /** Of a channel: 1 to 64 bytes of UTF-8. Empty for the node key. */
  readonly name: string
  readonly private: boolean
  readonly open: boolean
  /** ms since 1970. */
  readonly createdAt: number
  /** 32 bytes. Secret. */
  readonly seed: Uint8Array
  /** 32 bytes, zeros for a public channel. Secret when it is not. */
  readonly readKey: Uint8Array
}

/** @param masterKey - seals the record; null: a plain file. @returns fresh bytes that hold secrets when plain. */
export function encodeKeyFile(record: KeyRecord, masterKey: Uint8Array | null, random: Random): Uint8Array {
  const header = concatBytes(KEY_MAGIC, Uint8Array.of(VERSION, masterKey === null ? PLAIN : SEALED))
  const body = encodeBody(record)
  if (masterKey === null) return concatBytes(header, body, checkOf(body))
  return concatBytes(header, sealSecret(derive(masterKey, 'keyFileKey'), body, header, random))
}

/**
 * @param masterKey - null while there is none or it is locked.
 * @param place - path of the file, for messages.
 * @throws MegatorrentError ERR_KEY_FILE_FORMAT (damaged, or no key file), ERR_KEYSTORE_LOCKED (sealed, and no master key).
 */
export function decodeKeyFile(bytes: Uint8Array, masterKey: Uint8Array | null, place: string): KeyRecord {
  if (!isKeyFile(bytes)) throw broken(place, 'it is no key file')
  if (bytes[MAGIC_BYTES] !== VERSION) throw broken(place, 'a newer version wrote it')
  const header = bytes.subarray(0, KEY_HEADER_BYTES)
  const rest = bytes.subarray(KEY_HEADER_BYTES)
  switch (header[MAGIC_BYTES + 1]) {
    case PLAIN: {
      const body = rest.subarray(0, BODY_BYTES)
      const intact =
        rest.length === BODY_BYTES + CHECK_BYTES && equalBytes(rest.subarray(BODY_BYTES), checkOf(body))
      return decodeBody(intact ? body : null, place)
    }
    case SEALED:
      if (masterKey === null) {
        throw new MegatorrentError('ERR_KEYSTORE_LOCKED', 'the keys are locked: give the passphrase')
      }
      return decodeBody(openSecret(derive(masterKey, 'keyFileKey'), rest, header), place)
    case UNDER_PASSPHRASE:
      throw broken(place, 'it is an export under a passphrase, which has to be imported')
    default:
      throw broken(place, 'its protection is unknown')
  }
}

/** Does it begin as a key file does, whatever its protection? */
export function isKeyFile(bytes: Uint8Array): boolean {
  return equalBytes(bytes.subarray(0, MAGIC_BYTES), KEY_MAGIC)
}

/** Is the file sealed under a master key? Anything that is no key file is not. */
export function isSealedKeyFile(bytes: Uint8Array): boolean {
  return isKeyFile(bytes) && bytes[MAGIC_BYTES + 1] === SEALED
}

/** Is it a key file under a passphrase of its own? */
export function isPassphraseKeyFile(bytes: Uint8Array): boolean {
  return isKeyFile(bytes) && bytes[MAGIC_BYTES + 1] === UNDER_PASSPHRASE
}

/** What a file under a passphrase says before one is tried. */
export interface PassphraseFile {
  readonly cost: ScryptCost
  readonly salt: Uint8Array
  /** All in front of what is sealed. */
  readonly header: Uint8Array
  readonly sealed: Uint8Array
}

/** @param passphraseKey - 32 bytes of crypto/passphrase `passphraseKey` with this salt and cost. */
export function encodePassphraseKeyFile(
  record: KeyRecord,
  passphraseKey: Uint8Array,
  salt: Uint8Array,
  cost: ScryptCost,
  random: Random,
): Uint8Array {
  const { logN, r, p } = cost
  const header = concatBytes(KEY_MAGIC, Uint8Array.of(VERSION, UNDER_PASSPHRASE, logN, r, p), salt)
  const file = concatBytes(header, sealSecret(passphraseKey, encodeBody(record), header, random))
  return concatBytes(file, checkOf(file))
}

/**
 * @param bytes - for which `isPassphraseKeyFile` holds.
 * @throws MegatorrentError ERR_KEY_FILE_FORMAT. That the cost is within bounds is checked where it is spent.
 */
export function decodePassphraseKeyFile(bytes: Uint8Array, place: string): PassphraseFile {
  if (bytes[MAGIC_BYTES] !== VERSION) throw broken(place, 'a newer version wrote it')
  const end = UNDER_PASSPHRASE_BYTES - CHECK_BYTES
  const intact =
    bytes.length === UNDER_PASSPHRASE_BYTES &&
    equalBytes(bytes.subarray(end), checkOf(bytes.subarray(0, end)))
  if (!intact) throw broken(place, 'it is damaged')
  return passphraseFile(bytes.subarray(0, end), KEY_HEADER_BYTES)
}

/** @returns the record, or null under another passphrase's key. @throws MegatorrentError ERR_KEY_FILE_FORMAT. */
export function openPassphraseKeyFile(
  file: PassphraseFile,
  passphraseKey: Uint8Array,
  place: string,
): KeyRecord | null {
  const body = openSecret(passphraseKey, file.sealed, file.header)
  return body === null ? null : decodeBody(body, place)
}

/** @param scryptAt - where its cost stands. */
function passphraseFile(bytes: Uint8Array, scryptAt: number): PassphraseFile {
  const reader = new ByteReader(bytes.subarray(scryptAt))
  const cost = { logN: reader.u8(), r: reader.u8(), p: reader.u8() }
  const salt = reader.take(PASSPHRASE_SALT_BYTES)
  const headerBytes = scryptAt + SCRYPT_BYTES
  return { cost, salt, header: bytes.subarray(0, headerBytes), sealed: bytes.subarray(headerBytes) }
}

/** @param passphraseKey - 32 bytes of crypto/passphrase `passphraseKey` with this salt and cost. */
export function encodeMasterFile(
  masterKey: Uint8Array,
  passphraseKey: Uint8Array,
  salt: Uint8Array,
  cost: ScryptCost,
  random: Random,
): Uint8Array {
  const header = concatBytes(MASTER_MAGIC, Uint8Array.of(VERSION, cost.logN, cost.r, cost.p), salt)
  return concatBytes(header, sealSecret(passphraseKey, masterKey, header, random))
}

/** @throws MegatorrentError ERR_KEY_FILE_FORMAT. That the cost is within bounds is checked where it is spent. */
export function decodeMasterFile(bytes: Uint8Array, place: string): PassphraseFile {
  if (!equalBytes(bytes.subarray(0, MAGIC_BYTES), MASTER_MAGIC))
    throw broken(place, 'it is no master key file')
  if (bytes[MAGIC_BYTES] !== VERSION) throw broken(place, 'a newer version wrote it')
  if (bytes.length <= MASTER_HEADER_BYTES) throw broken(place, 'it is cut off')
  return passphraseFile(bytes, MAGIC_BYTES + 1)
}

/** @returns the master key, or null under another passphrase's key. */
export function openMasterKey(file: PassphraseFile, passphraseKey: Uint8Array): Uint8Array | null {
  const key = openSecret(passphraseKey, file.sealed, file.header)
  return key !== null && key.length === MASTER_KEY_BYTES ? key : null
}

/** 32 bytes for the database. */
export function deriveDatabaseKey(masterKey: Uint8Array): Uint8Array {
  return derive(masterKey, 'databaseKey')
}

/** File name stem of a sealed key: tells nobody else which channel it is. @returns 16 bytes. */
export function deriveFileName(masterKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  return hkdfSha256(masterKey, concatBytes(utf8Bytes(LOCAL_DOMAINS.keyFileName), publicKey), NAME_BYTES)
}

function derive(masterKey: Uint8Array, domain: keyof typeof LOCAL_DOMAINS): Uint8Array {
  return hkdfSha256(masterKey, utf8Bytes(LOCAL_DOMAINS[domain]), SECRET_BYTES)
}

function encodeBody(record: KeyRecord): Uint8Array {
  const name = utf8Bytes(record.name)
  if (name.length > MAX_KEY_NAME_BYTES) {
    throw new RangeError(`"name" expected ${MAX_KEY_NAME_BYTES} bytes at most, got ${name.length}`)
  }
  return new ByteWriter(BODY_BYTES)
    .u8(record.kind === 'channel' ? 1 : 2)
    .u8((record.private ? 1 : 0) | (record.open ? 2 : 0))
    .u64(record.createdAt)
    .put(record.seed)
    .put(record.readKey)
    .u8(name.length)
    .put(name).bytes
}

function decodeBody(body: Uint8Array | null, place: string): KeyRecord {
  if (body === null || body.length !== BODY_BYTES) throw broken(place, 'it is damaged')
  const reader = new ByteReader(body)
  const kind = reader.u8()
  const flags = reader.u8()
  const createdAt = Number(reader.u64())
  const seed = reader.take(SECRET_BYTES).slice()
  const readKey = reader.take(SECRET_BYTES).slice()
  const nameBytes = reader.u8()
  const name = nameBytes <= MAX_KEY_NAME_BYTES ? utf8Text(reader.take(nameBytes)) : null
  const sound = (kind === 1 || kind === 2) && flags <= 3 && Number.isSafeInteger(createdAt)
  if (!sound || name === null || !isZeroBytes(reader.rest())) throw broken(place, 'its fields make no sense')
  return {
    kind: kind === 1 ? 'channel' : 'node',
    name,
    private: (flags & 1) !== 0,
    open: (flags & 2) !== 0,
    createdAt,
    seed,
    readKey,
  }
}

function checkOf(body: Uint8Array): Uint8Array {
  return sha256(body).subarray(0, CHECK_BYTES)
}

function broken(place: string, why: string): MegatorrentError {
  return new MegatorrentError('ERR_KEY_FILE_FORMAT', `${place} cannot be read: ${why}`)
}
