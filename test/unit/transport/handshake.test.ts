import { describe, expect, it } from 'vitest'
import { concatBytes, isZeroBytes, toHex, utf8Bytes } from '../../../src/base/bytes.ts'
import { ManualClock } from '../../../src/base/clock.ts'
import { isMegatorrentError } from '../../../src/base/errors.ts'
import {
  HANDSHAKE_DEADLINE_MS,
  MAX_REMEMBERED_EPHEMERALS,
  MAX_STORED_EPHEMERALS_PER_HOUR,
} from '../../../src/base/limits.ts'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import {
  dayOf,
  handshakeKey,
  hourOf,
  NETWORK_HANDSHAKE_KEY,
  nodeHandshakeKey,
} from '../../../src/crypto/key-schedule.ts'
import { HandshakeState } from '../../../src/crypto/noise.ts'
import { ROLE_INITIATOR, ROLE_RESPONDER } from '../../../src/crypto/tags.ts'
import { X25519KeyPair } from '../../../src/crypto/x25519.ts'
import { type InitiateOptions, initiateHandshake } from '../../../src/transport/handshake.ts'
import { EphemeralMemory, PROLOGUE } from '../../../src/transport/handshake-keys.ts'
import { encodeFirstPayload, encodeIdentityPayload } from '../../../src/transport/handshake-payload.ts'
import type { ByteStream } from '../../../src/transport/transport.ts'
import { encodeAddress } from '../../../src/wire/address.ts'
import {
  HANDSHAKE_MESSAGE_1_BYTES,
  HANDSHAKE_MESSAGE_2_BYTES,
  HANDSHAKE_MESSAGE_3_BYTES,
} from '../../../src/wire/constants.ts'
import { Recorder } from '../../compliance/transport.ts'
import { describeShared, hex, type Wycheproof } from '../../reference/shared-vectors.ts'
import { failureOf } from './helpers.ts'
import { CHANNEL, firstMessage, MapStore, type Responder, Rig, random } from './rig.ts'

const HOUR_MS = 3_600_000
/** Noon, so that hours around it are of one day. */
const NOON = Date.UTC(2026, 5, 1, 12)

const codeOf = (error: unknown): string => (isMegatorrentError(error) ? error.code : String(error))

