import net from 'node:net'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../../src/base/clock.ts'
import {
  HANDSHAKE_DEADLINE_MS,
  HANDSHAKE_TRIALS_PER_SECOND,
  MAX_HALF_OPEN,
  MAX_HALF_OPEN_PER_HOST,
} from '../../../src/base/limits.ts'
import { silentLog } from '../../../src/base/log.ts'
import { TokenBucket } from '../../../src/base/token-bucket.ts'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import { channelKeys, NETWORK_HANDSHAKE_KEY } from '../../../src/crypto/key-schedule.ts'
import { Acceptor, type Door } from '../../../src/transport/acceptor.ts'
import { initiateHandshake, type Secured } from '../../../src/transport/handshake.ts'
import { EphemeralMemory, HandshakeKeyring } from '../../../src/transport/handshake-keys.ts'
import { TcpTransport } from '../../../src/transport/tcp.ts'
import type { ByteStream, StreamHandlers } from '../../../src/transport/transport.ts'
import { Recorder } from '../../compliance/transport.ts'
import { failureOf, turn, until } from './helpers.ts'
import { firstMessage, MapStore, Responder, Rig, random } from './rig.ts'

describe('an acceptor', () => {
  it('holds a bounded number of half-open connections, and the oldest goes first', async () => {
    const rig = new Rig()
    const to = await rig.responder()
    const recorders: Recorder[] = []
    for (let i = 0; i < MAX_HALF_OPEN + 10; i++)
      recorders.push(new Recorder(await rig.dial(to, `10.1.${i % 8}.1`)))
    await rig.clock.advance(1)
    expect(to.acceptor.halfOpen).toBe(MAX_HALF_OPEN)
    const gone = recorders.flatMap(({ closes }, number) => (closes > 0 ? [number] : []))
    expect(gone).toHaveLength(10)
    // Of eight hosts with as many each: the oldest of one of them each time.
    expect(Math.max(...gone)).toBeLessThan(8 * 3)
    await rig.clock.advance(HANDSHAKE_DEADLINE_MS)
    expect(to.acceptor.halfOpen).toBe(0)
    expect(rig.clock.pendingTimers).toBe(0)
  })

  it('gives one host a part of the places only, and makes room at its cost', async () => {
    const rig = new Rig({ latencyMs: 50 })
    const to = await rig.responder()
    const slow = new Recorder(await rig.dial(to, '10.0.9.9'))
    const flood: Recorder[] = []
    for (let i = 0; i < MAX_HALF_OPEN + 100; i++) {
      const dialling = rig.network
        .transport('10.0.8.8')
        .dial({ host: to.host, port: 7000 }, { timeoutMs: 5000 })
      if (i % 100 === 0) await rig.clock.advance(1)
      void dialling.then((stream) => flood.push(new Recorder(stream)))
    }
    await rig.clock.advance(200)
    expect(flood.filter(({ closes }) => closes > 0).length).toBe(MAX_HALF_OPEN + 100 - MAX_HALF_OPEN_PER_HOST)
    expect(to.acceptor.halfOpen).toBe(1 + MAX_HALF_OPEN_PER_HOST)
    // Three round trips of 100 ms later than the flood, and still let in.
    expect(slow.closes).toBe(0)
    await rig.secure(to)
    expect(to.secured.length).toBe(1)
    expect(slow.closes).toBe(0)
  })

  it('frees a place as soon as a connection breaks or comes through', async () => {
    const rig = new Rig()
    const to = await rig.responder()
    const stream = await rig.dial(to)
    expect(to.acceptor.halfOpen).toBe(1)
    stream.destroy()
    await rig.clock.advance(1)
    expect(to.acceptor.halfOpen).toBe(0)
    await rig.secure(to)
    expect([to.acceptor.halfOpen, to.secured.length, rig.clock.pendingTimers]).toEqual([0, 1, 0])
  })

  it('closes all that is under way when it is closed, and takes no more', async () => {
    const rig = new Rig()
    const to = await rig.responder()
    const first = new Recorder(await rig.dial(to))
    to.acceptor.close()
    const second = new Recorder(await rig.dial(to))
    await rig.clock.advance(5)
    expect([first.closes, second.closes, to.acceptor.halfOpen]).toEqual([1, 1, 0])
    expect(rig.clock.pendingTimers).toBe(0)
  })

  it('closes a connection whose owner fails to take it', async () => {
    const rig = new Rig()
    const to = await rig.responder()
    to.secured.push = () => {
      throw new RangeError('no room')
    }
    const stream = await rig.dial(to)
    const handshake = initiateHandshake(stream, rig.initiateOptions(to))
    await rig.clock.advance(10)
    const recorder = new Recorder((await handshake).channel.stream)
    await rig.clock.advance(10)
    expect([recorder.closes, to.errors]).toEqual([1, ['no room']])
  })

  it('lets an honest peer in while another host floods it with first messages', async () => {
    const rig = new Rig({ latencyMs: 10 })
    const to = await rig.responder({ trialsPerSecond: 100 })
    for (let i = 0; i < 200; i++) {
      const dialling = rig.network
        .transport('10.0.8.8')
        .dial({ host: to.host, port: 7000 }, { timeoutMs: 5000 })
      void dialling.then((stream) => {
        new Recorder(stream)
        stream.write(random.bytes(112))
      })
    }
    await rig.clock.advance(100)
    const handshake = initiateHandshake(await rig.dial(to), rig.initiateOptions(to))
    let isDone = false
    void handshake.then(() => {
      isDone = true
    })
    // At 100 trials a second the flood of 200 times 5 keys has some ten seconds of work waiting.
    await rig.clock.advance(1500)
    expect(isDone).toBe(true)
    await handshake
  })

  it('reads nothing more from a peer whose first message waits for its turn', async () => {
    const rig = new Rig()
    const to = await rig.responder({ trialsPerSecond: 50 })
    for (let i = 0; i < 20; i++) (await rig.dial(to)).write(random.bytes(112))
    const stream = await rig.dial(to)
    new Recorder(stream)
    stream.write(random.bytes(112))
    await rig.clock.advance(1)
    for (let i = 0; i < 10; i++) stream.write(random.bytes(100_000))
    await rig.clock.advance(100)
    expect(stream.queuedBytes).toBe(1_000_000)
    // Once it had its turn, and was none of ours, all is read and dropped.
    await rig.clock.advance(5000)
    expect(stream.queuedBytes).toBe(0)
  })

  it('keeps the event loop going under thousands of first messages at once', async () => {
    const rig = new Rig()
    const { clock } = rig
    // A fifth are right under the key that everybody knows: those cost public-key work.
    const right = Array.from({ length: 200 }, () => firstMessage(clock, { psk: NETWORK_HANDSHAKE_KEY }).bytes)
    const channels = Array.from({ length: 5 }, () => channelKeys(new SigningKey(random.bytes(32)).publicKey))
    const to = new Responder(clock, { channels, trialsPerSecond: HANDSHAKE_TRIALS_PER_SECOND })
    let answers = 0
    const streams = Array.from({ length: MAX_HALF_OPEN }, (_, index) => {
      const message = index % 5 === 0 ? right.pop() : undefined
      return new OpeningStream(message ?? random.bytes(112), () => answers++)
    })
    const longest = longestTurnMs()
    for (const stream of streams) to.acceptor.accept(stream, to.door)
    // A second's work may be done at once by the rate, 12,000 trials: what matters is that others get their turns.

    for (let i = 0; i < 200; i++) await clock.advance(1)
    to.acceptor.close()
    expect(answers).toBeGreaterThan(50)
    expect(longest()).toBeLessThan(200)
  })
})

