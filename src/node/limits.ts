/**
 * Limits that can be changed while the node runs: rates of peer traffic and the
 * number of connections.
 *
 * What is set at run time is kept over a restart, as users of Transmission expect.
 * The last word wins: a value from a flag or a variable of this start, or one in
 * config.toml that is not the one it was when the limit was set, takes its place.
 *
 * @module node/limits
 */
import { MIN_USEFUL_RATE } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { Config } from '../config/schema.ts'
import type { MetaTable } from '../storage/tables/meta-table.ts'
import type { TransferLimits } from '../transport/rate-limit.ts'
import type { Limits } from './limit-types.ts'

export type LimitName = keyof Limits

export const LIMIT_NAMES: readonly LimitName[] = ['uploadLimit', 'downloadLimit', 'maxPeers']

export interface NodeLimitsDeps {
  readonly transfer: TransferLimits
  readonly meta: Pick<MetaTable, 'get' | 'set' | 'remove'>
  readonly log: Log
}

/** What was set at run time, and the setting that it took the place of. */
interface Kept {
  readonly value: number
  readonly instead: number
}

export class NodeLimits {
  readonly #deps: NodeLimitsDeps
  #configured: Limits
  #now: Limits

  /** @param given - those that a flag or a variable of this start set: they win. */
  constructor(config: Limits, given: ReadonlySet<string>, deps: NodeLimitsDeps) {
    this.#deps = deps
    this.#configured = pick(config)
    this.#now = this.#configured
    for (const name of LIMIT_NAMES) {
      const kept = this.#kept(name)
      if (kept === null) continue
      if (given.has(name) || kept.instead !== config[name]) deps.meta.remove(keyOf(name))
      else this.#now = { ...this.#now, [name]: kept.value }
    }
    this.#apply()
  }

  get now(): Limits {
    return this.#now
  }

  /** By the user, at run time: durable, then in force. */
  set(change: Partial<Limits>): Limits {
    for (const name of LIMIT_NAMES) {
      const value = change[name]
      if (value === undefined) continue
      const kept: Kept = { value, instead: this.#configured[name] }
      this.#deps.meta.set(keyOf(name), JSON.stringify(kept))
    }
    this.#now = { ...this.#now, ...pick({ ...this.#now, ...change }) }
    this.#apply()
    return this.#now
  }

  /** The settings were read again: those that changed are in force from now on. @returns their names. */
  reload(config: Limits): LimitName[] {
    const changed = LIMIT_NAMES.filter((name) => config[name] !== this.#configured[name])
    this.#configured = pick(config)
    for (const name of changed) {
      this.#deps.meta.remove(keyOf(name))
      this.#now = { ...this.#now, [name]: config[name] }
    }
    this.#apply()
    return changed
  }

  #apply(): void {
    const { transfer, log } = this.#deps
    const { uploadLimit, downloadLimit } = this.#now
    transfer.upload.setRate(uploadLimit)
    transfer.download.setRate(downloadLimit)
    for (const [name, rate] of Object.entries({ uploadLimit, downloadLimit })) {
      if (rate > 0 && rate < MIN_USEFUL_RATE)
        log.warn('a limit so low that peers take us for dead', { name, rate })
    }
  }

  #kept(name: LimitName): Kept | null {
    const text = this.#deps.meta.get(keyOf(name))
    if (typeof text !== 'string') return null
    const { value, instead } = JSON.parse(text) as Partial<Kept>
    return typeof value === 'number' && typeof instead === 'number' ? { value, instead } : null
  }
}

function keyOf(name: LimitName): string {
  return `limit.${name}`
}

function pick({ uploadLimit, downloadLimit, maxPeers }: Limits): Limits {
  return { uploadLimit, downloadLimit, maxPeers }
}

/** Limits among settings that came from a flag or a variable, by their origins. */
export function givenLimits(
  origins: Readonly<Record<keyof Config, { readonly source: string }>>,
): Set<string> {
  return new Set(LIMIT_NAMES.filter((name) => ['flag', 'environment'].includes(origins[name].source)))
}
