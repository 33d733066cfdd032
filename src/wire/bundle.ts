/**
 * Bundle: a release as a file, signed where there is no network and published where there is no key
 * (PROTOCOL_FINAL.md §8).
 *
 * Nothing in it is secret but the read key of a private channel. Every byte is proven: the head by the channel's
 * key, public key and read key by the signatures of the slots, the blobs by their ids and those by the manifest.
 * What is read here is form alone; who signed what is for channels/bundle-check.ts.
 *
 *   offset  size     field
 *        0     8     magic           BUNDLE_MAGIC
 *        8     1     version         BUNDLE_VERSION
 *        9    32     A
 *       41    32     read key        zero for a public channel
 *       73    64     open signature  of the item of an open channel (§5.1), zero for others
 *      137     4     blobs           n
 *      141     s     slot set        §5.4, as long as its days ask; it carries the head
 *    141+s     n of  record          blob id 32, sealed bytes BLOB_BYTES; in manifest order
 *
 * @module wire/bundle
 */
import { assertBytes, ByteReader, ByteWriter, equalBytes, isZeroBytes, utf8Bytes } from '../base/bytes.ts'
import { isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import { checkPublicKey, PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from '../crypto/ed25519.ts'
import {
  BLOB_ID_BYTES,
  BUNDLE_HEADER_BYTES,
  BUNDLE_RECORD_BYTES,
  BUNDLE_VERSION,
  MAX_SLOT_SET_DAYS,
  SLOT_REPLICAS,
  SLOT_SET_HEADER_BYTES,
} from './constants.ts'
import { decodeSlotSet, type SlotSet } from './slot-set.ts'

const BUNDLE_MAGIC = utf8Bytes('mgtrbndl')
const READ_KEY_BYTES = 32
/** Where the number of days stands in a slot set. */
const DAYS_OFFSET = 5
const DAY_BYTES = SLOT_REPLICAS * SIGNATURE_BYTES

/** More than this does not stand before the records of any bundle. */
export const MAX_BUNDLE_START_BYTES =
  BUNDLE_HEADER_BYTES + SLOT_SET_HEADER_BYTES + MAX_SLOT_SET_DAYS * DAY_BYTES

/** What stands before the records. */
export interface BundleStart {
  /** A; acceptable (§3.1) when it was decoded. */
  readonly publicKey: Uint8Array
  /** Zero for a public channel. */
  readonly readKey: Uint8Array
  /** Of the item under the plain key; null for a channel that is not open. */
  readonly openSignature: Uint8Array | null
  /** Number of records. */
  readonly blobs: number
  /** As `encodeSlotSet` gives it. */
  readonly slotSet: Uint8Array
}

export interface DecodedBundleStart extends BundleStart {
  readonly set: SlotSet
  /** Where the first record begins. */
  readonly bytes: number
}

/** @returns fresh bytes; the records follow. */
export function encodeBundleStart(start: BundleStart): Uint8Array {
  const { publicKey, readKey, openSignature, blobs, slotSet } = start
  assertBytes(publicKey, PUBLIC_KEY_BYTES, 'publicKey')
  assertBytes(readKey, READ_KEY_BYTES, 'readKey')
  if (openSignature !== null) assertBytes(openSignature, SIGNATURE_BYTES, 'openSignature')
  return new ByteWriter(BUNDLE_HEADER_BYTES + slotSet.length)
    .put(BUNDLE_MAGIC)
    .u8(BUNDLE_VERSION)
    .put(publicKey)
    .put(readKey)
    .put(openSignature ?? new Uint8Array(SIGNATURE_BYTES))
    .u32(blobs)
    .put(slotSet).bytes
}

/**
 * Read what stands before the records: rules (1) to (4) of §8.
 *
 * @param bytes - the first MAX_BUNDLE_START_BYTES of the file, or all of a shorter one.
 * @param fileBytes - how long the file is.
 * @returns copies.
 * @throws MegatorrentError ERR_BUNDLE_FORMAT. Cost: 1 ms for the key.
 */
export function decodeBundleStart(bytes: Uint8Array, fileBytes: number): DecodedBundleStart {
  if (bytes.length < BUNDLE_MAGIC.length || !equalBytes(bytes.subarray(0, BUNDLE_MAGIC.length), BUNDLE_MAGIC))
    throw refused('this file is no bundle')
  if (bytes.length < BUNDLE_HEADER_BYTES + SLOT_SET_HEADER_BYTES) throw cutOff()
  const reader = new ByteReader(bytes.slice())
  reader.take(BUNDLE_MAGIC.length)
  const version = reader.u8()
  if (version !== BUNDLE_VERSION)
    throw refused(`this bundle is of version ${version}, which is not known here`)
  const publicKey = reader.take(PUBLIC_KEY_BYTES)
  const readKey = reader.take(READ_KEY_BYTES)
  const signature = reader.take(SIGNATURE_BYTES)
  const blobs = reader.u32()
  const { set, slotSet } = takeSlotSet(reader.rest())
  const start = BUNDLE_HEADER_BYTES + slotSet.length
  const whole = start + blobs * BUNDLE_RECORD_BYTES
  if (fileBytes < whole) throw cutOff()
  if (fileBytes > whole) throw refused(`this bundle has ${fileBytes - whole} bytes behind its end`)
  if (!checkPublicKey(publicKey)) throw refused('this bundle names a channel key that is none')
  const openSignature = isZeroBytes(signature) ? null : signature
  return { publicKey, readKey, openSignature, blobs, slotSet, set, bytes: start }
}

/** Where record `n` begins: its id, then its blob. */
export function recordOffset(start: Pick<DecodedBundleStart, 'bytes'>, n: number): number {
  return start.bytes + n * BUNDLE_RECORD_BYTES
}

/** Where the blob of record `n` begins. */
export function recordBlobOffset(start: Pick<DecodedBundleStart, 'bytes'>, n: number): number {
  return recordOffset(start, n) + BLOB_ID_BYTES
}

/** The set at the beginning of these bytes, as long as it says that it is. */
function takeSlotSet(bytes: Uint8Array): { readonly set: SlotSet; readonly slotSet: Uint8Array } {
  const days = new ByteReader(bytes.subarray(DAYS_OFFSET)).u16()
  const length = SLOT_SET_HEADER_BYTES + days * DAY_BYTES
  if (days <= MAX_SLOT_SET_DAYS && bytes.length < length) throw cutOff()
  const slotSet = bytes.subarray(0, length)
  try {
    return { set: decodeSlotSet(slotSet), slotSet }
  } catch (error) {
    if (!isMegatorrentError(error)) throw error
    throw refused(`this bundle cannot be read: ${error.message}`, error)
  }
}

function cutOff(): MegatorrentError {
  return refused('this bundle is cut off: copy it again')
}

function refused(message: string, cause?: unknown): MegatorrentError {
  return new MegatorrentError('ERR_BUNDLE_FORMAT', message, { cause })
}
