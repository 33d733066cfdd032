/**
 * TCP, the only importer of node:net.
 *
 * It takes IP literals only: `net` would resolve a name by itself, and where that
 * question goes is a matter of the node's mode, not of a socket.
 *
 * @module transport/tcp
 */
import net, { isIP } from 'node:net'
import { EMPTY_BYTES } from '../base/bytes.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { errorMessage, MegatorrentError } from '../base/errors.ts'
import { MAX_PENDING_ACCEPTS, TCP_KEEP_ALIVE_MS, WRITE_QUEUE_BYTES } from '../base/limits.ts'
import type { ByteStream, DialOptions, Endpoint, Listener, StreamHandlers, Transport } from './transport.ts'

/**
 * Bytes given to the system at a time. node tells of a write only when all of it is taken, so this is
 * how closely we see that a slow reader reads; larger ones save no more time.
 */
const WRITE_PIECE_BYTES = 262_144

/**
 * Where bytes of sockets that we dialled are read to: one place for all of them, since they are handed
 * on before the next is read. node gives accepted ones memory of their own for each read.
 */
const READ_PLACE = new Uint8Array(262_144)

const NO_HANDLERS: StreamHandlers = {
  onData: () => {},
  onDrain: () => {},
  onEnd: () => {},
  onClose: () => {},
}

interface Queued {
  readonly bytes: Uint8Array
  readonly onTaken: (() => void) | undefined
}

class TcpStream implements ByteStream {
  readonly local: Endpoint
  readonly remote: Endpoint
  readonly #socket: net.Socket
  #handlers: StreamHandlers = NO_HANDLERS
  /** Not yet given to the system, the first one from `#offset` on. */
  #queue: Queued[] = []
  #offset = 0
  /** Bytes in the queue, and those given to the system that it has not taken yet. */
  #queuedBytes = 0
  #isWriting = false
  /** `write` gave false and no `onDrain` has followed yet. */
  #blocked = false
  #ended = false
  #remoteEnded = false
  /** `destroy` was called: node still hands out what it has buffered, and nobody wants it. */
  #dropped = false
  #closed = false

  /** @param socket - paused, or giving what it reads to `deliver`. */
  constructor(socket: net.Socket, remote = endpointOf(socket.remoteAddress, socket.remotePort)) {
    this.#socket = socket
    this.local = endpointOf(socket.localAddress, socket.localPort)
    this.remote = remote
    socket.setNoDelay(true)
    socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS)
    socket.pause()
    socket.on('data', (chunk: Buffer) => this.deliver(chunk))
    socket.on('end', () => {
      this.#remoteEnded = true
      if (!this.#dropped) this.#tellEnd()
    })
    socket.on('error', () => {}) // 'close' follows every error, and the reason changes nothing for us
    socket.on('close', () => {
      this.#closed = true
      this.#forget()
      this.#handlers.onClose()
    })
  }

  get queuedBytes(): number {
    return this.#queuedBytes
  }

