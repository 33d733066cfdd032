/**
 * Connections for which there is no room: each is told so, and held on to only
 * until it has read that. A few at a time; more are closed without a word.
 *
 * @module swarm/refusals
 */
import type { Clock } from '../base/clock.ts'
import { MAX_REFUSALS } from '../base/limits.ts'
import { Connection } from '../transport/connection.ts'
import type { Secured } from '../transport/handshake.ts'

export class Refusals {
  readonly #clock: Clock
  readonly #open = new Set<Connection>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Its owner from now on. */
  refuse({ channel, early }: Secured): void {
    if (this.#open.size >= MAX_REFUSALS) {
      channel.destroy()
      return
    }
    const connection = new Connection(channel, this.#clock)
    this.#open.add(connection)
    const onClose = (): void => void this.#open.delete(connection)
    connection.start({ onNotice: () => {}, readBlob: async () => null, readHead: () => null, onClose }, early)
    connection.close('tooManyConnections')
  }

  /** Without waiting for what is queued. */
  destroy(): void {
    for (const connection of [...this.#open]) connection.destroy()
  }
}
