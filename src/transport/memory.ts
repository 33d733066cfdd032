/**
 * Streams within one process, for tests and simulations: a network of named
 * hosts with seeded latency, splits, stalls and broken lines.
 *
 * It behaves as TCP does: bytes arrive in order or the stream closes. What TCP
 * makes of a lost packet, a pause, is what `lossRate` makes here.
 *
 * @module transport/memory
 */
import type { Clock, Timer } from '../base/clock.ts'
import { type ErrorCode, MegatorrentError } from '../base/errors.ts'
import { WRITE_QUEUE_BYTES } from '../base/limits.ts'
import { type Random, randomInteger } from '../base/random.ts'
import type { ByteStream, DialOptions, Endpoint, Listener, StreamHandlers, Transport } from './transport.ts'

export interface MemoryNetworkOptions {
  /** One-way delay, ms. */
  readonly latencyMs?: number
  /** Chance that a delivery is late by `retransmitMs`. */
  readonly lossRate?: number
  readonly retransmitMs?: number
  /** Cut writes into pieces of 1 to this many bytes; 0 leaves them whole. */
  readonly maxSplitBytes?: number
  /** Chance per delivery that the line breaks for good. */
  readonly cutRate?: number
}

const NO_HANDLERS: StreamHandlers = {
  onData: () => {},
  onDrain: () => {},
  onEnd: () => {},
  onClose: () => {},
}

interface Sent {
  readonly piece: Uint8Array
  readonly onTaken: (() => void) | undefined
}

class MemoryStream implements ByteStream {
  readonly local: Endpoint
  readonly remote: Endpoint
  readonly #network: MemoryNetwork
  #peer: MemoryStream | null = null
  #handlers: StreamHandlers = NO_HANDLERS
  #paused = true
  #closed = false
  /** The owner that was told of the close: each hears of it once. */
  #toldClosed: StreamHandlers | null = null
  /** We have sent our end; the other side's end has been delivered here. */
  #ended = false
  #remoteEnded = false
  #blocked = false
  /** Sent by the other side, not yet delivered to our owner. */
  readonly #inbox: (Sent | 'end')[] = []
  #queuedBytes = 0
  /** Earliest moment for the next delivery, so that order holds whatever the delays. */
  #nextDeliveryMs = 0
  readonly #timers = new Set<Timer>()

  constructor(network: MemoryNetwork, local: Endpoint, remote: Endpoint) {
    this.#network = network
    this.local = local
    this.remote = remote
  }

  static pair(network: MemoryNetwork, a: Endpoint, b: Endpoint): [MemoryStream, MemoryStream] {
    const left = new MemoryStream(network, a, b)
    const right = new MemoryStream(network, b, a)
    left.#peer = right
    right.#peer = left
    return [left, right]
  }

  get queuedBytes(): number {
    return this.#queuedBytes
  }

