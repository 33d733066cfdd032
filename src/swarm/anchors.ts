/**
 * Anchors over a restart: which members each channel was connected to for long is
 * written down now and then, and read when the channel is joined again
 * (discovery/peer-book.ts chooses them, and says why).
 *
 * @module swarm/anchors
 */
import type { Clock } from '../base/clock.ts'
import { errorMessage, isMegatorrentError } from '../base/errors.ts'
import { ANCHOR_SAVE_MS } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { formatPeerAddress, type PeerAddress, parsePeerAddress } from '../wire/address.ts'
import type { SwarmChannel } from './channel.ts'

/** Where anchors outlive the process. Given by the node, over its database. */
export interface AnchorStore {
  load(publicKey: Uint8Array): Iterable<string>
  save(publicKey: Uint8Array, addresses: readonly string[]): void
}

export class Anchors {
  readonly #clock: Clock
  readonly #log: Log
  readonly #store: AnchorStore
  /** What is written down of each channel, as one text. */
  readonly #saved = new WeakMap<SwarmChannel, string>()
  #lookedMs: number

  constructor(clock: Clock, log: Log, store: AnchorStore) {
    this.#clock = clock
    this.#log = log
    this.#store = store
    this.#lookedMs = clock.monotonicMs()
  }

  /** Those of an earlier run; a text that is no address is passed over. */
  load(channel: SwarmChannel): PeerAddress[] {
    const texts = [...this.#store.load(channel.keys.publicKey)]
    this.#saved.set(channel, texts.join(' '))
    return texts.map(addressOf).filter((address) => address !== null)
  }

  /** Write down what has changed, once in ANCHOR_SAVE_MS. */
  tick(channels: Iterable<SwarmChannel>): void {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#lookedMs < ANCHOR_SAVE_MS) return
    this.#lookedMs = nowMs
    for (const channel of channels) this.save(channel)
  }

  /** Write down the anchors of a channel if they have changed. */
  save(channel: SwarmChannel): void {
    const texts = channel.addresses.anchors(this.#clock.monotonicMs()).map(formatPeerAddress)
    const text = texts.join(' ')
    // Who is connected to nobody any more is better off with what was written before.
    if (texts.length === 0 || this.#saved.get(channel) === text) return
    try {
      this.#store.save(channel.keys.publicKey, texts)
      this.#saved.set(channel, text)
    } catch (error) {
      this.#log.error('anchors were not written down', { why: errorMessage(error) })
    }
  }
}

function addressOf(text: string): PeerAddress | null {
  try {
    return parsePeerAddress(text)
  } catch (error) {
    if (isMegatorrentError(error)) return null
    throw error
  }
}
