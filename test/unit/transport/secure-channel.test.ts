import { describe, expect, it } from 'vitest'
import { concatBytes, EMPTY_BYTES, equalBytes } from '../../../src/base/bytes.ts'
import { ManualClock } from '../../../src/base/clock.ts'
import { isMegatorrentError, MegatorrentError } from '../../../src/base/errors.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { CounterCipher, REKEY_COUNTER } from '../../../src/crypto/counter-cipher.ts'
import { openFrame } from '../../../src/crypto/sealed-frame.ts'
import { MemoryNetwork } from '../../../src/transport/memory.ts'
import { type NextFrame, SecureChannel } from '../../../src/transport/secure-channel.ts'
import type { ByteStream } from '../../../src/transport/transport.ts'
import {
  BLOB_BYTES,
  BLOB_FRAME_BYTES,
  REKEY_INTERVAL_FRAMES,
  SMALL_FRAME_BYTES,
  SMALL_FRAME_PLAIN_BYTES,
} from '../../../src/wire/constants.ts'
import { Recorder } from '../../compliance/transport.ts'
import { heldBytes } from './helpers.ts'

const random = seededRandom(8)
const KEY = random.bytes(32)
const OTHER_KEY = random.bytes(32)
/** In the first byte of a small frame: a blob follows, wanted or not. */
const BLOB_FOLLOWS = 0xb1
const UNWANTED_FOLLOWS = 0xb2
const BLOB = random.bytes(BLOB_BYTES)

const cipher = (key = KEY, first = 0n): CounterCipher => new CounterCipher(key, REKEY_INTERVAL_FRAMES, first)
const small = (first: number): Uint8Array => new Uint8Array(SMALL_FRAME_PLAIN_BYTES).fill(first)
/** Memory of a frame that begins with the blob, as `sendBlob` takes it. */
function blobFrame(): Uint8Array {
  const frame = new Uint8Array(BLOB_FRAME_BYTES)
  frame.set(BLOB)
  return frame
}

const codeOf = (error: unknown): unknown => (isMegatorrentError(error) ? error.code : error)

async function streams(clock: ManualClock): Promise<[ByteStream, ByteStream]> {
  const network = new MemoryNetwork(clock, random)
  const accepted: ByteStream[] = []
  await network.transport('b').listen({ host: 'b', port: 1 }, (stream) => accepted.push(stream))
  const dialling = network.transport('a').dial({ host: 'b', port: 1 }, { timeoutMs: 100 })
  await clock.advance(1)
  return [await dialling, accepted[0] as ByteStream]
}

/** A channel whose owner takes notes. */
class Listener {
  readonly channel: SecureChannel
  readonly got: string[] = []
  readonly blobs: (Uint8Array | null)[] = []
  readonly closes: unknown[] = []
  drains = 0
  onSmall: (plaintext: Uint8Array) => NextFrame = (plaintext) =>
    plaintext[0] === BLOB_FOLLOWS ? 'blob' : plaintext[0] === UNWANTED_FOLLOWS ? 'unwanted blob' : 'small'

  constructor(channel: SecureChannel, early: Uint8Array = EMPTY_BYTES) {
    this.channel = channel
    let isStarting = true
    const heard = (what: string): void => {
      if (isStarting || this.closes.length > 0) this.got.push('out of turn')
      this.got.push(what)
    }
    channel.start(
      {
        onSmallFrame: (plaintext) => {
          heard(`small ${plaintext[0]}`)
          if (plaintext.length !== SMALL_FRAME_PLAIN_BYTES || plaintext.at(-1) !== plaintext[0])
            heard('damage')
          return this.onSmall(plaintext)
        },
        onBlobFrame: (frame) => {
          const blob = frame === null ? null : openFrame(frame)
          if (frame !== null && blob === null) {
            channel.destroy(new MegatorrentError('ERR_FRAME_OPEN', 'a frame did not open'))
            return
          }
          heard(blob === null ? 'dropped blob' : equalBytes(blob, BLOB) ? 'blob' : 'damage')
          this.blobs.push(blob)
        },
        onDrain: () => {
          this.drains++
        },
        onClose: (reason) => {
          heard('close')
          this.closes.push(codeOf(reason))
        },
      },
      early,
    )
    isStarting = false
  }
}

/** A listener and the raw stream to it, whose sender seals as it likes. */
async function receiver(first = 0n): Promise<{ clock: ManualClock; raw: ByteStream; listener: Listener }> {
  const clock = new ManualClock()
  const [raw, stream] = await streams(clock)
  new Recorder(raw)
  const channel = new SecureChannel(stream, { send: cipher(OTHER_KEY), receive: cipher(KEY, first) })
  return { clock, raw, listener: new Listener(channel) }
}

