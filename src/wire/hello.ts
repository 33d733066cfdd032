/**
 * What two peers tell each other about channels without listing them: the places
 * of a HELLO (PROTOCOL_FINAL.md §7.2) and the handle that names a channel on one
 * connection (§7.3).
 *
 * Every HELLO has the same number of places, filled up with random bytes and
 * shuffled, so their number says nothing. Role and counter enter each tag: a peer
 * that echoes ours looks like nobody, and tags that stay among filling that
 * changes do not show. Holders of a link can test for its tag: documented.
 *
 * @module wire/hello
 */
import { assertBytes, ByteReader, ByteWriter, concatBytes, equalBytes, toHex } from '../base/bytes.ts'
import { type Random, shuffle } from '../base/random.ts'
import { channelHandle, HELLO_TAG_BYTES, type HelloTag, helloTag, type Role } from '../crypto/tags.ts'
import {
  HELLO_PLACE_BYTES,
  HELLO_PLACES,
  MAX_RELEASE_NUMBER,
  PROTOCOL_VERSION,
  REVISIONS_PER_RELEASE,
} from './constants.ts'
import type { HelloMessage } from './message.ts'

/** What all tags of one HELLO have in common. */
export interface HelloContext {
  /** 32 bytes: the Noise handshake hash of the connection. */
  readonly handshakeHash: Uint8Array
  /** Of the side that sends the HELLO. */
  readonly role: Role
  /** u32: 0 in its first HELLO, then one more each. */
  readonly counter: number
}

/** One channel to tell of. */
export interface ChannelNews {
  /** 32 bytes. */
  readonly tagKey: Uint8Array
  /** Slot version of the newest head known, 0 if none. */
  readonly slotVersion: number
}

/** Greatest slot version there is: a place that says more says nothing. */
const MAX_SLOT_VERSION = MAX_RELEASE_NUMBER * REVISIONS_PER_RELEASE + (REVISIONS_PER_RELEASE - 1)

/**
 * The places of one HELLO.
 *
 * @param channels - at most HELLO_PLACES; with more the caller lets them take turns.
 * @param random - fills what is left and shuffles. Must be the operating system's.
 * @returns HELLO_PLACES * HELLO_PLACE_BYTES fresh bytes. Cost: one HMAC a channel.
 */
export function buildPlaces(
  context: HelloContext,
  channels: readonly ChannelNews[],
  random: Random,
): Uint8Array {
  if (channels.length > HELLO_PLACES) {
    throw new RangeError(`"channels" expected <= ${HELLO_PLACES}, got ${channels.length}`)
  }
  const places = channels.map((channel) => encodePlace(context, channel))
  while (places.length < HELLO_PLACES) places.push(random.bytes(HELLO_PLACE_BYTES))
  const writer = new ByteWriter(HELLO_PLACES * HELLO_PLACE_BYTES)
  for (const place of shuffle(random, places)) writer.put(place)
  return writer.bytes
}

/**
 * A whole HELLO, as version 1 of the protocol says it. Arguments as of `buildPlaces`; without channels it
 * tells of none, and looks like any other.
 *
 * @param features - HELLO_NEIGHBOUR on a relay connection that is to stay; 0 everywhere else.
 */
export function buildHello(
  context: HelloContext,
  channels: readonly ChannelNews[],
  random: Random,
  features = 0,
): HelloMessage {
  return {
    type: 'hello',
    highestVersion: PROTOCOL_VERSION,
    lowestVersion: PROTOCOL_VERSION,
    features,
    counter: context.counter,
    observedAddress: null,
    places: buildPlaces(context, channels, random),
  }
}

/**
 * Which of our channels does the other side tell of?
 *
 * @param places - the places of its HELLO.
 * @param context - with the role and counter of the sender.
 * @param channels - candidates; each comes back at most once.
 * @returns the channels found, in the order given, with the slot version told.
 * Cost: one HMAC a candidate.
 */
export function scanPlaces<T extends { readonly tagKey: Uint8Array }>(
  places: Uint8Array,
  context: HelloContext,
  channels: Iterable<T>,
): { readonly channel: T; readonly slotVersion: number }[] {
  assertBytes(places, HELLO_PLACES * HELLO_PLACE_BYTES, 'places')
  const byTag = new Map<string, Uint8Array>()
  for (let at = 0; at < places.length; at += HELLO_PLACE_BYTES) {
    const place = places.subarray(at, at + HELLO_PLACE_BYTES)
    byTag.set(toHex(place.subarray(0, HELLO_TAG_BYTES)), place.subarray(HELLO_TAG_BYTES))
  }
  const found: { channel: T; slotVersion: number }[] = []
  for (const channel of channels) {
    const { tag, mask } = tagOf(context, channel.tagKey)
    const masked = byTag.get(toHex(tag))
    if (masked === undefined) continue
    const slotVersion = new ByteReader(xor(masked, mask)).u64()
    // The sender knows the tag key and yet says nonsense: it tells of nothing.
    if (slotVersion <= MAX_SLOT_VERSION) found.push({ channel, slotVersion: Number(slotVersion) })
  }
  return found
}

/** Which of our channels does a handle name? Cost: one HMAC a candidate. */
export function findByHandle<T extends { readonly tagKey: Uint8Array }>(
  handle: Uint8Array,
  handshakeHash: Uint8Array,
  sender: Role,
  channels: Iterable<T>,
): T | null {
  for (const channel of channels) {
    if (equalBytes(channelHandle(channel.tagKey, handshakeHash, sender), handle)) return channel
  }
  return null
}

function encodePlace(context: HelloContext, channel: ChannelNews): Uint8Array {
  if (channel.slotVersion > MAX_SLOT_VERSION) {
    throw new RangeError(`"slotVersion" expected <= ${MAX_SLOT_VERSION}, got ${channel.slotVersion}`)
  }
  const { tag, mask } = tagOf(context, channel.tagKey)
  const clear = new ByteWriter(HELLO_PLACE_BYTES - HELLO_TAG_BYTES).u64(channel.slotVersion).bytes
  return concatBytes(tag, xor(clear, mask))
}

function tagOf(context: HelloContext, tagKey: Uint8Array): HelloTag {
  return helloTag(tagKey, context.handshakeHash, context.role, context.counter)
}

function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((byte, index) => byte ^ (b[index] ?? 0))
}
