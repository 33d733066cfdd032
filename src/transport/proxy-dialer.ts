/**
 * The one way out in safe mode: dials through the proxy, waits while it is away, and never goes
 * another way.
 *
 * While the proxy is away nothing fails on that account, or every peer would be taken for dead. It is tried again
 * after a pause that doubles, and what waits goes on when it is back.
 *
 * @module transport/proxy-dialer
 */
import { type Clock, sleep } from '../base/clock.ts'
import { errorMessage, isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import { MAX_PROXY_DIALS, PROXY_RETRY_MAX_MS, PROXY_RETRY_MIN_MS } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { Semaphore } from '../base/queue.ts'
import type { ByteStream, Dialer, DialOptions, Endpoint } from './transport.ts'

export interface ProxyDialerOptions {
  /** It tells failures of the proxy itself by ERR_PROXY_DOWN and ERR_PROXY_REFUSED, as transport/socks5.ts does. */
  readonly dialer: Dialer
  readonly clock: Clock
  readonly log: Log
}

export class ProxyDialer implements Dialer {
  readonly #options: ProxyDialerOptions
  readonly #places = new Semaphore(MAX_PROXY_DIALS)
  #error: MegatorrentError | null = null
  /** Dials that it answered, whatever it said. */
  #answered = 0
  #retryMs = PROXY_RETRY_MIN_MS
  /** Nothing is dialled before; monotonic ms. */
  #retryAtMs = Number.NEGATIVE_INFINITY

  constructor(options: ProxyDialerOptions) {
    this.#options = options
  }

  /** Why nothing gets through; null when the last dial showed that the proxy is there, or none was made yet. */
  get error(): MegatorrentError | null {
    return this.#error
  }

  /** Null before the first dial has shown it. */
  get isReachable(): boolean | null {
    return this.#error === null && this.#answered === 0 ? null : this.#error === null
  }

  /**
   * As the dialer that was given, but for ERR_PROXY_DOWN and ERR_PROXY_REFUSED, which are waited out.
   * `timeoutMs` counts from when the proxy is asked.
   *
   * An address at which the proxy breaks must not hold the others up: where it fails a second time and has
   * answered others in between, that is ERR_DIAL_FAILED.
   */
  async dial(endpoint: Endpoint, options: DialOptions): Promise<ByteStream> {
    let answeredBefore = Number.POSITIVE_INFINITY
    for (;;) {
      await this.#pause(options.signal)
      await this.#places.acquire()
      try {
        if (this.#waitMs() > 0) continue // it went away while this one waited for a place
        const stream = await this.#options.dialer.dial(endpoint, options)
        this.#worked()
        return stream
      } catch (error) {
        if (!isMegatorrentError(error)) throw error
        if (error.code === 'ERR_PROXY_DOWN' || error.code === 'ERR_PROXY_REFUSED') {
          if (this.#answered > answeredBefore) {
            throw new MegatorrentError('ERR_DIAL_FAILED', 'the proxy fails at this address, and at no other')
          }
          answeredBefore = this.#answered
          this.#failed(error)
          continue
        }
        // It answered, if only that it found no way.
        if (error.code === 'ERR_DIAL_FAILED') this.#worked()
        throw error
      } finally {
        this.#places.release()
      }
    }
  }

  async #pause(signal: AbortSignal | undefined): Promise<void> {
    const { clock } = this.#options
    for (let waitMs = this.#waitMs(); waitMs > 0; waitMs = this.#waitMs()) {
      await sleep(clock, waitMs, signal).catch(() => {
        throw new MegatorrentError('ERR_ABORTED', 'connecting was called off')
      })
    }
  }

  #waitMs(): number {
    return this.#retryAtMs - this.#options.clock.monotonicMs()
  }

  #worked(): void {
    this.#answered++
    if (this.#error !== null) this.#options.log.info('the proxy is back')
    this.#error = null
    this.#retryMs = PROXY_RETRY_MIN_MS
    this.#retryAtMs = Number.NEGATIVE_INFINITY
  }

  #failed(error: MegatorrentError): void {
    const nowMs = this.#options.clock.monotonicMs()
    // Said already by another of those that went out together.
    if (nowMs < this.#retryAtMs) return
    if (this.#error === null) {
      this.#options.log.warn('nothing gets through the proxy: all waits', { why: errorMessage(error) })
    }
    this.#error = error
    this.#retryAtMs = nowMs + this.#retryMs
    this.#retryMs = Math.min(PROXY_RETRY_MAX_MS, this.#retryMs * 2)
  }
}