describe('a door of an onion', () => {
  /** As Tor brings streams: all from loopback. */
  const stream = (): OpeningStream => new OpeningStream(new Uint8Array(0), () => {})

  it('is one host: who floods it pushes out those who came by it, and nobody else', async () => {
    const rig = new Rig()
    const to = new Responder(rig.clock)
    const doors = ['one.onion', 'two.onion'].map((onion): Door => ({ ...to.door, onion }))
    const [one, two] = doors as [Door, Door]
    const guest = stream()
    to.acceptor.accept(guest, two)
    const flood = Array.from({ length: MAX_HALF_OPEN_PER_HOST + 20 }, stream)
    for (const each of flood) to.acceptor.accept(each, one)
    expect(to.acceptor.halfOpen).toBe(MAX_HALF_OPEN_PER_HOST + 1)
    expect(flood.map(({ isDestroyed }) => isDestroyed).lastIndexOf(true)).toBe(19)
    expect(guest.isDestroyed).toBe(false)
    to.acceptor.close()
    expect(guest.isDestroyed).toBe(true)
  })

  it('loses its own when the places of all doors are full', async () => {
    const rig = new Rig()
    const to = new Responder(rig.clock)
    const accept = (onion: string, count: number): OpeningStream[] =>
      Array.from({ length: count }, () => {
        const each = stream()
        to.acceptor.accept(each, { ...to.door, onion })
        return each
      })
    const guests = accept('quiet.onion', 1)
    for (let i = 0; i < 5; i++) accept(`${i}.onion`, MAX_HALF_OPEN_PER_HOST)
    expect(to.acceptor.halfOpen).toBe(MAX_HALF_OPEN)
    expect(guests.some(({ isDestroyed }) => isDestroyed)).toBe(false)
    to.acceptor.close()
  })

  it('answers as itself alone: under its own key, at its own address, to its own owner', async () => {
    const rig = new Rig()
    const to = await rig.responder()
    const other = new Responder(rig.clock, {
      channels: [channelKeys(new SigningKey(random.bytes(32)).publicKey)],
    })
    const heard: Secured[] = []
    await rig.network.transport('10.0.0.3').listen({ host: '10.0.0.3', port: 7000 }, (each) =>
      // The acceptor is shared, the door is not.
      to.acceptor.accept(each, {
        ...other.door,
        onion: 'other.onion',
        onSecured: (secured) => heard.push(secured),
      }),
    )
    const dialling = rig.network
      .transport('10.0.0.1')
      .dial({ host: '10.0.0.3', port: 7000 }, { timeoutMs: 5000 })
    await rig.clock.advance(10)
    const handshake = failureOf(initiateHandshake(await dialling, rig.initiateOptions(to)))
    await rig.clock.advance(HANDSHAKE_DEADLINE_MS)
    expect(await handshake).toBeInstanceOf(Error)
    expect([heard.length, to.secured.length]).toEqual([0, 0])
  })
})

