import { describe, expect, it } from 'vitest'
import { concatBytes, EMPTY_BYTES, isZeroBytes, toHex, utf8Bytes } from '../../../src/base/bytes.ts'
import { isMegatorrentError } from '../../../src/base/errors.ts'
import { seededRandom } from '../../../src/base/random.ts'
import {
  type FirstMessage,
  HandshakeState,
  MAX_NOISE_MESSAGE_BYTES,
  PreparedPsk,
} from '../../../src/crypto/noise.ts'
import { X25519KeyPair } from '../../../src/crypto/x25519.ts'
import { NaiveNoise, naivePair } from '../../reference/noise-naive.ts'
import { describeShared, hex, type Wycheproof } from '../../reference/shared-vectors.ts'

const random = seededRandom(6)
const PROLOGUE = utf8Bytes('a prologue')
const PSK = random.bytes(32)
const PAYLOADS = [64, 160, 160].map((length) => random.bytes(length))
const pair = (): X25519KeyPair => X25519KeyPair.generate(random)
const localKeys = (): { staticKey: X25519KeyPair; ephemeralKey: X25519KeyPair } => ({
  staticKey: pair(),
  ephemeralKey: pair(),
})

function start(
  initiator: boolean,
  options: { psk?: Uint8Array; prologue?: Uint8Array } = {},
): HandshakeState {
  const { psk = PSK, prologue = PROLOGUE } = options
  return HandshakeState.start({ pattern: 'XXpsk0', initiator, prologue, psk, ...localKeys() })
}

describe('a handshake', () => {
  it('ends in the same keys and hash on both sides, crossed', () => {
    const [initiator, responder] = [start(true), start(false)]
    for (const [index, payload] of PAYLOADS.entries()) {
      const [writer, reader] = index === 1 ? [responder, initiator] : [initiator, responder]
      expect(writer.finished).toBe(false)
      expect(reader.read(writer.write(payload)).payload).toEqual(payload)
    }
    expect([initiator.finished, responder.finished]).toEqual([true, true])
    const [ours, theirs] = [initiator.split(), responder.split()]
    expect(ours.sendKey).toEqual(theirs.receiveKey)
    expect(ours.receiveKey).toEqual(theirs.sendKey)
    expect(ours.handshakeHash).toEqual(theirs.handshakeHash)
    expect(toHex(ours.sendKey)).not.toBe(toHex(ours.receiveKey))
  })

  it("hands each side the other's keys, and the hash before each payload to a payload that signs it", () => {
    const keys = [localKeys(), localKeys()] as const
    const init = { pattern: 'XXpsk0', prologue: PROLOGUE, psk: PSK } as const
    const initiator = HandshakeState.start({ ...init, initiator: true, ...keys[0] })
    const responder = HandshakeState.start({ ...init, initiator: false, ...keys[1] })
    const seen: string[] = []
    for (const index of [0, 1, 2]) {
      const [writer, reader] = index === 1 ? [responder, initiator] : [initiator, responder]
      const message = writer.write((hash) => {
        seen.push(toHex(hash))
        return hash
      })
      const read = reader.read(message)
      expect(toHex(read.hash)).toBe(seen[index])
      expect(read.payload).toEqual(read.hash)
    }
    expect(new Set(seen).size).toBe(3)
    expect(initiator.remoteStatic).toEqual(keys[1].staticKey.publicKey)
    expect(responder.remoteStatic).toEqual(keys[0].staticKey.publicKey)
    expect(initiator.remoteEphemeral).toEqual(keys[1].ephemeralKey.publicKey)
    expect(responder.remoteEphemeral).toEqual(keys[0].ephemeralKey.publicKey)
  })

  it('shows no byte of a static key or payload in clear', () => {
    const keys = [localKeys(), localKeys()] as const
    const wire = exchange(keys[0], keys[1])
    const sent = toHex(concatBytes(...wire))
    for (const { staticKey } of keys) expect(sent).not.toContain(toHex(staticKey.publicKey))
    for (const payload of PAYLOADS) expect(sent).not.toContain(toHex(payload.subarray(0, 16)))
  })

  it('does not begin without a pre-shared key where one belongs, or with one where none does', () => {
    const init = { initiator: true, prologue: PROLOGUE, ...localKeys() }
    expect(() => HandshakeState.start({ ...init, pattern: 'XXpsk0' })).toThrow(TypeError)
    expect(() => HandshakeState.start({ ...init, pattern: 'XX', psk: PSK })).toThrow(TypeError)
    expect(() => HandshakeState.start({ ...init, pattern: 'XXpsk0', psk: PSK.subarray(1) })).toThrow(
      RangeError,
    )
  })

  it('takes messages up to 65,535 bytes and none above', () => {
    const room = MAX_NOISE_MESSAGE_BYTES - 48
    const [initiator, responder] = [start(true), start(false)]
    const payload = random.bytes(room)
    expect(responder.read(initiator.write(payload)).payload).toEqual(payload)
    expect(() => start(true).write(random.bytes(room + 1))).toThrow(RangeError)
    expect(code(() => start(false).read(new Uint8Array(MAX_NOISE_MESSAGE_BYTES + 1)))).toBe(
      'ERR_HANDSHAKE_FAILED',
    )
    expect(new PreparedPsk(PROLOGUE, PSK).open(new Uint8Array(MAX_NOISE_MESSAGE_BYTES + 1))).toBeNull()
  })
})

