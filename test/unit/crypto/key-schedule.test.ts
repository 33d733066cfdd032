import { describe, expect, it } from 'vitest'
import { isZeroBytes, toHex } from '../../../src/base/bytes.ts'
import { blindingFactor, blindPublicKey, signBlinded } from '../../../src/crypto/blinding.ts'
import { signNodeCertificate, verifyNodeCertificate } from '../../../src/crypto/certificate.ts'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import {
  blobKey,
  type ChannelKeys,
  channelKeys,
  channelSecret,
  convergenceSecret,
  dayOf,
  handshakeKey,
  hourOf,
  isRelayTopic,
  NETWORK_HANDSHAKE_KEY,
  nodeHandshakeKey,
  PUBLIC_READ_KEY,
  publisherKeys,
  RELAY_SECRET,
  recordKey,
  seqOffset,
  slotNonce,
  tagKey,
  topic,
} from '../../../src/crypto/key-schedule.ts'
import { channelHandle, helloTag, type Role } from '../../../src/crypto/tags.ts'
import { encodeScalar } from '../../reference/ed25519-naive.ts'
import { hex, readOwnVectors } from '../../reference/shared-vectors.ts'

interface SlotVector {
  readonly replica: number
  readonly blindingFactor: string
  readonly slotKey: string
  readonly seqOffset: number
  readonly seq: number
  readonly slotNonce: string
  readonly signature: string
}

interface DayVector {
  readonly day: number
  readonly recordKey: string
  readonly topic: string
  readonly handshakeKey: string
  readonly slots: readonly SlotVector[]
}

interface TagVector {
  readonly role: Role
  readonly counter: number
  readonly tag: string
  readonly mask: string
  readonly handle: string
}

interface ChannelVector {
  readonly name: string
  readonly seed: string
  readonly readKey: string
  readonly publicKey: string
  readonly prefix: string
  readonly scalar: string
  readonly channelSecret: string
  readonly convergenceSecret: string
  readonly tagKey: string
  readonly blobKey: string
  readonly days: readonly DayVector[]
  readonly tags: readonly TagVector[]
}

const vectors = readOwnVectors<{
  readonly inputs: Readonly<
    Record<'handshakeHash' | 'noiseStatic' | 'chunkHash' | 'head' | 'message', string>
  >
  readonly networkHandshakeKey: string
  readonly relays: {
    readonly secret: string
    readonly days: readonly Pick<DayVector, 'day' | 'topic' | 'handshakeKey'>[]
  }
  readonly node: {
    readonly seed: string
    readonly nodeKey: string
    readonly nodeHandshakeKey: string
    readonly certificates: readonly { readonly role: Role; readonly signature: string }[]
  }
  readonly channels: readonly ChannelVector[]
}>('key-schedule.json')
const { inputs } = vectors

