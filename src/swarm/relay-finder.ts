/**
 * Finding the onions of channels through relays (PROTOCOL_FINAL.md §7.7): a few relays are
 * asked for a channel's topic, each over a connection and a circuit that are for this
 * question alone, and what they answer is given to the channel that asked. Soon after it
 * begins to be followed, less and less often while it has no peers, and now and then when
 * it has some, which may be a few that keep it from all others.
 *
 * Statements that neighbours flood to us are given to no channel. A neighbour chooses what
 * it tells us: an onion for each of two channels, told to nobody else, would be dialled by
 * whoever holds that relay connection and follows both.
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
  RELAY_FIND_AGAIN_MS,
  RELAY_FIND_MAX_MS,
  RELAY_FIND_SELDOM_MS,
  RELAY_FIND_SPREAD_MS,
} from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { Semaphore } from '../base/queue.ts'
import type { Random } from '../base/random.ts'
import { topic } from '../crypto/key-schedule.ts'
import { daysToRead } from '../discovery/slots.ts'
import { type Address, formatAddress, formatPeerAddress, type PeerAddress } from '../wire/address.ts'
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
}

export interface Sought {
  /** Ask now; resolves when the round is over. Never rejects. */
  look(signal: AbortSignal): Promise<void>
  stop(): void
}

export class RelayFinder {
  readonly #deps: RelayFinderDeps
  readonly #places = new Semaphore(MAX_RELAY_ERRANDS)
  readonly #stopping = new AbortController()
  readonly #running = new Set<Promise<void>>()

  constructor(deps: RelayFinderDeps) {
    this.#deps = deps
  }

  follow(channel: SoughtChannel): Sought {
    const over = new AbortController()
    const { signal, release } = linkSignals(over.signal, this.#stopping.signal)
    const run = this.#run(channel, signal).finally(() => {
      release()
      this.#running.delete(run)
    })
    this.#running.add(run)
    return {
      look: async (asked) => void (await this.#look(channel, asked)),
      stop: () => over.abort(),
    }
  }

  /** Resolves when nothing runs any more. Never rejects. */
  async close(): Promise<void> {
    this.#stopping.abort()
    await Promise.all(this.#running)
  }

  /** Ask, and again while there are no peers, less and less often; seldom when there are some. Never rejects. */
  async #run(channel: SoughtChannel, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#deps
    const halfToWhole = (ms: number): number => ms * (0.5 + random.fraction() / 2)
    const seldomMs = (): number => clock.monotonicMs() + halfToWhole(RELAY_FIND_SELDOM_MS)
    try {
      await sleep(clock, RELAY_FIND_SPREAD_MS * random.fraction(), signal)
      let dueMs = seldomMs()
      let nextWaitMs = RELAY_FIND_AGAIN_MS
      for (;;) {
        const isAlone = channel.peers() === 0
        let wasAsked = false
        if (isAlone || clock.monotonicMs() >= dueMs) {
          wasAsked = await this.#look(channel, signal)
          dueMs = seldomMs()
        }
        // That no relay is known yet is no reason to wait longer.
        const waitMs = isAlone && wasAsked ? nextWaitMs : RELAY_FIND_AGAIN_MS
        nextWaitMs = isAlone && wasAsked ? Math.min(1.5 * waitMs, RELAY_FIND_MAX_MS) : RELAY_FIND_AGAIN_MS
        await sleep(clock, halfToWhole(waitMs), signal)
      }
    } catch (error) {
      if (signal.aborted) return
      this.#deps.log.error('relays are not asked any more', { why: errorMessage(error) })
    }
  }

  /** @returns whether there was a relay to ask. Never rejects. */
  async #look(channel: SoughtChannel, signal: AbortSignal): Promise<boolean> {
    const asks = daysToRead(this.#deps.clock.now()).flatMap((day) => {
      const wanted = topic(channel.secret, day)
      return this.#deps
        .pick(RELAY_ASKS)
        .map((relay) => this.#places.run(() => this.#ask(channel, relay, wanted, signal)))
    })
    await Promise.all(asks)
    return asks.length > 0
  }

  /** Never rejects. */
  async #ask(
    channel: SoughtChannel,
    relay: PeerAddress,
    wanted: Uint8Array,
    signal: AbortSignal,
  ): Promise<void> {
    const { log, errands } = this.#deps
    const linked = linkSignals(signal, this.#stopping.signal)
    try {
      if (linked.signal.aborted) return
      const subject = `${formatPeerAddress(relay)} ${toHex(wanted)}`
      const found = await errands.findPeers(relay, subject, wanted, linked.signal)
      const others = found.filter((address) => formatAddress(address) !== channel.own)
      if (others.length > 0) channel.onFound(others)
    } catch (error) {
      log.debug('a relay told of no peers', { why: errorMessage(error) })
    } finally {
      linked.release()
    }
  }
}