describe('a state out of turn', () => {
  it('is refused without harm to the handshake', () => {
    const [initiator, responder] = [start(true), start(false)]
    expect(code(() => responder.write(EMPTY_BYTES))).toBe('ERR_BUG')
    expect(code(() => initiator.read(new Uint8Array(112)))).toBe('ERR_BUG')
    expect(code(() => initiator.split())).toBe('ERR_BUG')
    responder.read(initiator.write(EMPTY_BYTES))
    initiator.read(responder.write(EMPTY_BYTES))
    responder.read(initiator.write(EMPTY_BYTES))
    expect(code(() => initiator.write(EMPTY_BYTES))).toBe('ERR_BUG')
    expect(code(() => responder.read(new Uint8Array(112)))).toBe('ERR_BUG')
    initiator.split()
    expect(code(() => initiator.split())).toBe('ERR_BUG')
  })

  it('stays unusable after a payload of ours threw', () => {
    const initiator = start(true)
    const oops = (): Uint8Array => {
      throw new Error('oops')
    }
    expect(() => initiator.write(oops)).toThrow('oops')
    expect(code(() => initiator.write(EMPTY_BYTES))).toBe('ERR_BUG')
  })
})

describe('damage', () => {
  it('to any byte of any message ends the handshake, and leaves the state unusable', () => {
    const [initiatorKeys, responderKeys] = [localKeys(), localKeys()]
    const wire = exchange(initiatorKeys, responderKeys)
    expect(wire.map((message) => message.length)).toEqual([112, 256, 224])
    for (const [index, message] of wire.entries()) {
      const damaged = [...message.keys()].map((at) => {
        const copy = message.slice()
        copy[at] = (copy[at] ?? 0) ^ (1 << Math.floor(random.fraction() * 8))
        return copy
      })
      const cut = [0, 1, 31, 32, 47, 48, 80, 111, message.length - 1].map((length) =>
        message.slice(0, length),
      )
      const extended = [concatBytes(message, Uint8Array.of(0))]
      const swapped = wire.filter((other) => other !== message)
      for (const bad of [...damaged, ...cut, ...extended, ...swapped]) {
        const reader = readerBefore(index, initiatorKeys, responderKeys, wire)
        expect(code(() => reader.read(bad))).toBe('ERR_HANDSHAKE_FAILED')
        expect(code(() => reader.read(message))).toBe('ERR_BUG')
        expect(reader.finished).toBe(false)
      }
    }
  })

  it('includes another pre-shared key or prologue', () => {
    const message = start(true).write(EMPTY_BYTES)
    expect(code(() => start(false, { psk: random.bytes(32) }).read(message))).toBe('ERR_HANDSHAKE_FAILED')
    expect(code(() => start(false, { prologue: utf8Bytes('a prologuf') }).read(message))).toBe(
      'ERR_HANDSHAKE_FAILED',
    )
    expect(start(false).read(message).payload).toEqual(EMPTY_BYTES)
  })

  it('includes messages of one handshake in another', () => {
    const one = exchange(localKeys(), localKeys())
    const initiator = start(true)
    initiator.write(PAYLOADS[0] ?? EMPTY_BYTES)
    expect(code(() => initiator.read(one[1] ?? EMPTY_BYTES))).toBe('ERR_HANDSHAKE_FAILED')
  })
})