describe.each(vectors.channels)('the key schedule of a $name', (vector) => {
  const keys = publisherKeys(hex(vector.seed), hex(vector.readKey))

  it('gives the keys of the publisher', () => {
    expect(toHex(keys.publicKey)).toBe(vector.publicKey)
    expect(toHex(keys.expanded.prefix)).toBe(vector.prefix)
    expect(toHex(encodeScalar(keys.expanded.scalar))).toBe(vector.scalar)
    expect(toHex(keys.signingKey.publicKey)).toBe(vector.publicKey)
    expect(toHex(keys.convergenceSecret)).toBe(vector.convergenceSecret)
    expect(toHex(convergenceSecret(hex(vector.seed)))).toBe(vector.convergenceSecret)
    expect(toHex(blobKey(keys.convergenceSecret, hex(inputs.chunkHash)))).toBe(vector.blobKey)
  })

  it('gives a reader the same channel secret and tag key', () => {
    const reader = channelKeys(hex(vector.publicKey), hex(vector.readKey))
    expect(toHex(reader.secret)).toBe(vector.channelSecret)
    expect(toHex(channelSecret(reader.publicKey, reader.readKey))).toBe(vector.channelSecret)
    expect(toHex(keys.secret)).toBe(vector.channelSecret)
    expect(toHex(tagKey(reader.secret))).toBe(vector.tagKey)
  })

  it.each(vector.days)('gives the keys of day $day', (day) => {
    expect(toHex(recordKey(keys.secret, day.day))).toBe(day.recordKey)
    expect(toHex(topic(keys.secret, day.day))).toBe(day.topic)
    expect(toHex(handshakeKey(keys.secret, day.day))).toBe(day.handshakeKey)
    expect(day.slots).toHaveLength(3)
    for (const slot of day.slots) {
      const factor = blindingFactor(keys, day.day, slot.replica)
      expect(toHex(encodeScalar(factor))).toBe(slot.blindingFactor)
      expect(toHex(blindPublicKey(keys, day.day, slot.replica))).toBe(slot.slotKey)
      expect(seqOffset(keys.secret, day.day, slot.replica)).toBe(slot.seqOffset)
      const nonce = slotNonce(hex(day.recordKey), hex(slot.slotKey), slot.seq, hex(inputs.head))
      expect(toHex(nonce)).toBe(slot.slotNonce)
      expect(toHex(signBlinded(keys, day.day, slot.replica, hex(inputs.message)))).toBe(slot.signature)
    }
  })

  it.each(vector.tags)('gives tag, mask and handle of role $role, counter $counter', (expected) => {
    const key = hex(vector.tagKey)
    const made = helloTag(key, hex(inputs.handshakeHash), expected.role, expected.counter)
    expect(toHex(made.tag)).toBe(expected.tag)
    expect(toHex(made.mask)).toBe(expected.mask)
    expect(toHex(channelHandle(key, hex(inputs.handshakeHash), expected.role))).toBe(expected.handle)
  })
})

describe('the topic of relays', () => {
  const noonMs = (day: number): number => (day + 0.5) * 86_400_000

  it('is that of today, yesterday or tomorrow, and no channel’s', () => {
    const day = 20_000
    const offsets = [-2, -1, 0, 1, 2]
    const isOne = offsets.map((by) => isRelayTopic(topic(RELAY_SECRET, day + by), noonMs(day)))
    expect(isOne).toEqual([false, true, true, true, false])
    expect(isRelayTopic(topic(new Uint8Array(32), day), noonMs(day))).toBe(false)
    expect(isRelayTopic(topic(RELAY_SECRET, 1), noonMs(0))).toBe(true) // on the first day there is no yesterday
    expect(isRelayTopic(topic(RELAY_SECRET, 2), noonMs(0))).toBe(false)
  })
})

describe('the keys of nodes and of the network', () => {
  it('are those of the vectors', () => {
    expect(toHex(NETWORK_HANDSHAKE_KEY)).toBe(vectors.networkHandshakeKey)
    expect(toHex(RELAY_SECRET)).toBe(vectors.relays.secret)
    for (const { day, ...expected } of vectors.relays.days) {
      const [relayTopic, key] = [topic(RELAY_SECRET, day), handshakeKey(RELAY_SECRET, day)].map(toHex)
      expect({ topic: relayTopic, handshakeKey: key }).toEqual(expected)
    }
    expect(toHex(nodeHandshakeKey(hex(vectors.node.nodeKey)))).toBe(vectors.node.nodeHandshakeKey)
    const signingKey = new SigningKey(hex(vectors.node.seed))
    expect(toHex(signingKey.publicKey)).toBe(vectors.node.nodeKey)
    for (const { role, signature } of vectors.node.certificates) {
      const [noiseStatic, hash] = [hex(inputs.noiseStatic), hex(inputs.handshakeHash)]
      expect(toHex(signNodeCertificate(signingKey, role, noiseStatic, hash))).toBe(signature)
      expect(verifyNodeCertificate(hex(signature), signingKey.publicKey, role, noiseStatic, hash)).toBe(true)
    }
  })
})

