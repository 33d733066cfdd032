/**
 * Two readings of PROTOCOL_FINAL.md agree: the bare peer of the harness, which was
 * written from the document alone, against the code of src, byte for byte.
 *
 * The same is shown on the wire wherever a bare peer meets a real node; here a
 * difference names the row of the key schedule or the message that it is in.
 */
import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { concatBytes } from '../../src/base/bytes.ts'
import { signNodeCertificate } from '../../src/crypto/certificate.ts'
import { CounterCipher } from '../../src/crypto/counter-cipher.ts'
import { label } from '../../src/crypto/domains.ts'
import { SigningKey } from '../../src/crypto/ed25519.ts'
import {
  channelSecret,
  dayOf,
  handshakeKey,
  hourOf,
  NETWORK_HANDSHAKE_KEY,
  nodeHandshakeKey,
  PUBLIC_READ_KEY,
  tagKey,
  topic,
} from '../../src/crypto/key-schedule.ts'
import { HandshakeState, PreparedPsk } from '../../src/crypto/noise.ts'
import { channelHandle, helloTag, ROLE_INITIATOR, ROLE_RESPONDER } from '../../src/crypto/tags.ts'
import { X25519KeyPair } from '../../src/crypto/x25519.ts'
import { REKEY_INTERVAL_FRAMES } from '../../src/wire/constants.ts'
import {
  BareChannel,
  BareIdentity,
  dayOf as bareDayOf,
  hourOf as bareHourOf,
  networkHandshakeKey as bareNetworkKey,
  nodeHandshakeKey as bareNodeKey,
  open as bareOpen,
  rekey as bareRekey,
} from './harness/bare-crypto.ts'
import { BareHandshake, INITIATOR, RESPONDER } from './harness/bare-handshake.ts'
import { NO_ADDRESS } from './harness/bare-peer.ts'

const seed = randomBytes(32)
const bareIdentity = new BareIdentity(seed)
const ourKey = new SigningKey(seed)
const plain = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes)
const keyPair = (): X25519KeyPair => new X25519KeyPair(randomBytes(32))

describe('the key schedule', () => {
  it.each([
    ['a public channel', PUBLIC_READ_KEY],
    ['a private channel', new Uint8Array(randomBytes(32))],
  ])('is read alike for %s', (_name, readKey) => {
    const bare = new BareChannel(bareIdentity.publicKey, readKey)
    const secret = channelSecret(ourKey.publicKey, readKey)
    expect(plain(bareIdentity.publicKey)).toEqual(plain(ourKey.publicKey))
    expect(plain(bare.secret)).toEqual(plain(secret))
    expect(plain(bare.tagKey)).toEqual(plain(tagKey(secret)))
    expect(plain(bare.handshakeKey(20_000))).toEqual(plain(handshakeKey(secret, 20_000)))
    expect(plain(bare.topic(20_000))).toEqual(plain(topic(secret, 20_000)))
    const hash = randomBytes(32)
    for (const role of [ROLE_INITIATOR, ROLE_RESPONDER] as const) {
      const { tag, mask } = helloTag(tagKey(secret), hash, role, 7)
      expect(plain(bare.helloPlace(hash, role, 7, 0n))).toEqual(concatBytes(tag, mask))
      expect(plain(bare.handle(hash, role))).toEqual(plain(channelHandle(tagKey(secret), hash, role)))
    }
  })

  it('is read alike where no channel is concerned', () => {
    expect(plain(bareNodeKey(bareIdentity.publicKey))).toEqual(plain(nodeHandshakeKey(ourKey.publicKey)))
    expect(plain(bareNetworkKey())).toEqual(plain(NETWORK_HANDSHAKE_KEY))
    const now = Date.now()
    expect([bareDayOf(now), bareHourOf(now)]).toEqual([dayOf(now), hourOf(now)])
  })
})

describe('the handshake', () => {
  const psk = new Uint8Array(randomBytes(32))

  /** Payload of messages 2 and 3 of ours: the node key and its certificate. */
  function certificate(role: typeof ROLE_INITIATOR | typeof ROLE_RESPONDER, noiseStatic: Uint8Array) {
    return (hash: Uint8Array): Uint8Array => {
      const signature = signNodeCertificate(ourKey, role, noiseStatic, hash)
      return concatBytes(Uint8Array.of(1), ourKey.publicKey, signature, new Uint8Array(63))
    }
  }

  it('of a bare initiator is understood', () => {
    const bare = new BareHandshake(INITIATOR, psk, null)
    const staticKey = keyPair()
    const first = new PreparedPsk(label('prologue'), psk).open(bare.writeMessage1(500_000, NO_ADDRESS))
    expect(first?.payload.length).toBe(64)
    if (first === null) throw new Error('message 1 does not open')
    const ours = HandshakeState.respond(first, { staticKey, ephemeralKey: keyPair() })
    expect(bare.readMessage2(ours.write(certificate(ROLE_RESPONDER, staticKey.publicKey)))).toBe(true)
    expect(ours.read(bare.writeMessage3()).payload).toEqual(new Uint8Array(160))
    expectSameEnd(bare, ours)
  })

  it('of a bare responder is understood', () => {
    const bare = new BareHandshake(RESPONDER, psk, bareIdentity)
    const staticKey = keyPair()
    const ours = HandshakeState.start({
      pattern: 'XXpsk0',
      initiator: true,
      prologue: label('prologue'),
      psk,
      staticKey,
      ephemeralKey: keyPair(),
    })
    const payload = new Uint8Array(64)
    new DataView(payload.buffer).setUint32(0, 500_001)
    expect(bare.readMessage1(ours.write(payload))?.hour).toBe(500_001)
    expect(plain(ours.read(bare.writeMessage2()).payload.subarray(1, 33))).toEqual(plain(ourKey.publicKey))
    expect(bare.readMessage3(ours.write(certificate(ROLE_INITIATOR, staticKey.publicKey)))).toBe(true)
    expectSameEnd(bare, ours)
  })

  it('under another key is not', () => {
    const other = new PreparedPsk(label('prologue'), new Uint8Array(randomBytes(32)))
    expect(other.open(new BareHandshake(INITIATOR, psk, null).writeMessage1(1, NO_ADDRESS))).toBeNull()
  })

  function expectSameEnd(bare: BareHandshake, ours: HandshakeState): void {
    const left = bare.finish()
    const right = ours.split()
    expect(plain(left.handshakeHash)).toEqual(plain(right.handshakeHash))
    expect(plain(left.sendKey)).toEqual(plain(right.receiveKey))
    expect(plain(left.receiveKey)).toEqual(plain(right.sendKey))
  }
})

describe('frames', () => {
  it('open on the other side before and after two rekeys', () => {
    let key: Uint8Array = new Uint8Array(randomBytes(32))
    const ours = new CounterCipher(key, REKEY_INTERVAL_FRAMES)
    const frame = new Uint8Array(1008).fill(5)
    for (let n = 0n; n < 2n * 1024n + 5n; n++) {
      if (n > 0n && n % 1024n === 0n) key = plain(bareRekey(key))
      expect(bareOpen(key, n, ours.seal(frame))?.equals(frame)).toBe(true)
    }
  })
})
