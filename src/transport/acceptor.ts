/**
 * Accepted streams on their way through the handshake, bounded in number.
 *
 * When one more comes than there is room for, one goes: the oldest of the host
 * that has the most. An honest peer is done in a few round trips, so what has been
 * waiting longest is most likely nobody, and who fills the places makes room for
 * himself. Behind a proxy all are one host, and all who come by one onion are; any
 * host elsewhere, and any onion, has a part of the places only.
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

/** Where streams come in, and as whom we answer there. */
export interface Door extends Pick<RespondOptions, 'candidates' | 'isOwnAddress' | 'nodeKey'> {
  /** The owner of the connection from now on. */
  readonly onSecured: (secured: Secured) => void
  /** Of an onion, where nobody has an address: all who come by it are one host, of this name. */
  readonly onion?: string
}

/** What all doors share. */
export interface AcceptorOptions extends Pick<RespondOptions, 'ephemerals' | 'clock' | 'random'> {
  /** Bounds the trials of all handshakes together. */
  readonly trials: TokenBucket
  readonly log: Log
}

export class Acceptor {
  readonly #options: AcceptorOptions
  readonly #gate: HandshakeGate
  /** Host group or onion -> its streams, the oldest first. */
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

  /** Take a stream that the listener of a door gave. Never throws. */
  accept(stream: ByteStream, door: Door): void {
    if (this.#closed) {
      stream.destroy()
      return
    }
    if (this.#count >= MAX_HALF_OPEN) this.#evict()
    const { host } = stream.remote
    const group = door.onion ?? hostGroup(host)
    const busy = this.#halfOpen.get(group)
    const isLimited = door.onion !== undefined || isIpOfOthers(host)
    if (busy !== undefined && busy.size >= MAX_HALF_OPEN_PER_HOST && isLimited) this.#dropOldest(group, busy)
    const streams = this.#halfOpen.get(group) ?? new Set()
    this.#halfOpen.set(group, streams.add(stream))
    this.#count++
    void this.#respond(stream, group, door)
  }

  /** Close all that has not finished, and take no more. */
  close(): void {
    this.#closed = true
    for (const [group, streams] of [...this.#halfOpen]) {
      for (const stream of [...streams]) this.#drop(group, stream)
    }
  }

  async #respond(stream: ByteStream, group: string, door: Door): Promise<void> {
    try {
      const secured = await respondHandshake(stream, { ...this.#options, ...door, group, gate: this.#gate })
      // One that was dropped at the very end of its handshake is nobody's any more.
      if (this.#forget(group, stream) && secured !== null) door.onSecured(secured)
    } catch (error) {
      this.#drop(group, stream)
      this.#options.log.error('handshake failed on our side', { why: errorMessage(error) })
    }
  }

  #evict(): void {
    let busiest: readonly [string, Set<ByteStream>] | null = null
    for (const entry of this.#halfOpen) {
      if (busiest === null || entry[1].size > busiest[1].size) busiest = entry
    }
    if (busiest !== null) this.#dropOldest(...busiest)
  }

  #dropOldest(group: string, streams: ReadonlySet<ByteStream>): void {
    const oldest = streams.values().next()
    if (!oldest.done) this.#drop(group, oldest.value)
  }

  #drop(group: string, stream: ByteStream): void {
    this.#forget(group, stream)
    stream.destroy()
  }

  /** @returns whether it was among them. */
  #forget(group: string, stream: ByteStream): boolean {
    const streams = this.#halfOpen.get(group)
    if (streams === undefined || !streams.delete(stream)) return false
    this.#count--
    if (streams.size === 0) this.#halfOpen.delete(group)
    return true
  }
}
