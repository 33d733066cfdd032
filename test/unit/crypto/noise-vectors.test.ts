import { describe, expect, it } from 'vitest'
import { EMPTY_BYTES, toHex } from '../../../src/base/bytes.ts'
import { CounterCipher } from '../../../src/crypto/counter-cipher.ts'
import { HandshakeState, type NoisePattern, PreparedPsk, type SplitKeys } from '../../../src/crypto/noise.ts'
import { X25519KeyPair } from '../../../src/crypto/x25519.ts'
import { describeShared, hex, readOwnVectors } from '../../reference/shared-vectors.ts'

/** One vector, whatever the form of its file. */
interface Vector {
  readonly pattern: NoisePattern
  readonly initPrologue: Uint8Array
  readonly respPrologue: Uint8Array
  readonly psk: Uint8Array | null
  readonly initStatic: Uint8Array
  readonly initEphemeral: Uint8Array
  readonly respStatic: Uint8Array
  readonly respEphemeral: Uint8Array
  readonly handshakeHash: string | null
  /** Who sends the first message after the handshake: the files differ. */
  readonly firstSender: 'initiator' | 'responder'
  readonly messages: readonly { readonly payload: Uint8Array; readonly ciphertext: string }[]
}

type Fields = Readonly<Record<string, unknown>>

/** How many vectors each public file has for our two patterns with SHA-256. */
const FILES = { snow: 1, cacophony: 1, 'noise-c-basic': 1, 'noise-c-fallback': 0, flynn: 8 } as const

for (const [name, expected] of Object.entries(FILES)) {
  const file = `noise/${name}-25519-chachapoly.json`
  describeShared<{ readonly vectors: readonly Fields[] }>(`Noise vectors of ${name}`, file, ({ vectors }) => {
    const ours = vectors.map(readVector).filter((vector) => vector !== null)

    it(`holds ${expected} for XX and XXpsk0 with SHA-256`, () => {
      expect(ours).toHaveLength(expected)
    })

    for (const [index, vector] of ours.entries()) {
      it(`${vector.pattern} ${index}: every message is the same bytes, from both sides`, () => run(vector))
    }
  })
}

describe('vectors of our own handshake', () => {
  const own = readOwnVectors<{
    readonly keys: Readonly<Record<string, string>>
    readonly prologue: string
    readonly psk: string
    readonly payloads: readonly string[]
    readonly hashBeforePayload: readonly string[]
    readonly messages: readonly string[]
    readonly handshakeHash: string
    readonly initiatorKey: string
    readonly responderKey: string
    readonly rekeyIntervalFrames: number
    readonly initiatorFrames: readonly Readonly<{ n: number; plaintext: string; sealed: string }>[]
  }>('handshake.json')
  const vector: Vector = {
    pattern: 'XXpsk0',
    initPrologue: hex(own.prologue),
    respPrologue: hex(own.prologue),
    psk: hex(own.psk),
    initStatic: hex(own.keys['initiator static'] ?? ''),
    initEphemeral: hex(own.keys['initiator ephemeral'] ?? ''),
    respStatic: hex(own.keys['responder static'] ?? ''),
    respEphemeral: hex(own.keys['responder ephemeral'] ?? ''),
    handshakeHash: own.handshakeHash,
    firstSender: 'initiator',
    messages: own.messages.map((ciphertext, index) => ({
      payload: hex(own.payloads[index] ?? ''),
      ciphertext,
    })),
  }

  it('are reproduced: three messages and the hash before each payload', () => {
    const { hashes, initiator } = run(vector)
    expect(hashes).toEqual(own.hashBeforePayload)
    expect(own.messages.map((message) => message.length / 2)).toEqual([112, 256, 224])
    expect(toHex(initiator.sendKey)).toBe(own.initiatorKey)
    expect(toHex(initiator.receiveKey)).toBe(own.responderKey)
  })

  it('are reproduced: frames before and after two rekeys', () => {
    const cipher = new CounterCipher(hex(own.initiatorKey), own.rekeyIntervalFrames)
    const expected = new Map(own.initiatorFrames.map((frame) => [frame.n, frame.sealed]))
    const last = Math.max(...expected.keys())
    for (let n = 0; n <= last; n++) {
      const sealed = toHex(cipher.seal(new TextEncoder().encode('frame')))
      if (expected.has(n)) expect(sealed, `frame ${n}`).toBe(expected.get(n))
    }
    expect(expected.size).toBe(6)
  })
})