describe('derived keys', () => {
  const reader: ChannelKeys = channelKeys(hex(vectors.channels[0]?.publicKey ?? ''))

  it('of a link without read key are those of a public channel', () => {
    expect(isZeroBytes(PUBLIC_READ_KEY)).toBe(true)
    expect(PUBLIC_READ_KEY).toHaveLength(32)
    expect(toHex(reader.secret)).toBe(vectors.channels[0]?.channelSecret)
  })

  it('are all different from each other', () => {
    const day = 20_742
    const all = [
      reader.secret,
      tagKey(reader.secret),
      ...[day, day + 1].flatMap((t) => [
        recordKey(reader.secret, t),
        handshakeKey(reader.secret, t),
        topic(reader.secret, t),
      ]),
      convergenceSecret(hex(vectors.channels[0]?.seed ?? '')),
      NETWORK_HANDSHAKE_KEY,
      nodeHandshakeKey(reader.publicKey),
    ].map((bytes) => toHex(bytes.subarray(0, 20)))
    expect(new Set(all).size).toBe(all.length)
  })

  it('have offsets of seq below 2^40 that use all forty bits', () => {
    let highest = 0
    for (let t = 0; t < 200; t++) {
      const offset = seqOffset(reader.secret, t, t % 3)
      expect(Number.isSafeInteger(offset) && offset >= 0 && offset < 2 ** 40).toBe(true)
      highest = Math.max(highest, offset)
    }
    expect(highest).toBeGreaterThan(2 ** 39)
  })

  it('are copies: writing to what went in changes nothing', () => {
    const [publicKey, readKey] = [reader.publicKey.slice(), new Uint8Array(32).fill(7)]
    const made = channelKeys(publicKey, readKey)
    publicKey.fill(0)
    readKey.fill(0)
    expect(toHex(channelSecret(made.publicKey, made.readKey))).toBe(toHex(made.secret))
  })

  it('have nonces of slots that depend on the key, the seq and the head', () => {
    const record = recordKey(reader.secret, 1)
    const base = toHex(slotNonce(record, reader.publicKey, 5, hex(inputs.head)))
    const changed = [
      slotNonce(recordKey(reader.secret, 2), reader.publicKey, 5, hex(inputs.head)),
      slotNonce(record, blindPublicKey(reader, 1, 0), 5, hex(inputs.head)),
      slotNonce(record, reader.publicKey, 6, hex(inputs.head)),
      slotNonce(record, reader.publicKey, 5, hex(inputs.head).slice(1)),
    ].map(toHex)
    expect(new Set([base, ...changed]).size).toBe(5)
    expect(base).toHaveLength(48)
  })

  it('refuse arguments of a wrong size, naming them', () => {
    const short = new Uint8Array(31)
    expect(() => channelSecret(short, PUBLIC_READ_KEY)).toThrow('"publicKey"')
    expect(() => channelSecret(reader.publicKey, short)).toThrow('"readKey"')
    expect(() => convergenceSecret(short)).toThrow('"seed"')
    expect(() => nodeHandshakeKey(short)).toThrow('"nodeKey"')
    expect(() => recordKey(short, 1)).toThrow('"secret"')
    expect(() => blobKey(reader.secret, short)).toThrow('"chunkHash"')
    for (const day of [-1, 0.5, 2 ** 32, Number.NaN]) expect(() => topic(reader.secret, day)).toThrow('"day"')
    for (const seq of [-1, 0.5, 2 ** 53]) {
      expect(() => slotNonce(reader.secret, reader.publicKey, seq, short)).toThrow('"seq"')
    }
  })
})

describe('days and hours', () => {
  it('begin at midnight and at the full hour, UTC', () => {
    const midnight = Date.UTC(2026, 9, 16)
    expect(dayOf(midnight)).toBe(20_742)
    expect(dayOf(midnight - 1)).toBe(20_741)
    expect(dayOf(midnight + 86_399_999)).toBe(20_742)
    expect(hourOf(midnight)).toBe(20_742 * 24)
    expect(hourOf(midnight + 3_600_000)).toBe(20_742 * 24 + 1)
    expect(dayOf(0)).toBe(0)
  })

  it('do not exist before 1970 or for what is no time', () => {
    for (const time of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => dayOf(time)).toThrow(RangeError)
      expect(() => hourOf(time)).toThrow(RangeError)
    }
  })
})
