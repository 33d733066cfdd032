/**
 * Slots signed ahead, so that a channel can be found while its publisher is away
 * (PROTOCOL_FINAL.md §5.4): made for channels of ours, taken in for those that are
 * followed, and given out to who looks after slots.
 *
 * A set is of one head and worth nothing for another. Which head that is always follows from
 * the database, so there is nothing to write down before the work is done: what a crash
 * interrupts is begun anew by the next session.
 *
 * @module channels/slot-sets
 */
import { concatBytes, equalBytes } from '../base/bytes.ts'
import { type Clock, sleep } from '../base/clock.ts'
import { errorMessage, MegatorrentError } from '../base/errors.ts'
import { SLOT_SET_DAYS_PER_TASK, SLOT_SET_SIGN_RETRY_MS } from '../base/limits.ts'
import { type Log, short } from '../base/log.ts'
import { Semaphore } from '../base/queue.ts'
import { type ChannelKeys, dayOf, type PublisherKeys } from '../crypto/key-schedule.ts'
import { wipe } from '../crypto/wipe.ts'
import type { SlotSetsTable } from '../storage/tables/slot-sets-table.ts'
import type { TaskRunner } from '../storage/task-runner.ts'
import { MAX_SLOT_SET_DAYS } from '../wire/constants.ts'
import { type Head, headHash } from '../wire/head.ts'
import { decodeSlotSet, encodeSlotSet, type SlotSet, slotSetDays } from '../wire/slot-set.ts'

export interface SlotSetsDeps {
  readonly table: SlotSetsTable
  readonly runner: TaskRunner
  /** Keys of a channel of ours, or null. */
  readonly publisherKeys: (publicKey: Uint8Array) => PublisherKeys | null
  readonly clock: Clock
  readonly log: Log
  /** Days of a set: MAX_SLOT_SET_DAYS. Tests make sets of fewer, since each takes seconds. */
  readonly days?: number | undefined
}

/** How a channel comes by the set of a head. */
export type SetSource = 'held' | 'sign' | 'ask' | 'none'

export class SlotSets {
  readonly #deps: SlotSetsDeps
  /** One at a time of each: they are in no hurry, and workers have other things to do. */
  readonly #signing = new Semaphore(1)
  readonly #verifying = new Semaphore(1)
  readonly #days: number

  constructor(deps: SlotSetsDeps) {
    this.#deps = deps
    this.#days = deps.days ?? MAX_SLOT_SET_DAYS
  }

  /** What is to be done for the set of that head. Not for a channel that is only looked at. */
  sourceOf(publicKey: Uint8Array, head: Head): SetSource {
    const { table, publisherKeys } = this.#deps
    if (!table.isKept(publicKey)) return 'none'
    if (table.has(publicKey, headHash(head.bytes))) return 'held'
    return publisherKeys(publicKey) === null ? 'ask' : 'sign'
  }

  /** The set of that head, or null; every signature of it was verified, or made here. */
  get(publicKey: Uint8Array, head: Head): SlotSet | null {
    const content = this.#deps.table.get(publicKey, headHash(head.bytes))
    return content === null ? null : decodeSlotSet(content)
  }

  /** The set of the head of that hash, encoded, to be handed on; null also when all of its days are over. */
  give(publicKey: Uint8Array, hash: Uint8Array): Uint8Array | null {
    const { table, clock } = this.#deps
    const content = table.get(publicKey, hash)
    if (content === null) return null
    return lastDay(decodeSlotSet(content)) >= dayOf(clock.now()) ? content : null
  }