describe('a handshake', () => {
  const kinds: [string, (to: Responder) => Partial<InitiateOptions>][] = [
    ["a channel's key", () => ({})],
    ["a channel's key, dialled by name", () => ({ dialled: null })],
    [
      'the node key',
      (to) => ({
        psk: nodeHandshakeKey(to.nodeKey.publicKey),
        purpose: { kind: 'node' },
        dialled: null,
        expectedNodeKey: to.nodeKey.publicKey,
      }),
    ],
    [
      "the network's key",
      () => ({ psk: NETWORK_HANDSHAKE_KEY, purpose: { kind: 'network' }, dialled: null }),
    ],
  ]

  it.each(kinds)(
    'under %s gives both sides the same, and the responder proves its node key',
    async (_name, make) => {
      const rig = new Rig({ latencyMs: 20 })
      const to = await rig.responder()
      const changes = make(to)
      const [ours, theirs] = await rig.secure(to, changes)
      expect(toHex(ours.handshakeHash)).toBe(toHex(theirs.handshakeHash))
      expect([ours.role, theirs.role]).toEqual([ROLE_INITIATOR, ROLE_RESPONDER])
      expect(theirs.purpose).toEqual(changes.purpose ?? { kind: 'channel', channel: CHANNEL })
      expect(ours.remoteNodeKey).toEqual(to.nodeKey.publicKey)
      expect(theirs.remoteNodeKey).toBeNull()
      expect([ours.early.length, theirs.early.length]).toEqual([0, 0])
      expect(to.acceptor.halfOpen).toBe(0)
      expect(rig.clock.pendingTimers).toBe(0)
    },
  )

  it('shows the node key of an initiator to a responder that is pinned, and to no other', async () => {
    const rig = new Rig()
    const to = await rig.responder()
    const nodeKey = new SigningKey(random.bytes(32))
    const [, pinned] = await rig.secure(to, { nodeKey, expectedNodeKey: to.nodeKey.publicKey })
    expect(pinned.remoteNodeKey).toEqual(nodeKey.publicKey)
    const [, other] = await rig.secure(to, { nodeKey })
    expect(other.remoteNodeKey).toBeNull()
  })

  it('ends before message 3 when the responder is not the node that was pinned', async () => {
    const rig = new Rig()
    const to = await rig.responder()
    const expectedNodeKey = new SigningKey(random.bytes(32)).publicKey
    const { handshake, sent } = await recorded(rig, to, { expectedNodeKey })
    expect(codeOf(await failureOf(handshake))).toBe('ERR_HANDSHAKE_FAILED')
    expect(sent.bytes).toBe(HANDSHAKE_MESSAGE_1_BYTES)
    await rig.clock.advance(HANDSHAKE_DEADLINE_MS)
    expect(to.secured).toEqual([])
    expect(rig.clock.pendingTimers).toBe(0)
  })

  it('works however the stream is cut', async () => {
    for (const maxSplitBytes of [1, 2, 7, 50, 111, 113, 255, 257]) {
      const rig = new Rig({ maxSplitBytes, latencyMs: 3 })
      const [ours, theirs] = await rig.secure(await rig.responder())
      expect(toHex(ours.handshakeHash)).toBe(toHex(theirs.handshakeHash))
    }
  })

  it('has three messages of fixed lengths, whatever they say', async () => {
    const rig = new Rig()
    const to = await rig.responder()
    const nodeKey = new SigningKey(random.bytes(32))
    for (const changes of [{}, { dialled: null }, { nodeKey, expectedNodeKey: to.nodeKey.publicKey }]) {
      const { handshake, sent, answered } = await recorded(rig, to, changes)
      await handshake
      expect(sent.bytes).toBe(HANDSHAKE_MESSAGE_1_BYTES + HANDSHAKE_MESSAGE_3_BYTES)
      expect(answered.bytes).toBe(HANDSHAKE_MESSAGE_2_BYTES)
    }
  })

  it('is never the same twice', async () => {
    const rig = new Rig()
    const to = await rig.responder()
    const [one, two] = [await rig.secure(to), await rig.secure(to)]
    expect(toHex(one[0].handshakeHash)).not.toBe(toHex(two[0].handshakeHash))
  })
})

