/**
 * Callers may hand in Buffer, which is a Uint8Array whose `slice` shares memory.
 * What is copied must be copied then too, and nothing handed in may be written to.
 */
import { describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { openInto, seal } from '../../../src/crypto/aead.ts'
import { blindPoint, clampScalar, signBlinded } from '../../../src/crypto/blinding.ts'
import { CounterCipher } from '../../../src/crypto/counter-cipher.ts'
import { checkPublicKey, expandSeed, SigningKey, verifySignature } from '../../../src/crypto/ed25519.ts'
import { channelKeys, publisherKeys, topic } from '../../../src/crypto/key-schedule.ts'
import { HandshakeState, PreparedPsk } from '../../../src/crypto/noise.ts'
import { X25519KeyPair } from '../../../src/crypto/x25519.ts'
import { openXChaCha, sealXChaCha } from '../../../src/crypto/xchacha.ts'

const random = seededRandom(10)
/** One pool, so that every view has neighbours that a wrong copy would take along. */
const pool = Buffer.from(random.bytes(4096))
let used = 1
function pooled(bytes: Uint8Array): Buffer {
  const view = pool.subarray(used, used + bytes.length)
  used += bytes.length + 1
  view.set(bytes)
  return view
}

/** Run with Buffers, and require that they are as they were, and the result is as with plain bytes. */
function unchanged<T>(inputs: readonly Uint8Array[], run: (...bytes: Uint8Array[]) => T): T {
  const plain = inputs.map((bytes) => new Uint8Array(bytes))
  const buffers = inputs.map(pooled)
  const before = toHex(pool)
  const result = run(...buffers)
  expect(toHex(pool)).toBe(before)
  expect(result).toEqual(run(...plain))
  return result
}

const seed = random.bytes(32)
/** A key whose sign bit is set: the verifier masks it, in a copy. */
const negative = (() => {
  for (;;) {
    const key = new SigningKey(random.bytes(32))
    if (((key.publicKey[31] ?? 0) & 0x80) !== 0) return key
  }
})()

describe('Buffers as arguments', () => {
  it('are left as they are by verification and key checks', () => {
    const message = random.bytes(20)
    const valid = unchanged([negative.sign(message), message, negative.publicKey], (...bytes) =>
      verifySignature(bytes[0] as Uint8Array, bytes[1] as Uint8Array, bytes[2] as Uint8Array),
    )
    expect(valid).toBe(true)
    expect(unchanged([negative.publicKey], (key) => checkPublicKey(key as Uint8Array))).toBe(true)
  })

  it('are left as they are by blinding', () => {
    const factor = unchanged([random.bytes(32)], (bytes) => clampScalar(bytes as Uint8Array))
    unchanged([negative.publicKey], (key) => toHex(blindPoint(key as Uint8Array, factor)))
    unchanged([seed, random.bytes(32), random.bytes(9)], (...bytes) => {
      const keys = publisherKeys(bytes[0] as Uint8Array, bytes[1] as Uint8Array)
      return toHex(signBlinded(keys, 3, 1, bytes[2] as Uint8Array))
    })
    unchanged([seed], (bytes) => toHex(expandSeed(bytes as Uint8Array).publicKey))
  })

  it('are copied into key sets', () => {
    const [publicKey, readKey] = [pooled(negative.publicKey), pooled(random.bytes(32))]
    const keys = channelKeys(publicKey, readKey)
    const before = toHex(topic(channelKeys(keys.publicKey, keys.readKey).secret, 1))
    publicKey.fill(0)
    readKey.fill(0)
    expect(toHex(topic(channelKeys(keys.publicKey, keys.readKey).secret, 1))).toBe(before)
  })

  it('seal and open like plain bytes, also with 24-byte nonces', () => {
    unchanged([random.bytes(32), random.bytes(24), random.bytes(50), random.bytes(5)], (...bytes) => {
      const [key, nonce, text, aad] = bytes as [Uint8Array, Uint8Array, Uint8Array, Uint8Array]
      const sealed = sealXChaCha(key, nonce, text, aad)
      expect(toHex(openXChaCha(key, nonce, sealed, aad) ?? text.subarray(1))).toBe(toHex(text))
      return toHex(sealed)
    })
    const key = random.bytes(32)
    const out = pooled(new Uint8Array(10))
    const nonce = pooled(new Uint8Array(12))
    expect(openInto(key, nonce, pooled(seal(key, nonce, out)), out)).toBe(true)
  })

  it('are not wiped with the cipher that was made from them', () => {
    const key = random.bytes(32)
    unchanged([key], (bytes) => new CounterCipher(bytes as Uint8Array, 1).destroy())
    unchanged([key], (bytes) => toHex(new CounterCipher(bytes as Uint8Array, 1).seal(seed)))
    unchanged([key], (bytes) => toHex(new X25519KeyPair(bytes as Uint8Array).publicKey))
    unchanged([key], (bytes) => toHex(new SigningKey(bytes as Uint8Array).publicKey))
  })

  it('may be reused after a handshake message was read from them', () => {
    const [prologue, psk] = [random.bytes(3), random.bytes(32)]
    const keys = { staticKey: X25519KeyPair.generate(random), ephemeralKey: X25519KeyPair.generate(random) }
    const init = { pattern: 'XXpsk0', prologue, psk, ...keys } as const
    const wire = pooled(HandshakeState.start({ ...init, initiator: true }).write(random.bytes(64)))
    const first = new PreparedPsk(prologue, psk).open(wire)
    const responder = HandshakeState.start({ ...init, initiator: false })
    const read = responder.read(wire)
    const before = [first?.remoteEphemeral, first?.payload, responder.remoteEphemeral, read.payload].map(
      hexOf,
    )
    wire.fill(0)
    expect(
      [first?.remoteEphemeral, first?.payload, responder.remoteEphemeral, read.payload].map(hexOf),
    ).toEqual(before)
    expect(before[0]).toBe(toHex(keys.ephemeralKey.publicKey))
  })
})

function hexOf(bytes: Uint8Array | null | undefined): string {
  return bytes ? toHex(bytes) : ''
}
