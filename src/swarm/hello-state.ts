/**
 * Where one connection stands with its HELLOs, as data: what was told, what came,
 * and how soon the next may go out or be looked at (PROTOCOL_FINAL.md §7.2).
 *
 * Looking through a HELLO costs an HMAC for each of our channels, so a peer has a
 * budget of looks; ours keep within the same budget, so that no honest one is late.
 *
 * @module swarm/hello-state
 */
import type { Clock, Timer } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import {
  HELLO_BURST,
  HELLO_TOLERANCE,
  HELLOS_PER_SECOND,
  MAX_KEPT_HELLOS,
  MIN_HELLO_INTERVAL_MS,
} from '../base/limits.ts'
import { type Random, shuffle } from '../base/random.ts'
import { TokenBucket } from '../base/token-bucket.ts'
import { HELLO_PLACES } from '../wire/constants.ts'
import type { HelloMessage } from '../wire/message.ts'
import type { SwarmChannel } from './channel.ts'

export class HelloState {
  readonly #clock: Clock
  /** HELLOs sent: the counter of the next one. */
  #sent = 0
  #received = 0
  readonly #mayTell: TokenBucket
  readonly #mayLook: TokenBucket
  #toldMs = Number.NEGATIVE_INFINITY
  /** Channel -> slot version that we told last. */
  readonly #told = new Map<SwarmChannel, number>()
  /** The last ones, for channels that we join later. */
  readonly #kept: HelloMessage[] = []
  /** Set while a HELLO waits to be sent, or one to be looked at. */
  tellTimer: Timer | null = null
  lookTimer: Timer | null = null

  constructor(clock: Clock) {
    this.#clock = clock
    this.#mayTell = new TokenBucket(clock, HELLOS_PER_SECOND, HELLO_BURST)
    this.#mayLook = new TokenBucket(clock, HELLOS_PER_SECOND, HELLO_BURST * HELLO_TOLERANCE)
  }

  get sent(): number {
    return this.#sent
  }

  get received(): number {
    return this.#received
  }

  /** Those that came last, the newest at the end. */
  get kept(): readonly HelloMessage[] {
    return this.#kept
  }

  /** ms until our next may go out. */
  tellDelayMs(): number {
    const sinceMs = this.#clock.monotonicMs() - this.#toldMs
    return Math.max(this.#mayTell.waitMs(1), MIN_HELLO_INTERVAL_MS - sinceMs, 0)
  }

  /** Is there something of this channel that the peer was not told? */
  isDue(channel: SwarmChannel): boolean {
    return this.#told.get(channel) !== channel.slotVersion
  }

  hasTold(channel: SwarmChannel): boolean {
    return this.#told.has(channel)
  }

  /**
   * Which channels the next HELLO tells of, and its counter: those that are due, then others as far
   * as there are places, so that a HELLO does not show which one has news.
   */
  next(
    channels: Iterable<SwarmChannel>,
    random: Random,
  ): { readonly counter: number; readonly channels: SwarmChannel[] } {
    const shuffled = shuffle(random, [...channels])
    const due = shuffled.filter((channel) => this.isDue(channel))
    const rest = shuffled.filter((channel) => !this.isDue(channel))
    const told = [...due, ...rest].slice(0, HELLO_PLACES)
    for (const channel of told) this.#told.set(channel, channel.slotVersion)
    this.#mayTell.take(1)
    this.#toldMs = this.#clock.monotonicMs()
    return { counter: this.#sent++, channels: told }
  }

  /**
   * Take in one that came.
   *
   * @returns ms until it may be looked at; 0: now, and that is paid for.
   * @throws MegatorrentError ERR_PROTOCOL if its counter is not the next one: tags would repeat.
   */
  receive(hello: HelloMessage): number {
    if (hello.counter !== this.#received) {
      throw new MegatorrentError('ERR_PROTOCOL', `HELLO ${hello.counter} where ${this.#received} was due`)
    }
    this.#received++
    this.#kept.push(hello)
    if (this.#kept.length > MAX_KEPT_HELLOS) this.#kept.shift()
    return this.payLook()
  }

  /** Pay for a look. @returns ms to wait if there is nothing to pay it with. */
  payLook(): number {
    return this.#mayLook.take(1) ? 0 : Math.max(1, this.#mayLook.waitMs(1))
  }

  forget(channel: SwarmChannel): void {
    this.#told.delete(channel)
  }

  /** The connection is over. */
  stop(): void {
    this.tellTimer?.cancel()
    this.lookTimer?.cancel()
    this.tellTimer = this.lookTimer = null
  }
}
