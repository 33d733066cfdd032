import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isMegatorrentError } from '../../src/base/errors.ts'
import { HandshakeState, type NoisePattern, PreparedPsk } from '../../src/crypto/noise.ts'
import { X25519KeyPair } from '../../src/crypto/x25519.ts'
import { NaiveNoise, naivePair } from '../reference/noise-naive.ts'

const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length })
const text = fc.uint8Array({ maxLength: 200 })

const scenario = fc.record({
  pattern: fc.constantFrom<NoisePattern>('XX', 'XXpsk0'),
  prologue: text,
  psk: bytes(32),
  secrets: fc.tuple(bytes(32), bytes(32), bytes(32), bytes(32)),
  payloads: fc.tuple(text, text, text),
  /** Which side is the naive one. */
  naiveInitiates: fc.boolean(),
})

describe('Noise against its naive twin', () => {
  it('speaks with it, in either role, and writes the very bytes that it writes', () => {
    fc.assert(
      fc.property(scenario, ({ pattern, prologue, psk, secrets, payloads, naiveInitiates }) => {
        const withPsk = pattern === 'XXpsk0' ? { psk } : {}
        const ours = (initiator: boolean): HandshakeState =>
          HandshakeState.start({
            pattern,
            initiator,
            prologue,
            ...withPsk,
            staticKey: new X25519KeyPair(secrets[initiator ? 0 : 2]),
            ephemeralKey: new X25519KeyPair(secrets[initiator ? 1 : 3]),
          })
        const twin = (initiator: boolean): NaiveNoise =>
          new NaiveNoise({
            prologue,
            initiator,
            ...withPsk,
            s: naivePair(secrets[initiator ? 0 : 2]),
            e: naivePair(secrets[initiator ? 1 : 3]),
          })
        // Two conversations: ours with the twin, and the twin with itself for comparison.
        const [mixedInitiator, mixedResponder] = [
          naiveInitiates ? twin(true) : ours(true),
          naiveInitiates ? ours(false) : twin(false),
        ]
        const [twinInitiator, twinResponder] = [twin(true), twin(false)]
        for (const [index, payload] of payloads.entries()) {
          const forward = index !== 1
          const message = (forward ? mixedInitiator : mixedResponder).write(payload)
          const expected = (forward ? twinInitiator : twinResponder).write(payload)
          expect(Buffer.compare(message, expected)).toBe(0)
          const read = (forward ? mixedResponder : mixedInitiator).read(message)
          expect(Buffer.compare('payload' in read ? read.payload : (read as Uint8Array), payload)).toBe(0)
          ;(forward ? twinResponder : twinInitiator).read(expected)
        }
        const state = (naiveInitiates ? mixedResponder : mixedInitiator) as HandshakeState
        const keys = state.split()
        const [first, second] = twinInitiator.split()
        const [sendKey, receiveKey] = naiveInitiates ? [second, first] : [first, second]
        expect(Buffer.compare(keys.sendKey, sendKey)).toBe(0)
        expect(Buffer.compare(keys.receiveKey, receiveKey)).toBe(0)
        expect(Buffer.compare(keys.handshakeHash, twinInitiator.h)).toBe(0)
      }),
      { numRuns: 40 },
    )
  })

  it('meets junk of any length with one error and nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), bytes(32), bytes(32), (junk, psk, secret) => {
        const key = new X25519KeyPair(secret)
        const init = { pattern: 'XXpsk0', prologue: psk, psk, staticKey: key, ephemeralKey: key } as const
        expect(new PreparedPsk(psk, psk).open(junk)).toBeNull()
        const responder = HandshakeState.start({ ...init, initiator: false })
        const initiator = HandshakeState.start({ ...init, initiator: true })
        initiator.write(psk)
        for (const state of [responder, initiator]) {
          let thrown: unknown
          try {
            state.read(junk)
          } catch (error) {
            thrown = error
          }
          expect(isMegatorrentError(thrown, 'ERR_HANDSHAKE_FAILED')).toBe(true)
        }
      }),
      { numRuns: 150 },
    )
  })
})
