/**
 * A minimal peer that can lie: dials real nodes or is dialled by them, on
 * node:net, with bare-handshake.ts and bare-connection.ts for the rest.
 *
 * Every way in which an opening can be wrong is an option here; what is wrong
 * after the handshake is done with the methods of BareConnection.
 */
import { once } from 'node:events'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { BareConnection, ByteQueue } from './bare-connection.ts'
import { type BareChannel, BareIdentity, dayOf, hourOf, nodeHandshakeKey } from './bare-crypto.ts'
import { BareHandshake, INITIATOR, RESPONDER } from './bare-handshake.ts'
import { within } from './wait.ts'

/** The address "none" of §4.4. */
export const NO_ADDRESS: Buffer = Buffer.alloc(38)

/** An IPv4 address and port as §4.4 has them. */
export function ipv4Address(host: string, port: number): Buffer {
  const address = Buffer.alloc(38)
  address[0] = 1
  address.set(host.split('.').map(Number), 1)
  address.writeUInt16BE(port, 36)
  return address
}

export interface OpeningOptions {
  readonly psk: Uint8Array
  /** Hour in message 1; now. */
  readonly hour?: number
  /** Address in message 1; none. Under a channel's key a node expects its own. */
  readonly dialled?: Uint8Array
  /** Node key to show; initiators show none. */
  readonly identity?: BareIdentity
  /** Secret of the ephemeral key, for openings that must be equal. */
  readonly ephemeral?: Uint8Array
  /** Change message 1 or 3 before it is sent. */
  readonly damage?: (message: Buffer, number: 1 | 3) => Buffer
  readonly timeoutMs?: number
  /** Where to dial from: one of 127.0.0.0/8. */
  readonly localAddress?: string
}

/** The bytes of a first message, to be sent, recorded or damaged. */
export function firstMessage(options: OpeningOptions): Buffer {
  const handshake = new BareHandshake(INITIATOR, options.psk, null, options.ephemeral)
  return handshake.writeMessage1(options.hour ?? hourOf(), options.dialled ?? NO_ADDRESS)
}

/** Dial a node and go through the handshake. Fails when the node does not answer it. */
export async function dialBare(host: string, port: number, options: OpeningOptions): Promise<BareConnection> {
  const socket = await connect(host, port, options.localAddress)
  const queue = new ByteQueue(socket)
  try {
    return await within(initiate(queue, options), options.timeoutMs ?? 10_000, 'the handshake as initiator')
  } catch (error) {
    socket.destroy()
    throw error
  }
}

async function initiate(queue: ByteQueue, options: OpeningOptions): Promise<BareConnection> {
  const handshake = new BareHandshake(INITIATOR, options.psk, options.identity ?? null, options.ephemeral)
  const damage = options.damage ?? ((message) => message)
  const message1 = handshake.writeMessage1(options.hour ?? hourOf(), options.dialled ?? NO_ADDRESS)
  queue.socket.write(damage(message1, 1))
  const message2 = await queue.read(256)
  if (message2 === null) throw new Error('closed without an answer to the first message')
  if (!handshake.readMessage2(message2))
    throw new Error('message 2 does not open, or its certificate is wrong')
  queue.socket.write(damage(handshake.writeMessage3(), 3))
  return new BareConnection(queue, INITIATOR, handshake.finish())
}

async function connect(host: string, port: number, localAddress?: string): Promise<Socket> {
  const from = localAddress === undefined ? {} : { localAddress }
  const socket = createConnection({ host, port, noDelay: true, ...from })
  await once(socket, 'connect')
  return socket
}

export interface ProbeResult {
  /** What the other side sent. */
  readonly received: Buffer
  /** From the moment the connection stood to its end, or null when it still stood at the time-out. */
  readonly closedAfterMs: number | null
}

