/**
 * What every transport does, as one suite: called by the unit test of each
 * implementation (src/transport/transport.ts is the contract).
 */
import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { concatBytes } from '../../src/base/bytes.ts'
import { isMegatorrentError } from '../../src/base/errors.ts'
import { WRITE_QUEUE_BYTES } from '../../src/base/limits.ts'
import { type Random, randomInteger, seededRandom } from '../../src/base/random.ts'
import type { ByteStream, Dialer, Endpoint, Listener, Transport } from '../../src/transport/transport.ts'

export interface TransportUnderTest {
  readonly near: Transport
  readonly far: Transport
  /** Where `far` may listen; port 0. The second one, where there is one, is of IPv6. */
  readonly hosts: readonly Endpoint[]
  /** Nobody listens there. */
  readonly nobody: Endpoint
  /** A dialer that does not come through to `endpoint` in `timeoutMs`. */
  readonly stalled: { readonly dialer: Dialer; readonly timeoutMs: number }
  /** Let time pass until the condition holds; throws when it never does. */
  until(condition: () => boolean): Promise<void>
  /** Bytes that the system between the two takes before a sender feels a receiver that waits. */
  readonly maxInFlightBytes: number
  /** The other side sees the proxy and not our end. */
  readonly isProxied?: boolean
  /** Called after each test. */
  close?(): Promise<void>
}

/** A stream and what it was told, in order. */
export class Recorder {
  readonly stream: ByteStream
  readonly chunks: Uint8Array[] = []
  bytes = 0
  drains = 0
  ends = 0
  closes = 0
  /** True while a handler must not be called: within `start` and `destroy`, and data after a destroy. */
  isForbidden = false
  readonly faults: string[] = []

  /** @param staysOpen - take notice of the other side's end, and leave it at that. */
  constructor(stream: ByteStream, staysOpen = false) {
    this.stream = stream
    const heard = (what: string): void => {
      if (this.isForbidden) this.faults.push(`${what} within a call`)
      if (this.closes > 0) this.faults.push(`${what} after close`)
    }
    this.isForbidden = true
    stream.start({
      onData: (chunk) => {
        heard('data')
        this.chunks.push(chunk.slice())
        this.bytes += chunk.length
        chunk.fill(0xee) // whoever gets it may write to it: what was sent is not touched
      },
      onDrain: () => {
        heard('drain')
        this.drains++
        if (stream.queuedBytes >= WRITE_QUEUE_BYTES) this.faults.push('drain while the queue is full')
      },
      ...(staysOpen
        ? {
            onEnd: () => {
              heard('end')
              this.ends++
            },
          }
        : {}),
      onClose: () => {
        heard('close')
        this.closes++
      },
    })
    this.isForbidden = false
  }

  get received(): Uint8Array {
    return concatBytes(...this.chunks)
  }

  destroy(): void {
    this.isForbidden = true
    this.stream.destroy()
    this.isForbidden = false
  }
}

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

