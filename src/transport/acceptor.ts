/**
 * Accepted streams on their way through the handshake, bounded in number.
 *
 * When one more comes than there is room for, one goes: the oldest of the host
 * that has the most. An honest peer is done in a few round trips, so what has been
 * waiting longest is most likely nobody, and who fills the places makes room for
 * himself. Behind a proxy or an onion all are one host; any other host has a part
 * of the places only.
 *
 * @module transport/acceptor
 */
import { errorMessage } from '../base/errors.ts'
import { MAX_HALF_OPEN, MAX_HALF_OPEN_PER_HOST } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { TokenBucket } from '../base/token-bucket.ts'
import { type RespondOptions, respondHandshake, type Secured } from './handshake.ts'
import { HandshakeGate } from './handshake-gate.ts'
import { hostGroup, isIpOfOthers } from './host-group.ts'
import type { ByteStream } from './transport.ts'

export interface AcceptorOptions extends Omit<RespondOptions, 'gate'> {
  /** Bounds the trials of all handshakes together. */
  readonly trials: TokenBucket
  /** The owner of the connection from now on. */
  readonly onSecured: (secured: Secured) => void
  readonly log: Log
}

export class Acceptor {
  readonly #options: AcceptorOptions
  readonly #gate: HandshakeGate
  /** Host group -> its streams, the oldest first. */
  readonly #halfOpen = new Map<string, Set<ByteStream>>()
  #count = 0
  #closed = false

  constructor(options: AcceptorOptions) {
    this.#options = options
    this.#gate = new HandshakeGate(options.clock, options.trials)
  }

  get halfOpen(): number {
    return this.#count
  }

  /** Take a stream that a listener gave. Never throws. */
  accept(stream: ByteStream): void {
    if (this.#closed) {
      stream.destroy()
      return
    }
    if (this.#count >= MAX_HALF_OPEN) this.#evict()
    const { host } = stream.remote
    const group = hostGroup(host)
    const busy = this.#halfOpen.get(group)
    if (busy !== undefined && busy.size >= MAX_HALF_OPEN_PER_HOST && isIpOfOthers(host))
      this.#dropOldest(busy)
    const streams = this.#halfOpen.get(group) ?? new Set()
    this.#halfOpen.set(group, streams.add(stream))
    this.#count++
    void this.#respond(stream)
  }

  /** Close all that has not finished, and take no more. */
  close(): void {
    this.#closed = true
    for (const streams of [...this.#halfOpen.values()]) for (const stream of [...streams]) this.#drop(stream)
  }

  async #respond(stream: ByteStream): Promise<void> {
    try {
      const secured = await respondHandshake(stream, { ...this.#options, gate: this.#gate })
      // One that was dropped at the very end of its handshake is nobody's any more.
      if (this.#forget(stream) && secured !== null) this.#options.onSecured(secured)
    } catch (error) {
      this.#drop(stream)
      this.#options.log.error('handshake failed on our side', { why: errorMessage(error) })
    }
  }

  #evict(): void {
    let busiest: Set<ByteStream> | null = null
    for (const streams of this.#halfOpen.values()) {
      if (busiest === null || streams.size > busiest.size) busiest = streams
    }
    if (busiest !== null) this.#dropOldest(busiest)
  }

  #dropOldest(streams: ReadonlySet<ByteStream>): void {
    const oldest = streams.values().next()
    if (!oldest.done) this.#drop(oldest.value)
  }

  #drop(stream: ByteStream): void {
    this.#forget(stream)
    stream.destroy()
  }

  /** @returns whether it was among them. */
  #forget(stream: ByteStream): boolean {
    const group = hostGroup(stream.remote.host)
    const streams = this.#halfOpen.get(group)
    if (streams === undefined || !streams.delete(stream)) return false
    this.#count--
    if (streams.size === 0) this.#halfOpen.delete(group)
    return true
  }
}
