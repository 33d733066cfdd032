/**
 * Do the bytes of a handshake look like any others? Per byte of the three messages
 * a chi-square test over 2,000 handshakes, per bit its share of ones, and the
 * longest prefix that two share. Whatever stands in clear must fail it, and the
 * one thing that does, the X25519 keys, is a stated limit (PROTOCOL_FINAL.md §6.4, Notes).
 */
import { beforeAll, describe, expect, it } from 'vitest'
import { concatBytes } from '../../../src/base/bytes.ts'
import { seededRandom, systemRandom } from '../../../src/base/random.ts'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import { HandshakeState, PreparedPsk } from '../../../src/crypto/noise.ts'
import { X25519KeyPair } from '../../../src/crypto/x25519.ts'
import { PROLOGUE } from '../../../src/transport/handshake-keys.ts'
import { encodeFirstPayload, encodeIdentityPayload } from '../../../src/transport/handshake-payload.ts'
import {
  HANDSHAKE_MESSAGE_1_BYTES,
  HANDSHAKE_MESSAGE_2_BYTES,
  HANDSHAKE_MESSAGE_3_BYTES,
} from '../../../src/wire/constants.ts'

const HANDSHAKES = 2000
const LENGTH = HANDSHAKE_MESSAGE_1_BYTES + HANDSHAKE_MESSAGE_2_BYTES + HANDSHAKE_MESSAGE_3_BYTES
/** 255 degrees of freedom: mean 255, deviation 22.6. Over 592 bytes the highest by chance is near 340, and 400 comes once in a
 *  hundred thousand runs. */
const CHI_SQUARE_LIMIT = 400
/** Deviations of the share of ones among 2,000 bits: of 4,736 bits, one goes as far once in a million runs. */
const BIAS_LIMIT = 6.3 * (0.5 / Math.sqrt(HANDSHAKES))
/** Last byte of the ephemeral keys in messages 1 and 2: X25519 keys are below 2^255. */
const TOP_BYTES = [31, HANDSHAKE_MESSAGE_1_BYTES + 31]

// The same day, channel, address, statics and payloads every time: whatever shows must come from the
// protocol, and what is sealed must not show although it never changes.
const random = seededRandom(255)
const psk = random.bytes(32)
const nodeKey = new SigningKey(random.bytes(32))
const prepared = new PreparedPsk(PROLOGUE, psk)
const first = encodeFirstPayload({ hour: 494_000, dialled: random.bytes(38) })
const [initiatorStatic, responderStatic] = [X25519KeyPair.generate(random), X25519KeyPair.generate(random)]
const second = encodeIdentityPayload(nodeKey, 2, responderStatic.publicKey, random.bytes(32))

function handshakeBytes(): Uint8Array {
  const pair = (): X25519KeyPair => X25519KeyPair.generate(systemRandom)
  const init = { pattern: 'XXpsk0', initiator: true, prologue: PROLOGUE, psk } as const
  const initiator = HandshakeState.start({ ...init, staticKey: initiatorStatic, ephemeralKey: pair() })
  const one = initiator.write(first)
  const opened = prepared.open(one)
  if (opened === null) throw new Error('message 1 does not open')
  const responder = HandshakeState.respond(opened, { staticKey: responderStatic, ephemeralKey: pair() })
  const two = responder.write(second)
  initiator.read(two)
  return concatBytes(one, two, initiator.write(new Uint8Array(160)))
}

/** How far the values of one byte are from all being as frequent. */
function chiSquare(samples: readonly Uint8Array[], at: number): number {
  const counts = new Float64Array(256)
  for (const sample of samples) counts[sample[at] as number] = (counts[sample[at] as number] ?? 0) + 1
  const expected = samples.length / 256
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
}

function bias(samples: readonly Uint8Array[], at: number, bit: number): number {
  let ones = 0
  for (const sample of samples) ones += ((sample[at] as number) >> bit) & 1
  return Math.abs(ones / samples.length - 0.5)
}

/** Places whose byte is told from chance. */
function suspects(samples: readonly Uint8Array[]): number[] {
  const places: number[] = []
  for (let at = 0; at < (samples[0]?.length ?? 0); at++) {
    const isBiased = [0, 1, 2, 3, 4, 5, 6, 7].some((bit) => bias(samples, at, bit) > BIAS_LIMIT)
    if (chiSquare(samples, at) > CHI_SQUARE_LIMIT || isBiased) places.push(at)
  }
  return places
}

function longestPrefix(samples: readonly Uint8Array[]): number {
  const sorted = [...samples].sort(Buffer.compare)
  let longest = 0
  for (let i = 1; i < sorted.length; i++) {
    const [a, b] = [sorted[i - 1] as Uint8Array, sorted[i] as Uint8Array]
    let shared = 0
    while (shared < a.length && a[shared] === b[shared]) shared++
    longest = Math.max(longest, shared)
  }
  return longest
}

describe('2,000 handshakes of one channel between the same nodes', () => {
  let samples: Uint8Array[]

  beforeAll(() => {
    samples = Array.from({ length: HANDSHAKES }, handshakeBytes)
  })

  it('are of one length and have no byte that is told from chance, but for the top bit of two keys', () => {
    expect(new Set(samples.map(({ length }) => length))).toEqual(new Set([LENGTH]))
    expect(suspects(samples)).toEqual(TOP_BYTES)
  })

  it('have nothing to tell in those two bytes but that bit', () => {
    for (const at of TOP_BYTES) {
      expect(samples.every((sample) => (sample[at] as number) < 0x80)).toBe(true)
      for (let bit = 0; bit < 7; bit++) expect(bias(samples, at, bit)).toBeLessThan(BIAS_LIMIT)
    }
  })

  it('share no beginning beyond what chance gives', () => {
    // Of 2 million pairs one is alike in some 21 bits.
    expect(longestPrefix(samples)).toBeLessThan(6)
  })

  it('would be told by anything that stood in clear', () => {
    const version = samples.map((sample) => withByte(sample, 200, 1))
    expect(suspects(version)).toEqual([...TOP_BYTES, 200].sort((a, b) => a - b))
    // A length with a few values, a flag in one bit, a byte that is never zero.
    const length = samples.map((sample, index) => withByte(sample, 120, index % 5))
    expect(suspects(length)).toContain(120)
    const flag = samples.map((sample) => withByte(sample, 400, (sample[400] as number) | 0x20))
    expect(suspects(flag)).toContain(400)
    const magic = samples.map((sample) => concatBytes(Uint8Array.of(0x4d, 0x45, 0x47), sample))
    expect(longestPrefix(magic)).toBeGreaterThanOrEqual(3)
    expect(suspects(magic).slice(0, 3)).toEqual([0, 1, 2])
  })
})

function withByte(sample: Uint8Array, at: number, value: number): Uint8Array {
  const changed = sample.slice()
  changed[at] = value
  return changed
}
