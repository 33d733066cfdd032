/**
 * Head: the small statement, signed by the channel, that names its newest
 * manifest (PROTOCOL_FINAL.md §4.3).
 *
 * A head proves itself: whoever holds a valid one of a higher order has news,
 * however it came. It is sealed in a slot (wire/slot.ts) and sent as it is to peers
 * that know the channel.
 *
 *   offset  size  field
 *        0     1  version          HEAD_VERSION
 *        1     8  release number   1..MAX_RELEASE_NUMBER
 *        9     2  revision
 *       11     8  time of signing  ms since 1970
 *       19    64  root             blob reference of the manifest's root; zero when unpublished
 *       83    32  previous         SHA-256 of the last head of the previous release, or zero
 *      115     1  flags            bit 0: HEAD_FLAG_UNPUBLISHED, the rest zero
 *      116    32  successor key    or zero
 *      148     1  count            0..MAX_HEAD_ADDRESSES
 *      149   304  addresses        count of 38, the rest zero
 *      453     1  reserved         zero
 *      454    64  signature        by A over the label and bytes 0..453
 *      518    50  zero
 *
 * @module wire/head
 */
import { assertBytes, ByteReader, ByteWriter, concatBytes, equalBytes, isZeroBytes } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { label } from '../crypto/domains.ts'
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES, type SigningKey, verifySignature } from '../crypto/ed25519.ts'
import { SHA256_BYTES, sha256 } from '../crypto/hash.ts'
import { type Address, decodeAddress, encodeAddress } from './address.ts'
import {
  ADDRESS_BYTES,
  BLOB_REF_BYTES,
  HEAD_BYTES,
  HEAD_FLAG_UNPUBLISHED,
  HEAD_SIGNED_BYTES,
  HEAD_VERSION,
  MAX_HEAD_ADDRESSES,
  MAX_RELEASE_NUMBER,
  REVISIONS_PER_RELEASE,
} from './constants.ts'

/** What a head says. */
export interface HeadFields {
  /** 1..MAX_RELEASE_NUMBER. */
  readonly releaseNumber: number
  /** 0..65535: the same release signed again, with other addresses. */
  readonly revision: number
  /** ms since 1970. */
  readonly signedAt: number
  /** Blob reference of the manifest's root, BLOB_REF_BYTES. */
  readonly root: Uint8Array
  /** `headHash` of the last head of the previous release; null for release 1 or where it is not known. */
  readonly previousHash: Uint8Array | null
  /** The channel is unpublished: there is no manifest, `root` is zero and there are no addresses. Default false. */
  readonly isUnpublished?: boolean
  /** Key of the channel that takes over, or null. */
  readonly successorKey: Uint8Array | null
  /** At most MAX_HEAD_ADDRESSES, no names. Hints: nothing is believed of them. */
  readonly addresses: readonly Address[]
}

/** A head as it came, valid in form; `verifyHead` gives those that the channel signed. */
export interface Head extends HeadFields {
  readonly isUnpublished: boolean
  /** HEAD_BYTES, a copy: what is stored, sealed and passed on. */
  readonly bytes: Uint8Array
}

/** Release number and revision in one number that orders heads (§5.1); below 2^52. */
export function slotVersion(head: Pick<HeadFields, 'releaseNumber' | 'revision'>): number {
  return head.releaseNumber * REVISIONS_PER_RELEASE + head.revision
}

/** What the next release's heads carry as `previousHash`. @param bytes - HEAD_BYTES. */
export function headHash(bytes: Uint8Array): Uint8Array {
  assertBytes(bytes, HEAD_BYTES, 'bytes')
  return sha256(bytes)
}

/**
 * Sign a head.
 *
 * @param signingKey - of the channel itself, not of a slot.
 * @returns the head; its `bytes` are HEAD_BYTES, fresh.
 * @throws RangeError or TypeError for a field out of its range, and for an address that is a name.
 */