  start(handlers: StreamHandlers): void {
    this.#handlers = handlers
    this.#paused = false
    queueMicrotask(() => {
      if (this.#handlers !== handlers) return
      if (this.#closed) this.#tellClosed()
      else if (this.#remoteEnded) this.#tellEnd()
      else this.#pump()
    })
  }

  write(bytes: Uint8Array, onTaken?: () => void): boolean {
    if (this.#closed || this.#ended) return true
    let leftBytes = bytes.length
    for (const piece of this.#network.split(bytes)) {
      this.#queuedBytes += piece.length
      leftBytes -= piece.length
      this.#send({ piece, onTaken: leftBytes === 0 ? onTaken : undefined })
    }
    this.#blocked = this.#queuedBytes >= WRITE_QUEUE_BYTES
    return !this.#blocked
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    queueMicrotask(() => this.#pump())
  }

  end(): void {
    if (this.#closed || this.#ended) return
    this.#ended = true
    this.#send('end')
  }

  destroy(): void {
    if (this.#closed) return
    this.#close()
    const peer = this.#peer
    if (peer !== null && !peer.#closed) {
      this.#network.clock.setTimer(() => peer.#close(), this.#network.latencyMs)
    }
  }

  #send(item: Sent | 'end'): void {
    const peer = this.#peer
    if (peer === null) return
    const { clock } = this.#network
    const dueMs = Math.max(clock.monotonicMs() + this.#network.delayMs(), this.#nextDeliveryMs)
    this.#nextDeliveryMs = dueMs
    const timer = clock.setTimer(() => {
      this.#timers.delete(timer)
      if (this.#network.cuts()) {
        this.destroy()
        return
      }
      peer.#inbox.push(item)
      peer.#pump()
    }, dueMs - clock.monotonicMs())
    this.#timers.add(timer)
  }

  #pump(): void {
    const peer = this.#peer
    while (peer !== null && !this.#paused && !this.#closed) {
      const item = this.#inbox.shift()
      if (item === undefined) return
      if (item === 'end') {
        this.#remoteEnded = true
        this.#tellEnd()
        if (peer.#remoteEnded && !this.#closed) {
          peer.#close()
          this.#close()
        }
        return
      }
      // A copy: what arrives is the receiver's, who may write to it, and what was sent is the sender's.
      this.#handlers.onData(item.piece.slice())
      peer.#delivered(item)
    }
  }

  #delivered({ piece, onTaken }: Sent): void {
    if (this.#closed) return
    this.#queuedBytes -= piece.length
    onTaken?.()
    if (this.#blocked && this.#queuedBytes < WRITE_QUEUE_BYTES) {
      this.#blocked = false
      this.#handlers.onDrain()
    }
  }

  #tellEnd(): void {
    if (this.#handlers.onEnd !== undefined) this.#handlers.onEnd()
    else this.end()
  }

  #close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#queuedBytes = 0
    for (const timer of this.#timers) timer.cancel()
    this.#timers.clear()
    this.#inbox.length = 0
    queueMicrotask(() => this.#tellClosed())
  }

  #tellClosed(): void {
    if (this.#handlers === NO_HANDLERS || this.#toldClosed === this.#handlers) return
    this.#toldClosed = this.#handlers
    this.#handlers.onClose()
  }
}

/** A network within the process. Each host of it has its own `transport(host)`. */
export class MemoryNetwork {
  readonly clock: Clock
  readonly latencyMs: number
  readonly #random: Random
  readonly #lossRate: number
  readonly #retransmitMs: number
  readonly #maxSplitBytes: number
  readonly #cutRate: number
  readonly #listeners = new Map<string, (stream: ByteStream) => void>()
  #nextPort = 49_152

  constructor(clock: Clock, random: Random, options: MemoryNetworkOptions = {}) {
    this.clock = clock
    this.#random = random
    this.latencyMs = options.latencyMs ?? 0
    this.#lossRate = options.lossRate ?? 0
    this.#retransmitMs = options.retransmitMs ?? 200
    this.#maxSplitBytes = options.maxSplitBytes ?? 0
    this.#cutRate = options.cutRate ?? 0
  }

  /** The transport as seen from one host. */
  transport(host: string): Transport {
    return {
      listen: async (endpoint, onStream) => this.#listen({ host, port: endpoint.port }, onStream),
      dial: (endpoint, options) => this.#dial(host, endpoint, options),
    }
  }

  delayMs(): number {
    const late = this.#lossRate > 0 && this.#random.fraction() < this.#lossRate
    return this.latencyMs + (late ? this.#retransmitMs : 0)
  }

  cuts(): boolean {
    return this.#cutRate > 0 && this.#random.fraction() < this.#cutRate
  }

  *split(bytes: Uint8Array): Generator<Uint8Array> {
    if (this.#maxSplitBytes === 0 || bytes.length === 0) {
      yield bytes
      return
    }
    for (let offset = 0; offset < bytes.length; ) {
      const size = randomInteger(this.#random, 1, this.#maxSplitBytes)
      yield bytes.subarray(offset, offset + size)
      offset += size
    }
  }

  #listen(endpoint: Endpoint, onStream: (stream: ByteStream) => void): Listener {
    const bound = { host: endpoint.host, port: endpoint.port === 0 ? this.#nextPort++ : endpoint.port }
    const name = `${bound.host}:${bound.port}`
    if (this.#listeners.has(name))
      throw new MegatorrentError('ERR_LISTEN_FAILED', `cannot listen on ${name}: in use`)
    this.#listeners.set(name, onStream)
    return { endpoint: bound, close: async () => void this.#listeners.delete(name) }
  }

  async #dial(host: string, endpoint: Endpoint, options: DialOptions): Promise<ByteStream> {
    const { signal, timeoutMs } = options
    if (signal?.aborted) throw new MegatorrentError('ERR_ABORTED', 'connecting was called off')
    return new Promise((resolve, reject) => {
      let near: ByteStream | null = null
      const settle = (): void => {
        step.cancel()
        deadline.cancel()
        signal?.removeEventListener('abort', onAbort)
      }
      const fail = (code: ErrorCode, message: string): void => {
        settle()
        near?.destroy()
        reject(new MegatorrentError(code, message))
      }
      const onAbort = (): void => fail('ERR_ABORTED', 'connecting was called off')
      const onArrival = (): void => {
        const accept = this.#listeners.get(`${endpoint.host}:${endpoint.port}`)
        if (accept === undefined) {
          const refused = (): void => fail('ERR_DIAL_FAILED', 'connecting failed: nobody listens')
          step = this.clock.setTimer(refused, this.latencyMs)
          return
        }
        const [ours, theirs] = MemoryStream.pair(this, { host, port: this.#nextPort++ }, endpoint)
        near = ours
        accept(theirs)
        step = this.clock.setTimer(() => {
          settle()
          resolve(ours)
        }, this.latencyMs)
      }
      let step = this.clock.setTimer(onArrival, this.latencyMs)
      const deadline = this.clock.setTimer(() => fail('ERR_TIMEOUT', 'connecting took too long'), timeoutMs)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }
}
