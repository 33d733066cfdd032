/**
 * What a transport is: something that dials, something that listens, and the
 * ByteStream both give.
 *
 * The rungs above are SecureChannel (sealed frames) and Connection (messages).
 * Every implementation passes test/compliance/transport.ts.
 *
 * @module transport/transport
 */

import type { Circuit } from './circuit.ts'

/** Where a stream begins or ends. The host is an IP literal or an onion name, never a name to resolve. */
export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** What the owner of a stream wants to hear. Set once, by `start`. */
export interface StreamHandlers {
  /** Bytes in order. The view is valid only during the call: copy what you keep. */
  onData(chunk: Uint8Array): void
  /** `write` gave false before and may be called again. */
  onDrain(): void
  /**
   * The other side has sent its end: no more data will come, and ours still goes out. Who leaves
   * this out ends the stream in return, as `end` does.
   */
  onEnd?(): void
  /** The last call, exactly once: both sides ended, it failed, or we destroyed it. Never within `start`. */
  onClose(): void
}

/**
 * A full-duplex stream of bytes. Nothing is delivered before `start`, within it, or after `destroy`
 * but `onClose`.
 */
export interface ByteStream {
  readonly local: Endpoint
  readonly remote: Endpoint
  /**
   * Begin to deliver. May be called again to hand the stream to a new owner: who `pause`s it first
   * loses no byte between, and the new owner is told of an end or a close that came meanwhile.
   */
  start(handlers: StreamHandlers): void
  /**
   * Queue bytes. They are not copied: leave them alone until `onTaken`.
   *
   * @param onTaken - called when the system has taken all of them; never, if the stream closes before.
   * @returns false when the caller should wait for `onDrain` before more.
   */
  write(bytes: Uint8Array, onTaken?: () => void): boolean
  /** Bytes queued and not yet taken by the system. */
  readonly queuedBytes: number
  /**
   * Stop and resume delivery, so that the sender feels back-pressure. While paused, an end or a
   * failure of the other side may go unnoticed: whoever pauses has a deadline.
   */
  pause(): void
  resume(): void
  /** Send what is queued, then our end. It closes when the other side has ended too, which may be never. */
  end(): void
  /** Close at once; what is queued may be lost. Idempotent. */
  destroy(): void
}

export interface DialOptions {
  readonly signal?: AbortSignal
  /** ms from the call to a stream that is up. */
  readonly timeoutMs: number
  /** What it is for. A proxy must be told; others do not care. */
  readonly circuit?: Circuit
}

export interface Dialer {
  /**
   * @throws MegatorrentError ERR_DIAL_FAILED (network), ERR_TIMEOUT or ERR_ABORTED; TypeError for a host
   *   that it cannot dial: for all but a proxy, a name.
   */
  dial(endpoint: Endpoint, options: DialOptions): Promise<ByteStream>
}

export interface Listener {
  /** Where it really listens: port 0 has become a number. */
  readonly endpoint: Endpoint
  /** Stop accepting. Streams already accepted live on, and it does not wait for them. Idempotent. */
  close(): Promise<void>
}

export interface Transport extends Dialer {
  /** @throws MegatorrentError ERR_LISTEN_FAILED (config). */
  listen(endpoint: Endpoint, onStream: (stream: ByteStream) => void): Promise<Listener>
}