export function signHead(fields: HeadFields, signingKey: Pick<SigningKey, 'sign'>): Head {
  const { releaseNumber, revision, addresses, isUnpublished = false } = fields
  if (!isWithin(releaseNumber, 1, MAX_RELEASE_NUMBER)) {
    throw new RangeError(`"releaseNumber" expected 1..${MAX_RELEASE_NUMBER}, got ${releaseNumber}`)
  }
  if (!isWithin(revision, 0, REVISIONS_PER_RELEASE - 1)) {
    throw new RangeError(`"revision" expected 0..${REVISIONS_PER_RELEASE - 1}, got ${revision}`)
  }
  if (addresses.length > MAX_HEAD_ADDRESSES) {
    throw new RangeError(`"addresses" expected <= ${MAX_HEAD_ADDRESSES}, got ${addresses.length}`)
  }
  assertBytes(fields.root, BLOB_REF_BYTES, 'root')
  if (isZeroBytes(fields.root) !== isUnpublished) {
    throw new RangeError('"root" expected zero bytes for an unpublished channel, and only there')
  }
  if (isUnpublished && addresses.length > 0) {
    throw new RangeError('"addresses" expected none for an unpublished channel')
  }
  const writer = new ByteWriter(HEAD_BYTES)
    .u8(HEAD_VERSION)
    .u64(releaseNumber)
    .u16(revision)
    .u64(fields.signedAt)
    .put(fields.root)
    .put(optional(fields.previousHash, SHA256_BYTES, 'previousHash'))
    .u8(isUnpublished ? HEAD_FLAG_UNPUBLISHED : 0)
    .put(optional(fields.successorKey, PUBLIC_KEY_BYTES, 'successorKey'))
    .u8(addresses.length)
  for (const address of addresses) writer.put(encodeAddress(address))
  writer.skip((MAX_HEAD_ADDRESSES - addresses.length) * ADDRESS_BYTES).skip(1)
  const { bytes } = writer
  bytes.set(signingKey.sign(signedMessage(bytes)), HEAD_SIGNED_BYTES)
  return { ...fields, isUnpublished, bytes }
}

/**
 * Read a head without asking who signed it: rules (1) to (4) of §4.3.
 *
 * @param bytes - copied.
 * @throws MegatorrentError, kind 'peer': ERR_HEAD_SIZE, ERR_HEAD_VERSION, ERR_HEAD_FIELD, ERR_ADDRESS.
 *   Cost: an onion among the addresses takes 1 ms.
 */
export function decodeHead(bytes: Uint8Array): Head {
  if (bytes.length !== HEAD_BYTES) {
    throw new MegatorrentError('ERR_HEAD_SIZE', `a head has ${HEAD_BYTES} bytes, not ${bytes.length}`)
  }
  const own = new Uint8Array(bytes) // a copy, also of a Buffer, whose slice is none
  const reader = new ByteReader(own)
  const version = reader.u8()
  if (version !== HEAD_VERSION) throw new MegatorrentError('ERR_HEAD_VERSION', `head of version ${version}`)
  const releaseNumber = Number(reader.u64())
  if (!isWithin(releaseNumber, 1, MAX_RELEASE_NUMBER)) throw bad('release number')
  const revision = reader.u16()
  const signedAt = Number(reader.u64())
  if (!Number.isSafeInteger(signedAt)) throw bad('time of signing')
  const root = reader.take(BLOB_REF_BYTES)
  const previousHash = nullIfZero(reader.take(SHA256_BYTES))
  const flags = reader.u8()
  if ((flags & ~HEAD_FLAG_UNPUBLISHED) !== 0) throw bad('flags')
  const isUnpublished = flags === HEAD_FLAG_UNPUBLISHED
  if (isZeroBytes(root) !== isUnpublished) throw bad('root')
  const successorKey = nullIfZero(reader.take(PUBLIC_KEY_BYTES))
  const addresses = readAddresses(reader)
  if (isUnpublished && addresses.length > 0) throw bad('number of addresses')
  if (reader.u8() !== 0) throw bad('reserved byte')
  reader.take(SIGNATURE_BYTES)
  if (!isZeroBytes(reader.rest())) throw bad('padding')
  return {
    releaseNumber,
    revision,
    signedAt,
    root,
    previousHash,
    isUnpublished,
    successorKey,
    addresses,
    bytes: own,
  }
}