/** Both sides from the vector's keys: what each writes is compared, and the other must read it. */
function run(vector: Vector): { readonly hashes: readonly string[]; readonly initiator: SplitKeys } {
  const psk = vector.psk === null ? {} : { psk: vector.psk }
  const responderKeys = keysOf(vector.respStatic, vector.respEphemeral)
  const initiator = HandshakeState.start({
    pattern: vector.pattern,
    initiator: true,
    prologue: vector.initPrologue,
    ...psk,
    ...keysOf(vector.initStatic, vector.initEphemeral),
  })
  const direct = HandshakeState.start({
    pattern: vector.pattern,
    initiator: false,
    prologue: vector.respPrologue,
    ...psk,
    ...responderKeys,
  })
  // A responder that tries pre-shared keys must end in the same state as one that was told.
  const responders = [direct]
  const hashes: string[] = []
  for (const [index, { payload, ciphertext }] of vector.messages.slice(0, 3).entries()) {
    const [writers, readers] = index === 1 ? [responders, [initiator]] : [[initiator], responders]
    for (const writer of writers) {
      let hashBefore = ''
      const message = writer.write((hash) => {
        hashBefore = toHex(hash)
        return payload
      })
      expect(toHex(message)).toBe(ciphertext)
      if (writer === writers[0]) hashes.push(hashBefore)
    }
    for (const reader of readers) {
      const read = reader.read(hex(ciphertext))
      expect(toHex(read.payload)).toBe(toHex(payload))
      expect(toHex(read.hash)).toBe(hashes[index])
    }
    if (index === 0 && vector.psk !== null) {
      const first = new PreparedPsk(vector.respPrologue, vector.psk).open(hex(ciphertext))
      if (first === null) throw new Error('the prepared key does not open the first message')
      expect(toHex(first.payload)).toBe(toHex(payload))
      expect(toHex(first.hash)).toBe(hashes[0])
      responders.push(HandshakeState.respond(first, responderKeys))
    }
  }
  const [initiatorKeys, ...others] = [initiator, ...responders].map((state) => state.split())
  if (initiatorKeys === undefined) throw new Error('no initiator')
  for (const keys of others) {
    expect(keys.sendKey).toEqual(initiatorKeys.receiveKey)
    expect(keys.receiveKey).toEqual(initiatorKeys.sendKey)
    expect(keys.handshakeHash).toEqual(initiatorKeys.handshakeHash)
  }
  if (vector.handshakeHash !== null) expect(toHex(initiatorKeys.handshakeHash)).toBe(vector.handshakeHash)
  checkTransport(vector, initiatorKeys)
  return { hashes, initiator: initiatorKeys }
}

/** What follows the handshake in a vector: the sides take turns. */
function checkTransport(vector: Vector, keys: SplitKeys): void {
  const never = Number.POSITIVE_INFINITY
  const toResponder = [
    new CounterCipher(keys.sendKey, never),
    new CounterCipher(keys.sendKey, never),
  ] as const
  const toInitiator = [
    new CounterCipher(keys.receiveKey, never),
    new CounterCipher(keys.receiveKey, never),
  ] as const
  for (const [index, { payload, ciphertext }] of vector.messages.entries()) {
    if (index < 3) continue
    const byInitiator = (vector.firstSender === 'initiator') === (index % 2 === 1)
    const [sender, receiver] = byInitiator ? toResponder : toInitiator
    expect(toHex(sender.seal(payload))).toBe(ciphertext)
    expect(toHex(receiver.open(hex(ciphertext)) ?? EMPTY_BYTES)).toBe(toHex(payload))
  }
}

function keysOf(
  secret: Uint8Array,
  ephemeral: Uint8Array,
): { staticKey: X25519KeyPair; ephemeralKey: X25519KeyPair } {
  return { staticKey: new X25519KeyPair(secret), ephemeralKey: new X25519KeyPair(ephemeral) }
}

/** null for the patterns and hashes that we do not speak. */
function readVector(fields: Fields): Vector | null {
  const text = (name: string): string => {
    const value = fields[name]
    return typeof value === 'string' ? value : ''
  }
  const name = text('protocol_name') || text('name') || text('handshake')
  const match = /^Noise_(XX|XXpsk0)_25519_ChaChaPoly_SHA256$/.exec(name)
  if (match === null) return null
  const pattern = match[1] === 'XX' ? 'XX' : 'XXpsk0'
  const ephemeral = (side: string): Uint8Array =>
    hex(text(`${side}_ephemeral`) || text(`gen_${side}_ephemeral`))
  return {
    pattern,
    initPrologue: hex(text('init_prologue') || text('prologue')),
    respPrologue: hex(text('resp_prologue') || text('prologue')),
    psk: pattern === 'XXpsk0' ? hex(text('preshared_key')) : null,
    initStatic: hex(text('init_static')),
    initEphemeral: ephemeral('init'),
    respStatic: hex(text('resp_static')),
    respEphemeral: ephemeral('resp'),
    handshakeHash: text('handshake_hash') || null,
    firstSender: fields.handshake === undefined ? 'responder' : 'initiator',
    messages: readMessages(fields),
  }
}

function readMessages(fields: Fields): Vector['messages'] {
  const list: { payload: Uint8Array; ciphertext: string }[] = []
  const pairs = Array.isArray(fields.messages)
    ? (fields.messages as readonly Fields[])
    : [...Array(10).keys()].map((n) => ({
        payload: fields[`msg_${n}_payload`],
        ciphertext: fields[`msg_${n}_ciphertext`],
      }))
  for (const { payload, ciphertext } of pairs) {
    if (typeof ciphertext === 'string') list.push({ payload: hex(String(payload)), ciphertext })
  }
  return list
}
