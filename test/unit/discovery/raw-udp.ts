/**
 * A bare UDP socket on loopback that keeps what it receives: the stranger, the liar, the hung node.
 */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { within } from '../../swarm/harness/wait.ts'

export interface Received {
  readonly bytes: Buffer
  readonly port: number
}

export class RawUdp {
  readonly received: Received[] = []
  readonly port: number
  readonly #socket: Socket
  #arrived: (() => void) | null = null

  private constructor(socket: Socket) {
    this.#socket = socket
    this.port = socket.address().port
    socket.on('message', (bytes, from) => {
      this.received.push({ bytes, port: from.port })
      this.#arrived?.()
      this.onMessage?.(bytes, from.port)
    })
  }

  /** Called for each datagram, for a node that answers. */
  onMessage: ((bytes: Buffer, port: number) => void) | null = null

  static async open(host = '127.0.0.1', port = 0): Promise<RawUdp> {
    const socket = createSocket('udp4')
    socket.bind(port, host)
    await once(socket, 'listening')
    return new RawUdp(socket)
  }

  send(bytes: Uint8Array, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.send(bytes, port, '127.0.0.1', (error) => (error === null ? resolve() : reject(error)))
    })
  }

  /** The next datagram that has not been taken yet. */
  async next(timeoutMs = 5_000): Promise<Received> {
    while (this.received.length === 0) {
      const arrival = new Promise<void>((resolve) => {
        this.#arrived = resolve
      })
      await within(arrival, timeoutMs, 'a datagram comes')
    }
    return this.received.shift() as Received
  }

  async close(): Promise<void> {
    const closed = once(this.#socket, 'close')
    this.#socket.close()
    await closed
  }
}
