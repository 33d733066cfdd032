/**
 * The feed of events: looks at the node once a second while somebody listens, keeps the
 * last events, and hands them to those who listen.
 *
 * An event has an id: of this start of the daemon, and a number. Who comes again with
 * the last id that it saw gets what came since, if that is still kept and the feed was
 * looked after meanwhile; everybody else gets all that there is as if it were new.
 *
 * @module rpc/event-feed
 */
import { toHex } from '../base/bytes.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { EVENT_IDLE_MS, EVENT_LOOK_MS, MAX_KEPT_EVENTS } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { type Look, type News, newsBetween } from './event-diff.ts'
import { EVENTS } from './schema/events.ts'

/** One event as it goes out. */
export interface FeedEvent {
  readonly id: string
  readonly event: News['event']
  readonly data: unknown
}

export type Listener = (events: readonly FeedEvent[]) => void

export interface EventFeedDeps {
  readonly look: () => Promise<Look>
  /** A look failed by a fault of ours. The next one is tried all the same. */
  readonly onFault: (error: unknown) => void
  readonly clock: Clock
  readonly random: Random
}

interface Kept {
  readonly number: number
  readonly event: FeedEvent
}

export class EventFeed {
  readonly #deps: EventFeedDeps
  /** Names this start: numbers begin again with each. */
  readonly #start: string
  readonly #listeners = new Set<Listener>()
  #kept: Kept[] = []
  #lastNumber = 0
  #last: Look | null = null
  #timer: Timer | null = null
  #idleSinceMs: number | null = null
  #looking: Promise<void> | null = null
  #isClosed = false

  constructor(deps: EventFeedDeps) {
    this.#deps = deps
    this.#start = toHex(deps.random.bytes(8))
  }

  /**
   * Listen from now on. The listener is called at once with what it has missed.
   *
   * @param lastId - The last event that it saw, or null.
   * @returns how to stop.
   */
  async listen(lastId: string | null, listener: Listener): Promise<() => void> {
    await this.#lookNow()
    const missed = lastId === null ? null : this.#since(lastId)
    listener(missed ?? this.#all())
    if (this.#isClosed) return () => {}
    this.#listeners.add(listener)
    this.#schedule()
    return () => void this.#listeners.delete(listener)
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#listeners.clear()
  }

  /** What came after that event, or null when not all of it is kept. */
  #since(lastId: string): readonly FeedEvent[] | null {
    const match = /^([0-9a-f]{16})-([0-9]{1,15})$/.exec(lastId)
    if (match === null || match[1] !== this.#start) return null
    const number = Number(match[2])
    const oldest = this.#kept[0]?.number ?? this.#lastNumber + 1
    if (number > this.#lastNumber || number < oldest - 1) return null
    return this.#kept.filter((kept) => kept.number > number).map((kept) => kept.event)
  }

  /** Everything as it is, under the id of the last event: what comes next follows on it. */
  #all(): readonly FeedEvent[] {
    if (this.#last === null) return []
    const id = `${this.#start}-${this.#lastNumber}`
    return newsBetween(null, this.#last).map((news) => ({ id, ...checked(news) }))
  }

  #schedule(): void {
    if (this.#timer !== null || this.#isClosed) return
    this.#timer = this.#deps.clock.setTimer(() => {
      this.#timer = null
      void this.#turn()
    }, EVENT_LOOK_MS)
  }

  async #turn(): Promise<void> {
    await this.#lookNow()
    if (this.#isWanted()) this.#schedule()
    else this.#forget()
  }

  /** Somebody listens, or did a moment ago and may come again. */
  #isWanted(): boolean {
    if (this.#listeners.size > 0) {
      this.#idleSinceMs = null
      return true
    }
    this.#idleSinceMs ??= this.#deps.clock.monotonicMs()
    return this.#deps.clock.monotonicMs() - this.#idleSinceMs < EVENT_IDLE_MS
  }

  /** Nobody looks any more, so nothing would be known of what happens. */
  #forget(): void {
    this.#idleSinceMs = null
    this.#last = null
    this.#kept = []
    this.#lastNumber++ // so that no id that was given out is the last one
  }

  /** One look at a time: who asks during one gets that one. */
  #lookNow(): Promise<void> {
    this.#looking ??= this.#lookOnce().finally(() => {
      this.#looking = null
    })
    return this.#looking
  }

  async #lookOnce(): Promise<void> {
    if (this.#isClosed) return
    try {
      const now = await this.#deps.look()
      // Who began to listen while no look succeeded has been told nothing yet.
      const isFirst = this.#last === null && this.#listeners.size === 0
      const news = isFirst ? [] : newsBetween(this.#last, now)
      this.#last = now
      this.#tell(news)
    } catch (error) {
      this.#deps.onFault(error)
    }
  }

  #tell(news: readonly News[]): void {
    if (news.length === 0) return
    const events = news.map(
      (each): FeedEvent => ({ id: `${this.#start}-${++this.#lastNumber}`, ...checked(each) }),
    )
    const first = this.#lastNumber - events.length + 1
    this.#kept.push(...events.map((event, at) => ({ number: first + at, event })))
    this.#kept = this.#kept.slice(-MAX_KEPT_EVENTS)
    for (const listener of this.#listeners) listener(events)
  }
}

/** No field leaves that the schema does not list. */
function checked({ event, data }: News): Omit<FeedEvent, 'id'> {
  return { event, data: EVENTS[event].parse(data) }
}