async function pair(first = 0n): Promise<{ clock: ManualClock; a: Listener; b: Listener }> {
  const clock = new ManualClock()
  const [left, right] = await streams(clock)
  const a = new Listener(
    new SecureChannel(left, { send: cipher(KEY, first), receive: cipher(OTHER_KEY, first) }),
  )
  const b = new Listener(
    new SecureChannel(right, { send: cipher(OTHER_KEY, first), receive: cipher(KEY, first) }),
  )
  return { clock, a, b }
}

describe('a secure channel', () => {
  it('carries frames of both sizes in both directions', async () => {
    const { clock, a, b } = await pair()
    for (const { channel } of [a, b]) {
      channel.sendSmall(small(1))
      channel.sendSmall(small(BLOB_FOLLOWS))
      channel.sendBlob(blobFrame())
      channel.sendSmall(small(UNWANTED_FOLLOWS))
      channel.sendBlob(blobFrame())
      channel.sendSmall(small(2))
    }
    await clock.advance(1)
    const expected = [
      'small 1',
      `small ${BLOB_FOLLOWS}`,
      'blob',
      `small ${UNWANTED_FOLLOWS}`,
      'dropped blob',
      'small 2',
    ]
    expect(a.got).toEqual(expected)
    expect(b.got).toEqual(expected)
    expect(a.channel.bytesOut).toBe(4 * SMALL_FRAME_BYTES + 2 * BLOB_FRAME_BYTES)
    expect(b.channel.bytesIn).toBe(a.channel.bytesOut)
  })

  it('gives out blobs that stay as they are', async () => {
    const { clock, a, b } = await pair()
    for (let i = 0; i < 3; i++) {
      a.channel.sendSmall(small(BLOB_FOLLOWS))
      a.channel.sendBlob(blobFrame())
    }
    await clock.advance(1)
    expect(b.blobs.length).toBe(3)
    for (const blob of b.blobs) expect(equalBytes(blob as Uint8Array, BLOB)).toBe(true)
    expect(new Set(b.blobs.map((blob) => blob?.buffer)).size).toBe(3)
  })

  it('opens frames however the stream cuts them, early bytes included', async () => {
    const sender = cipher()
    const bytes = concatBytes(
      sender.seal(small(1)),
      sender.seal(small(BLOB_FOLLOWS)),
      sender.seal(BLOB),
      sender.seal(small(UNWANTED_FOLLOWS)),
      sender.seal(BLOB),
      sender.seal(small(3)),
    )
    const clock = new ManualClock()
    const cuts = [
      0,
      1,
      1023,
      1024,
      1025,
      2048,
      2049,
      2048 + BLOB_BYTES - 1,
      2048 + BLOB_BYTES,
      2048 + BLOB_BYTES + 7,
    ]
    for (const cut of [...cuts, 2048 + BLOB_FRAME_BYTES, bytes.length - 1, bytes.length]) {
      const [raw, stream] = await streams(clock)
      const channel = new SecureChannel(stream, { send: cipher(OTHER_KEY), receive: cipher(KEY) })
      const listener = new Listener(channel, bytes.slice(0, cut))
      for (let at = cut; at < bytes.length; at += 300_001) raw.write(bytes.slice(at, at + 300_001))
      await clock.advance(1)
      expect(listener.got, `cut at ${cut}`).toEqual([
        'small 1',
        `small ${BLOB_FOLLOWS}`,
        'blob',
        `small ${UNWANTED_FOLLOWS}`,
        'dropped blob',
        'small 3',
      ])
    }
  })

  it('changes keys in both directions after so many frames of either size', async () => {
    const { clock, a, b } = await pair()
    const count = 2 * REKEY_INTERVAL_FRAMES + 5
    for (const { channel } of [a, b]) {
      for (let i = 0; i < count; i++) {
        // A blob is the last frame under the first key, and the first under the third.
        if (i === REKEY_INTERVAL_FRAMES - 1 || i === 2 * REKEY_INTERVAL_FRAMES) channel.sendBlob(blobFrame())
        else {
          const blobIsNext = i === REKEY_INTERVAL_FRAMES - 2 || i === 2 * REKEY_INTERVAL_FRAMES - 1
          channel.sendSmall(small(blobIsNext ? BLOB_FOLLOWS : 1))
        }
      }
    }
    await clock.advance(1)
    for (const { got } of [a, b]) {
      expect(got.length).toBe(count)
      expect(got.filter((what) => what === 'blob').length).toBe(2)
      expect(got).not.toContain('close')
    }
  })

  it('does not open what was sealed without changing keys', async () => {
    const { clock, raw, listener } = await receiver()
    const sender = new CounterCipher(KEY, Number.POSITIVE_INFINITY)
    for (let i = 0; i < REKEY_INTERVAL_FRAMES + 3; i++) raw.write(sender.seal(small(1)))
    await clock.advance(1)
    expect(listener.got.length).toBe(REKEY_INTERVAL_FRAMES + 1)
    expect(listener.closes).toEqual(['ERR_FRAME_OPEN'])
  })

  it('ends when no counter is left, on the side that sends', async () => {
    const { clock, a, b } = await pair(REKEY_COUNTER - 2n)
    expect(a.channel.sendSmall(small(1))).toBe(true)
    expect(a.channel.sendSmall(small(2))).toBe(true)
    expect(a.closes).toEqual([])
    expect(a.channel.sendSmall(small(3))).toBe(true)
    expect(a.closes).toEqual(['ERR_NONCE_EXHAUSTED'])
    await clock.advance(1)
    expect(b.got).not.toContain('small 3')
  })

  it('ends when no counter is left, on the side that receives', async () => {
    const { clock, raw, listener } = await receiver(REKEY_COUNTER - 1n)
    raw.write(cipher(KEY, REKEY_COUNTER - 1n).seal(small(1)))
    raw.write(random.bytes(SMALL_FRAME_BYTES))
    await clock.advance(1)
    expect(listener.got).toEqual(['small 1', 'close'])
    expect(listener.closes).toEqual(['ERR_NONCE_EXHAUSTED'])
  })

  it('says nothing and closes when its owner throws', async () => {
    const { clock, a, b } = await pair()
    b.onSmall = () => {
      throw new RangeError('not this')
    }
    a.channel.sendSmall(small(1))
    a.channel.sendSmall(small(2))
    await clock.advance(1)
    expect(b.got).toEqual(['small 1', 'close'])
    expect(b.closes).toEqual([new RangeError('not this')])
    expect([b.channel.bytesOut, a.channel.bytesIn]).toEqual([0, 0])
    expect(a.closes).toEqual([null])
  })

  it('closes when the other side ends, and when the stream breaks', async () => {
    for (const act of [(a: Listener) => a.channel.end(), (a: Listener) => a.channel.stream.destroy()]) {
      const { clock, a, b } = await pair()
      a.channel.sendSmall(small(1))
      await clock.advance(1)
      act(a)
      await clock.advance(1)
      expect(b.got).toEqual(['small 1', 'close'])
      expect([...a.closes, ...b.closes]).toEqual([null, null])
      expect(clock.pendingTimers).toBe(0)
    }
  })

  it('does not go on sending to a side that has ended', async () => {
    const { clock, a, b } = await pair()
    a.channel.pauseReading()
    await clock.advance(1)
    for (let i = 0; i < 50; i++) b.channel.sendSmall(small(i))
    a.channel.end()
    await clock.advance(1)
    expect(b.got).toEqual(['close'])
    expect(b.channel.stream.queuedBytes).toBe(0)
  })

  it('sends what is queued before it ends, and nothing that comes later', async () => {
    const { clock, a, b } = await pair()
    a.channel.sendSmall(small(1))
    a.channel.end()
    a.channel.end()
    const out = a.channel.bytesOut
    expect(a.channel.sendSmall(small(2))).toBe(true)
    expect(a.channel.sendBlob(blobFrame())).toBe(true)
    expect(a.channel.bytesOut).toBe(out)
    await clock.advance(1)
    expect(b.got).toEqual(['small 1', 'close'])
  })

  it('delivers and sends nothing more once it is destroyed, and tells why', async () => {
    const { clock, a, b } = await pair()
    b.onSmall = () => {
      b.channel.destroy(new RangeError('enough'))
      b.channel.destroy(new RangeError('again'))
      return 'blob'
    }
    a.channel.sendSmall(small(1))
    a.channel.sendBlob(blobFrame())
    await clock.advance(1)
    expect(b.got).toEqual(['small 1', 'close'])
    expect(b.closes).toEqual([new RangeError('enough')])
    expect(b.channel.closed).toBe(true)
    expect(b.channel.sendSmall(small(1))).toBe(true)
    expect(b.channel.bytesOut).toBe(0)
  })

  it('tells an owner who comes after the end', async () => {
    const clock = new ManualClock()
    const [, stream] = await streams(clock)
    const channel = new SecureChannel(stream, { send: cipher(), receive: cipher() })
    channel.destroy(new RangeError('early'))
    const listener = new Listener(channel, random.bytes(5000))
    await clock.advance(1)
    expect(listener.got).toEqual(['close'])
    expect(listener.closes).toEqual([new RangeError('early')])
  })

  it('gives nothing to an owner who destroys it before the first delivery', async () => {
    const clock = new ManualClock()
    const [, stream] = await streams(clock)
    const channel = new SecureChannel(stream, { send: cipher(OTHER_KEY), receive: cipher(KEY) })
    const listener = new Listener(channel, cipher().seal(small(1)))
    channel.destroy()
    await clock.advance(1)
    expect(listener.got).toEqual(['close'])
  })

  it('lets the other side wait while its owner pauses it', async () => {
    const { clock, a, b } = await pair()
    b.onSmall = () => {
      b.channel.pauseReading()
      return 'small'
    }
    for (let i = 0; i < 10; i++) a.channel.sendSmall(small(i))
    await clock.advance(1)
    expect(b.got.length).toBe(1)
    expect(a.channel.stream.queuedBytes).toBe(9 * SMALL_FRAME_BYTES)
    b.onSmall = () => 'small'
    b.channel.resumeReading()
    await clock.advance(1)
    expect(b.got.length).toBe(10)
  })

  it('stays paused when that was said over early bytes', async () => {
    const clock = new ManualClock()
    const [raw, stream] = await streams(clock)
    const sender = cipher()
    const channel = new SecureChannel(stream, { send: cipher(OTHER_KEY), receive: cipher(KEY) })
    const listener = new Listener(channel, sender.seal(small(1)))
    listener.onSmall = () => {
      channel.pauseReading()
      return 'small'
    }
    raw.write(sender.seal(small(2)))
    await clock.advance(1)
    expect(listener.got).toEqual(['small 1'])
    channel.resumeReading()
    await clock.advance(1)
    expect(listener.got).toEqual(['small 1', 'small 2'])
  })

  it('says when to wait, and when to go on', async () => {
    const { clock, a, b } = await pair()
    b.channel.pauseReading()
    await clock.advance(1)
    a.channel.sendSmall(small(BLOB_FOLLOWS))
    expect(a.channel.sendBlob(blobFrame())).toBe(true)
    a.channel.sendSmall(small(BLOB_FOLLOWS))
    expect(a.channel.sendBlob(blobFrame())).toBe(false)
    await clock.advance(1)
    expect(a.drains).toBe(0)
    b.channel.resumeReading()
    await clock.advance(1)
    expect([a.drains, b.blobs.length]).toEqual([1, 2])
  })

  it('refuses to seal what is not of a frame', async () => {
    const { a } = await pair()
    expect(() => a.channel.sendSmall(new Uint8Array(SMALL_FRAME_PLAIN_BYTES - 1))).toThrow(RangeError)
    expect(() => a.channel.sendSmall(BLOB)).toThrow(RangeError)
    expect(() => a.channel.sendBlob(BLOB)).toThrow(RangeError)
  })

  it('holds no buffer for a blob that is not wanted, and frees one that is dropped', async () => {
    const receivers = await Promise.all(Array.from({ length: 60 }, () => receiver()))
    const before = await heldBytes()
    for (const [index, { clock, raw, listener }] of receivers.entries()) {
      const sender = cipher()
      raw.write(sender.seal(small(index % 2 === 0 ? UNWANTED_FOLLOWS : BLOB_FOLLOWS)))
      const sealed = sender.seal(BLOB)
      raw.write(sealed.slice(0, 1000))
      await clock.advance(1)
      if (index % 2 === 1) listener.channel.dropBlob()
      raw.write(sealed.slice(1000, 2000))
      await clock.advance(1)
    }
    const grown = (await heldBytes()) - before
    // 30 buffers of 1 MiB were there; the sealed blobs of the senders have gone too.
    expect(grown).toBeLessThan(12 * 1_048_576)
    // Held until here: what is measured is what they hold.
    for (const { listener } of receivers) expect(listener.channel.closed).toBe(false)
  })

  it('forgets the buffer of a blob when it closes', async () => {
    const receivers = await Promise.all(Array.from({ length: 40 }, () => receiver()))
    const before = await heldBytes()
    const heads = receivers.map(({ raw }) => {
      const sender = cipher()
      raw.write(sender.seal(small(BLOB_FOLLOWS)))
      return sender
    })
    await receivers[0]?.clock.advance(1)
    for (const { clock, listener } of receivers) {
      await clock.advance(1)
      listener.channel.destroy()
    }
    const grown = (await heldBytes()) - before
    expect(grown).toBeLessThan(12 * 1_048_576)
    expect(heads.length).toBe(40)
    for (const { listener } of receivers) expect(listener.channel.closed).toBe(true)
  })
})