describe('PreparedPsk', () => {
  it('finds the one key of many that opens a message, and failed trials leave nothing behind', () => {
    const psks = Array.from({ length: 50 }, () => random.bytes(32))
    const prepared = psks.map((psk) => new PreparedPsk(PROLOGUE, psk))
    for (const wanted of [0, 17, 49]) {
      const initiator = start(true, { psk: psks[wanted] ?? PSK })
      const message = initiator.write(PAYLOADS[0] ?? EMPTY_BYTES)
      const opened = prepared.map((one) => one.open(message))
      expect(opened.flatMap((first, index) => (first === null ? [] : [index]))).toEqual([wanted])
      const first = opened[wanted] as FirstMessage
      expect(first.payload).toEqual(PAYLOADS[0])
      const responder = HandshakeState.respond(first, localKeys())
      expect(responder.remoteEphemeral).toEqual(message.slice(0, 32))
      initiator.read(responder.write(EMPTY_BYTES))
      responder.read(initiator.write(EMPTY_BYTES))
      expect(initiator.split().sendKey).toEqual(responder.split().receiveKey)
    }
  })

  it('is null for every damaged, cut or foreign message, and still opens the good one after all of them', () => {
    const prepared = new PreparedPsk(PROLOGUE, PSK)
    const message = start(true).write(PAYLOADS[0] ?? EMPTY_BYTES)
    for (let at = 0; at < message.length; at++) {
      const bad = message.slice()
      bad[at] = (bad[at] ?? 0) ^ 0x80
      expect(prepared.open(bad)).toBeNull()
      expect(prepared.open(message.subarray(0, at))).toBeNull()
    }
    expect(prepared.open(concatBytes(message, Uint8Array.of(0)))).toBeNull()
    expect(prepared.open(message)?.payload).toEqual(PAYLOADS[0])
  })

  it('serves several responders at once, whose handshakes do not touch each other', () => {
    const prepared = new PreparedPsk(PROLOGUE, PSK)
    const initiators = [start(true), start(true)]
    const responders = initiators.map((initiator) => {
      const first = prepared.open(initiator.write(EMPTY_BYTES)) as FirstMessage
      return HandshakeState.respond(first, localKeys())
    })
    for (const [index, responder] of responders.entries())
      initiators[index]?.read(responder.write(EMPTY_BYTES))
    for (const [index, responder] of responders.entries())
      responder.read((initiators[index] as HandshakeState).write(EMPTY_BYTES))
    const hashes = [...initiators, ...responders].map((state) => toHex(state.split().handshakeHash))
    expect(hashes.slice(0, 2)).toEqual(hashes.slice(2))
    expect(new Set(hashes).size).toBe(2)
  })

  it('gives a first message from which more than one answer can start', () => {
    const initiator = start(true)
    const first = new PreparedPsk(PROLOGUE, PSK).open(initiator.write(EMPTY_BYTES)) as FirstMessage
    const [, responder] = [
      HandshakeState.respond(first, localKeys()),
      HandshakeState.respond(first, localKeys()),
    ].map((state) => ({ state, answer: state.write(EMPTY_BYTES) }))
    initiator.read(responder?.answer ?? EMPTY_BYTES)
    responder?.state.read(initiator.write(EMPTY_BYTES))
    expect(responder?.state.finished).toBe(true)
  })

  it("does not keep the caller's key", () => {
    const psk = PSK.slice()
    const prepared = new PreparedPsk(PROLOGUE, psk)
    psk.fill(0)
    expect(prepared.open(start(true).write(EMPTY_BYTES))).not.toBeNull()
  })
})

