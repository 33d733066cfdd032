/**
 * What peers cost each other a day without any blob: a model of bytes by type of
 * message, with the intervals and budgets of base/limits.ts and the frame of the
 * wire. docs/TRAFFIC.md has its numbers, and tests hold it against the codecs,
 * against the budgets, and against simulated floods. (dht-traffic.ts is that of
 * the DHT.)
 *
 * Pure arithmetic, for one node, one direction; the other costs as much on average,
 * since what one sends another receives.
 *
 * @module discovery/gossip-traffic
 */
import {
  FLOOD_BATCH_MS,
  FLOOD_NARROW_NEIGHBOURS,
  FLOOD_STATEMENT_BURST,
  FLOOD_STATEMENTS_PER_SECOND,
  FLOOD_STEM_END_SHARE,
  FLOOD_WIDE_STATEMENTS,
  IDLE_PAD_MS,
  PEX_ASK_FACTOR,
  PEX_ASK_FIRST_MS,
  PEX_ASK_MAX_MS,
} from '../base/limits.ts'
import { DAY_MS, MAX_ANNOUNCE_STATEMENTS, SMALL_FRAME_BYTES } from '../wire/constants.ts'

/** IPv4 and TCP with time stamps, for a frame that travels alone. */
export const PACKET_HEADERS_BYTES = 52

export interface GossipLoad {
  /** Nodes of the network that take part in the flood. */
  readonly nodes: number
  /** Onion statements that each of them makes a day: one for each channel that it serves. */
  readonly statementsPerNode: number
  readonly neighbours: number
  /** Connections of channels, and channels that both ends of one share. */
  readonly peers: number
  readonly channelsPerPeer: number
  /** Releases a day over all channels that a peer shares: each is a HELLO, a REQUEST and a DATA. */
  readonly releasesPerPeer: number
}

/** Bytes that a node sends a day, by type of message. */
export interface GossipTraffic {
  readonly hello: number
  readonly heads: number
  readonly findPeers: number
  readonly peers: number
  readonly pad: number
  readonly announce: number
  readonly total: number
}

export function dailyGossip(load: GossipLoad): GossipTraffic {
  const { peers } = load
  const frame = SMALL_FRAME_BYTES + PACKET_HEADERS_BYTES
  const asks = peers * load.channelsPerPeer * pexAsksPerDay()
  const hello = peers * (1 + load.releasesPerPeer) * frame
  const heads = peers * load.releasesPerPeer * 2 * frame
  // A PAD goes out when nothing else has for a while: as if nothing else ever did.
  const pad = (peers + load.neighbours) * (DAY_MS / IDLE_PAD_MS) * frame
  const findPeers = asks * frame
  const announce = announceFramesPerDay(load) * frame
  const total = hello + heads + findPeers + findPeers + pad + announce
  return { hello, heads, findPeers, peers: findPeers, pad, announce, total }
}

/** Questions to one peer about one channel on its first day, when nothing is ever new: the most there are. */
export function pexAsksPerDay(): number {
  let asks = 0
  let waitMs = PEX_ASK_FIRST_MS
  for (let atMs = 0; atMs < DAY_MS; atMs += 0.75 * waitMs) {
    asks++
    waitMs = Math.min(waitMs * PEX_ASK_FACTOR, PEX_ASK_MAX_MS)
  }
  return asks
}

/** Statements that a node takes and hands on a day: all that there are, or what its budget lets in. */
export function relayedPerDay({
  nodes,
  statementsPerNode,
}: Pick<GossipLoad, 'nodes' | 'statementsPerNode'>): number {
  const budget = FLOOD_STATEMENT_BURST + (FLOOD_STATEMENTS_PER_SECOND * DAY_MS) / 1000
  return Math.min(nodes * statementsPerNode, budget)
}

/** Statements sent a day, over all neighbours. */
export function statementsSentPerDay(load: GossipLoad): number {
  const relayed = relayedPerDay(load)
  const wide = Math.min(relayed, FLOOD_WIDE_STATEMENTS)
  const narrow = relayed - wide
  // To all but the one that it came from; on the stem each node sends what passes it once.
  const flooded =
    wide * (load.neighbours - 1) + narrow * Math.min(FLOOD_NARROW_NEIGHBOURS, load.neighbours - 1)
  return flooded + load.statementsPerNode / FLOOD_STEM_END_SHARE
}

/** Frames: what comes within one interval travels together, seven to a frame. */
export function announceFramesPerDay(load: GossipLoad): number {
  const sent = statementsSentPerDay(load)
  const besides = ((sent / load.neighbours) * FLOOD_BATCH_MS) / DAY_MS
  return sent * framesPerStatement(besides)
}

/** With `besides` further statements in an interval on average, by chance (Poisson). */
function framesPerStatement(besides: number): number {
  let frames = 0
  let chance = Math.exp(-besides)
  for (let more = 0; more < 50 + 10 * besides; more++) {
    frames += chance * Math.ceil((1 + more) / MAX_ANNOUNCE_STATEMENTS)
    chance *= besides / (more + 1)
  }
  return frames / (1 + besides)
}
