/**
 * A stranger on UDP: sends datagrams to a node's DHT port and counts what comes back.
 */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { waitUntil } from './wait.ts'

export class UdpStranger {
  readonly answers: Buffer[] = []
  readonly #socket: Socket

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('message', (bytes) => this.answers.push(bytes))
  }

  static async open(): Promise<UdpStranger> {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    return new UdpStranger(socket)
  }

  /** Hand a datagram to the system; on loopback it is delivered at once. */
  send(bytes: Uint8Array, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.send(bytes, port, '127.0.0.1', (error) => (error === null ? resolve() : reject(error)))
    })
  }

  /** Send, and wait for the next answer. */
  async ask(bytes: Uint8Array, port: number): Promise<Buffer> {
    const before = this.answers.length
    await this.send(bytes, port)
    await waitUntil(() => this.answers.length > before, 5000, 'an answer to a datagram')
    return this.answers[before] as Buffer
  }

  close(): void {
    this.#socket.close()
  }
}

/** A query of the DHT (BEP 5), with string arguments. */
export function krpcQuery(method: string, args: Readonly<Record<string, Uint8Array>>): Buffer {
  const string = (bytes: Uint8Array | string): Buffer => {
    const content = Buffer.from(bytes)
    return Buffer.concat([Buffer.from(`${content.length}:`), content])
  }
  const sorted = Object.keys(args).sort()
  const pairs = sorted.flatMap((key) => [string(key), string(args[key] as Uint8Array)])
  return Buffer.concat([
    ...[Buffer.from('d1:ad'), ...pairs, Buffer.from('e1:q'), string(method)],
    Buffer.from('1:t2:aa1:y1:qe'),
  ])
}