describe('an initiator', () => {
  /** What it makes of a responder that answers like this. */
  async function meet(answer: (stream: Recorder, clock: ManualClock) => void): Promise<string> {
    const rig = new Rig()
    const accepted: Recorder[] = []
    await rig.network
      .transport('10.0.0.2')
      .listen({ host: '10.0.0.2', port: 7000 }, (stream) => accepted.push(new Recorder(stream, true)))
    const dialling = rig.network
      .transport('10.0.0.1')
      .dial({ host: '10.0.0.2', port: 7000 }, { timeoutMs: 5 })
    await rig.clock.advance(1)
    const handshake = initiateHandshake(await dialling, {
      ...rig.initiateOptions({ address: null } as unknown as Responder),
      dialled: null,
    })
    const code = failureOf(handshake).then(codeOf)
    await rig.clock.advance(1)
    answer(accepted[0] as Recorder, rig.clock)
    await rig.clock.advance(HANDSHAKE_DEADLINE_MS)
    const result = await code
    await rig.clock.advance(10)
    expect(accepted[0]?.bytes).toBe(HANDSHAKE_MESSAGE_1_BYTES)
    expect(accepted[0]?.closes).toBe(1)
    expect(rig.clock.pendingTimers).toBe(0)
    return result
  }

  it('gives up on silence, a close, an end, junk, and keys that give a zero secret', async () => {
    expect(await meet(() => {})).toBe('ERR_TIMEOUT')
    expect(await meet(({ stream }) => stream.write(random.bytes(255)))).toBe('ERR_TIMEOUT')
    expect(await meet(({ stream }) => stream.destroy())).toBe('ERR_CONNECTION_CLOSED')
    expect(await meet(({ stream }) => stream.end())).toBe('ERR_CONNECTION_CLOSED')
    expect(await meet(({ stream }) => stream.write(random.bytes(256)))).toBe('ERR_HANDSHAKE_FAILED')
    expect(await meet(({ stream }) => stream.write(random.bytes(5000)))).toBe('ERR_HANDSHAKE_FAILED')
    for (const point of SMALL_ORDER) {
      const answer = concatBytes(point, random.bytes(HANDSHAKE_MESSAGE_2_BYTES - 32))
      expect(await meet(({ stream }) => stream.write(answer))).toBe('ERR_HANDSHAKE_FAILED')
    }
  })

  it('takes no answer with a certificate that is missing, of another handshake, or of a bad key', async () => {
    const answer = (payload: (key: X25519KeyPair, hash: Uint8Array) => Uint8Array, more = 0) =>
      meet((recorder, clock) => {
        const staticKey = X25519KeyPair.generate(random)
        const state = respondTo(recorder.received, clock, staticKey)
        const message = state.write((hash) => payload(staticKey, hash))
        recorder.stream.write(concatBytes(message, random.bytes(more)))
      })
    const nodeKey = new SigningKey(random.bytes(32))
    const identity = (staticKey: Uint8Array, hash: Uint8Array, role: 1 | 2 = ROLE_RESPONDER): Uint8Array =>
      encodeIdentityPayload(nodeKey, role, staticKey, hash)
    const refused = await Promise.all([
      answer(() => new Uint8Array(160)),
      answer((_key, hash) => identity(random.bytes(32), hash)),
      answer((key) => identity(key.publicKey, random.bytes(32))),
      answer((key, hash) => identity(key.publicKey, hash, ROLE_INITIATOR)),
      answer((key, hash) => withByte(identity(key.publicKey, hash), 159, 1)),
      answer((key, hash) => withByte(identity(key.publicKey, hash), 0, 2)),
      answer((key, hash) => withByte(identity(key.publicKey, hash), 40, 255)),
      answer((_key, _hash) => withByte(new Uint8Array(160), 1, 1)),
      // A node key of small order, for which every signature holds where verifiers are careless.
      answer(() => withByte(withByte(withByte(new Uint8Array(160), 0, 1), 1, 1), 33, 1)),
      // Frames cannot come before message 3.
      answer((key, hash) => identity(key.publicKey, hash), 1),
    ])
    expect(new Set(refused)).toEqual(new Set(['ERR_HANDSHAKE_FAILED']))
  })

  it('can be called off', async () => {
    const rig = new Rig()
    const stream = await rig.dial(await rig.responder({ channels: [] }))
    const controller = new AbortController()
    const options = rig.initiateOptions({ address: null } as unknown as Responder)
    const handshake = initiateHandshake(stream, { ...options, dialled: null, signal: controller.signal })
    await rig.clock.advance(100)
    controller.abort()
    expect(codeOf(await failureOf(handshake))).toBe('ERR_ABORTED')
    const again = initiateHandshake(stream, { ...options, dialled: null, signal: controller.signal })
    expect(codeOf(await failureOf(again))).toBe('ERR_ABORTED')
    await rig.clock.advance(100)
    expect(rig.clock.pendingTimers).toBe(0)
  })

  function respondTo(first: Uint8Array, clock: ManualClock, staticKey: X25519KeyPair): HandshakeState {
    const state = HandshakeState.start({
      pattern: 'XXpsk0',
      initiator: false,
      prologue: PROLOGUE,
      psk: handshakeKey(CHANNEL.secret, dayOf(clock.now())),
      staticKey,
      ephemeralKey: X25519KeyPair.generate(random),
    })
    state.read(first)
    return state
  }
})

/** Public keys that give a zero secret with every key: Curve25519's points of small order, with their other forms. */
const SMALL_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000080',
  '0100000000000000000000000000000000000000000000000000000000000080',
].map(hex)

