/**
 * Finding the onions of channels through relays (PROTOCOL_FINAL.md §7.7): what the flood
 * brings is given out as it comes, and while a channel has no peers a few relays are asked
 * for its topic, each over a connection that is for this question alone.
 *
 * @module swarm/relay-finder
 */
import { linkSignals } from '../base/abort.ts'
import { toHex } from '../base/bytes.ts'
import { type Clock, sleep } from '../base/clock.ts'
import { errorMessage } from '../base/errors.ts'
import {
  MAX_RELAY_ERRANDS,
  RELAY_ASKS,
  RELAY_FIND_MAX_MS,
  RELAY_FIND_MIN_MS,
  RELAY_FIND_SPREAD_MS,
} from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { Semaphore } from '../base/queue.ts'
import type { Random } from '../base/random.ts'
import { dayOf, topic } from '../crypto/key-schedule.ts'
import { daysToRead } from '../discovery/slots.ts'
import { type Address, formatAddress, formatPeerAddress, type PeerAddress } from '../wire/address.ts'
import { type OnionStatement, statementAddress } from '../wire/onion-statement.ts'
import type { RelayErrands } from './relay-errand.ts'

/** A channel whose onions are looked for. */
export interface SoughtChannel {
  /** That its topics come from, 32 bytes. */
  readonly secret: Uint8Array
  /** Its onion on this node as text, which is not given out, or null. */
  readonly own: string | null
  /** Onions: hints, as unproven as they come. */
  readonly onFound: (addresses: readonly Address[]) => void
  /** Peers that it is connected to. */
  readonly peers: () => number
}

export interface RelayFinderDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly errands: Pick<RelayErrands, 'findPeers'>
  /** Relays to ask, drawn anew each time. */
  readonly pick: (count: number) => readonly PeerAddress[]
  /** Statements of a topic that have come to us. */
  readonly find: (topic: Uint8Array) => readonly OnionStatement[]
}

export interface Sought {
  /** Ask now; resolves when the round is over. Never rejects. */
  look(signal: AbortSignal): Promise<void>
  stop(): void
}

export class RelayFinder {
  readonly #deps: RelayFinderDeps
  readonly #sought = new Set<SoughtChannel>()
  /** Of yesterday, today and tomorrow, by topic as hex. */
  #byTopic = new Map<string, Set<SoughtChannel>>()
  #topicsDay = -1
  readonly #places = new Semaphore(MAX_RELAY_ERRANDS)
  readonly #stopping = new AbortController()
  readonly #running = new Set<Promise<void>>()

  constructor(deps: RelayFinderDeps) {
    this.#deps = deps
  }

  follow(channel: SoughtChannel): Sought {
    const over = new AbortController()
    const { signal, release } = linkSignals(over.signal, this.#stopping.signal)
    this.#sought.add(channel)
    this.#topicsDay = -1
    for (const day of daysToRead(this.#deps.clock.now())) {
      const wanted = topic(channel.secret, day)
      this.found(wanted, this.#deps.find(wanted).map(statementAddress))
    }
    const run = this.#run(channel, signal).finally(() => {
      release()
      this.#running.delete(run)
    })
    this.#running.add(run)
    return {
      look: (asked) => this.#look(channel, asked),
      stop: () => {
        over.abort()
        this.#sought.delete(channel)
        this.#topicsDay = -1
      },
    }
  }

  /** Onions under a topic were heard of, in whatever way. */
  found(wanted: Uint8Array, addresses: readonly Address[]): void {
    for (const channel of this.#channelsOf(wanted)) {
      const others = addresses.filter((address) => formatAddress(address) !== channel.own)
      if (others.length > 0) channel.onFound(others)
    }
  }

  /** Resolves when nothing runs any more. Never rejects. */
  async close(): Promise<void> {
    this.#stopping.abort()
    await Promise.all(this.#running)
  }

  /** Ask, and again while there are no peers, less and less often. Never rejects. */
  async #run(channel: SoughtChannel, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#deps
    const pause = (ms: number): Promise<void> => sleep(clock, ms, signal)
    try {
      await pause(RELAY_FIND_SPREAD_MS * random.fraction())
      for (let waitMs = RELAY_FIND_MIN_MS; ; waitMs = Math.min(2 * waitMs, RELAY_FIND_MAX_MS)) {
        if (channel.peers() > 0) waitMs = RELAY_FIND_MIN_MS
        else await this.#look(channel, signal)
        await pause(waitMs * (0.5 + random.fraction() / 2))
      }
    } catch (error) {
      if (signal.aborted) return
      this.#deps.log.error('relays are not asked any more', { why: errorMessage(error) })
    }
  }

  async #look(channel: SoughtChannel, signal: AbortSignal): Promise<void> {
    const topics = daysToRead(this.#deps.clock.now()).map((day) => topic(channel.secret, day))
    const asks = topics.flatMap((wanted) =>
      this.#deps.pick(RELAY_ASKS).map((relay) => this.#places.run(() => this.#ask(relay, wanted, signal))),
    )
    await Promise.all(asks)
  }

  /** Never rejects. */
  async #ask(relay: PeerAddress, wanted: Uint8Array, signal: AbortSignal): Promise<void> {
    const { log, errands } = this.#deps
    const linked = linkSignals(signal, this.#stopping.signal)
    try {
      if (linked.signal.aborted) return
      const subject = `${formatPeerAddress(relay)} ${toHex(wanted)}`
      this.found(wanted, await errands.findPeers(relay, subject, wanted, linked.signal))
    } catch (error) {
      log.debug('a relay told of no peers', { why: errorMessage(error) })
    } finally {
      linked.release()
    }
  }

  #channelsOf(wanted: Uint8Array): Iterable<SoughtChannel> {
    const today = dayOf(this.#deps.clock.now())
    if (today !== this.#topicsDay) {
      this.#topicsDay = today
      this.#byTopic = new Map()
      for (const channel of this.#sought) {
        for (const day of [today - 1, today, today + 1]) {
          const text = toHex(topic(channel.secret, day))
          this.#byTopic.set(text, (this.#byTopic.get(text) ?? new Set()).add(channel))
        }
      }
    }
    return this.#byTopic.get(toHex(wanted)) ?? []
  }
}
