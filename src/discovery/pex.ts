/**
 * PEX, exchange of peer addresses on a connection (PROTOCOL_FINAL.md §7.6): who is
 * asked when, and what is told. State as data and pure decisions; swarm/peer-exchange.ts
 * sends the messages.
 *
 * What was told on a connection is not told again, so that asking often brings
 * nothing but what is new; an asker goes on less and less often while nothing is.
 *
 * @module discovery/pex
 */
import type { Clock } from '../base/clock.ts'
import {
  MAX_PEX_TOLD,
  PEX_ADDRESSES_PER_ANSWER,
  PEX_ANSWER_BURST,
  PEX_ANSWERS_PER_SECOND,
  PEX_ASK_FACTOR,
  PEX_ASK_FIRST_MS,
  PEX_ASK_MAX_MS,
} from '../base/limits.ts'
import { type Random, shuffle } from '../base/random.ts'
import { TokenBucket } from '../base/token-bucket.ts'

/** An address that may be told. */
export interface Tellable<A> {
  /** The same for the same address. */
  readonly key: string
  readonly address: A
  readonly group: string
}

/** What one peer is told. One for each connection. */
export class PexTeller {
  readonly #mayAsk: TokenBucket
  /** Keys that were told, by topic or channel. */
  readonly #told = new Map<string, Set<string>>()

  constructor(clock: Clock) {
    this.#mayAsk = new TokenBucket(clock, PEX_ANSWERS_PER_SECOND, PEX_ANSWER_BURST)
  }

  /**
   * @param about - names what is asked about, the same each time.
   * @param own - key of the address that the asker has itself, or null.
   * @returns addresses that it was not told of yet, or `busy` when it asks too often.
   */
  answer<A>(
    about: string,
    candidates: readonly Tellable<A>[],
    own: string | null,
    random: Random,
  ): A[] | 'busy' {
    if (!this.#mayAsk.take(1)) return 'busy'
    const told = this.#told.get(about) ?? new Set<string>()
    const news = candidates.filter(({ key }) => key !== own && !told.has(key))
    const limit = Math.min(PEX_ADDRESSES_PER_ANSWER, MAX_PEX_TOLD - told.size)
    const chosen = spread(news, limit, random)
    for (const { key } of chosen) told.add(key)
    // Only what was told is remembered: on a relay connection one may ask for any topic.
    if (chosen.length > 0) this.#told.set(about, told)
    return chosen.map(({ address }) => address)
  }

  forget(about: string): void {
    this.#told.delete(about)
  }
}

/** When one peer is asked about one channel. */
export class PexAsker {
  #waitMs = PEX_ASK_FIRST_MS
  #notBeforeMs = Number.NEGATIVE_INFINITY
  #isOpen = false

  isDue(nowMs: number): boolean {
    return nowMs >= this.dueMs
  }

  /** When it may be asked, monotonic ms: never while it has not answered. */
  get dueMs(): number {
    return this.#isOpen ? Number.POSITIVE_INFINITY : this.#notBeforeMs
  }

  asked(): void {
    this.#isOpen = true
  }

  /** @param news - addresses that we did not know; 0 also for a refusal. */
  answered(nowMs: number, news: number, random: Random): void {
    this.#isOpen = false
    this.#waitMs = news > 0 ? PEX_ASK_FIRST_MS : Math.min(this.#waitMs * PEX_ASK_FACTOR, PEX_ASK_MAX_MS)
    this.#notBeforeMs = nowMs + this.#waitMs / 2 + (this.#waitMs / 2) * random.fraction()
  }
}

/** Up to `limit`, one of each group before a second of any; by chance beyond that. */
export function spread<T extends { readonly group: string }>(
  items: readonly T[],
  limit: number,
  random: Random,
): T[] {
  const turns = new Map<string, number>()
  return shuffle(random, [...items])
    .map((item) => {
      const turn = turns.get(item.group) ?? 0
      turns.set(item.group, turn + 1)
      return { item, turn }
    })
    .sort((a, b) => a.turn - b.turn)
    .slice(0, Math.max(0, limit))
    .map(({ item }) => item)
}
