/**
 * Tells the DHT which channels and blobs this node has, and finds peers of channels.
 *
 * A channel is announced under its topic of the day (PROTOCOL_FINAL.md §3.2), which only
 * holders of the link can compute: one announcement for the channel, not one for each of
 * its blobs. Blobs are announced besides, so that a blob can be found by who knows its id
 * alone, but within a budget that takes turns: a hundred channels of a hundred thousand
 * blobs must not be ten million announcements.
 *
 * Direct mode only: an announcement shows our address.
 *
 * @module discovery/announcer
 */
import { toHex } from '../base/bytes.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { errorMessage } from '../base/errors.ts'
import {
  ANNOUNCE_PARALLEL_WALKS,
  BLOB_ANNOUNCES_PER_HOUR,
  DHT_RETRY_MS,
  TOPIC_ANNOUNCE_MAX_MS,
  TOPIC_ANNOUNCE_MIN_MS,
} from '../base/limits.ts'
import { type Log, short } from '../base/log.ts'
import { Semaphore } from '../base/queue.ts'
import type { Random } from '../base/random.ts'
import { type ChannelKeys, topic } from '../crypto/key-schedule.ts'
import { BLOB_ID_BYTES, TOPIC_BYTES } from '../wire/constants.ts'
import type { Dht, DhtAddress, DhtOptions } from './dht.ts'
import { daysToRead } from './slots.ts'

export interface AnnouncerTiming {
  readonly topicMinMs: number
  readonly topicMaxMs: number
  readonly blobsPerHour: number
}

const DEFAULT_TIMING: AnnouncerTiming = {
  topicMinMs: TOPIC_ANNOUNCE_MIN_MS,
  topicMaxMs: TOPIC_ANNOUNCE_MAX_MS,
  blobsPerHour: BLOB_ANNOUNCES_PER_HOUR,
}

export interface AnnouncerOptions {
  readonly dht: Dht
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** TCP port to announce; null while nobody can connect to us: then peers are only looked for. */
  readonly port: () => number | null
  /**
   * The held blob id that follows `after` in some lasting order, the first for null; null after
   * the last. Asked for one at a time, so that nothing is held open between.
   */
  readonly nextBlob?: (after: Uint8Array | null) => Promise<Uint8Array | null>
  /** Shorter times for tests; no setting reaches them. */
  readonly timing?: Partial<AnnouncerTiming>
}

/** A channel that is followed, published or held. */
export interface AnnouncedChannel {
  readonly keys: ChannelKeys
  /** A peer under the topic of `day`: a hint, as unproven as it comes. Must not throw. */
  onPeer(peer: DhtAddress, day: number): void
}

interface Topic {
  readonly channel: AnnouncedChannel
  /** Of the next round; null while one runs. */
  timer: Timer | null
}

export class Announcer {
  readonly #options: AnnouncerOptions
  readonly #timing: AnnouncerTiming
  readonly #topics = new Map<string, Topic>()
  readonly #places = new Semaphore(ANNOUNCE_PARALLEL_WALKS)
  readonly #stopping = new AbortController()
  readonly #running = new Set<Promise<void>>()
  #blobTimer: Timer | null = null
  /** The rotation begins anywhere, so that restarts do not favour the first ids. */
  #lastBlob: Uint8Array