describe('a responder', () => {
  const at = (): Rig => new Rig({}, new ManualClock(NOON))

  interface Outcome {
    readonly received: number
    /** From acceptance, on the responder's side. */
    readonly closedAfterMs: number
  }

  type Act = (stream: ByteStream, recorder: Recorder) => unknown

  /** Dial, do something, and wait until the responder has closed. */
  async function probe(rig: Rig, to: Responder, act: Act): Promise<Outcome> {
    const stream = await rig.dial(to)
    const startMs = rig.clock.monotonicMs()
    const recorder = new Recorder(stream, true)
    act(stream, recorder)
    while (recorder.closes === 0) {
      if (rig.clock.monotonicMs() - startMs > 2 * HANDSHAKE_DEADLINE_MS) throw new Error('it never closes')
      await rig.clock.advance(10)
    }
    return { received: recorder.bytes, closedAfterMs: rig.clock.monotonicMs() - startMs }
  }

  const key = (rig: Rig): Uint8Array => handshakeKey(CHANNEL.secret, dayOf(rig.clock.now()))

  it('meets everything that is no first message for it with the same silence and delay', async () => {
    const rig = at()
    const to = await rig.responder()
    const good = { psk: key(rig), dialled: to.address }
    const message = (changes: object): Uint8Array => firstMessage(rig.clock, { ...good, ...changes }).bytes
    const address = (host: string, port: number): Uint8Array => encodeAddress({ kind: 'ipv4', host, port })
    const recordedOnce = message({})
    const payload = (at_: number, value: number): Uint8Array =>
      withByte(encodeFirstPayload({ hour: hourOf(NOON), dialled: to.address }), at_, value)

    // The control: this first message is answered once.
    const control = await probe(rig, to, (stream) => stream.write(recordedOnce))
    expect(control).toEqual({ received: HANDSHAKE_MESSAGE_2_BYTES, closedAfterMs: HANDSHAKE_DEADLINE_MS })

    const junk = (length: number) => (stream: ByteStream) => stream.write(random.bytes(length))
    const bytes = (all: Uint8Array) => (stream: ByteStream) => stream.write(all)
    const openings: Readonly<Record<string, (stream: ByteStream) => unknown>> = {
      nothing: () => {},
      'an end': (stream) => stream.end(),
      'a byte': junk(1),
      '111 bytes': junk(111),
      '112 bytes': junk(112),
      '113 bytes': junk(113),
      '3 MB': junk(3_000_000),
      'junk and an end': (stream) => {
        stream.write(random.bytes(112))
        stream.end()
      },
      'bytes one by one': (stream) => {
        for (let i = 0; i < 300; i++) stream.write(random.bytes(1))
      },
      'an HTTP request': bytes(utf8Bytes('GET / HTTP/1.1\r\nHost: 10.0.0.2:7000\r\nAccept: */*\r\n\r\n')),
      'part of a first message': bytes(message({}).subarray(0, 111)),
      'part of a first message and an end': (stream) => {
        stream.write(message({}).subarray(0, 111))
        stream.end()
      },
      'a first message and more': bytes(concatBytes(message({}), Uint8Array.of(0))),
      'a recorded first message': bytes(recordedOnce),
      'a recorded first message and an end': (stream) => {
        stream.write(recordedOnce)
        stream.end()
      },
      'an unknown key': bytes(message({ psk: random.bytes(32) })),
      'a key of two days ago': bytes(message({ psk: handshakeKey(CHANNEL.secret, dayOf(NOON) - 2) })),
      'a key of the day after tomorrow': bytes(
        message({ psk: handshakeKey(CHANNEL.secret, dayOf(NOON) + 2) }),
      ),
      'the hour four before': bytes(message({ hour: hourOf(NOON) - 4 })),
      'the hour four after': bytes(message({ hour: hourOf(NOON) + 4 })),
      'no hour': bytes(message({ hour: 0 })),
      'another port': bytes(message({ dialled: address(to.host, 7001) })),
      'another host': bytes(message({ dialled: address('10.0.0.3', 7000) })),
      'an address of an unknown type': bytes(message({ payload: payload(4, 9) })),
      'type none, but a host': bytes(message({ payload: payload(4, 0) })),
      'reserved bytes set': bytes(message({ payload: payload(63, 1) })),
      'an address under the network key': bytes(message({ psk: NETWORK_HANDSHAKE_KEY })),
      'an address under the node key': bytes(message({ psk: nodeHandshakeKey(to.nodeKey.publicKey) })),
      'the hour four before, under the network key': bytes(
        message({ psk: NETWORK_HANDSHAKE_KEY, dialled: null, hour: hourOf(NOON) - 4 }),
      ),
      'another version in the prologue': bytes(message({ prologue: utf8Bytes('megatorrent/2') })),
      'no prologue': bytes(message({ prologue: new Uint8Array(0) })),
      'a shorter payload': bytes(message({ payload: new Uint8Array(48) })),
      ...Object.fromEntries(
        SMALL_ORDER.map((point) => [
          `an ephemeral key of small order, ${toHex(point.subarray(0, 4))}`,
          bytes(message({ ephemeral: withPublicKey(point) })),
        ]),
      ),
    }
    const outcomes = await Promise.all(
      Object.entries(openings).map(async ([name, act]) => [name, await probe(rig, to, act)] as const),
    )
    const expected: Outcome = { received: 0, closedAfterMs: HANDSHAKE_DEADLINE_MS }
    expect(outcomes.filter(([, outcome]) => JSON.stringify(outcome) !== JSON.stringify(expected))).toEqual([])
    expect([to.secured.length, to.errors.length, to.acceptor.halfOpen]).toEqual([0, 0, 0])
    await rig.clock.advance(10)
    expect(rig.clock.pendingTimers).toBe(0)

    // The control again: a fresh one is still answered.
    expect((await probe(rig, to, bytes(message({})))).received).toBe(HANDSHAKE_MESSAGE_2_BYTES)
  })

  it('says nothing for any bit of a first message that was turned', async () => {
    const rig = at()
    const to = await rig.responder()
    const outcomes: Outcome[] = []
    for (let at_ = 0; at_ < HANDSHAKE_MESSAGE_1_BYTES; at_++) {
      const { bytes } = firstMessage(rig.clock, { psk: key(rig), dialled: to.address })
      bytes[at_] = (bytes[at_] ?? 0) ^ (1 << (at_ % 8))
      const stream = await rig.dial(to)
      const recorder = new Recorder(stream)
      stream.write(bytes)
      await rig.clock.advance(5)
      outcomes.push({ received: recorder.bytes, closedAfterMs: recorder.closes })
      stream.destroy()
    }
    expect(outcomes.every(({ received, closedAfterMs }) => received + closedAfterMs === 0)).toBe(true)
  })

  it('goes silent on anything but message 3 after its answer, until the same moment', async () => {
    const rig = at()
    const to = await rig.responder()
    type Third = (stream: ByteStream, second: Uint8Array, state: HandshakeState) => unknown
    const answered = (act: Third) =>
      probe(rig, to, async (stream, recorder) => {
        const { bytes, state } = firstMessage(rig.clock, { psk: key(rig), dialled: to.address })
        stream.write(bytes)
        while (recorder.bytes < HANDSHAKE_MESSAGE_2_BYTES) await rig.clock.advance(0)
        act(stream, recorder.received, state)
      })
    const outcomes = await Promise.all([
      answered(() => {}),
      answered((stream) => stream.write(random.bytes(HANDSHAKE_MESSAGE_3_BYTES))),
      answered((stream) => stream.write(random.bytes(100_000))),
      answered((stream) => stream.end()),
      answered((stream, second, state) => {
        state.read(second)
        stream.write(state.write(new Uint8Array(160)).subarray(0, 223))
        stream.end()
      }),
      // A certificate that is none, in a message that opens.
      answered((stream, second, state) => {
        state.read(second)
        stream.write(state.write(withByte(new Uint8Array(160), 0, 1)))
      }),
      answered((stream, second, state) => {
        state.read(second)
        stream.write(state.write(withByte(new Uint8Array(160), 159, 1)))
      }),
    ])
    const expected: Outcome = { received: HANDSHAKE_MESSAGE_2_BYTES, closedAfterMs: HANDSHAKE_DEADLINE_MS }
    expect(outcomes).toEqual(outcomes.map(() => expected))
    expect(to.secured).toEqual([])
  })

  it('answers hours up to three off, and keys of the neighbouring days', async () => {
    for (const offset of [-3, -2, -1, 0, 1, 2, 3]) {
      const rig = at()
      const to = await rig.responder()
      const hour = hourOf(NOON) + offset
      expect(await isAnswered(rig, to, { psk: key(rig), dialled: to.address, hour })).toBe(true)
    }
    for (const day of [dayOf(NOON) - 1, dayOf(NOON), dayOf(NOON) + 1]) {
      const rig = at()
      const to = await rig.responder()
      const psk = handshakeKey(CHANNEL.secret, day)
      expect(await isAnswered(rig, to, { psk, dialled: to.address })).toBe(true)
    }
  })

  it('follows the days as they pass, and channels as they come and go', async () => {
    const rig = at()
    const to = await rig.responder({ channels: [] })
    const isKnown = (): Promise<boolean> => isAnswered(rig, to, { psk: key(rig), dialled: to.address })
    expect(await isKnown()).toBe(false)
    to.keyring.addChannel(CHANNEL)
    expect(await isKnown()).toBe(true)
    for (let day = 0; day < 4; day++) {
      rig.clock.jumpWall(24 * HOUR_MS)
      expect(await isKnown()).toBe(true)
    }
    to.keyring.removeChannel(CHANNEL)
    expect(await isKnown()).toBe(false)
  })

  it('does not let its own failure show', async () => {
    const rig = at()
    const store = new MapStore()
    store.add = () => {
      throw new RangeError('the disk is on fire')
    }
    const to = await rig.responder({ store })
    const { bytes } = firstMessage(rig.clock, { psk: key(rig), dialled: to.address })
    const outcome = await probe(rig, to, (stream) => stream.write(bytes))
    expect(outcome).toEqual({ received: 0, closedAfterMs: HANDSHAKE_DEADLINE_MS })
    expect(to.errors).toEqual(['the disk is on fire'])
  })

  describe('that gets a recorded first message', () => {
    it('is silent at any hour, on this node, on others of the channel, and after a restart', async () => {
      const rig = at()
      const store = new MapStore()
      let to = await rig.responder({ store })
      const other = await rig.responder({ host: '10.0.0.3' })
      for (const offset of [-3, 3]) {
        const hour = hourOf(rig.clock.now()) + offset
        const { bytes } = firstMessage(rig.clock, { psk: key(rig), dialled: to.address, hour })
        expect(await answersTo(rig, to, bytes)).toBe(true)
        for (let passed = 0; passed < 8; passed++) {
          expect(await answersTo(rig, to, bytes)).toBe(false)
          expect(await answersTo(rig, other, bytes)).toBe(false)
          await to.stop()
          to = await rig.responder({ store })
          rig.clock.jumpWall(HOUR_MS)
        }
      }
    })

    it('is silent after a restart because the store remembers', () => {
      const store = new MapStore()
      const channelKey = { keyId: random.bytes(16), purpose: { kind: 'channel', channel: CHANNEL } } as const
      const ephemeral = random.bytes(32)
      expect(new EphemeralMemory(store).accept(channelKey, ephemeral, 100)).toBe(true)
      expect(new EphemeralMemory(store).accept(channelKey, ephemeral, 106)).toBe(false)
      // The control: without the store it would be accepted.
      expect(new EphemeralMemory(new MapStore()).accept(channelKey, ephemeral, 106)).toBe(true)
    })
  })

  async function answersTo(rig: Rig, to: Responder, bytes: Uint8Array): Promise<boolean> {
    const stream = await rig.dial(to)
    const recorder = new Recorder(stream)
    stream.write(bytes)
    await rig.clock.advance(20)
    stream.destroy()
    await rig.clock.advance(1)
    return recorder.bytes > 0
  }

  function isAnswered(
    rig: Rig,
    to: Responder,
    options: Parameters<typeof firstMessage>[1],
  ): Promise<boolean> {
    return answersTo(rig, to, firstMessage(rig.clock, options).bytes)
  }

  describeShared<Wycheproof<object, { readonly public: string; readonly shared: string }>>(
    'given the keys of Wycheproof that make a zero secret',
    'wycheproof/x25519_test.json',
    (file) => {
      it('answers none of them', async () => {
        const rig = at()
        const to = await rig.responder()
        const points = file.testGroups
          .flatMap(({ tests }) => tests)
          .filter(({ shared }) => isZeroBytes(hex(shared)))
          .map((test) => hex(test.public))
        expect(points.length).toBeGreaterThan(20)
        for (const point of points) {
          const ephemeral = withPublicKey(point)
          expect(await isAnswered(rig, to, { psk: key(rig), dialled: to.address, ephemeral })).toBe(false)
        }
      })
    },
  )
})

