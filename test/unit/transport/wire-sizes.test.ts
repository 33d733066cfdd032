/**
 * What somebody on the line can count (PROTOCOL_FINAL.md §6.4): real exchanges over
 * TCP go through a relay that records, and a parser that has no keys looks at the
 * totals. Every planted fault must be seen, or a clean result means little.
 */
import net from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { NETWORK_HANDSHAKE_KEY } from '../../../src/crypto/key-schedule.ts'
import { initiateHandshake, type Secured } from '../../../src/transport/handshake.ts'
import { TcpTransport } from '../../../src/transport/tcp.ts'
import type { Listener } from '../../../src/transport/transport.ts'
import {
  BLOB_FRAME_BYTES,
  HANDSHAKE_MESSAGE_1_BYTES,
  HANDSHAKE_MESSAGE_2_BYTES,
  HANDSHAKE_MESSAGE_3_BYTES,
  HEAD_BYTES,
  SMALL_FRAME_BYTES,
} from '../../../src/wire/constants.ts'
import type { Message } from '../../../src/wire/message.ts'
import { until } from './helpers.ts'
import { blobOf, idOf, Peer, Responder, Rig, random } from './rig.ts'

const HOST = '127.0.0.1'
const HANDLE = new Uint8Array(16).fill(5)

/** How many units of each size make a total, or null if none do. */
function unitsOf(total: number): { readonly small: number; readonly blobs: number } | null {
  // A blob frame is 32 bytes more than a multiple of small ones, so the rest says how many there are, up to 32.
  const blobs = (total % SMALL_FRAME_BYTES) / (BLOB_FRAME_BYTES % SMALL_FRAME_BYTES)
  const rest = total - blobs * BLOB_FRAME_BYTES
  return Number.isInteger(blobs) && rest >= 0 && rest % SMALL_FRAME_BYTES === 0
    ? { small: rest / SMALL_FRAME_BYTES, blobs }
    : null
}

/** Passes bytes on, and counts them. */
class RecordingRelay {
  /** Bytes from the side that dialled, and from the other. */
  out = 0
  back = 0
  readonly #sockets: net.Socket[] = []
  readonly #server: net.Server

  constructor(port: number) {
    this.#server = net.createServer((near) => {
      const far = net.connect(port, HOST)
      this.#sockets.push(near, far)
      near.on('data', (bytes) => {
        this.out += bytes.length
        far.write(bytes)
      })
      far.on('data', (bytes) => {
        this.back += bytes.length
        near.write(bytes)
      })
      for (const socket of [near, far]) socket.on('error', () => {})
      near.on('close', () => far.destroy())
      far.on('close', () => near.destroy())
    })
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, HOST, resolve))
    return (this.#server.address() as net.AddressInfo).port
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
  }
}

