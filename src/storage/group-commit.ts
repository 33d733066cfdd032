/**
 * Group commit: blobs that are written at about the same time share the syncs of
 * their folders and one transaction, so that durability costs each a fraction.
 *
 * One commit runs at a time, and what is written meanwhile gathers for the next.
 * A batch begins when nobody is writing any more, when it is full, or when its
 * first blob has waited COMMIT_DELAY_MS. What a commit does is handed in.
 *
 * @module storage/group-commit
 */
import { toHex } from '../base/bytes.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { COMMIT_DELAY_MS, MAX_COMMIT_BLOBS } from '../base/limits.ts'

export interface GroupCommitInit {
  readonly clock: Clock
  /** Blobs being written, which will be added soon. */
  readonly writers: () => number
  /** Make these durable. @returns those that were not held before. */
  readonly commit: (ids: readonly Uint8Array[]) => Promise<readonly Uint8Array[]>
}

interface Waiter {
  readonly resolve: (isNew: boolean) => void
  readonly reject: (error: unknown) => void
}

interface Entry {
  readonly id: Uint8Array
  readonly waiters: Waiter[]
}

export class GroupCommit {
  readonly #init: GroupCommitInit
  #batch = new Map<string, Entry>()
  #running = false
  #timer: Timer | null = null

  constructor(init: GroupCommitInit) {
    this.#init = init
  }

  /**
   * Make a written blob durable.
   *
   * @returns when it is: true for the one call that made it held, false for others with the same id.
   */
  add(id: Uint8Array): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const name = toHex(id)
      const entry = this.#batch.get(name)
      if (entry === undefined) this.#batch.set(name, { id, waiters: [{ resolve, reject }] })
      else entry.waiters.push({ resolve, reject })
      this.check()
    })
  }

  /** Look again whether it is time: whoever stops being a writer calls it. */
  check(): void {
    if (this.#running || this.#batch.size === 0) return
    if (this.#batch.size >= MAX_COMMIT_BLOBS || this.#init.writers() === 0) {
      this.#start()
      return
    }
    this.#timer ??= this.#init.clock.setTimer(() => {
      this.#timer = null
      if (!this.#running && this.#batch.size > 0) this.#start()
    }, COMMIT_DELAY_MS)
  }

  #start(): void {
    this.#timer?.cancel()
    this.#timer = null
    const batch = this.#batch
    this.#batch = new Map()
    this.#running = true
    void this.#commit([...batch.values()]).finally(() => {
      this.#running = false
      this.check()
    })
  }

  async #commit(entries: readonly Entry[]): Promise<void> {
    try {
      const added = new Set((await this.#init.commit(entries.map(({ id }) => id))).map(toHex))
      for (const { id, waiters } of entries) {
        for (const [index, { resolve }] of waiters.entries()) resolve(index === 0 && added.has(toHex(id)))
      }
    } catch (error) {
      for (const { waiters } of entries) for (const { reject } of waiters) reject(error)
    }
  }
}