describe('the memory of ephemeral keys', () => {
  const channelKey = { keyId: random.bytes(16), purpose: { kind: 'channel', channel: CHANNEL } } as const
  const networkKey = { keyId: random.bytes(16), purpose: { kind: 'network' } } as const

  it('tells keys apart, and forgets after seven hours', () => {
    const store = new MapStore()
    const memory = new EphemeralMemory(store)
    const ephemeral = random.bytes(32)
    expect(memory.accept(channelKey, ephemeral, 100)).toBe(true)
    expect(memory.accept(networkKey, ephemeral, 100)).toBe(true)
    expect(memory.accept(channelKey, ephemeral, 107)).toBe(false)
    expect(memory.accept(channelKey, ephemeral, 108)).toBe(true)
    expect(store.rows.map(({ hour }) => hour)).toEqual([108])
  })

  it('keeps a bounded number for each key, the oldest going first, also when it is loaded', () => {
    const store = new MapStore()
    const memory = new EphemeralMemory(store)
    const made = Array.from({ length: MAX_REMEMBERED_EPHEMERALS + 2 }, () => random.bytes(32))
    for (const ephemeral of made) expect(memory.accept(channelKey, ephemeral, 100)).toBe(true)
    expect(memory.accept(channelKey, made[5] as Uint8Array, 100)).toBe(false)
    expect(memory.accept(channelKey, made[0] as Uint8Array, 100)).toBe(true)
    const rows = made.map((ephemeral, index) => ({
      keyId: channelKey.keyId,
      ephemeral,
      hour: 100 - (index % 7),
    }))
    const loaded = new EphemeralMemory({ load: () => rows, add: () => {}, prune: () => {} })
    const newest = rows.findLast(({ hour }) => hour === 100)
    expect(loaded.accept(channelKey, newest?.ephemeral as Uint8Array, 100)).toBe(false)
  })

  it('stores a bounded number, and none that anybody could make', () => {
    const store = new MapStore()
    const memory = new EphemeralMemory(store)
    for (let i = 0; i < 50; i++) memory.accept(networkKey, random.bytes(32), 100)
    expect(store.rows.length).toBe(0)
    for (let i = 0; i < MAX_STORED_EPHEMERALS_PER_HOUR + 50; i++) {
      memory.accept(channelKey, random.bytes(32), 100)
    }
    expect(store.rows.length).toBe(MAX_STORED_EPHEMERALS_PER_HOUR)
    memory.accept(channelKey, random.bytes(32), 101)
    expect(store.rows.length).toBe(MAX_STORED_EPHEMERALS_PER_HOUR + 1)
  })
})

/** A handshake with everything that went over the line counted on the responder's and the dialler's side. */
async function recorded(
  rig: Rig,
  to: Responder,
  changes: Partial<InitiateOptions>,
): Promise<{ handshake: Promise<unknown>; sent: { bytes: number }; answered: { bytes: number } }> {
  const stream = await rig.dial(to)
  const sent = countWrites(stream)
  const answered = countWrites(to.accepted.at(-1) as ByteStream)
  const handshake = initiateHandshake(stream, rig.initiateOptions(to, changes))
  handshake.catch(() => {}) // looked at by the test
  await rig.clock.advance(20)
  return { handshake, sent, answered }
}

function countWrites(stream: ByteStream): { bytes: number } {
  const count = { bytes: 0 }
  const write = stream.write.bind(stream)
  stream.write = (bytes) => {
    count.bytes += bytes.length
    return write(bytes)
  }
  return count
}

function withByte(bytes: Uint8Array, at: number, value: number): Uint8Array {
  bytes[at] = value
  return bytes
}

/** A key pair that claims another public key: what writing a first message needs of it. */
function withPublicKey(publicKey: Uint8Array): X25519KeyPair {
  return { publicKey, dh: () => null } as unknown as X25519KeyPair
}
