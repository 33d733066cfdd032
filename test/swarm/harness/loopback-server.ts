/**
 * A TCP server for tests that play another program: it knows its connections, and ends as
 * if it had been killed.
 */
import { once } from 'node:events'
import net from 'node:net'

export class LoopbackServer {
  readonly #server: net.Server
  readonly #open = new Set<net.Socket>()

  private constructor(onSocket: (socket: net.Socket) => void) {
    this.#server = net.createServer({ allowHalfOpen: true }, (socket) => {
      this.track(socket)
      onSocket(socket)
    })
  }

  /** @param port - 0 is any. @param host - loopback, or of a network namespace. */
  static async listen(
    onSocket: (socket: net.Socket) => void,
    port = 0,
    host = '127.0.0.1',
  ): Promise<LoopbackServer> {
    const server = new LoopbackServer(onSocket)
    server.#server.listen(port, host)
    await once(server.#server, 'listening')
    return server
  }

  get endpoint(): { readonly host: string; readonly port: number } {
    const { address, port } = this.#server.address() as net.AddressInfo
    return { host: address, port }
  }

  /** Connections that are open, and what else is tracked. */
  get sockets(): ReadonlySet<net.Socket> {
    return this.#open
  }

  /** Close it with the server. Its errors are nobody's. */
  track(socket: net.Socket): void {
    this.#open.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => this.#open.delete(socket))
  }

  async close(): Promise<void> {
    this.#server.close()
    for (const socket of this.#open) socket.destroy()
    if (this.#server.listening) await once(this.#server, 'close')
  }
}