/** Send bytes that are no handshake, listen until the other side closes, and tell what it did. */
export async function probe(
  host: string,
  port: number,
  bytes: Uint8Array,
  timeoutMs: number,
): Promise<ProbeResult> {
  const socket = await connect(host, port)
  const startMs = performance.now()
  const parts: Buffer[] = []
  socket.on('data', (part: Buffer) => parts.push(part))
  const closed = new Promise<number | null>((resolve) => {
    const timer = setTimeout(() => resolve(null), timeoutMs)
    const onEnd = (): void => {
      clearTimeout(timer)
      resolve(performance.now() - startMs)
    }
    socket.on('error', onEnd).on('end', onEnd).on('close', onEnd)
  })
  if (bytes.length > 0) socket.write(bytes)
  const closedAfterMs = await closed
  socket.destroy()
  return { received: Buffer.concat(parts), closedAfterMs }
}

export interface BareListenerOptions {
  /** Channels under whose keys it answers, besides that of its own node key. */
  readonly channels?: readonly BareChannel[]
  readonly identity?: BareIdentity
  /** Called for each connection that came through the handshake. What it throws is kept in `faults`. */
  readonly onConnection: (connection: BareConnection) => Promise<void>
  /** Change message 2 before it is sent; null sends none. */
  readonly damage?: (message: Buffer) => Buffer | null
}

/** A listener that answers the handshake, and hands over what comes after it. */
export class BareListener {
  readonly identity: BareIdentity
  readonly faults: unknown[] = []
  /** First messages as they came, also those that did not open. */
  readonly firstMessages: Buffer[] = []
  /** Of these, the ones made with its own node key: by whoever was given its address with the key. */
  pinnedDials = 0
  readonly #options: BareListenerOptions
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #running = new Set<Promise<void>>()

  private constructor(options: BareListenerOptions) {
    this.#options = options
    this.identity = options.identity ?? new BareIdentity()
    this.#server = createServer({ noDelay: true }, (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      const run = this.#serve(socket)
        .catch((error: unknown) => void this.faults.push(error))
        .finally(() => {
          socket.destroy()
          this.#running.delete(run)
        })
      this.#running.add(run)
    })
  }

  static async listen(options: BareListenerOptions): Promise<BareListener> {
    const listener = new BareListener(options)
    listener.#server.listen(0, '127.0.0.1')
    await once(listener.#server, 'listening')
    return listener
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('not listening')
    return address.port
  }

  /** For `--peer`. */
  get address(): string {
    return `${this.identity.publicKey.toString('hex')}@127.0.0.1:${this.port}`
  }

  async #serve(socket: Socket): Promise<void> {
    const queue = new ByteQueue(socket)
    const message1 = await queue.read(112)
    if (message1 === null) return
    this.firstMessages.push(Buffer.from(message1))
    for (const psk of this.#keys()) {
      const handshake = new BareHandshake(RESPONDER, psk, this.identity)
      if (handshake.readMessage1(message1) === null) continue
      if (psk.equals(nodeHandshakeKey(this.identity.publicKey))) this.pinnedDials++
      const message2 = handshake.writeMessage2()
      const sent = this.#options.damage === undefined ? message2 : this.#options.damage(message2)
      if (sent === null) return void (await queue.read(1))
      socket.write(sent)
      const message3 = await queue.read(224)
      if (message3 === null || !handshake.readMessage3(message3)) return
      await this.#options.onConnection(new BareConnection(queue, RESPONDER, handshake.finish()))
      return
    }
    // No key opens it: silence, as for everybody else, until the other side goes.
    await queue.read(Number.MAX_SAFE_INTEGER)
  }

  #keys(): readonly Buffer[] {
    const today = dayOf()
    const channels = this.#options.channels ?? []
    return [
      nodeHandshakeKey(this.identity.publicKey),
      ...channels.flatMap((channel) => [0, -1, 1].map((days) => channel.handshakeKey(today + days))),
    ]
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all([closed, ...this.#running])
  }
}