describe('over TCP', () => {
  it('keeps its side open and silent after junk and an end, and closes at the deadline without a reset', async () => {
    const rig = new Rig()
    const to = new Responder(rig.clock)
    const transport = new TcpTransport()
    const listener = await transport.listen({ host: '127.0.0.1', port: 0 }, (stream) =>
      to.acceptor.accept(stream, to.door),
    )
    const right = firstMessage(rig.clock, { psk: NETWORK_HANDSHAKE_KEY }).bytes
    const openings: readonly (readonly [bytes: Uint8Array, ends: boolean])[] = [
      [new Uint8Array(0), true],
      [random.bytes(50), true],
      [random.bytes(50), false],
      [random.bytes(112), true],
      [random.bytes(200_000), true],
      [right.subarray(0, 100), true],
    ]
    const probes = openings.map(([bytes, ends]) => {
      const socket = net.connect({ port: listener.endpoint.port, host: '127.0.0.1', allowHalfOpen: true })
      const seen = { socket, received: 0, events: [] as string[] }
      socket.on('data', (data) => {
        seen.received += data.length
      })
      for (const event of ['end', 'error', 'close']) socket.on(event, () => seen.events.push(event))
      if (ends) socket.end(bytes)
      else socket.write(bytes)
      return seen
    })
    await until(() => to.acceptor.halfOpen === openings.length)
    for (let i = 0; i < 50; i++) await turn()
    expect(probes.map(({ received, events }) => [received, events])).toEqual(openings.map(() => [0, []]))
    await rig.clock.advance(HANDSHAKE_DEADLINE_MS)
    for (const { socket } of probes) socket.end()
    await until(() => probes.every(({ events }) => events.includes('close')))
    expect(probes.map(({ received, events }) => [received, events])).toEqual(
      openings.map(() => [0, ['end', 'close']]),
    )
    await listener.close()
  })

  it('gives an early HELLO in one segment with message 3 to the connection', async () => {
    const rig = new Rig()
    const transport = new TcpTransport()
    const secured: Secured[] = []
    const nodeKey = new SigningKey(random.bytes(32))
    const keyring = new HandshakeKeyring(nodeKey.publicKey)
    const acceptor = new Acceptor({
      ephemerals: new EphemeralMemory(new MapStore()),
      trials: new TokenBucket(systemClock, 1000, 1000),
      clock: systemClock,
      random,
      log: silentLog,
    })
    const door: Door = {
      candidates: (nowMs) => keyring.candidates(nowMs),
      isOwnAddress: () => false,
      nodeKey,
      onSecured: (one) => secured.push(one),
    }
    const listener = await transport.listen({ host: '127.0.0.1', port: 0 }, (stream) =>
      acceptor.accept(stream, door),
    )
    const stream = corked(await transport.dial(listener.endpoint, { timeoutMs: 5000 }))
    const ours = await initiateHandshake(stream, {
      ...rig.initiateOptions({ address: null } as never),
      psk: NETWORK_HANDSHAKE_KEY,
      purpose: { kind: 'network' },
      dialled: null,
      clock: systemClock,
    })
    const plaintexts = Array.from({ length: 40 }, (_, i) => new Uint8Array(1008).fill(i))
    for (const plaintext of plaintexts) ours.channel.sendSmall(plaintext)
    stream.uncork() // message 3 and 40 frames, as one write
    while (secured.length === 0) await turn()
    const theirs = secured[0] as Secured
    expect(theirs.early.length).toBeGreaterThan(0)
    const received: number[] = []
    theirs.channel.start(
      {
        onSmallFrame: (plaintext) => {
          received.push(plaintext[0] ?? -1)
          return 'small'
        },
        onBlobFrame: () => {},
        onDrain: () => {},
        onClose: () => {},
      },
      theirs.early,
    )
    while (received.length < 40) await turn()
    expect(received).toEqual(plaintexts.map((_, i) => i))
    ours.channel.destroy()
    theirs.channel.destroy()
    acceptor.close()
    await listener.close()
  })
})