describe('damage on the way', () => {
  /** Feed frames and see that what is before the damage arrives, and nothing after it. */
  async function expectEnd(frames: readonly Uint8Array[], intact: readonly string[]): Promise<void> {
    const { clock, raw, listener } = await receiver()
    for (const frame of frames) raw.write(frame)
    await clock.advance(1)
    expect(listener.got).toEqual([...intact, 'close'])
    expect(listener.closes).toEqual(['ERR_FRAME_OPEN'])
    expect(listener.channel.bytesOut).toBe(0)
  }

  const three = (): [Uint8Array, Uint8Array, Uint8Array] => {
    const sender = cipher()
    return [sender.seal(small(1)), sender.seal(small(2)), sender.seal(small(3))]
  }

  it('is seen at every byte of a small frame', async () => {
    const clock = new ManualClock()
    for (let at = 0; at < SMALL_FRAME_BYTES; at++) {
      const [raw, stream] = await streams(clock)
      const channel = new SecureChannel(stream, { send: cipher(OTHER_KEY), receive: cipher(KEY) })
      const listener = new Listener(channel)
      const [first, second, third] = three()
      second[at] = (second[at] ?? 0) ^ (1 << (at % 8))
      raw.write(concatBytes(first, second, third))
      await clock.advance(1)
      expect(listener.got, `byte ${at}`).toEqual(['small 1', 'close'])
      expect(listener.closes).toEqual(['ERR_FRAME_OPEN'])
    }
  })

  it('is seen anywhere in a blob frame, and no byte of it is given out', async () => {
    const places = [0, 1, 32_767, 32_768, BLOB_BYTES >> 1, BLOB_BYTES - 1, BLOB_BYTES, BLOB_FRAME_BYTES - 1]
    for (const at of places) {
      const sender = cipher()
      const head = sender.seal(small(BLOB_FOLLOWS))
      const frame = sender.seal(BLOB)
      frame[at] = (frame[at] ?? 0) ^ 0x10
      await expectEnd([head, frame, sender.seal(small(3))], [`small ${BLOB_FOLLOWS}`])
    }
  })

  it('of a blob that nobody wants is passed over with it', async () => {
    const { clock, raw, listener } = await receiver()
    const sender = cipher()
    raw.write(sender.seal(small(UNWANTED_FOLLOWS)))
    sender.seal(BLOB)
    raw.write(random.bytes(BLOB_FRAME_BYTES))
    raw.write(sender.seal(small(3)))
    await clock.advance(1)
    expect(listener.got).toEqual([`small ${UNWANTED_FOLLOWS}`, 'dropped blob', 'small 3'])
  })

  it('is seen when frames are lost, doubled, swapped, shortened, lengthened or sent back', async () => {
    const [first, second, third] = three()
    await expectEnd([second], [])
    await expectEnd([first, third], ['small 1'])
    await expectEnd([first, first], ['small 1'])
    await expectEnd([first, second, first], ['small 1', 'small 2'])
    await expectEnd([second, first], [])
    await expectEnd([first, second.slice(1), third, third], ['small 1'])
    await expectEnd([first, second.slice(0, -1), third, third], ['small 1'])
    await expectEnd([first, Uint8Array.of(0), second, third], ['small 1'])
    const reflected = cipher(OTHER_KEY).seal(small(1))
    await expectEnd([reflected], [])
    await expectEnd([first, random.bytes(SMALL_FRAME_BYTES)], ['small 1'])
    await expectEnd([first, cipher(KEY, 7n).seal(small(2))], ['small 1'])
  })

  it('is seen when one size stands where the other is due', async () => {
    const frames = (second: (sender: CounterCipher) => Uint8Array): Uint8Array[] => {
      const sender = cipher()
      const head = sender.seal(small(BLOB_FOLLOWS))
      return [head, second(sender), ...Array.from({ length: 1100 }, () => sender.seal(small(9)))]
    }
    await expectEnd(
      frames((sender) => sender.seal(small(2))),
      [`small ${BLOB_FOLLOWS}`],
    )
    const sender = cipher()
    await expectEnd([sender.seal(small(1)), sender.seal(BLOB)], ['small 1'])
  })

  it('waits without a word for the rest of a frame that is cut short', async () => {
    const { clock, raw, listener } = await receiver()
    const [first, second] = three()
    raw.write(concatBytes(first, second.slice(0, -1)))
    await clock.advance(60_000)
    expect([listener.got, listener.closes]).toEqual([['small 1'], []])
    raw.destroy()
    await clock.advance(1)
    expect(listener.closes).toEqual([null])
  })
})
