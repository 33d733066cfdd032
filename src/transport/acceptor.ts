/**
 * Accepted streams on their way through the handshake, bounded in number.
 *
 * When one more comes than there is room for, the oldest goes: an honest peer is
 * done in a few round trips, so what has been waiting longest is most likely
 * nobody (THREATS: half-open floods).
 *
 * @module transport/acceptor
 */

import { errorMessage } from '../base/errors.ts'
import { MAX_HALF_OPEN } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { type RespondOptions, respondHandshake, type Secured } from './handshake.ts'
import type { ByteStream } from './transport.ts'

export interface AcceptorOptions extends RespondOptions {
  readonly onSecured: (secured: Secured) => void
  readonly log: Log
}

export class Acceptor {
  readonly #options: AcceptorOptions
  readonly #halfOpen = new Set<ByteStream>()

  constructor(options: AcceptorOptions) {
    this.#options = options
  }

  get halfOpen(): number {
    return this.#halfOpen.size
  }

  /** Take a stream that a listener gave. Never throws. */
  accept(stream: ByteStream): void {
    if (this.#halfOpen.size >= MAX_HALF_OPEN) {
      const oldest = this.#halfOpen.values().next()
      if (!oldest.done) this.#forget(oldest.value)
    }
    this.#halfOpen.add(stream)
    respondHandshake(stream, this.#options)
      .then((secured) => {
        this.#halfOpen.delete(stream)
        if (secured !== null) this.#options.onSecured(secured)
      })
      .catch((error: unknown) => {
        this.#forget(stream)
        this.#options.log.error('handshake failed on our side', { why: errorMessage(error) })
      })
  }

  /** Close all that has not finished. */
  close(): void {
    for (const stream of [...this.#halfOpen]) this.#forget(stream)
  }

  #forget(stream: ByteStream): void {
    this.#halfOpen.delete(stream)
    stream.destroy()
  }
}
