/**
 * SecureChannel and Connection against whatever may come in: the same frames
 * however they are cut, and plaintexts that a peer with the keys made up.
 */

import fc from 'fast-check'
import { describe, it } from 'vitest'
import { concatBytes } from '../../src/base/bytes.ts'
import { ManualClock } from '../../src/base/clock.ts'
import { isMegatorrentError } from '../../src/base/errors.ts'
import { seededRandom } from '../../src/base/random.ts'
import { CounterCipher } from '../../src/crypto/counter-cipher.ts'
import { openFrame } from '../../src/crypto/sealed-frame.ts'
import { Connection } from '../../src/transport/connection.ts'
import { MemoryNetwork } from '../../src/transport/memory.ts'
import { SecureChannel } from '../../src/transport/secure-channel.ts'
import type { ByteStream } from '../../src/transport/transport.ts'
import { BLOB_BYTES, REKEY_INTERVAL_FRAMES, SMALL_FRAME_PLAIN_BYTES } from '../../src/wire/constants.ts'
import { encodeFrame } from '../../src/wire/frame.ts'

const random = seededRandom(3)
const [KEY, OTHER_KEY] = [random.bytes(32), random.bytes(32)]
const BLOB = random.bytes(BLOB_BYTES)
const BLOB_FOLLOWS = 1

const cipher = (key: Uint8Array): CounterCipher => new CounterCipher(key, REKEY_INTERVAL_FRAMES)

async function streams(clock: ManualClock): Promise<[ByteStream, ByteStream]> {
  const network = new MemoryNetwork(clock, random)
  const accepted: ByteStream[] = []
  await network.transport('b').listen({ host: 'b', port: 1 }, (stream) => accepted.push(stream))
  const dialling = network.transport('a').dial({ host: 'b', port: 1 }, { timeoutMs: 100 })
  await clock.advance(1)
  return [await dialling, accepted[0] as ByteStream]
}

const IGNORE = { onData: () => {}, onDrain: () => {}, onClose: () => {} }

describe('a secure channel', () => {
  it('delivers the same frames however the stream is cut', async () => {
    const frames = fc.array(fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, fc.constant(BLOB_FOLLOWS)), {
      minLength: 1,
      maxLength: 30,
    })
    const cuts = fc.array(fc.integer({ min: 1, max: 60_000 }), { minLength: 1, maxLength: 20 })
    const earlyShare = fc.double({ min: 0, max: 1, noNaN: true })
    await fc.assert(
      fc.asyncProperty(frames, cuts, earlyShare, async (kinds, sizes, share) => {
        const sender = cipher(KEY)
        const parts: Uint8Array[] = []
        const expected: string[] = []
        for (const [index, kind] of kinds.entries()) {
          const plaintext = new Uint8Array(SMALL_FRAME_PLAIN_BYTES).fill(index)
          plaintext[0] = kind
          parts.push(sender.seal(plaintext))
          expected.push(`small ${index}`)
          if (kind !== BLOB_FOLLOWS) continue
          parts.push(sender.seal(BLOB))
          expected.push('blob')
        }
        const bytes = concatBytes(...parts)
        const clock = new ManualClock()
        const [raw, stream] = await streams(clock)
        raw.start(IGNORE)
        const got: string[] = []
        const early = Math.floor(Math.min(bytes.length, 70_000) * share)
        new SecureChannel(stream, { send: cipher(OTHER_KEY), receive: cipher(KEY) }).start(
          {
            onSmallFrame: (plaintext) => {
              got.push(`small ${plaintext[1]}`)
              return plaintext[0] === BLOB_FOLLOWS ? 'blob' : 'small'
            },
            onBlobFrame: (frame) => {
              const blob = frame === null ? null : openFrame(frame)
              got.push(blob !== null && Buffer.compare(blob, BLOB) === 0 ? 'blob' : 'damage')
            },
            onDrain: () => {},
            onClose: () => got.push('close'),
          },
          bytes.slice(0, early),
        )
        for (let at = early, i = 0; at < bytes.length; i++) {
          // Small pieces at first: all of a blob in single bytes would take minutes.
          const size = i < 200 ? (sizes[i % sizes.length] as number) : 65_536
          raw.write(bytes.subarray(at, at + size))
          at += size
        }
        await clock.advance(1)
        return JSON.stringify(got) === JSON.stringify(expected)
      }),
      { numRuns: 40 },
    )
  })
})

describe('a connection', () => {
  it('takes whatever a peer with the keys makes up, or closes with an error of that peer', async () => {
    const anyFrame = fc.oneof(
      fc.uint8Array({ minLength: SMALL_FRAME_PLAIN_BYTES, maxLength: SMALL_FRAME_PLAIN_BYTES }),
      fc
        .record({
          type: fc.oneof(
            fc.integer({ min: 0, max: 0x0d }),
            fc.constant(0xff),
            fc.integer({ min: 0, max: 255 }),
          ),
          requestId: fc.oneof(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 0xffff_ffff })),
          body: fc.oneof(
            fc.uint8Array({ maxLength: 80 }),
            fc.uint8Array({ minLength: 900, maxLength: 1000 }),
            fc
              .tuple(fc.integer({ min: 0, max: 3 }), fc.uint8Array({ maxLength: 600 }))
              .map(([kind, rest]) => {
                return concatBytes(Uint8Array.of(kind), rest)
              }),
          ),
          more: fc.boolean(),
        })
        .map(({ type, requestId, body, more }) =>
          encodeFrame(
            more ? { type, requestId, body: new Uint8Array(1000), more } : { type, requestId, body, more },
          ),
        ),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(anyFrame, { maxLength: 25 }), async (plaintexts) => {
        const clock = new ManualClock()
        const [raw, stream] = await streams(clock)
        raw.start(IGNORE)
        const closes: unknown[] = []
        const connection = new Connection(
          new SecureChannel(stream, { send: cipher(OTHER_KEY), receive: cipher(KEY) }),
          clock,
        )
        connection.start(
          {
            onNotice: () => {},
            readBlob: async () => (random.fraction() < 0.5 ? null : BLOB),
            readHead: () => null,
            onClose: (reason) => closes.push(reason),
          },
          new Uint8Array(0),
        )
        const asked = [
          connection.requestBlob(random.bytes(32)),
          connection.requestHead(random.bytes(16)),
          connection.requestBlob(random.bytes(32)),
        ]
        const settled = Promise.allSettled(asked)
        const sender = cipher(KEY)
        for (const plaintext of plaintexts) raw.write(sender.seal(plaintext))
        await clock.advance(100)
        const judged = closes.every(
          (reason) => reason === null || (isMegatorrentError(reason) && reason.kind === 'peer'),
        )
        connection.destroy()
        await settled
        await clock.advance(1)
        return judged && closes.length === 1 && clock.pendingTimers === 0 && connection.openRequests === 0
      }),
      { numRuns: 150 },
    )
  })
})
