/**
 * Telling relays of our onions, each day anew (PROTOCOL_FINAL.md §7.7): when, how often
 * and of whom. Each onion is told on its own, at a time of its own and over a connection
 * that is for this statement alone, to a relay that is drawn for it; so what relays see
 * ties no two of them together, nor any to the relay connections that we keep.
 *
 * Tomorrow's statement is told in the hours before midnight UTC in which that day is
 * looked up already. One that has not come back in the flood after a while is told again,
 * to another relay: the first may have swallowed it.
 *
 * @module swarm/onion-announcer
 */
import { equalBytes, toHex } from '../base/bytes.ts'
import { type Clock, sleep, type Timer } from '../base/clock.ts'
import { errorMessage } from '../base/errors.ts'
import {
  MAX_ONION_TELLS,
  ONION_TELL_CHECK_MS,
  ONION_TELL_RETRY_MAX_MS,
  ONION_TELL_RETRY_MIN_MS,
  ONION_TELL_SPREAD_MS,
  RELAY_TRIES,
} from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { Semaphore } from '../base/queue.ts'
import type { Random } from '../base/random.ts'
import type { SigningKey } from '../crypto/ed25519.ts'
import { dayOf, topic } from '../crypto/key-schedule.ts'
import type { PeerAddress } from '../wire/address.ts'
import { DAY_MS, DAY_OVERLAP_MS } from '../wire/constants.ts'
import { type OnionStatement, readStatement, statementHours } from '../wire/onion-statement.ts'
import type { RelayErrands } from './relay-errand.ts'
import { makeStatement } from './statement-work.ts'

/** An onion, and what it serves. */
export interface AnnouncedOnion {
  /** That topics come from: of the channel, 32 bytes. */
  readonly secret: Uint8Array
  readonly key: SigningKey
  readonly port: number
}

export interface OnionAnnouncerDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly errands: Pick<RelayErrands, 'announce'>
  /** Relays to tell, drawn anew each time. */
  readonly pick: (count: number) => readonly PeerAddress[]
  /** Statements of a topic that have come to us. */
  readonly find: (topic: Uint8Array) => readonly OnionStatement[]
  /** ANNOUNCE_WORK_BITS but in simulations. */
  readonly workBits?: number
  /** ONION_TELL_SPREAD_MS but in tests; no setting reaches it. */
  readonly spreadMs?: number
}

interface Followed {
  readonly onion: AnnouncedOnion
  readonly over: AbortController
  /** Of each day from today on, when it is told, wall time; days that are begun have Infinity. */
  readonly dueMs: Map<number, number>
  timer: Timer | null
}

/** Bytes that name one errand. */
const SUBJECT_BYTES = 16
/** ms between two looks at what is due, at most: the clock may be set, or the machine have slept. */
const LOOK_MS = 600_000

export class OnionAnnouncer {
  readonly #deps: OnionAnnouncerDeps
  readonly #followed = new Set<Followed>()
  /** Work for one statement at a time. */
  readonly #work = new Semaphore(1)
  readonly #running = new Set<Promise<void>>()

  constructor(deps: OnionAnnouncerDeps) {
    this.#deps = deps
  }

  /** Tell of it from now on. @returns how to stop. */
  follow(onion: AnnouncedOnion): () => void {
    const followed: Followed = { onion, over: new AbortController(), dueMs: new Map(), timer: null }
    this.#followed.add(followed)
    this.#look(followed)
    return () => this.#stop(followed)
  }

