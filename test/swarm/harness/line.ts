/**
 * A line between two nodes: a TCP relay on loopback that delays, has a rate, goes down
 * and comes back, or is cut.
 *
 * All connections through it share it, as those of a household do. What goes into it
 * waits in a queue of limited length and, when that is full, with its sender.
 */
import { once } from 'node:events'
import { createConnection, createServer, type Server, type Socket } from 'node:net'

export interface LineOptions {
  /** One way, ms. */
  readonly delayMs?: number
  /** Bytes a second for each direction, over all connections; no limit where absent. */
  readonly bytesPerSecond?: number
}

/** Bytes in the queue of one direction of one connection before its sender has to wait. */
const QUEUE_BYTES = 131_072
/** What such a queue may hold where only the delay keeps bytes in it: 40 MB/s at 100 ms. */
const DELAY_QUEUE_BYTES = 8_388_608
/** Pieces in which a line with a rate carries bytes: 16 ms at 1 Mbit/s. */
const PIECE_BYTES = 2_048

/** One direction of the line: when it is free again. */
interface Lane {
  freeMs: number
  bytes: number
}

export class Line {
  #options: LineOptions
  readonly #server: Server
  readonly #pipes = new Set<Pipe>()
  readonly #lanes = { out: { freeMs: 0, bytes: 0 }, in: { freeMs: 0, bytes: 0 } }
  #target: { readonly host: string; readonly port: number } | null = null
  #isUp = true

  private constructor(options: LineOptions) {
    this.#options = options
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (near) => this.#carry(near))
  }

  /** Where it leads may be said later, since a node has to know its line before it starts. */
  static async open(options: LineOptions): Promise<Line> {
    const line = new Line(options)
    line.#server.listen(0, '127.0.0.1')
    await once(line.#server, 'listening')
    return line
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('not listening')
    return address.port
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  leadTo(target: { readonly host: string; readonly port: number }): void {
    this.#target = target
  }

  /** Another delay and rate for what is sent from now on. */
  change(options: LineOptions): void {
    this.#options = options
    for (const pipe of this.#pipes) pipe.options = options
  }

  /** Bytes that were carried back to who connected. */
  get bytesIn(): number {
    return this.#lanes.in.bytes
  }

  /** Carry nothing, and tell nobody: what is sent waits. Connections are neither made nor ended. */
  down(): void {
    this.#isUp = false
  }

  up(): void {
    this.#isUp = true
    for (const pipe of this.#pipes) pipe.pump()
  }

  /** Break every connection, by a reset. */
  cut(): void {
    for (const pipe of this.#pipes) pipe.break()
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.cut()
    await closed
  }

  #carry(near: Socket): void {
    if (this.#target === null) {
      near.destroy()
      return
    }
    const far = createConnection({ ...this.#target, noDelay: true, allowHalfOpen: true })
    const isUp = (): boolean => this.#isUp
    const there = new Pipe(near, far, this.#options, this.#lanes.out, isUp)
    const back = new Pipe(far, near, this.#options, this.#lanes.in, isUp)
    for (const pipe of [there, back]) {
      this.#pipes.add(pipe)
      pipe.onEnd = () => void this.#pipes.delete(pipe)
    }
  }
}

/** One direction of one connection. */
class Pipe {
  readonly #from: Socket
  readonly #to: Socket
  options: LineOptions
  readonly #lane: Lane
  readonly #isUp: () => boolean
  readonly #queue: { readonly dueMs: number; readonly piece: Buffer | null }[] = []
  #queuedBytes = 0
  #timer: NodeJS.Timeout | null = null
  #isBlocked = false
  onEnd: () => void = () => {}

  constructor(from: Socket, to: Socket, options: LineOptions, lane: Lane, isUp: () => boolean) {
    this.#from = from
    this.#to = to
    this.options = options
    this.#lane = lane
    this.#isUp = isUp
    from.on('data', (bytes: Buffer) => this.#take(bytes))
    from.on('end', () => this.#put(null))
    from.on('error', () => this.break())
    from.on('close', () => {
      if (from.errored !== null) this.break()
    })
    to.on('close', () => this.#stop())
  }

  break(): void {
    this.#stop()
    this.#from.resetAndDestroy()
    this.#to.resetAndDestroy()
  }

  /** Deliver what is due; look again when the next piece is. */
  pump(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    while (this.#isUp() && !this.#isBlocked) {
      const next = this.#queue[0]
      if (next === undefined) return
      const waitMs = next.dueMs - performance.now()
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.pump(), waitMs)
        return
      }
      this.#queue.shift()
      if (next.piece === null) {
        this.#to.end()
        continue
      }
      this.#lane.bytes += next.piece.length
      this.#queuedBytes -= next.piece.length
      if (!this.#to.write(next.piece)) {
        this.#isBlocked = true
        this.#to.once('drain', () => {
          this.#isBlocked = false
          this.pump()
        })
        return
      }
      if (this.#queuedBytes < this.#limit / 2) this.#from.resume()
    }
  }

  get #limit(): number {
    return this.options.bytesPerSecond === undefined ? DELAY_QUEUE_BYTES : QUEUE_BYTES
  }

  #take(bytes: Buffer): void {
    const size = this.options.bytesPerSecond === undefined ? bytes.length : PIECE_BYTES
    for (let at = 0; at < bytes.length; at += size) this.#put(bytes.subarray(at, at + size))
  }

  #put(piece: Buffer | null): void {
    const { delayMs = 0, bytesPerSecond } = this.options
    const nowMs = performance.now()
    const takesMs =
      bytesPerSecond === undefined || piece === null ? 0 : (piece.length * 1000) / bytesPerSecond
    this.#lane.freeMs = Math.max(nowMs, this.#lane.freeMs) + takesMs
    this.#queue.push({ dueMs: this.#lane.freeMs + delayMs, piece })
    this.#queuedBytes += piece?.length ?? 0
    if (this.#queuedBytes >= this.#limit) this.#from.pause()
    if (this.#timer === null) this.pump()
  }

  #stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#queue.length = 0
    this.onEnd()
  }
}