export function transportCompliance(options: {
  readonly name: string
  readonly make: () => TransportUnderTest | Promise<TransportUnderTest>
}): void {
  describe(`${options.name} as a transport`, () => {
    let under: TransportUnderTest
    let random: Random
    let listeners: Listener[]
    let streams: ByteStream[]

    beforeEach(async () => {
      under = await options.make()
      random = seededRandom(41)
      listeners = []
      streams = []
    })

    afterEach(async () => {
      for (const stream of streams) stream.destroy()
      await Promise.all(listeners.map((listener) => listener.close()))
      await under.close?.()
    })

    /** The value of a promise that needs time to pass. */
    async function run<T>(promise: Promise<T>): Promise<T> {
      let isSettled = false
      promise.then(
        () => {
          isSettled = true
        },
        () => {
          isSettled = true
        },
      )
      await under.until(() => isSettled)
      return promise
    }

    async function codeOf(promise: Promise<unknown>): Promise<string> {
      try {
        await run(promise)
      } catch (error) {
        return isMegatorrentError(error) ? error.code : String(error)
      }
      return 'no error'
    }

    async function listen(accepted: ByteStream[], at = under.hosts[0] as Endpoint): Promise<Listener> {
      const listener = await run(
        under.far.listen(at, (stream) => {
          streams.push(stream)
          accepted.push(stream)
        }),
      )
      listeners.push(listener)
      return listener
    }

    async function dial(endpoint: Endpoint): Promise<ByteStream> {
      const stream = await run(under.near.dial(endpoint, { timeoutMs: 10_000 }))
      streams.push(stream)
      return stream
    }

    async function pair(at?: Endpoint): Promise<[dialled: ByteStream, accepted: ByteStream]> {
      const accepted: ByteStream[] = []
      const listener = await listen(accepted, at)
      const dialled = await dial(listener.endpoint)
      await under.until(() => accepted.length === 1)
      return [dialled, accepted[0] as ByteStream]
    }

    it('delivers what was written, in order, in both directions', async () => {
      const [a, b] = (await pair()).map((stream) => new Recorder(stream)) as [Recorder, Recorder]
      const sent: [Uint8Array[], Uint8Array[]] = [[], []]
      const copies: [Uint8Array[], Uint8Array[]] = [[], []]
      for (let i = 0; i < 60; i++) {
        for (const [side, recorder] of [a, b].entries()) {
          const bytes = random.bytes(randomInteger(random, 1, 3000))
          sent[side as 0 | 1].push(bytes)
          copies[side as 0 | 1].push(bytes.slice())
          recorder.stream.write(bytes)
        }
      }
      const [fromA, fromB] = copies.map((parts) => concatBytes(...parts)) as [Uint8Array, Uint8Array]
      await under.until(() => b.bytes === fromA.length && a.bytes === fromB.length)
      expect(digest(b.received)).toBe(digest(fromA))
      expect(digest(a.received)).toBe(digest(fromB))
      expect([...a.faults, ...b.faults]).toEqual([])
      // Receivers wrote over what they were given: what was sent is still the sender's.
      expect(digest(concatBytes(...sent[0]))).toBe(digest(fromA))
    })

    it('delivers what was written before the other side started', async () => {
      for (const order of ['dialled first', 'accepted first']) {
        const [dialled, accepted] = await pair()
        const [first, second] = order === 'dialled first' ? [dialled, accepted] : [accepted, dialled]
        const a = new Recorder(first)
        const early = random.bytes(5000)
        a.stream.write(early.slice())
        for (let i = 0; i < 5; i++) await under.until(() => true)
        const b = new Recorder(second)
        await under.until(() => b.bytes === early.length)
        expect(digest(b.received), order).toBe(digest(early))
      }
    })

    it('carries one large write whole, says when to wait and when to go on', async () => {
      const [a, b] = (await pair()).map((stream) => new Recorder(stream)) as [Recorder, Recorder]
      const large = random.bytes(WRITE_QUEUE_BYTES * 2)
      const expected = digest(large)
      b.stream.pause()
      let wentOn = a.stream.write(large)
      // The system may take all of a write at once: then go on until it does not.
      let total = large.length
      while (wentOn && total < under.maxInFlightBytes) {
        wentOn = a.stream.write(new Uint8Array(1_048_576))
        total += 1_048_576
      }
      expect(wentOn).toBe(false)
      expect(a.stream.queuedBytes).toBeGreaterThanOrEqual(WRITE_QUEUE_BYTES)
      expect(a.drains).toBe(0)
      b.stream.resume()
      await under.until(() => b.bytes === total && a.stream.queuedBytes === 0)
      expect(digest(b.received.subarray(0, large.length))).toBe(expected)
      expect(a.drains).toBe(1)
      expect([...a.faults, ...b.faults]).toEqual([])
    })

    it('tells when what was written may be written over, in order, and never once it is closed', async () => {
      const [dialled, accepted] = await pair()
      const [a, b] = [new Recorder(dialled), new Recorder(accepted)]
      const parts = [300_000, 0, 1, 2_000_000, 70_000].map((size) => random.bytes(size))
      const expected = digest(concatBytes(...parts))
      const taken: number[] = []
      for (const [number, part] of parts.entries()) {
        const memory = part.slice()
        a.stream.write(memory, () => {
          memory.fill(0xaa)
          taken.push(number)
        })
      }
      await under.until(() => b.bytes === 2_370_001 && taken.length === parts.length)
      expect(taken).toEqual([0, 1, 2, 3, 4])
      expect(digest(b.received)).toBe(expected)

      let [isDestroyed, isLate] = [false, false]
      b.stream.pause()
      for (let total = 0; total <= under.maxInFlightBytes; total += 1_048_576) {
        a.stream.write(new Uint8Array(1_048_576), () => {
          isLate ||= isDestroyed
        })
      }
      isDestroyed = true
      a.destroy()
      b.destroy()
      await under.until(() => a.closes === 1 && b.closes === 1)
      expect(isLate).toBe(false)
    })

    it('delivers nothing while it is paused, and all of it afterwards', async () => {
      const [a, b] = (await pair()).map((stream) => new Recorder(stream)) as [Recorder, Recorder]
      a.stream.write(random.bytes(1000))
      await under.until(() => b.bytes === 1000)
      b.stream.pause()
      for (let i = 0; i < 20; i++) a.stream.write(random.bytes(10_000))
      // A round trip in the other direction: whatever could arrive has arrived.
      b.stream.write(Uint8Array.of(1))
      await under.until(() => a.bytes === 1)
      expect(b.bytes).toBe(1000)
      b.stream.resume()
      await under.until(() => b.bytes === 201_000)
    })

    it('counts queued bytes from none to none', async () => {
      const [dialled, accepted] = await pair()
      const a = new Recorder(dialled)
      expect(a.stream.queuedBytes).toBe(0)
      let written = 0
      do {
        a.stream.write(new Uint8Array(1_048_576))
        written += 1_048_576
      } while (a.stream.queuedBytes === 0 && written < under.maxInFlightBytes)
      expect(a.stream.queuedBytes).toBeGreaterThan(0)
      expect(a.stream.queuedBytes).toBeLessThanOrEqual(written)
      const b = new Recorder(accepted)
      await under.until(() => b.bytes === written && a.stream.queuedBytes === 0)
    })

    it('sends what is queued before it ends, and closes both sides once', async () => {
      const [a, b] = (await pair()).map((stream) => new Recorder(stream)) as [Recorder, Recorder]
      const bytes = random.bytes(3_000_000)
      const expected = digest(bytes)
      a.stream.write(bytes)
      a.stream.end()
      expect(a.stream.write(random.bytes(10))).toBe(true) // ignored
      await under.until(() => a.closes + b.closes === 2)
      expect(digest(b.received)).toBe(expected)
      expect([a.closes, b.closes]).toEqual([1, 1])
      expect([...a.faults, ...b.faults]).toEqual([])
    })

    it('goes on in one direction after the other has ended, for who wants that', async () => {
      const [dialled, accepted] = await pair()
      const a = new Recorder(dialled)
      const b = new Recorder(accepted, true)
      a.stream.write(random.bytes(100))
      a.stream.end()
      await under.until(() => b.ends === 1)
      expect(b.bytes).toBe(100)
      b.stream.write(random.bytes(70_000))
      await under.until(() => a.bytes === 70_000)
      expect([a.closes, b.closes]).toEqual([0, 0])
      b.stream.end()
      await under.until(() => a.closes + b.closes === 2)
      expect([b.ends, ...a.faults, ...b.faults]).toEqual([1])
    })

    it('closes both sides when one is destroyed, and delivers nothing to it after that', async () => {
      const [a, b] = (await pair()).map((stream) => new Recorder(stream)) as [Recorder, Recorder]
      b.stream.write(random.bytes(100))
      await under.until(() => a.bytes === 100)
      for (let i = 0; i < 10; i++) b.stream.write(random.bytes(50_000))
      for (let i = 0; i < 10; i++) a.stream.write(new Uint8Array(1_048_576))
      a.destroy()
      a.destroy()
      const had = a.bytes
      expect(a.stream.write(random.bytes(10))).toBe(true)
      expect(a.stream.queuedBytes).toBe(0)
      await under.until(() => a.closes === 1 && b.closes === 1)
      expect(a.bytes).toBe(had)
      expect([...a.faults, ...b.faults]).toEqual([])
    })

    it('stops delivering when it is destroyed in the middle of a delivery', async () => {
      const [dialled, accepted] = await pair()
      const a = new Recorder(dialled)
      let chunks = 0
      let closes = 0
      for (let i = 0; i < 50; i++) a.stream.write(random.bytes(20_000))
      await under.until(() => true)
      accepted.start({
        onData: () => {
          chunks++
          accepted.destroy()
        },
        onDrain: () => {},
        onClose: () => {
          closes++
        },
      })
      await under.until(() => closes === 1 && a.closes === 1)
      expect(chunks).toBe(1)
    })

    it('delivers nothing of what it had in store when it is destroyed', async () => {
      const [dialled, accepted] = await pair()
      const a = new Recorder(dialled)
      const first = new Recorder(accepted)
      a.stream.write(random.bytes(10))
      await under.until(() => first.bytes === 10)
      accepted.pause()
      // Pieces that a paused stream may have read from the system already.
      for (let i = 0; i < 5; i++) {
        a.stream.write(random.bytes(2000))
        for (let j = 0; j < 5; j++) await under.until(() => true)
      }
      let chunks = 0
      let closes = 0
      accepted.start({
        onData: () => {
          chunks++
          accepted.destroy()
        },
        onDrain: () => {},
        onClose: () => {
          closes++
        },
      })
      await under.until(() => closes === 1)
      expect(chunks).toBe(1)
    })

    it('hands over to a new owner without losing or repeating a byte', async () => {
      const [dialled, accepted] = await pair()
      const a = new Recorder(dialled)
      const sent: Uint8Array[] = []
      const write = (): void => {
        const bytes = random.bytes(randomInteger(random, 1, 9000))
        sent.push(bytes.slice())
        a.stream.write(bytes)
      }
      const owners: Recorder[] = []
      for (let owner = 0; owner < 5; owner++) {
        owners.push(new Recorder(accepted))
        for (let i = 0; i < 8; i++) write()
        const wanted = (owners[owner] as Recorder).bytes + 1
        await under.until(() => (owners[owner] as Recorder).bytes >= wanted)
        accepted.pause()
        for (let i = 0; i < 8; i++) write()
        await under.until(() => true)
      }
      owners.push(new Recorder(accepted))
      const all = concatBytes(...sent)
      const count = (): number => owners.reduce((sum, owner) => sum + owner.bytes, 0)
      await under.until(() => count() === all.length)
      expect(digest(concatBytes(...owners.map((owner) => owner.received)))).toBe(digest(all))
      expect(owners.flatMap((owner) => owner.faults)).toEqual([])
    })

    it('tells the new owner of an end and of a close that came between', async () => {
      const [dialled, accepted] = await pair()
      const a = new Recorder(dialled, true)
      const first = new Recorder(accepted, true)
      a.stream.write(random.bytes(10))
      a.stream.end()
      await under.until(() => first.ends === 1)
      const second = new Recorder(accepted, true)
      await under.until(() => second.ends === 1)
      a.destroy()
      accepted.destroy()
      await under.until(() => second.closes === 1 && a.closes === 1)
      const third = new Recorder(accepted)
      const late = new Recorder(dialled)
      await under.until(() => third.closes === 1 && late.closes === 1)
      expect(first.closes).toBe(0)
      expect([a, first, second, third, late].flatMap(({ faults }) => faults)).toEqual([])
    })

    it('delivers what came before an end to an owner who comes after it', async () => {
      const [dialled, accepted] = await pair()
      const a = new Recorder(dialled)
      a.stream.write(random.bytes(200_000))
      a.stream.end()
      await under.until(() => true)
      const b = new Recorder(accepted)
      await under.until(() => b.closes === 1 && a.closes === 1)
      expect(b.bytes).toBe(200_000)
    })

    it('tells each side where both ends are', async () => {
      const [dialled, accepted] = await pair()
      if (under.isProxied !== true) expect(accepted.remote).toEqual(dialled.local)
      expect(dialled.remote).toEqual(accepted.local)
      expect(dialled.remote.host).toBe(under.hosts[0]?.host)
    })

    it('refuses to dial where nobody listens', async () => {
      expect(await codeOf(under.near.dial(under.nobody, { timeoutMs: 10_000 }))).toBe('ERR_DIAL_FAILED')
    })

    it('gives up a dial that takes too long', async () => {
      const listener = await listen([])
      const { dialer, timeoutMs } = under.stalled
      expect(await codeOf(dialer.dial(listener.endpoint, { timeoutMs }))).toBe('ERR_TIMEOUT')
    })

    it('calls a dial off, before it begins and while it goes on', async () => {
      const accepted: ByteStream[] = []
      const listener = await listen(accepted)
      const before = AbortSignal.abort()
      expect(await codeOf(under.near.dial(listener.endpoint, { timeoutMs: 10_000, signal: before }))).toBe(
        'ERR_ABORTED',
      )
      expect(accepted).toEqual([])
      const controller = new AbortController()
      const dialling = under.near.dial(listener.endpoint, { timeoutMs: 10_000, signal: controller.signal })
      controller.abort()
      expect(await codeOf(dialling)).toBe('ERR_ABORTED')
    })

    it('is not called off once it is up', async () => {
      const accepted: ByteStream[] = []
      const listener = await listen(accepted)
      const controller = new AbortController()
      const dialled = await run(
        under.near.dial(listener.endpoint, { timeoutMs: 10_000, signal: controller.signal }),
      )
      streams.push(dialled)
      controller.abort()
      await under.until(() => accepted.length === 1)
      const b = new Recorder(accepted[0] as ByteStream)
      const a = new Recorder(dialled)
      a.stream.write(random.bytes(10))
      await under.until(() => b.bytes === 10)
      expect(a.closes).toBe(0)
    })

    it('keeps two listeners apart, and refuses a place that is taken', async () => {
      const accepted: [ByteStream[], ByteStream[]] = [[], []]
      const first = await listen(accepted[0])
      const second = await listen(accepted[1])
      expect(first.endpoint.port).not.toBe(second.endpoint.port)
      const [one, two] = [await dial(first.endpoint), await dial(second.endpoint)].map(
        (stream) => new Recorder(stream),
      ) as [Recorder, Recorder]
      await under.until(() => accepted[0].length === 1 && accepted[1].length === 1)
      const [a, b] = accepted.map(([stream]) => new Recorder(stream as ByteStream)) as [Recorder, Recorder]
      one.stream.write(random.bytes(1))
      two.stream.write(random.bytes(2))
      await under.until(() => a.bytes === 1 && b.bytes === 2)
      expect(await codeOf(under.far.listen(first.endpoint, () => {}))).toBe('ERR_LISTEN_FAILED')
    })

    it('stops listening at once while accepted streams live on', async () => {
      const accepted: ByteStream[] = []
      const listener = await listen(accepted)
      const a = new Recorder(await dial(listener.endpoint))
      await under.until(() => accepted.length === 1)
      const b = new Recorder(accepted[0] as ByteStream)
      await run(listener.close())
      await run(listener.close())
      expect(await codeOf(under.near.dial(listener.endpoint, { timeoutMs: 10_000 }))).toBe('ERR_DIAL_FAILED')
      a.stream.write(random.bytes(10))
      await under.until(() => b.bytes === 10)
      expect([a.closes, b.closes]).toEqual([0, 0])
      const again = await listen([], listener.endpoint)
      expect(again.endpoint.port).toBe(listener.endpoint.port)
    })

    it('speaks IPv6 where it has it', async ({ skip }) => {
      const at = under.hosts[1]
      if (at === undefined) skip('no IPv6 here')
      const [dialled, accepted] = await pair(at)
      expect(accepted.local.host).toBe(at?.host)
      const a = new Recorder(dialled)
      const b = new Recorder(accepted)
      a.stream.write(random.bytes(9))
      await under.until(() => b.bytes === 9)
    })
  })
}
