/**
 * A TCP relay on loopback: somebody on the line. It counts what goes by, and can
 * damage, cut or hold it back.
 */
import { once } from 'node:events'
import { createConnection, createServer, type Server, type Socket } from 'node:net'

export type Direction = 'out' | 'in'

/** What one connection carried, by direction: "out" is from who connected. */
export interface Carried {
  readonly out: Buffer[]
  readonly in: Buffer[]
}

export interface RelayOptions {
  /** Where it leads. */
  readonly host: string
  readonly port: number
  /**
   * Called with each piece that arrives, and how many bytes went that way before it. What it returns
   * goes on; null cuts the connection.
   */
  readonly change?: (piece: Buffer, direction: Direction, before: number) => Buffer | null
}

export class Relay {
  /** One for each connection so far, in order. */
  readonly connections: Carried[] = []
  readonly #options: RelayOptions
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #held = false

  private constructor(options: RelayOptions) {
    this.#options = options
    this.#server = createServer({ noDelay: true }, (near) => this.#carry(near))
  }

  static async open(options: RelayOptions): Promise<Relay> {
    const relay = new Relay(options)
    relay.#server.listen(0, '127.0.0.1')
    await once(relay.#server, 'listening')
    return relay
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('not listening')
    return address.port
  }

  /** Bytes of one direction over all connections. */
  total(direction: Direction): number {
    let bytes = 0
    for (const connection of this.connections) {
      for (const piece of connection[direction]) bytes += piece.length
    }
    return bytes
  }

  /** Carry nothing for now; what arrives waits in the system's buffers. */
  hold(): void {
    this.#held = true
    for (const socket of this.#sockets) socket.pause()
  }

  release(): void {
    this.#held = false
    for (const socket of this.#sockets) socket.resume()
  }

  /** Break every connection, by a reset. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #carry(near: Socket): void {
    const far = createConnection({ host: this.#options.host, port: this.#options.port, noDelay: true })
    const carried: Carried = { out: [], in: [] }
    this.connections.push(carried)
    this.#pass(near, far, 'out', carried)
    this.#pass(far, near, 'in', carried)
  }

  #pass(from: Socket, to: Socket, direction: Direction, carried: Carried): void {
    this.#sockets.add(from)
    if (this.#held) from.pause()
    let before = 0
    from.on('data', (piece: Buffer) => {
      carried[direction].push(piece)
      const changed = this.#options.change?.(piece, direction, before)
      before += piece.length
      if (changed === null) {
        from.destroy()
        to.destroy()
        return
      }
      if (!to.write(changed ?? piece)) {
        from.pause()
        to.once('drain', () => {
          if (!this.#held) from.resume()
        })
      }
    })
    from.on('end', () => to.end())
    // A broken side breaks the other; whoever waits for data sees the end.
    from.on('error', () => to.destroy())
    from.on('close', () => {
      this.#sockets.delete(from)
      to.destroySoon()
    })
  }
}
