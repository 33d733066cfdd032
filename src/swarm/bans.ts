/**
 * Who is not talked to, and until when (STATE.md, "Bans").
 *
 * A ban is tied to what a peer proved (its node key) or to what we chose (the
 * address that we dialled), never to what others say. An inbound address is
 * banned for minutes only, since it may be shared.
 *
 * @module swarm/bans
 */
import type { Clock } from '../base/clock.ts'
import { MAX_BANS } from '../base/limits.ts'

export interface Ban {
  /** `node:<hex>`, `address:<text>` or `ip:<host>`. */
  readonly subject: string
  /** Wall time, ms. */
  readonly until: number
  readonly reason: string
}

/** Where bans outlive the process. Given by the node, over its database. */
export interface BanStore {
  load(): Iterable<Ban>
  save(ban: Ban): void
  remove(subject: string): void
}

export class Bans {
  readonly #clock: Clock
  readonly #store: BanStore
  readonly #bans = new Map<string, Ban>()

  constructor(clock: Clock, store: BanStore) {
    this.#clock = clock
    this.#store = store
    for (const ban of store.load()) this.#bans.set(ban.subject, ban)
  }

  isBanned(subject: string): boolean {
    const ban = this.#bans.get(subject)
    if (ban === undefined) return false
    if (ban.until > this.#clock.now()) return true
    this.lift(subject)
    return false
  }

  ban(subject: string, durationMs: number, reason: string): void {
    const ban = { subject, until: this.#clock.now() + durationMs, reason }
    this.#bans.set(subject, ban)
    this.#store.save(ban)
    if (this.#bans.size <= MAX_BANS) return
    const oldest = this.#bans.keys().next()
    if (!oldest.done) this.lift(oldest.value)
  }

  /** @returns whether there was one. */
  lift(subject: string): boolean {
    const known = this.#bans.delete(subject)
    if (known) this.#store.remove(subject)
    return known
  }

  list(): Ban[] {
    return [...this.#bans.values()].filter((ban) => ban.until > this.#clock.now())
  }
}
