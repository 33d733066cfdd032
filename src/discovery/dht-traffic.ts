/**
 * What following channels costs in DHT traffic a day: a model with the intervals of
 * base/limits.ts and the sizes of messages. A test holds the sizes against what
 * the guard counts, and the sum against DHT_IDLE_BYTES_PER_DAY.
 *
 * Pure arithmetic. Answers to queries of others are not in it: ordinary nodes give none.
 *
 * @module discovery/dht-traffic
 */
import {
  BLOB_ANNOUNCES_PER_HOUR,
  DHT_CLOSEST_NODES,
  DHT_REFRESH_MS,
  SLOT_AHEAD_MAX_MS,
  SLOT_AHEAD_MIN_MS,
  SLOT_REFRESH_MS,
  TOPIC_ANNOUNCE_MAX_MS,
  TOPIC_ANNOUNCE_MIN_MS,
} from '../base/limits.ts'
import { DAY_MS, DAY_OVERLAP_MS, SLOT_REPLICAS } from '../wire/constants.ts'

/** Bytes of one message on the line, IPv4 and UDP headers (28) included. */
export interface MessageSizes {
  /** A query of a walk: find_node, get_peers, get. */
  readonly walkQuery: number
  /** An answer with nodes and a token. */
  readonly nodesReply: number
  /** An answer with a slot value, nodes and a token. */
  readonly slotReply: number
  readonly putQuery: number
  readonly announceQuery: number
  /** The answer to a put or an announcement. */
  readonly shortReply: number
}

/** What a walk comes to in the world. */
export interface WalkShape {
  /** Queries of a walk to a target that was walked to before, and of one that was not. */
  readonly knownQueries: number
  readonly newQueries: number
  /** Share of the queries that is answered. */
  readonly answered: number
}

/** What a node does. */
export interface DhtLoad {
  readonly channels: number
  /** Nodes that look after each channel, this one included. */
  readonly holders: number
  /** Share of the looks at a slot that find fewer holders than are enough. */
  readonly putBackShare: number
}

export interface DailyTraffic {
  readonly slotReads: number
  readonly slotPuts: number
  readonly topics: number
  readonly blobs: number
  readonly upkeep: number
  readonly total: number
}

/** Sizes that other implementations send: 8 nodes an answer, long tokens, addresses, versions. */
export const WORLD_SIZES: MessageSizes = {
  walkQuery: 136,
  nodesReply: 380,
  slotReply: 1_060,
  putQuery: 894,
  announceQuery: 204,
  shortReply: 96,
}

/**
 * A quarter of the nodes that one hears of are gone. A walk to a target of the hour before asks the
 * nearest again and a few that are new; one to a new target takes three steps.
 */
export const WORLD_WALK: WalkShape = { knownQueries: 13, newQueries: 36, answered: 0.75 }

/** Bytes a day, both directions. */
export function dailyTraffic(load: DhtLoad, sizes: MessageSizes, walk: WalkShape): DailyTraffic {
  const { reading, ahead } = looksPerDay()
  const slotReads = load.channels * (reading + ahead) * slotWalk(sizes, walk)
  const refreshes = reading / LOOKS_PER_REFRESH + ahead
  const putsPerChannel = refreshes / load.holders + reading * load.putBackShare
  const slotPuts = load.channels * putsPerChannel * DHT_CLOSEST_NODES * (sizes.putQuery + sizes.shortReply)
  const announcing = DHT_CLOSEST_NODES * (sizes.announceQuery + sizes.shortReply)
  const rounds = DAY_MS / meanMs(TOPIC_ANNOUNCE_MIN_MS, TOPIC_ANNOUNCE_MAX_MS)
  // Within the overlap on both sides of midnight two topics are announced.
  const topicsPerRound = 1 + (2 * DAY_OVERLAP_MS) / DAY_MS
  const topics =
    load.channels * rounds * topicsPerRound * (plainWalk(sizes, walk, walk.knownQueries) + announcing)
  const blobs = BLOB_ANNOUNCES_PER_HOUR * 24 * (plainWalk(sizes, walk, walk.newQueries) + announcing)
  // The walk home, and the library's pings of the whole table.
  const home = plainWalk(sizes, walk, walk.knownQueries) + TABLE_NODES * (sizes.walkQuery + sizes.shortReply)
  const upkeep = (DAY_MS / DHT_REFRESH_MS) * home
  return { slotReads, slotPuts, topics, blobs, upkeep, total: slotReads + slotPuts + topics + blobs + upkeep }
}

/** Nodes in a table that has been up for long. */
const TABLE_NODES = 200

/** A slot is refreshed, or the lot is drawn for it, in the quarter of SLOT_REFRESH_MS that follows it (`nextLookMs`). */
const REFRESH_CYCLE_MS = SLOT_REFRESH_MS * 1.125

/** Looks in that time: one of them on the way. */
const LOOKS_PER_REFRESH = 2

/** Looks at all slots of one channel in a day: today's, the neighbours' while they are read, and tomorrow's ahead. */
export function looksPerDay(): { readonly reading: number; readonly ahead: number } {
  return {
    reading: (LOOKS_PER_REFRESH * SLOT_REPLICAS * (DAY_MS + 2 * DAY_OVERLAP_MS)) / REFRESH_CYCLE_MS,
    ahead: (SLOT_REPLICAS * (DAY_MS - DAY_OVERLAP_MS)) / meanMs(SLOT_AHEAD_MIN_MS, SLOT_AHEAD_MAX_MS),
  }
}

function slotWalk(sizes: MessageSizes, walk: WalkShape): number {
  const replies = walk.knownQueries * walk.answered
  const holders = Math.min(DHT_CLOSEST_NODES, replies)
  return (
    walk.knownQueries * sizes.walkQuery + holders * sizes.slotReply + (replies - holders) * sizes.nodesReply
  )
}

function plainWalk(sizes: MessageSizes, walk: WalkShape, queries: number): number {
  return queries * (sizes.walkQuery + walk.answered * sizes.nodesReply)
}

function meanMs(minMs: number, maxMs: number): number {
  return (minMs + maxMs) / 2
}
