/**
 * Frames and messages of PROTOCOL_FINAL.md §6.4 and §7 on one socket, a second
 * time: see bare-crypto.ts for why. What it sends may be as wrong as a test likes;
 * of what it receives it takes note of the sizes on the wire.
 */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { type BareChannel, EMPTY, open, rekey, seal, u16, u32, u64 } from './bare-crypto.ts'
import { type HandshakeResult, INITIATOR, RESPONDER } from './bare-handshake.ts'
import { within } from './wait.ts'

const SMALL_FRAME = 1024
const BODY = 1000
const BLOB = 1_048_592

/** Type numbers of §7.1. */
export const TYPES = {
  HELLO: 0x01,
  REQUEST: 0x02,
  DATA: 0x03,
  FIND_PEERS: 0x04,
  PEERS: 0x05,
  OK: 0x08,
  HAVE: 0x09,
  CANCEL: 0x0a,
  BYE: 0x0b,
  PAD: 0x0c,
  ERROR: 0xff,
} as const

export interface BareMessage {
  readonly type: number
  readonly requestId: number
  readonly body: Buffer
  /** The blob frame that followed, for DATA of kind blob. */
  readonly blob?: Buffer
}

/** A socket read by counts: `read` waits until so many bytes are there. */
export class ByteQueue {
  readonly socket: Socket
  /** Bytes received so far. */
  received = 0
  /** Has the other side ended, or the connection broken? */
  ended = false
  #parts: Buffer[] = []
  #length = 0
  #wake: () => void = () => {}

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (part: Buffer) => {
      this.received += part.length
      this.#length += part.length
      this.#parts.push(part)
      this.#wake()
    })
    const onEnd = (): void => {
      this.ended = true
      this.#wake()
    }
    // A reset is an end like any other here: tests look at what was received.
    socket.on('error', onEnd).on('end', onEnd).on('close', onEnd)
  }

  /** The next `count` bytes, or null when the stream ends before. One reader at a time. */
  async read(count: number): Promise<Buffer | null> {
    while (this.#length < count) {
      if (this.ended) return null
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    const all = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts)
    this.#parts = all.length === count ? [] : [all.subarray(count)]
    this.#length -= count
    return all.subarray(0, count)
  }
}

/** Key and counter of one direction. */
class FrameCipher {
  #key: Buffer
  #n = 0n

  constructor(key: Buffer) {
    this.#key = key
  }

  seal(plaintext: Uint8Array): Buffer {
    return this.#next((key, n) => seal(key, n, plaintext))
  }

  open(sealed: Uint8Array): Buffer | null {
    return this.#next((key, n) => open(key, n, sealed))
  }

  #next<T>(use: (key: Buffer, n: bigint) => T): T {
    const result = use(this.#key, this.#n++)
    if (this.#n % 1024n === 0n) this.#key = rekey(this.#key)
    return result
  }
}

export class BareConnection {
  readonly role: number
  readonly handshakeHash: Buffer
  readonly remoteNodeKey: Buffer | null
  readonly #queue: ByteQueue
  readonly #send: FrameCipher
  readonly #receive: FrameCipher
  #helloCounter = 0
  #nextRequest = 1

  /** Body of PEERS: it knows nobody. */
  peersTold: Buffer = Buffer.from([0])
  /** How often it was asked for peers. */
  peersAsked = 0

  constructor(queue: ByteQueue, role: number, result: HandshakeResult) {
    this.role = role
    this.handshakeHash = result.handshakeHash
    this.remoteNodeKey = result.remoteNodeKey
    this.#queue = queue
    this.#send = new FrameCipher(result.sendKey)
    this.#receive = new FrameCipher(result.receiveKey)
  }

  get remoteRole(): number {
    return this.role === INITIATOR ? RESPONDER : INITIATOR
  }

  /** Bytes received on this socket, handshake included. */
  get receivedBytes(): number {
    return this.#queue.received
  }

  /** Has the other side closed? */
  get ended(): boolean {
    return this.#queue.ended
  }

  /** Bytes as they are, past every rule. */
  sendRaw(bytes: Uint8Array): void {
    this.#queue.socket.write(bytes)
  }