describeShared<Wycheproof<object, { readonly public: string; readonly shared: string }>>(
  'public keys that give a zero secret',
  'wycheproof/x25519_test.json',
  (file) => {
    const publicKeys = file.testGroups
      .flatMap((group) => group.tests)
      .filter((test) => isZeroBytes(hex(test.shared)))
      .map((test) => hex(test.public))

    it('are refused as the ephemeral key of the initiator, all 31', () => {
      expect(publicKeys).toHaveLength(31)
      for (const publicKey of publicKeys) {
        const attacker = naive(true, { e: publicKey })
        const responder = start(false)
        responder.read(attacker.write(EMPTY_BYTES))
        expect(code(() => responder.write(EMPTY_BYTES))).toBe('ERR_HANDSHAKE_FAILED')
        const prepared = new PreparedPsk(PROLOGUE, PSK).open(naive(true, { e: publicKey }).write(EMPTY_BYTES))
        const tried = HandshakeState.respond(prepared as FirstMessage, localKeys())
        expect(code(() => tried.write(EMPTY_BYTES))).toBe('ERR_HANDSHAKE_FAILED')
      }
    })

    it('are refused as the ephemeral key of the responder', () => {
      for (const publicKey of publicKeys) {
        const attacker = naive(false, { e: publicKey })
        const initiator = start(true)
        attacker.read(initiator.write(EMPTY_BYTES))
        expect(code(() => initiator.read(attacker.write(EMPTY_BYTES)))).toBe('ERR_HANDSHAKE_FAILED')
      }
    })

    it('are refused as the static key of either side', () => {
      for (const publicKey of publicKeys) {
        const responder = naive(false, { s: publicKey })
        const initiator = start(true)
        responder.read(initiator.write(EMPTY_BYTES))
        expect(code(() => initiator.read(responder.write(EMPTY_BYTES)))).toBe('ERR_HANDSHAKE_FAILED')

        const attacker = naive(true, { s: publicKey })
        const honest = start(false)
        honest.read(attacker.write(EMPTY_BYTES))
        attacker.read(honest.write(EMPTY_BYTES))
        expect(code(() => honest.read(attacker.write(EMPTY_BYTES)))).toBe('ERR_HANDSHAKE_FAILED')
      }
    })

    it('would be accepted by the naive twin, so the attack is a real one', () => {
      const publicKey = publicKeys[0] as Uint8Array
      const [attacker, victim] = [naive(true, { e: publicKey, s: publicKey }), naive(false, {})]
      victim.read(attacker.write(EMPTY_BYTES))
      attacker.read(victim.write(EMPTY_BYTES))
      victim.read(attacker.write(EMPTY_BYTES))
      expect(victim.split()).toEqual(attacker.split())
    })
  },
)

/**
 * The twin with public keys that have no secret. Where one gives zeros with every
 * key, both sides compute the same, so the messages of the twin are otherwise right.
 */
function naive(
  initiator: boolean,
  claimed: { readonly e?: Uint8Array; readonly s?: Uint8Array },
): NaiveNoise {
  const keyOf = (publicKey: Uint8Array | undefined) =>
    publicKey === undefined ? naivePair(random.bytes(32)) : { secretKey: null, publicKey }
  return new NaiveNoise({ psk: PSK, prologue: PROLOGUE, initiator, s: keyOf(claimed.s), e: keyOf(claimed.e) })
}

function exchange(
  initiatorKeys: ReturnType<typeof localKeys>,
  responderKeys: ReturnType<typeof localKeys>,
): readonly Uint8Array[] {
  const init = { pattern: 'XXpsk0', prologue: PROLOGUE, psk: PSK } as const
  const initiator = HandshakeState.start({ ...init, initiator: true, ...initiatorKeys })
  const responder = HandshakeState.start({ ...init, initiator: false, ...responderKeys })
  return PAYLOADS.map((payload, index) => {
    const [writer, reader] = index === 1 ? [responder, initiator] : [initiator, responder]
    const message = writer.write(payload)
    reader.read(message)
    return message
  })
}

/** The side that reads message `index` of `wire`, just before it does. */
function readerBefore(
  index: number,
  initiatorKeys: ReturnType<typeof localKeys>,
  responderKeys: ReturnType<typeof localKeys>,
  wire: readonly Uint8Array[],
): HandshakeState {
  const initiator = index === 1
  const keys = initiator ? initiatorKeys : responderKeys
  const state = HandshakeState.start({ pattern: 'XXpsk0', prologue: PROLOGUE, psk: PSK, initiator, ...keys })
  for (let i = 0; i < index; i++) {
    if (initiator === (i % 2 === 0)) state.write(PAYLOADS[i] ?? EMPTY_BYTES)
    else state.read(wire[i] ?? EMPTY_BYTES)
  }
  return state
}

function code(call: () => unknown): string | null {
  try {
    call()
    return null
  } catch (error) {
    return isMegatorrentError(error) ? error.code : String(error)
  }
}
