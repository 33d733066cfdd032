/**
 * Flood-fill of onion statements (PROTOCOL_FINAL.md §7.7): what a node takes, hands
 * on, to whom and when. State as data; swarm/flooding.ts has the connections.
 *
 * A statement first travels a stem, from one neighbour to the next, so that who
 * hears of it there cannot tell its origin from one who hands it on; where the stem
 * ends, it is flooded to all neighbours. Every node of the stem has an embargo: if
 * the flood has not come to it by then, somebody swallowed the statement, and it
 * begins the flood itself.
 *
 * Two budgets bound what others can make us do, one for each neighbour and one for
 * all. What is beyond them is dropped unseen and not remembered: who floods uses up
 * his own share, and memory follows from the budget. Guests, who come to say one thing
 * and go, have one share together: they get no statements, and begin stems here.
 *
 * @module discovery/flood
 */
import { ByteWriter, toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import {
  FLOOD_BATCH_MS,
  FLOOD_EMBARGO_MS,
  FLOOD_GUEST_BURST,
  FLOOD_GUEST_STATEMENTS_PER_SECOND,
  FLOOD_NARROW_NEIGHBOURS,
  FLOOD_PEER_BURST,
  FLOOD_PEER_STATEMENTS_PER_SECOND,
  FLOOD_STATEMENT_BURST,
  FLOOD_STATEMENTS_PER_SECOND,
  FLOOD_STEM_DELAY_MS,
  FLOOD_STEM_END_SHARE,
  FLOOD_STEM_EPOCH_MS,
  FLOOD_STEM_SUCCESSORS,
  FLOOD_WIDE_STATEMENTS,
  MAX_FLOOD_HELD,
  MAX_FLOOD_QUEUE,
  MAX_FLOOD_SEEN,
} from '../base/limits.ts'
import { type Random, shuffle } from '../base/random.ts'
import { TokenBucket } from '../base/token-bucket.ts'
import { sha256 } from '../crypto/hash.ts'
import { hourOf } from '../crypto/key-schedule.ts'
import { MAX_ANNOUNCE_HOPS, MAX_ANNOUNCE_STATEMENTS, TOPIC_BYTES } from '../wire/constants.ts'
import type { HopStatement } from '../wire/message.ts'
import {
  isStatementCurrent,
  type OnionStatement,
  readStatement,
  statementHours,
  verifyStatement,
} from '../wire/onion-statement.ts'

/** What became of a statement that a neighbour sent. `false`: it proves nothing, and the neighbour is at fault. */
export type FloodVerdict = 'taken' | 'known' | 'not current' | 'over budget' | 'false'

export interface FloodDeps {
  readonly clock: Clock
  readonly random: Random
  /** RELAY_ID_BYTES: of our own relay key. */
  readonly relayId: Uint8Array
  /** Something else than `verifyStatement` in simulations of many thousands. */
  readonly verify?: (statement: OnionStatement) => boolean
}

/** One message to send. */
export interface FloodMessage {
  readonly neighbour: string
  /** At most MAX_ANNOUNCE_STATEMENTS. */
  readonly statements: readonly HopStatement[]
}

interface Neighbour {
  readonly relayId: Uint8Array
  readonly mayGive: TokenBucket
  /** By statement, those that were not sent yet. */
  readonly queue: Map<string, HopStatement>
  /** When the queue is sent, monotonic ms. */
  dueMs: number
}

/** A statement that we know of. */
interface Seen {
  /** Null when others were nearer to us and memory is for so many only. */
  statement: OnionStatement | null
  /** From our relay id to its topic. */
  readonly far: number
  /** The first hour in which nobody takes it any more: it is forgotten then. */
  readonly endHour: number
  /** When we flood it ourselves unless it comes in a flood before, monotonic ms; null: it is in the flood. */
  embargoMs: number | null
}

export const RELAY_ID_BYTES = TOPIC_BYTES
const KEY_BYTES = 16
const DISTANCE_BYTES = 6
/** Names all guests together among the sources of a stem. */
const GUESTS = ''

/** The place of a relay key among topics. */
export function relayIdOf(relayKey: Uint8Array): Uint8Array {
  return sha256(relayKey).subarray(0, RELAY_ID_BYTES)
}

export class Flood {
  readonly #deps: FloodDeps
  readonly #verify: (statement: OnionStatement) => boolean
  readonly #neighbours = new Map<string, Neighbour>()
  readonly #mayTake: TokenBucket
  readonly #guestsMayGive: TokenBucket
  readonly #seen = new Map<string, Seen>()
  /** Those of `#seen` that we have in full, by topic as hex. */
  readonly #held = new Map<string, Set<string>>()
  #heldCount = 0
  /** Those of `#seen` under embargo. */
  readonly #stemmed = new Set<string>()
  #epochEndsMs = Number.NEGATIVE_INFINITY
  #endsStems = false
  /** Of this epoch: from whom, or GUESTS, to whom. */
  readonly #successors = new Map<string, string | null>()
  #chosen: readonly string[] = []
  #sweptHour = 0

  constructor(deps: FloodDeps) {
    this.#deps = deps
    this.#verify = deps.verify ?? verifyStatement
    this.#mayTake = new TokenBucket(deps.clock, FLOOD_STATEMENTS_PER_SECOND, FLOOD_STATEMENT_BURST)
    this.#guestsMayGive = new TokenBucket(deps.clock, FLOOD_GUEST_STATEMENTS_PER_SECOND, FLOOD_GUEST_BURST)
  }

  /** Statements that are known of: what memory and the width of the flood depend on. */
  get size(): number {
    return this.#seen.size
  }

  /** Those that we have in full. */
  get heldCount(): number {
    return this.#heldCount
  }

  /** Statements that wait to be sent. */
  get queued(): number {
    let count = 0
    for (const { queue } of this.#neighbours.values()) count += queue.size
    return count
  }

  join(neighbour: string, relayId: Uint8Array): void {
    const { clock } = this.#deps
    this.#neighbours.set(neighbour, {
      relayId,
      mayGive: new TokenBucket(clock, FLOOD_PEER_STATEMENTS_PER_SECOND, FLOOD_PEER_BURST),
      queue: new Map(),
      dueMs: Number.POSITIVE_INFINITY,
    })
  }

  leave(neighbour: string): void {
    this.#neighbours.delete(neighbour)
    for (const [from, to] of this.#successors) if (to === neighbour) this.#successors.delete(from)
  }

  /**
   * A statement that a neighbour sent, or for null a guest. Cost: 1.2 ms for one that is new, within the budgets.
   */
  receive(neighbourOrGuest: string | null, { hops, statement: bytes }: HopStatement): FloodVerdict {
    this.#sweep()
    const from = neighbourOrGuest ?? GUESTS
    const neighbour = this.#neighbours.get(from)
    const mayGive = neighbourOrGuest === null ? this.#guestsMayGive : neighbour?.mayGive
    const statement = readStatement(bytes)
    if (mayGive === undefined || !isStatementCurrent(statement, this.#hour())) return 'not current'
    const key = keyOf(statement)
    const seen = this.#seen.get(key)
    if (seen !== undefined) {
      if (neighbour !== undefined) this.#receiveKnown(neighbour, from, key, seen, hops)
      return 'known'
    }
    if (this.#mayTake.waitMs(1) > 0 || this.#seen.size >= MAX_FLOOD_SEEN || !mayGive.take(1)) {
      return 'over budget'
    }
    if (!this.#verify(statement)) return 'false'
    this.#mayTake.take(1)
    this.#remember(key, readStatement(new Uint8Array(bytes)))
    const known = this.#seen.get(key)?.statement ?? statement
    if (hops > 0) this.#flood(key, known, hops + 1, from)
    else if (neighbourOrGuest !== null && this.#drawEpoch().endsStems) this.#flood(key, known, 1, null)
    else this.#stem(key, known, from)
    return 'taken'
  }

  /** When `take` has something to give, monotonic ms; Infinity: not before something happens. */
  get nextMs(): number {
    let nextMs = Number.POSITIVE_INFINITY
    for (const { dueMs } of this.#neighbours.values()) nextMs = Math.min(nextMs, dueMs)
    for (const key of this.#stemmed) nextMs = Math.min(nextMs, this.#seen.get(key)?.embargoMs ?? nextMs)
    return nextMs
  }

  /** What is to be sent now. */
  take(): FloodMessage[] {
    const nowMs = this.#deps.clock.monotonicMs()
    for (const key of this.#stemmed) {
      const seen = this.#seen.get(key)
      if (seen === undefined) this.#stemmed.delete(key)
      else if (seen.embargoMs !== null && seen.embargoMs <= nowMs) this.#beginFlood(key, seen)
    }
    const messages: FloodMessage[] = []
    for (const [neighbour, state] of this.#neighbours) {
      if (state.dueMs > nowMs) continue
      state.dueMs = Number.POSITIVE_INFINITY
      // In the order in which they came they would tell from whom.
      const statements = shuffle(this.#deps.random, [...state.queue.values()])
      state.queue.clear()
      for (let at = 0; at < statements.length; at += MAX_ANNOUNCE_STATEMENTS) {
        messages.push({ neighbour, statements: statements.slice(at, at + MAX_ANNOUNCE_STATEMENTS) })
      }
    }
    return messages
  }

  /** Current statements of a topic, those that we have. */
  find(topic: Uint8Array): OnionStatement[] {
    const found: OnionStatement[] = []
    for (const key of this.#held.get(toHex(topic)) ?? []) {
      const statement = this.#seen.get(key)?.statement ?? null
      if (statement !== null && isStatementCurrent(statement, this.#hour())) found.push(statement)
    }
    return found
  }

  #receiveKnown(neighbour: Neighbour, from: string, key: string, seen: Seen, hops: number): void {
    if (hops > 0) neighbour.queue.delete(key) // it has what we were about to send
    if (seen.embargoMs === null || seen.statement === null) return
    // The flood has come to us, or the stem has come round: who sent it in a flood has it.
    if (hops > 0) this.#flood(key, seen.statement, hops + 1, from)
    else this.#beginFlood(key, seen)
  }

  #beginFlood(key: string, { statement }: Seen): void {
    if (statement === null) this.#stemmed.delete(key)
    else this.#flood(key, statement, 1, null)
  }

  /** On the stem: to one neighbour, and under embargo until the flood comes. */
  #stem(key: string, statement: OnionStatement, from: string): void {
    const to = this.#successorOf(from)
    const seen = this.#seen.get(key)
    if (to === null || seen === undefined) {
      this.#flood(key, statement, 1, null)
      return
    }
    const { clock, random } = this.#deps
    seen.embargoMs = clock.monotonicMs() + FLOOD_EMBARGO_MS * (1 + random.fraction())
    this.#stemmed.add(key)
    this.#enqueue(to, key, { hops: 0, statement: statement.bytes }, FLOOD_STEM_DELAY_MS)
  }

  /** To all neighbours but the one that it came from, or only to those that are nearest to the topic. */
  #flood(key: string, statement: OnionStatement, hops: number, from: string | null): void {
    const seen = this.#seen.get(key)
    if (seen !== undefined) seen.embargoMs = null
    this.#stemmed.delete(key)
    if (hops > MAX_ANNOUNCE_HOPS) return
    const targets = [...this.#neighbours.keys()].filter((neighbour) => neighbour !== from)
    const isNarrow = this.#seen.size > FLOOD_WIDE_STATEMENTS
    for (const to of isNarrow ? this.#nearest(targets, statement.topic) : targets) {
      this.#enqueue(to, key, { hops, statement: statement.bytes }, FLOOD_BATCH_MS)
    }
  }

  #nearest(neighbours: readonly string[], topic: Uint8Array): string[] {
    return neighbours
      .map((neighbour) => ({
        neighbour,
        far: distance(this.#neighbours.get(neighbour)?.relayId ?? topic, topic),
      }))
      .sort((a, b) => a.far - b.far)
      .slice(0, FLOOD_NARROW_NEIGHBOURS)
      .map(({ neighbour }) => neighbour)
  }

  /** Sent after half to the whole of one and a half times `delayMs`, with what comes until then. */
  #enqueue(to: string, key: string, statement: HopStatement, delayMs: number): void {
    const neighbour = this.#neighbours.get(to)
    if (neighbour === undefined) return
    const { clock, random } = this.#deps
    neighbour.queue.set(key, statement)
    if (neighbour.queue.size > MAX_FLOOD_QUEUE) {
      const [oldest = key] = neighbour.queue.keys()
      neighbour.queue.delete(oldest)
    }
    neighbour.dueMs = Math.min(neighbour.dueMs, clock.monotonicMs() + delayMs * (0.5 + random.fraction()))
  }

  #successorOf(from: string): string | null {
    const { chosen } = this.#drawEpoch()
    const known = this.#successors.get(from)
    if (known !== undefined) return known
    const others = chosen.filter((neighbour) => neighbour !== from && this.#neighbours.has(neighbour))
    const successor = shuffle(this.#deps.random, others)[0] ?? null
    this.#successors.set(from, successor)
    return successor
  }

  /** What is drawn anew each epoch: whether we end stems, and where those that we do not end go on. */
  #drawEpoch(): { readonly endsStems: boolean; readonly chosen: readonly string[] } {
    const { clock, random } = this.#deps
    const nowMs = clock.monotonicMs()
    const isStale = this.#chosen.every((neighbour) => !this.#neighbours.has(neighbour))
    if (nowMs >= this.#epochEndsMs || isStale) {
      this.#epochEndsMs = nowMs + FLOOD_STEM_EPOCH_MS * (0.5 + random.fraction())
      this.#endsStems = random.fraction() < FLOOD_STEM_END_SHARE
      this.#chosen = shuffle(random, [...this.#neighbours.keys()]).slice(0, FLOOD_STEM_SUCCESSORS)
      this.#successors.clear()
    }
    return { endsStems: this.#endsStems, chosen: this.#chosen }
  }

  #remember(key: string, statement: OnionStatement): void {
    const far = distance(statement.topic, this.#deps.relayId)
    this.#seen.set(key, { statement, far, endHour: statementHours(statement.day).end, embargoMs: null })
    const topic = toHex(statement.topic)
    const ofTopic = this.#held.get(topic) ?? new Set()
    this.#held.set(topic, ofTopic.add(key))
    this.#heldCount++
    if (this.#heldCount > MAX_FLOOD_HELD) this.#dropFarthest()
  }

  /** Of what we have in full, those whose topics are farthest from us are for others to have: an eighth at a time. */
  #dropFarthest(): void {
    const held = [...this.#seen].filter(
      ([key, { statement }]) => statement !== null && !this.#stemmed.has(key),
    )
    held.sort(([, a], [, b]) => b.far - a.far)
    for (const [key, seen] of held.slice(0, MAX_FLOOD_HELD / 8)) this.#release(key, seen)
  }

  #release(key: string, seen: Seen): void {
    if (seen.statement === null) return
    const topic = toHex(seen.statement.topic)
    const ofTopic = this.#held.get(topic)
    ofTopic?.delete(key)
    if (ofTopic?.size === 0) this.#held.delete(topic)
    seen.statement = null
    this.#heldCount--
  }

  /** Once an hour: forget what nobody takes any more. */
  #sweep(): void {
    const hour = this.#hour()
    if (hour === this.#sweptHour) return
    this.#sweptHour = hour
    for (const [key, seen] of this.#seen) {
      if (seen.endHour > hour) continue
      this.#release(key, seen)
      this.#stemmed.delete(key)
      this.#seen.delete(key)
    }
  }

  #hour(): number {
    return hourOf(this.#deps.clock.now())
  }
}

/** One statement for each onion, topic and day. */
function keyOf({ onionKey, topic, day }: OnionStatement): string {
  const days = new ByteWriter(4).u32(day).bytes
  return toHex(sha256(onionKey, topic, days).subarray(0, KEY_BYTES))
}

/** XOR of the first 48 bits, as a number. */
function distance(a: Uint8Array, b: Uint8Array): number {
  let far = 0
  for (let i = 0; i < DISTANCE_BYTES; i++) far = far * 256 + ((a[i] ?? 0) ^ (b[i] ?? 0))
  return far
}
