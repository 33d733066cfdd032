/**
 * The arithmetic of docs/SCALING.md: figures that follow from constants of the project
 * and from the models of traffic. What was measured stands in the document and is
 * handed in here.
 */
import {
  BLOB_ANNOUNCES_PER_HOUR,
  DHT_CLOSEST_NODES,
  HANDSHAKE_ANSWER_UNITS,
  HANDSHAKE_TRIALS_PER_SECOND,
  MAX_HOLDINGS_BYTES_PER_PEER,
  TOPIC_ANNOUNCE_MAX_MS,
  TOPIC_ANNOUNCE_MIN_MS,
} from '../../src/base/limits.ts'
import { PART_FILL_BYTES } from '../../src/channels/manifest-layout.ts'
import {
  type DhtLoad,
  dailyTraffic,
  looksPerDay,
  type MessageSizes,
  WORLD_SIZES,
  WORLD_WALK,
} from '../../src/discovery/dht-traffic.ts'
import { BlobSet } from '../../src/swarm/blob-set.ts'
import {
  BLOB_REF_BYTES,
  CHUNK_BYTES,
  DAY_MS,
  DAY_OVERLAP_MS,
  HELLO_PLACES,
  MAX_HAVE_RANGES,
  SLOT_REPLICAS,
  SMALL_FRAME_BYTES,
} from '../../src/wire/constants.ts'
import { splitMessage } from '../../src/wire/message.ts'

const DAY_SECONDS = DAY_MS / 1000

/** Nobody else looks after the channels, and a tenth of the looks find nodes gone: the most that it costs. */
const WORST: Omit<DhtLoad, 'channels'> = { holders: 1, putBackShare: 0.1 }

/** With these the model counts queries instead of bytes. */
const COUNT_QUERIES: MessageSizes = {
  ...{ walkQuery: 1, nodesReply: 0, slotReply: 0, putQuery: 1, announceQuery: 1, shortReply: 0 },
}

/** Megabytes and queries that a node with that many channels causes in the DHT a day. */
export function dhtOfNode(channels: number) {
  const megabytes = Object.entries(dailyTraffic({ ...WORST, channels }, WORLD_SIZES, WORLD_WALK)).map(
    ([part, bytes]) => [part, bytes / 1e6] as const,
  )
  const queries = dailyTraffic({ ...WORST, channels }, COUNT_QUERIES, WORLD_WALK).total
  return { megabytes: Object.fromEntries(megabytes), queries }
}

/** Queries a second at each node of a DHT of that size, from so many of ours. */
export function queriesPerDhtNode(nodes: number, channels: number, dhtNodes: number): number {
  return (nodes * dhtOfNode(channels).queries) / DAY_SECONDS / dhtNodes
}

/** What the nodes nearest to one slot and to the topic of the day get of all who follow one channel. */
export function hotSpot(followers: number) {
  // On its day and in the overlap on both sides of it, each of the replicas.
  const slotDays = (SLOT_REPLICAS * (DAY_MS + 2 * DAY_OVERLAP_MS)) / DAY_MS
  const slotLooks = (followers * looksPerDay().reading) / slotDays / DAY_SECONDS
  const rounds = (2 * DAY_MS) / (TOPIC_ANNOUNCE_MIN_MS + TOPIC_ANNOUNCE_MAX_MS)
  const announcements = (followers * rounds) / DAY_SECONDS
  const { walkQuery, slotReply, nodesReply, announceQuery, shortReply } = WORLD_SIZES
  return {
    slotLooks,
    slotKilobytes: (slotLooks * (walkQuery + slotReply)) / 1e3,
    announcements,
    topicKilobytes: (announcements * (walkQuery + nodesReply + announceQuery + shortReply)) / 1e3,
  }
}

/** Values of BEP 44 that one channel keeps in the DHT around noon: today's and tomorrow's slots. */
export function valuesOfChannel(): number {
  return 2 * SLOT_REPLICAS * DHT_CLOSEST_NODES
}

/** Handshakes that come in and are answered a second, when each message is tried with every key. */
export function inboundHandshakes(channels: number): number {
  const keys = 3 * channels + 2
  return HANDSHAKE_TRIALS_PER_SECOND / (keys + HANDSHAKE_ANSWER_UNITS)
}

export function helloFrames(channels: number): number {
  return Math.ceil(channels / HELLO_PLACES)
}

/** A release whose files are large: references, and nothing else that counts. */
export function hugeRelease(bytes: number) {
  const dataBlobs = bytes / CHUNK_BYTES
  const bytesOfReferences = dataBlobs * BLOB_REF_BYTES
  // What fits the root needs no parts.
  const parts = bytesOfReferences <= PART_FILL_BYTES ? 0 : Math.ceil(bytesOfReferences / PART_FILL_BYTES)
  const blobs = dataBlobs + parts + 1
  const holes = Math.ceil(blobs / 2)
  const whole = Math.floor(holes / MAX_HAVE_RANGES)
  const frames = whole * haveFrames(MAX_HAVE_RANGES) + haveFrames(holes % MAX_HAVE_RANGES)
  return {
    dataBlobs,
    parts,
    setKibibytes: BlobSet.bytesFor(blobs) / 1024,
    worstHaveMegabytes: (frames * SMALL_FRAME_BYTES) / 1e6,
    rotationDays: dataBlobs / (24 * BLOB_ANNOUNCES_PER_HOUR),
  }
}

/** Frames of a HAVE of that many ranges. */
function haveFrames(count: number): number {
  if (count === 0) return 0
  const ranges = Array.from({ length: count }, (_, n) => ({ start: 2 * n, length: 1 }))
  const bytes = new Uint8Array(32)
  return splitMessage({ type: 'have', handle: bytes.slice(16), releaseNumber: 1, rootId: bytes, ranges })
    .length
}

/** MiB that connections take, at so many KiB each; and what their claims of blobs may take besides. */
export function connections(count: number, kibibytesEach: number) {
  return {
    mebibytes: (count * kibibytesEach) / 1024,
    claimedMebibytes: (count * MAX_HOLDINGS_BYTES_PER_PEER) / 1_048_576,
  }
}

/** Hops until all have heard, when each tells all of its peers but the one that it heard from. */
export function hopsToAll(nodes: number, peers: number): number {
  return Math.ceil(Math.log(nodes) / Math.log(peers - 1))
}