  constructor(options: AnnouncerOptions) {
    this.#options = options
    this.#timing = { ...DEFAULT_TIMING, ...options.timing }
    this.#lastBlob = options.random.bytes(BLOB_ID_BYTES)
    if (options.nextBlob !== undefined && this.#timing.blobsPerHour > 0) this.#scheduleBlob()
  }

  /**
   * Announce a channel at once, and then at random times until the returned function is called.
   * Following it again replaces the first.
   */
  follow(channel: AnnouncedChannel): () => void {
    const key = toHex(channel.keys.publicKey)
    this.#topics.get(key)?.timer?.cancel()
    const entry: Topic = { channel, timer: null }
    this.#topics.set(key, entry)
    this.#round(key, entry)
    return () => {
      entry.timer?.cancel()
      if (this.#topics.get(key) === entry) this.#topics.delete(key)
    }
  }

  /**
   * There is news of a followed channel. Whoever is announced is found by those who wait for it; others look
   * for them now, and not when the next round comes.
   */
  onNews(publicKey: Uint8Array): void {
    const key = toHex(publicKey)
    const entry = this.#topics.get(key)
    if (this.#options.port() !== null || entry === undefined || entry.timer === null) return
    entry.timer.cancel()
    this.#round(key, entry)
  }

  /**
   * Look for peers of a channel now, under today's topic and near midnight UTC the neighbour's.
   *
   * @returns how many were given out. @throws MegatorrentError as `Dht.lookup`.
   */
  async lookup(channel: AnnouncedChannel, options: DhtOptions = {}): Promise<number> {
    const { dht, clock } = this.#options
    const found = await Promise.all(
      daysToRead(clock.now()).map((day) =>
        dht.lookup(topic(channel.keys.secret, day), (peer) => channel.onPeer(peer, day), options),
      ),
    )
    return found.reduce((sum, { peers }) => sum + peers, 0)
  }

  /** Resolves when nothing runs any more. Never rejects. */
  async close(): Promise<void> {
    this.#stopping.abort()
    this.#blobTimer?.cancel()
    for (const { timer } of this.#topics.values()) timer?.cancel()
    this.#topics.clear()
    await Promise.all(this.#running)
  }

  /** One round of a channel, and the timer of the next. */
  #round(key: string, entry: Topic): void {
    const { clock, random } = this.#options
    entry.timer = null
    this.#track(
      this.#announceTopics(entry.channel).finally(() => {
        if (this.#stopping.signal.aborted || this.#topics.get(key) !== entry) return
        const { topicMinMs, topicMaxMs } = this.#timing
        const usualMs = topicMinMs + random.fraction() * (topicMaxMs - topicMinMs)
        const delayMs = this.#options.dht.nodeCount === 0 ? Math.min(usualMs, DHT_RETRY_MS) : usualMs
        entry.timer = clock.setTimer(() => this.#round(key, entry), delayMs)
      }),
    )
  }

  async #announceTopics(channel: AnnouncedChannel): Promise<void> {
    const { clock, log } = this.#options
    for (const day of daysToRead(clock.now())) {
      try {
        await this.#places.run(() => this.#announceTopic(channel, day))
      } catch (error) {
        log.debug('topic not announced', {
          channel: short(channel.keys.publicKey),
          error: errorMessage(error),
        })
      }
    }
  }

  async #announceTopic(channel: AnnouncedChannel, day: number): Promise<void> {
    const { dht, port } = this.#options
    const { signal } = this.#stopping
    if (signal.aborted) return
    const infohash = topic(channel.keys.secret, day)
    const onPeer = (peer: DhtAddress): void => channel.onPeer(peer, day)
    const ownPort = port()
    // One walk does both: the nodes that take an announcement are those that know the peers.
    if (ownPort === null) await dht.lookup(infohash, onPeer, { signal })
    else await dht.announce(infohash, ownPort, { signal, onPeer })
  }

  #scheduleBlob(): void {
    const { clock, random } = this.#options
    const meanMs = 3_600_000 / this.#timing.blobsPerHour
    this.#blobTimer = clock.setTimer(
      () => {
        this.#track(
          this.#announceBlob().finally(() => {
            if (!this.#stopping.signal.aborted) this.#scheduleBlob()
          }),
        )
      },
      meanMs * (0.5 + random.fraction()),
    )
  }

  async #announceBlob(): Promise<void> {
    const { dht, port, nextBlob, log } = this.#options
    const { signal } = this.#stopping
    const ownPort = port()
    if (nextBlob === undefined || ownPort === null || dht.nodeCount === 0) return
    try {
      const blobId = (await nextBlob(this.#lastBlob)) ?? (await nextBlob(null))
      if (blobId === null || signal.aborted) return
      this.#lastBlob = blobId
      await this.#places.run(() => dht.announce(blobId.slice(0, TOPIC_BYTES), ownPort, { signal }))
    } catch (error) {
      log.debug('blob not announced', { error: errorMessage(error) })
    }
  }

  #track(work: Promise<void>): void {
    const tracked = work.finally(() => void this.#running.delete(tracked))
    this.#running.add(tracked)
  }
}