/**
 * Read a head that channel A signed: all of §4.3.
 *
 * @param channelKey - A, checked once with `checkPublicKey`.
 * @throws MegatorrentError as `decodeHead`, and ERR_HEAD_SIGNATURE, all of kind 'peer'.
 */
export function verifyHead(bytes: Uint8Array, channelKey: Uint8Array): Head {
  // The signature first: fields that nobody signed are not worth an onion's 1 ms.
  if (bytes.length === HEAD_BYTES) {
    const signature = bytes.subarray(HEAD_SIGNED_BYTES, HEAD_SIGNED_BYTES + SIGNATURE_BYTES)
    if (!verifySignature(signature, signedMessage(bytes), channelKey)) {
      throw new MegatorrentError('ERR_HEAD_SIGNATURE', 'the channel did not sign this head')
    }
  }
  return decodeHead(bytes)
}

/** Order of heads: by release number, then by revision. As `Array.prototype.sort` wants it. */
export function compareHeads(
  a: Pick<HeadFields, 'releaseNumber' | 'revision'>,
  b: Pick<HeadFields, 'releaseNumber' | 'revision'>,
): number {
  return slotVersion(a) - slotVersion(b)
}

/**
 * What a valid head is to who holds another of the same channel.
 *
 * - `newer`: another release, to be acted on.
 * - `refresh`: the same release with a higher revision: new addresses, nothing to fetch.
 * - `conflict`: the same release number with another root. The head seen first is kept and
 *   acted on, this one is kept and shown, whatever its revision.
 * - `older`: never acted on.
 * - `same`: it says what the one held says.
 */
export type HeadNews = 'newer' | 'refresh' | 'conflict' | 'older' | 'same'

/** @param held - the head acted on so far, or null when there is none. Both valid under one key. */
export function classifyHead(candidate: HeadFields, held: HeadFields | null): HeadNews {
  if (held === null || candidate.releaseNumber > held.releaseNumber) return 'newer'
  if (candidate.releaseNumber < held.releaseNumber) return 'older'
  if (!equalBytes(candidate.root, held.root)) return 'conflict'
  if (candidate.revision > held.revision) return 'refresh'
  return candidate.revision < held.revision ? 'older' : 'same'
}

function readAddresses(reader: ByteReader): Address[] {
  const count = reader.u8()
  if (count > MAX_HEAD_ADDRESSES) throw bad('number of addresses')
  const addresses: Address[] = []
  for (let i = 0; i < MAX_HEAD_ADDRESSES; i++) {
    const field = reader.take(ADDRESS_BYTES)
    if (i >= count) {
      if (!isZeroBytes(field)) throw bad('bytes after the addresses')
      continue
    }
    const address = decodeAddress(field)
    if (address === null) throw bad('address of no type')
    addresses.push(address)
  }
  return addresses
}

function signedMessage(bytes: Uint8Array): Uint8Array {
  return concatBytes(label('head'), bytes.subarray(0, HEAD_SIGNED_BYTES))
}

function optional(bytes: Uint8Array | null, length: number, name: string): Uint8Array {
  if (bytes === null) return new Uint8Array(length)
  assertBytes(bytes, length, name)
  if (isZeroBytes(bytes)) throw new RangeError(`"${name}" expected null or bytes other than zero`)
  return bytes
}

function nullIfZero(bytes: Uint8Array): Uint8Array | null {
  return isZeroBytes(bytes) ? null : bytes
}

function isWithin(value: number, min: number, max: number): boolean {
  return Number.isSafeInteger(value) && value >= min && value <= max
}

function bad(field: string): MegatorrentError {
  return new MegatorrentError('ERR_HEAD_FIELD', `head: ${field} is out of range`)
}

/** The same content, whatever addresses its heads name. */
export function isSameRelease(a: Head | null, b: Head): boolean {
  return a !== null && a.releaseNumber === b.releaseNumber && equalBytes(a.root, b.root)
}