/** A stream that holds back all but the first write, until it is told to send. */
function corked(stream: ByteStream): ByteStream & { uncork(): void } {
  const write = stream.write.bind(stream)
  const held: Uint8Array[] = []
  let writes = 0
  const overlay = {
    write: (bytes: Uint8Array) => (writes++ === 0 ? write(bytes) : held.push(bytes) > 0),
    uncork: () => void write(Buffer.concat(held)),
  }
  return Object.assign(stream, overlay)
}

/** An accepted stream on which a message has come in. */
class OpeningStream implements ByteStream {
  readonly local = { host: '10.0.0.2', port: 1 }
  readonly remote = { host: '127.0.0.1', port: 2 } // behind which are many hosts
  readonly queuedBytes = 0
  isDestroyed = false
  readonly #message: Uint8Array
  readonly #onWrite: () => void
  #handlers: StreamHandlers | null = null

  constructor(message: Uint8Array, onWrite: () => void) {
    this.#message = message
    this.#onWrite = onWrite
  }

  start(handlers: StreamHandlers): void {
    this.#handlers = handlers
    queueMicrotask(() => handlers.onData(this.#message))
  }

  write(): boolean {
    this.#onWrite()
    return true
  }

  pause(): void {}
  resume(): void {}
  end(): void {}

  destroy(): void {
    this.isDestroyed = true
    queueMicrotask(() => this.#handlers?.onClose())
  }
}

/** Processor time, ms, of the longest turn of the event loop from now on: wall time would count other processes. */
function longestTurnMs(): () => number {
  let longest = 0
  let isOn = true
  let before = process.cpuUsage()
  const look = (): void => {
    const { user, system } = process.cpuUsage(before)
    before = process.cpuUsage()
    longest = Math.max(longest, (user + system) / 1000)
    if (isOn) setImmediate(look)
  }
  setImmediate(look)
  return () => {
    isOn = false
    return longest
  }
}
