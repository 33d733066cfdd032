/**
 * TCP, the only importer of node:net.
 *
 * It takes IP literals only: `net.connect` would resolve a name by itself, and
 * where that question goes is a matter of the node's mode, not of a socket.
 *
 * @module transport/tcp
 */
import net, { isIP } from 'node:net'
import { errorMessage, MegatorrentError } from '../base/errors.ts'
import { MAX_PENDING_ACCEPTS, TCP_KEEP_ALIVE_MS, WRITE_QUEUE_BYTES } from '../base/limits.ts'
import type { ByteStream, DialOptions, Endpoint, Listener, StreamHandlers, Transport } from './transport.ts'

const NO_HANDLERS: StreamHandlers = { onData: () => {}, onDrain: () => {}, onClose: () => {} }

class TcpStream implements ByteStream {
  readonly local: Endpoint
  readonly remote: Endpoint
  readonly #socket: net.Socket
  #handlers: StreamHandlers = NO_HANDLERS
  #closed = false

  constructor(socket: net.Socket) {
    this.#socket = socket
    this.local = endpointOf(socket.localAddress, socket.localPort)
    this.remote = endpointOf(socket.remoteAddress, socket.remotePort)
    socket.setNoDelay(true)
    socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS)
    socket.pause()
    socket.on('data', (chunk: Uint8Array) => this.#handlers.onData(chunk))
    socket.on('drain', () => this.#handlers.onDrain())
    socket.on('error', () => {}) // 'close' follows every error, and the reason changes nothing for us
    socket.on('close', () => {
      this.#closed = true
      this.#handlers.onClose()
    })
  }

  get queuedBytes(): number {
    return this.#socket.writableLength
  }

  start(handlers: StreamHandlers): void {
    this.#handlers = handlers
    if (this.#closed) queueMicrotask(() => handlers.onClose())
    else this.#socket.resume()
  }

  write(bytes: Uint8Array): boolean {
    if (this.#closed || this.#socket.writableEnded) return true // nobody reads it; onClose tells the owner
    this.#socket.write(bytes)
    return this.#socket.writableLength < WRITE_QUEUE_BYTES
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }
}

/** TCP over the host's own addresses. */
export class TcpTransport implements Transport {
  dial(endpoint: Endpoint, options: DialOptions): Promise<ByteStream> {
    if (isIP(endpoint.host) === 0) {
      throw new TypeError(
        `"endpoint.host" expected an IP literal, got a name of ${endpoint.host.length} characters`,
      )
    }
    return new Promise((resolve, reject) => {
      const socket = net.connect({ host: endpoint.host, port: endpoint.port })
      const timer = setTimeout(
        () => fail(new MegatorrentError('ERR_TIMEOUT', 'connecting took too long')),
        options.timeoutMs,
      )
      const onAbort = (): void => fail(new MegatorrentError('ERR_ABORTED', 'connecting was called off'))
      const settle = (): void => {
        clearTimeout(timer)
        options.signal?.removeEventListener('abort', onAbort)
        socket.removeListener('error', onError)
        socket.removeListener('connect', onConnect)
      }
      const fail = (error: MegatorrentError): void => {
        settle()
        socket.on('error', () => {}) // it may still fail while it is torn down
        socket.destroy()
        reject(error)
      }
      const onError = (error: Error): void =>
        fail(
          new MegatorrentError('ERR_DIAL_FAILED', `connecting failed: ${errorMessage(error)}`, {
            cause: error,
          }),
        )
      const onConnect = (): void => {
        settle()
        resolve(new TcpStream(socket))
      }
      socket.once('error', onError)
      socket.once('connect', onConnect)
      options.signal?.addEventListener('abort', onAbort, { once: true })
      if (options.signal?.aborted) onAbort()
    })
  }

  listen(endpoint: Endpoint, onStream: (stream: ByteStream) => void): Promise<Listener> {
    return new Promise((resolve, reject) => {
      const server = net.createServer({ pauseOnConnect: true })
      server.on('connection', (socket) => onStream(new TcpStream(socket)))
      server.once('error', (error) => {
        const text = `cannot listen on ${endpoint.host}:${endpoint.port}: ${errorMessage(error)}`
        reject(new MegatorrentError('ERR_LISTEN_FAILED', text, { cause: error }))
      })
      server.listen({ host: endpoint.host, port: endpoint.port, backlog: MAX_PENDING_ACCEPTS }, () => {
        server.removeAllListeners('error')
        server.on('error', () => {}) // e.g. EMFILE on accept: the next accept may work again
        const bound = server.address()
        const port = typeof bound === 'object' && bound !== null ? bound.port : endpoint.port
        resolve({
          endpoint: { host: endpoint.host, port },
          close: () => new Promise((done) => server.close(() => done())),
        })
      })
    })
  }
}

/** IPv4 peers of a dual-stack socket show up as ::ffff:a.b.c.d: give the plain form. */
function endpointOf(host: string | undefined, port: number | undefined): Endpoint {
  const text = host ?? ''
  return { host: text.startsWith('::ffff:') ? text.slice(7) : text, port: port ?? 0 }
}