  /** One small frame around `plaintext`, which need not be what a frame should hold. */
  sendFrame(plaintext: Uint8Array): void {
    this.sendRaw(this.#send.seal(plaintext))
  }

  /** A frame with one bit of it turned. */
  sendDamagedFrame(plaintext: Uint8Array = smallFrame(TYPES.PAD, 0, EMPTY, false)): void {
    const frame = this.#send.seal(plaintext)
    frame[frame.length >> 1] = (frame[frame.length >> 1] as number) ^ 1
    this.sendRaw(frame)
  }

  /** A message of any type, cut into fragments as §6.4 says. */
  sendMessage(type: number, requestId: number, body: Uint8Array = EMPTY): void {
    let offset = 0
    do {
      const part = body.subarray(offset, offset + BODY)
      offset += BODY
      this.sendFrame(smallFrame(type, requestId, part, offset < body.length))
    } while (offset < body.length)
  }

  /** DATA of kind blob, and the blob frame. */
  sendBlob(requestId: number, blob: Uint8Array): void {
    this.sendMessage(TYPES.DATA, requestId, Buffer.from([1]))
    this.sendRaw(this.#send.seal(blob))
  }

  /** HELLO that tells of these channels, and of the slot version known of each (0 for none). */
  sendHello(channels: readonly (readonly [channel: BareChannel, slotVersion: bigint])[] = []): void {
    const counter = this.#helloCounter++
    const head = Buffer.alloc(56)
    head.set(Buffer.concat([u16(1), u16(1), u32(0), u32(counter)]))
    const places = channels.map(([channel, version]) =>
      channel.helloPlace(this.handshakeHash, this.role, counter, version),
    )
    while (places.length < 56) places.push(randomBytes(16))
    places.sort(() => Math.random() - 0.5)
    this.sendMessage(TYPES.HELLO, 0, Buffer.concat([head, ...places]))
  }

  /** REQUEST for a blob by id. Gives the request id. */
  requestBlob(blobId: Uint8Array): number {
    return this.#request(TYPES.REQUEST, Buffer.concat([Buffer.from([1]), blobId]))
  }

  /** REQUEST for the head of a channel. */
  requestHead(channel: BareChannel): number {
    return this.#request(TYPES.REQUEST, Buffer.concat([Buffer.from([2]), this.handleOf(channel)]))
  }

  /** FIND_PEERS for today's topic of a channel, without a port (§7.6). */
  findPeers(channel: BareChannel): number {
    return this.#request(TYPES.FIND_PEERS, Buffer.concat([channel.topic(), u16(0)]))
  }

  /** HAVE of ranges in manifest order (§7.5). */
  sendHave(
    channel: BareChannel,
    release: number,
    rootId: Uint8Array,
    ranges: readonly (readonly [start: number, length: number])[],
  ): void {
    const body = [this.handleOf(channel), u64(release), rootId, u16(ranges.length)]
    for (const [start, length] of ranges) body.push(u32(start), u32(length))
    this.sendMessage(TYPES.HAVE, 0, Buffer.concat(body))
  }

  /** This side's name for a channel. */
  handleOf(channel: BareChannel): Buffer {
    return channel.handle(this.handshakeHash, this.role)
  }

  #request(type: number, body: Buffer): number {
    const requestId = this.#nextRequest++
    this.sendMessage(type, requestId, body)
    return requestId
  }

  /** The next message, with its blob if it brings one, or null when the other side has closed. */
  async receive(timeoutMs = 10_000): Promise<BareMessage | null> {
    return within(this.#receiveWhole(), timeoutMs, 'a message from the other side')
  }

  /** The next message that `wanted` takes; what comes before is dropped. */
  async receiveUntil(
    wanted: (message: BareMessage) => boolean,
    what: string,
    timeoutMs = 10_000,
  ): Promise<BareMessage> {
    const search = async (): Promise<BareMessage> => {
      for (;;) {
        const message = await this.#receiveWhole()
        if (message === null) throw new Error(`the other side closed before ${what}`)
        if (wanted(message)) return message
      }
    }
    return within(search(), timeoutMs, what)
  }

  /** The answer to one request. */
  answerTo(requestId: number, timeoutMs = 10_000): Promise<BareMessage> {
    return this.receiveUntil(
      (message) => message.requestId === requestId,
      `the answer to request ${requestId}`,
      timeoutMs,
    )
  }

  async #receiveWhole(): Promise<BareMessage | null> {
    const bodies: Buffer[] = []
    for (;;) {
      const sealed = await this.#queue.read(SMALL_FRAME)
      if (sealed === null) return null
      const frame = this.#receive.open(sealed)
      if (frame === null) throw new Error('a frame from the other side does not open')
      const length = frame.readUInt16BE(2)
      const [type = 0, flags = 0] = frame
      const requestId = frame.readUInt32BE(4)
      if (length > BODY || flags > 1 || (flags === 1 && length !== BODY)) {
        throw new Error(`a frame from the other side breaks §6.4: flags ${flags}, length ${length}`)
      }
      if (frame.subarray(8 + length).some((byte) => byte !== 0)) throw new Error('padding is not zero')
      bodies.push(frame.subarray(8, 8 + length))
      if (flags === 1) continue
      const body = Buffer.concat(bodies)
      if (type === TYPES.FIND_PEERS) {
        // Every request gets an answer (§7.1).
        this.sendMessage(TYPES.PEERS, requestId, this.peersTold)
        this.peersAsked += 1
        bodies.length = 0
        continue
      }
      if (type !== TYPES.DATA || body[0] !== 1) return { type, requestId, body }
      const sealedBlob = await this.#queue.read(BLOB + 16)
      const blob = sealedBlob === null ? null : this.#receive.open(sealedBlob)
      if (blob === null) throw new Error('a blob frame from the other side does not open')
      return { type, requestId, body, blob }
    }
  }

  /** Read nothing more: what comes stays with the system, and with the other side. */
  stopReading(): void {
    this.#queue.socket.pause()
  }

  /** Say goodbye and close. */
  close(): void {
    if (!this.#queue.socket.destroyed) {
      this.sendMessage(TYPES.BYE, 0, Buffer.from([0]))
      this.#queue.socket.destroySoon()
    }
  }

  /** Go away without a word. */
  destroy(): void {
    this.#queue.socket.destroy()
  }
}

/** Plaintext of a small frame. */
export function smallFrame(type: number, requestId: number, body: Uint8Array, more: boolean): Buffer {
  const frame = Buffer.alloc(SMALL_FRAME - 16)
  frame[0] = type
  frame[1] = more ? 1 : 0
  frame.writeUInt16BE(body.length, 2)
  frame.writeUInt32BE(requestId, 4)
  frame.set(body, 8)
  return frame
}