  /** Bytes that came, in memory that is theirs during the call alone. */
  deliver({ buffer, byteOffset, byteLength }: Uint8Array): void {
    // Not as a Buffer, whose `slice` does not copy.
    if (!this.#dropped) this.#handlers.onData(new Uint8Array(buffer, byteOffset, byteLength))
  }

  start(handlers: StreamHandlers): void {
    this.#handlers = handlers
    if (this.#closed) {
      queueMicrotask(() => handlers.onClose())
      return
    }
    if (this.#remoteEnded) {
      queueMicrotask(() => {
        if (this.#handlers === handlers && !this.#dropped && !this.#closed) this.#tellEnd()
      })
    }
    this.#socket.resume()
  }

  write(bytes: Uint8Array, onTaken?: () => void): boolean {
    if (this.#dropped || this.#closed || this.#ended) return true // nobody reads it; onClose comes
    this.#queue.push({ bytes, onTaken })
    this.#queuedBytes += bytes.length
    this.#writeNext()
    this.#blocked = this.#queuedBytes >= WRITE_QUEUE_BYTES
    return !this.#blocked
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(): void {
    this.#ended = true
    this.#writeNext()
  }

  destroy(): void {
    this.#dropped = true
    this.#forget()
    this.#socket.destroy()
  }

  /** One write at a time: as many small ones as fit into a piece, or a piece of a large one. */
  #writeNext(): void {
    if (this.#isWriting || this.#dropped || this.#closed) return
    if (this.#queue.length === 0) {
      if (this.#ended) this.#socket.end()
      return
    }
    this.#isWriting = true
    this.#socket.cork()
    let bytes = 0
    const whole: Queued[] = []
    while (this.#queue.length > 0 && bytes < WRITE_PIECE_BYTES) {
      const piece = this.#takePiece(WRITE_PIECE_BYTES - bytes, whole)
      bytes += piece.length
      const isLast = this.#queue.length === 0 || bytes >= WRITE_PIECE_BYTES
      if (isLast) this.#socket.write(piece, () => this.#onTaken(bytes, whole))
      else this.#socket.write(piece)
    }
    this.#socket.uncork()
  }

  /** @param whole - what the piece is the end of is added to it. */
  #takePiece(maxBytes: number, whole: Queued[]): Uint8Array {
    const [first] = this.#queue
    if (first === undefined) return EMPTY_BYTES
    const piece = first.bytes.subarray(this.#offset, this.#offset + maxBytes)
    this.#offset += piece.length
    if (this.#offset < first.bytes.length) return piece
    this.#queue.shift()
    this.#offset = 0
    whole.push(first)
    return piece
  }

  #onTaken(bytes: number, whole: readonly Queued[]): void {
    if (this.#dropped || this.#closed) return
    this.#isWriting = false
    this.#queuedBytes -= bytes
    for (const { onTaken } of whole) onTaken?.()
    this.#writeNext()
    if (!this.#blocked || this.#queuedBytes >= WRITE_QUEUE_BYTES) return
    this.#blocked = false
    this.#handlers.onDrain()
  }

  #forget(): void {
    this.#queue = []
    this.#queuedBytes = 0
  }

  #tellEnd(): void {
    if (this.#handlers.onEnd !== undefined) this.#handlers.onEnd()
    else this.end()
  }
}

/** TCP over the host's own addresses. */
export class TcpTransport implements Transport {
  readonly #clock: Clock

  /** @param clock - times dials out. */
  constructor(clock: Clock = systemClock) {
    this.#clock = clock
  }

  async dial(endpoint: Endpoint, options: DialOptions): Promise<ByteStream> {
    let stream: TcpStream | null = null
    const onread: net.OnReadOpts = {
      buffer: READ_PLACE,
      callback: (bytesRead, place) => {
        stream?.deliver(place.subarray(0, bytesRead))
        return true
      },
    }
    const socket = await connectSocket(this.#clock, endpoint, { ...options, onread })
    stream = new TcpStream(socket)
    return stream
  }

  async listen(endpoint: Endpoint, onStream: (stream: ByteStream) => void): Promise<Listener> {
    assertIpLiteral(endpoint)
    return new Promise((resolve, reject) => {
      const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true })
      server.on('connection', (socket) => onStream(new TcpStream(socket)))
      server.once('error', (error) => {
        const isTaken = (error as { readonly code?: unknown }).code === 'EADDRINUSE'
        const why = isTaken ? 'another program has that port' : errorMessage(error)
        const text = `cannot listen on ${endpoint.host}:${endpoint.port}: ${why}; choose another --listen`
        reject(new MegatorrentError('ERR_LISTEN_FAILED', text, { cause: error }))
      })
      server.listen({ host: endpoint.host, port: endpoint.port, backlog: MAX_PENDING_ACCEPTS }, () => {
        server.removeAllListeners('error')
        server.on('error', () => {}) // e.g. EMFILE on accept: the next accept may work again
        const bound = server.address()
        const port = typeof bound === 'object' && bound !== null ? bound.port : endpoint.port
        resolve({
          endpoint: { host: endpoint.host, port },
          // The port is free at once; node's own callback would wait for every accepted stream to close.
          close: async () => void server.close(),
        })
      })
    })
  }
}

/**
 * A socket that is up, for who has something to settle on it first (transport/socks5.ts).
 *
 * @throws as `Dialer.dial`.
 */
export async function connectSocket(
  clock: Clock,
  endpoint: Endpoint,
  options: DialOptions & { readonly onread?: net.OnReadOpts },
): Promise<net.Socket> {
  assertIpLiteral(endpoint)
  const { signal, timeoutMs, onread } = options
  if (signal?.aborted) throw calledOff()
  return new Promise((resolve, reject) => {
    const { host, port } = endpoint
    // Whether and when to answer the other side's end is the stream's matter, not node's: so half-open.
    const socket = net.connect({
      host,
      port,
      allowHalfOpen: true,
      ...(onread === undefined ? {} : { onread }),
    })
    const settle = (): void => {
      timer.cancel()
      signal?.removeEventListener('abort', onAbort)
      socket.removeListener('error', onError)
      socket.removeListener('connect', onConnect)
    }
    const fail = (error: MegatorrentError): void => {
      settle()
      socket.on('error', () => {}) // it may still fail while it is torn down
      socket.destroy()
      reject(error)
    }
    const onAbort = (): void => fail(calledOff())
    const onError = (error: Error): void => {
      const text = `connecting failed: ${errorMessage(error)}`
      fail(new MegatorrentError('ERR_DIAL_FAILED', text, { cause: error }))
    }
    const onConnect = (): void => {
      settle()
      resolve(socket)
    }
    const timer = clock.setTimer(
      () => fail(new MegatorrentError('ERR_TIMEOUT', 'connecting took too long')),
      timeoutMs,
    )
    socket.once('error', onError)
    socket.once('connect', onConnect)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/**
 * A stream over a socket that is up, from where it stands.
 *
 * @param remote - where it leads to, beyond a proxy.
 */
export function streamOfSocket(socket: net.Socket, remote: Endpoint): ByteStream {
  return new TcpStream(socket, remote)
}

function assertIpLiteral({ host }: Endpoint): void {
  if (isIP(host) === 0)
    throw new TypeError(`"endpoint.host" expected an IP literal, got a name of ${host.length} characters`)
}

function calledOff(): MegatorrentError {
  return new MegatorrentError('ERR_ABORTED', 'connecting was called off')
}

/** IPv4 peers of a dual-stack socket show up as ::ffff:a.b.c.d: give the plain form. */
function endpointOf(host: string | undefined, port: number | undefined): Endpoint {
  const text = host ?? ''
  return { host: text.startsWith('::ffff:') ? text.slice(7) : text, port: port ?? 0 }
}