  /**
   * Sign the slots of the coming days, until that is done or called off. Durable when it resolves;
   * never rejects. Cost: 2 ms of a worker for each of MAX_SLOT_SET_DAYS.
   */
  async sign(publicKey: Uint8Array, head: Head, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps
    const channel = short(publicKey)
    while (!signal.aborted) {
      try {
        await this.#signing.run(() => this.#sign(publicKey, head, signal))
        log.info('slots signed ahead', { channel, sequence: head.releaseNumber, days: this.#days })
        return
      } catch (error) {
        if (signal.aborted) return
        log.warn('slots could not be signed ahead, trying again', { channel, why: errorMessage(error) })
        await sleep(clock, SLOT_SET_SIGN_RETRY_MS, signal).catch(() => {}) // called off: the loop ends
      }
    }
  }

  /**
   * Take in a set that a peer sent for that head: verify all of it, then keep it. Durable when it resolves.
   *
   * @param bytes - a set, with or without zeros behind it. Read before this returns.
   * @throws as `verify`.
   */
  async take(keys: ChannelKeys, head: Head, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const content = await this.verify(keys, head, bytes, signal)
    this.keep(keys.publicKey, head, content)
    this.#deps.log.debug('slots signed ahead received', { channel: short(keys.publicKey), days: this.#days })
  }

  /**
   * Verify all of a set of that head. Nothing changes.
   *
   * @param bytes - a set, with or without zeros behind it. Read before this returns.
   * @returns the set, encoded anew.
   * @throws MegatorrentError ERR_SLOT_SET (kind 'peer') for a set that is false: the rules of §5.4. Cost: as `sign`.
   * @throws MegatorrentError ERR_NOT_FOUND when all of its days are over: true, and of no use.
   */
  async verify(keys: ChannelKeys, head: Head, bytes: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const set = decodeSlotSet(bytes)
    if (!equalBytes(set.head, head.bytes)) {
      throw new MegatorrentError('ERR_SLOT_SET', 'a set of slots is of another head')
    }
    // What is left of a set is signed as well as all of it, and would be kept in its place.
    if (set.days !== this.#days) {
      throw new MegatorrentError('ERR_SLOT_SET', `a set of slots is cut down to ${set.days} days`)
    }
    const { clock, runner } = this.#deps
    // A day late by our clock may be none by that of others.
    if (lastDay(set) < dayOf(clock.now()) - 1) {
      throw new MegatorrentError('ERR_NOT_FOUND', 'the days of this set of slots are over')
    }
    const content = encodeSlotSet(set)
    const { publicKey, readKey } = keys
    await this.#verifying.run(async () => {
      const kept = decodeSlotSet(content)
      for (let n = 0; n < kept.days; n += SLOT_SET_DAYS_PER_TASK) {
        signal.throwIfAborted()
        const part = slotSetDays(kept, n, Math.min(SLOT_SET_DAYS_PER_TASK, kept.days - n))
        await runner.run('verifySlots', { publicKey, readKey, set: part })
      }
    })
    signal.throwIfAborted()
    return content
  }

  /** Keep a set of that head that was verified, or made here. Durable when it returns. */
  keep(publicKey: Uint8Array, head: Head, content: Uint8Array): void {
    this.#deps.table.replace(publicKey, headHash(head.bytes), content)
  }

  /** Sign the slots of that head from today on, and keep them. @returns the set, encoded. Cost: as `sign`. */
  signNow(publicKey: Uint8Array, head: Head, signal: AbortSignal): Promise<Uint8Array> {
    return this.#signing.run(() => this.#sign(publicKey, head, signal))
  }

  async #sign(publicKey: Uint8Array, head: Head, signal: AbortSignal): Promise<Uint8Array> {
    const { clock, runner, publisherKeys } = this.#deps
    const keys = publisherKeys(publicKey)
    if (keys === null) throw new MegatorrentError('ERR_KEY_MISSING', 'the key of this channel is missing')
    const firstDay = dayOf(clock.now())
    const parts: Uint8Array[] = []
    for (let n = 0; n < this.#days; n += SLOT_SET_DAYS_PER_TASK) {
      signal.throwIfAborted()
      const days = Math.min(SLOT_SET_DAYS_PER_TASK, this.#days - n)
      const seed = new Uint8Array(keys.seed)
      const input = { seed, readKey: keys.readKey, head: head.bytes, firstDay: firstDay + n, days }
      parts.push(await runner.run('signSlots', input).finally(() => wipe(seed)))
    }
    signal.throwIfAborted()
    const signatures = concatBytes(...parts)
    const content = encodeSlotSet({ head: head.bytes, firstDay, days: this.#days, signatures })
    this.keep(publicKey, head, content)
    return content
  }
}

function lastDay({ firstDay, days }: SlotSet): number {
  return firstDay + days - 1
}