describe('sizes on the line', () => {
  const transport = new TcpTransport()
  const rig = new Rig()
  let responder: Responder
  let listener: Listener
  let relay: RecordingRelay
  let a: Peer
  let b: Peer

  beforeAll(async () => {
    rig.clock.jumpWall(Date.now() - rig.clock.now())
    responder = new Responder(rig.clock)
    listener = await transport.listen({ host: HOST, port: 0 }, (stream) =>
      responder.acceptor.accept(stream, responder.door),
    )
    relay = new RecordingRelay(listener.endpoint.port)
    const port = await relay.listen()
    const stream = await transport.dial({ host: HOST, port }, { timeoutMs: 5000 })
    const ours = await initiateHandshake(stream, {
      ...rig.initiateOptions(responder),
      psk: NETWORK_HANDSHAKE_KEY,
      purpose: { kind: 'network' },
      dialled: null,
    })
    await until(() => responder.secured.length === 1)
    expect([relay.out, relay.back]).toEqual([
      HANDSHAKE_MESSAGE_1_BYTES + HANDSHAKE_MESSAGE_3_BYTES,
      HANDSHAKE_MESSAGE_2_BYTES,
    ])
    a = new Peer(ours, rig.clock)
    b = new Peer(responder.secured[0] as Secured, rig.clock)
    for (const peer of [a, b]) {
      peer.blobs.set(1, blobOf(1))
      peer.head = new Uint8Array(HEAD_BYTES)
      peer.onRead = async (id) => {
        if (id[0] === 9) throw new RangeError('it cannot be read')
        return peer.blobs.get(id[0] ?? 0) ?? null
      }
    }
  })

  afterAll(async () => {
    a.connection.destroy()
    b.connection.destroy()
    relay.close()
    await listener.close()
  })

  beforeEach(() => {
    relay.out = 0
    relay.back = 0
  })

  /** Everything that was queued has gone through the relay. */
  async function settled(): Promise<void> {
    const all = (): number => relay.out + relay.back
    await until(() => all() >= expectedBytes() && a.connection.bytesIn === b.connection.bytesOut)
    await until(() => b.connection.bytesIn === a.connection.bytesOut)
  }

  let countedBefore = 0
  function expectedBytes(): number {
    return a.connection.bytesOut + b.connection.bytesOut - countedBefore
  }

  async function exchange(act: () => unknown): Promise<{ out: number; back: number }> {
    countedBefore = a.connection.bytesOut + b.connection.bytesOut
    await Promise.resolve(act()).catch(() => {}) // a refusal is one of the exchanges
    await settled()
    return { out: relay.out, back: relay.back }
  }

  const small = (n: number): number => n * SMALL_FRAME_BYTES
  const kinds: readonly (readonly [string, () => unknown, { out: number; back: number }])[] = [
    ['a head', () => a.connection.requestHead(HANDLE), { out: small(1), back: small(1) }],
    ['a head that is not there', () => missing(), { out: small(1), back: small(1) }],
    ['a blob that is not there', () => a.connection.requestBlob(idOf(7)), { out: small(1), back: small(1) }],
    [
      'a blob that cannot be read',
      () => a.connection.requestBlob(idOf(9)),
      { out: small(1), back: small(1) },
    ],
    ['a blob', () => a.connection.requestBlob(idOf(1)), { out: small(1), back: small(1) + BLOB_FRAME_BYTES }],
    ['a HELLO', () => a.connection.notify(hello), { out: small(1), back: 0 }],
    ['a HAVE of one range', () => a.connection.notify(have(1)), { out: small(1), back: 0 }],
    ['a HAVE of 4,096 ranges', () => a.connection.notify(have(4096)), { out: small(33), back: 0 }],
    [
      'a blob each way at once',
      () => Promise.all([a, b].map(({ connection }) => connection.requestBlob(idOf(1)))),
      { out: small(2) + BLOB_FRAME_BYTES, back: small(2) + BLOB_FRAME_BYTES },
    ],
  ]

  const hello: Extract<Message, { type: 'hello' }> = {
    type: 'hello',
    highestVersion: 1,
    lowestVersion: 1,
    counter: 0,
    features: 0,
    observedAddress: null,
    places: random.bytes(56 * 16),
  }

  function have(count: number): Extract<Message, { type: 'have' }> {
    const ranges = Array.from({ length: count }, (_, i) => ({ start: 2 * i, length: 1 }))
    return { type: 'have', handle: HANDLE, releaseNumber: 1, rootId: idOf(1), ranges }
  }

  async function missing(): Promise<void> {
    const head = b.head
    b.head = null
    try {
      await a.connection.requestHead(HANDLE)
    } finally {
      b.head = head
    }
  }

  it.each(kinds)('of %s are units of the two frames', async (_name, act, expected) => {
    const totals = await exchange(act)
    expect(totals).toEqual(expected)
    for (const total of [totals.out, totals.back]) expect(unitsOf(total)).not.toBeNull()
  })

  it('are the same for a hit and a miss of everything but a blob, so that they say nothing', () => {
    const seen = new Set(kinds.slice(0, 4).map(([, , { out, back }]) => `${out} ${back}`))
    expect(seen.size).toBe(1)
  })

  it('are not, to the same parser, those of a planted reply without padding', async () => {
    const { stream } = b.secured.channel
    for (const planted of [
      1,
      60,
      1000,
      SMALL_FRAME_BYTES - 1,
      SMALL_FRAME_BYTES + 16,
      BLOB_FRAME_BYTES - 17,
    ]) {
      expect(unitsOf(planted), `${planted} bytes`).toBeNull()
      expect(unitsOf(SMALL_FRAME_BYTES * 5 + BLOB_FRAME_BYTES * 2 + planted), `${planted} more`).toBeNull()
    }
    stream.write(random.bytes(60)) // the last test here: the other side waits for the rest of a frame
    await until(() => relay.back === 60)
    expect(unitsOf(relay.back)).toBeNull()
  })
})