  /** Resolves when nothing runs any more. Never rejects. */
  async close(): Promise<void> {
    for (const followed of this.#followed) this.#stop(followed)
    await Promise.all(this.#running)
  }

  #stop(followed: Followed): void {
    this.#followed.delete(followed)
    followed.timer?.cancel()
    followed.over.abort()
  }

  /** Begin what is due, and look again in time. */
  #look(followed: Followed): void {
    const { clock, random, spreadMs = ONION_TELL_SPREAD_MS } = this.#deps
    const nowMs = clock.now()
    const today = dayOf(nowMs)
    for (const day of followed.dueMs.keys()) if (day < today) followed.dueMs.delete(day)
    for (const day of [today, today + 1]) {
      const dueMs = followed.dueMs.get(day) ?? tellAtMs(day, nowMs, spreadMs, random)
      followed.dueMs.set(day, dueMs > nowMs ? dueMs : Number.POSITIVE_INFINITY)
      if (dueMs <= nowMs) this.#track(this.#announce(followed, day))
    }
    const nextMs = Math.min(...followed.dueMs.values()) - nowMs
    followed.timer = clock.setTimer(() => this.#look(followed), Math.min(nextMs, LOOK_MS))
  }

  /** One day's statement, until it has come back, was told often enough, or the day is over. Never rejects. */
  async #announce({ onion, over: { signal } }: Followed, day: number): Promise<void> {
    const { clock, random, log, find, pick } = this.#deps
    const isOver = (): boolean => dayOf(clock.now()) > day
    try {
      // Work for what nobody could be told of is for nothing.
      while (pick(1).length === 0) {
        await sleep(clock, ONION_TELL_RETRY_MIN_MS, signal)
        if (isOver()) return // the next day has a wait of its own
      }
      const statement = await this.#work.run(async () => (isOver() ? null : this.#make(onion, day, signal)))
      if (statement === null) return
      let tells = 0
      for (let retryMs = ONION_TELL_RETRY_MIN_MS; tells < MAX_ONION_TELLS && !isOver(); ) {
        let pauseMs = retryMs
        if (await this.#tell(statement, signal)) {
          tells++
          pauseMs = ONION_TELL_CHECK_MS
          retryMs = ONION_TELL_RETRY_MIN_MS
        } else retryMs = Math.min(2 * retryMs, ONION_TELL_RETRY_MAX_MS)
        await sleep(clock, pauseMs * (0.5 + random.fraction() / 2), signal)
        if (find(statement.topic).some(({ onionKey }) => equalBytes(onionKey, statement.onionKey))) return
      }
      if (tells > 0) log.debug('an onion was told to relays, and has not come back to us')
    } catch (error) {
      if (!signal.aborted) log.error('an onion is not told to relays', { why: errorMessage(error) })
    }
  }

  #make({ secret, key, port }: AnnouncedOnion, day: number, signal: AbortSignal): Promise<OnionStatement> {
    const claim = { topic: topic(secret, day), onionKey: key.publicKey, port, day }
    const untilHour = statementHours(day).end
    const sign = (message: Uint8Array): Uint8Array => key.sign(message)
    return makeStatement(this.#deps, { ...claim, untilHour }, sign, signal).then(readStatement)
  }

  /** @returns whether a relay has it. */
  async #tell(statement: OnionStatement, signal: AbortSignal): Promise<boolean> {
    const { random, log, errands, pick } = this.#deps
    for (const relay of pick(RELAY_TRIES)) {
      try {
        const subject = toHex(random.bytes(SUBJECT_BYTES))
        if (await errands.announce(relay, subject, statement, signal)) return true
      } catch (error) {
        signal.throwIfAborted()
        log.debug('a relay was not told', { why: errorMessage(error) })
      }
    }
    return false
  }

  #track(work: Promise<void>): void {
    const tracked = work.finally(() => void this.#running.delete(tracked))
    this.#running.add(tracked)
  }
}

/** Today's soon, tomorrow's while it is looked up already; each at a random time. */
function tellAtMs(day: number, nowMs: number, spreadMs: number, random: Random): number {
  const midnightMs = day * DAY_MS
  if (midnightMs <= nowMs) return nowMs + spreadMs * random.fraction()
  const fromMs = Math.max(nowMs, midnightMs - DAY_OVERLAP_MS)
  return fromMs + Math.max(midnightMs - fromMs, spreadMs) * random.fraction()
}
