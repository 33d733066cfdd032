/**
 * The onion services that a node wants to have, kept up over restarts of Tor.
 *
 * Each is one channel's, with a key and a listener of its own, so that nothing ties the channels of
 * a node together. While Tor is away there are none, and `state` says so; nothing takes their place.
 *
 * @module transport/onion/onion-services
 */
import { type Clock, sleep, type Timer } from '../../base/clock.ts'
import { errorMessage, isMegatorrentError } from '../../base/errors.ts'
import { CONTROL_RETRY_MAX_MS, CONTROL_RETRY_MIN_MS } from '../../base/limits.ts'
import type { Log } from '../../base/log.ts'
import { SigningKey } from '../../crypto/ed25519.ts'
import { onionName } from '../../wire/onion.ts'
import { isCollision, type OnionService, type TorControl, type TorControlOptions } from './tor-control.ts'

/** wanted: not yet made, or Tor is away. made: Tor serves it. published: others can find it. */
export type OnionState = 'wanted' | 'made' | 'published'

export interface OnionServicesOptions {
  /** TorControl.open, with all but what is heard of it. */
  readonly open: (
    heard: Pick<TorControlOptions, 'onPublished' | 'onClosed' | 'signal'>,
  ) => Promise<TorControl>
  readonly clock: Clock
  readonly log: Log
}

interface Wanted {
  readonly service: OnionService
  state: OnionState
}

export class OnionServices {
  readonly #options: OnionServicesOptions
  readonly #wanted = new Map<string, Wanted>()
  readonly #stopping = new AbortController()
  #control: TorControl | null = null
  #lastError: Error | null = null
  #retry: Timer | null = null
  #retryMs = CONTROL_RETRY_MIN_MS
  #isConnecting = false

  constructor(options: OnionServicesOptions) {
    this.#options = options
  }

  /** Why the last thing that was tried failed; null when it did not, or nothing was yet. */
  get lastError(): Error | null {
    return this.#lastError
  }

  /** How many are wanted, and how many of them others can find. */
  get counts(): { readonly wanted: number; readonly published: number } {
    const states = [...this.#wanted.values()]
    return { wanted: states.length, published: states.filter(({ state }) => state === 'published').length }
  }

  /** Both, as the user is told. */
  get status(): { readonly error: string | null; readonly wanted: number; readonly published: number } {
    const error = this.#lastError
    return { error: error === null ? null : errorMessage(error), ...this.counts }
  }

  /**
   * Have a service from now on.
   *
   * @param service - its seed is kept, and is not to be wiped before `remove`.
   * @returns its host, at once: whether it can be reached is told by `state`.
   */
  add(service: OnionService): string {
    const host = onionName(new SigningKey(service.seed).publicKey)
    if (this.#wanted.has(host)) return host
    this.#wanted.set(host, { service, state: 'wanted' })
    if (this.#control === null) this.#connect()
    else void this.#make(this.#control, host)
    return host
  }

  /** @param host - as `add` gave it. */
  async remove(host: string): Promise<void> {
    const wanted = this.#wanted.get(host)
    if (wanted === undefined) return
    this.#wanted.delete(host)
    if (wanted.state === 'wanted') return
    // If that fails the connection has ended, and the service with it.
    await this.#control?.removeOnion(host).catch(() => {})
  }

  /** @returns null for one that was not added. */
  state(host: string): OnionState | null {
    return this.#wanted.get(host)?.state ?? null
  }

  /** All services end. */
  close(): void {
    this.#stopping.abort()
    this.#retry?.cancel()
    this.#wanted.clear()
    this.#control?.close()
  }

  #connect(): void {
    if (this.#isConnecting || this.#retry !== null || this.#stopping.signal.aborted) return
    this.#isConnecting = true
    const heard = {
      signal: this.#stopping.signal,
      onPublished: (host: string) => this.#advance(host, 'published'),
      onClosed: () => this.#lost(),
    }
    this.#options
      .open(heard)
      .then(
        (control) => this.#connected(control),
        (error: unknown) => this.#failed(error),
      )
      .finally(() => {
        this.#isConnecting = false
      })
  }

  #connected(control: TorControl): void {
    this.#control = control
    this.#lastError = null
    this.#retryMs = CONTROL_RETRY_MIN_MS
    if (this.#stopping.signal.aborted) {
      control.close()
      return
    }
    for (const host of this.#wanted.keys()) void this.#make(control, host)
  }

  #failed(error: unknown): void {
    if (this.#stopping.signal.aborted) return
    this.#lastError = error instanceof Error ? error : new Error(errorMessage(error))
    this.#options.log.warn('no onion services', { why: errorMessage(error), retryMs: this.#retryMs })
    this.#connectLater()
  }

  #lost(): void {
    this.#control = null
    for (const wanted of this.#wanted.values()) wanted.state = 'wanted'
    if (this.#stopping.signal.aborted) return
    this.#options.log.warn('Tor has gone, and the onion services with it')
    this.#connectLater()
  }

  #connectLater(): void {
    const { clock } = this.#options
    this.#retry ??= clock.setTimer(() => {
      this.#retry = null
      if (this.#wanted.size > 0) this.#connect()
    }, this.#retryMs)
    this.#retryMs = Math.min(CONTROL_RETRY_MAX_MS, this.#retryMs * 2)
  }

  /** Never rejects: what fails with Tor there is tried again while it is there. */
  async #make(control: TorControl, host: string): Promise<void> {
    const { clock, log } = this.#options
    const { signal } = this.#stopping
    for (let pauseMs = CONTROL_RETRY_MIN_MS; ; pauseMs = Math.min(CONTROL_RETRY_MAX_MS, pauseMs * 2)) {
      const wanted = this.#wanted.get(host)
      if (wanted === undefined || this.#control !== control || signal.aborted) return
      try {
        await control.addOnion(wanted.service)
        this.#lastError = null
        if (this.#wanted.get(host) === wanted) this.#advance(host, 'made')
        else await control.removeOnion(host)
        return
      } catch (error) {
        if (isMegatorrentError(error) && !isCollision(error)) {
          this.#lastError = error
          log.warn('an onion service could not be made', { why: errorMessage(error) })
        }
      }
      await sleep(clock, pauseMs, signal).catch(() => {}) // called off: seen above
    }
  }

  #advance(host: string, state: OnionState): void {
    const wanted = this.#wanted.get(host)
    if (wanted !== undefined && wanted.state !== 'published') wanted.state = state
  }
}
