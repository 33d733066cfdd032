/**
 * Two connections over a bad line, both asking, cancelling and answering at once:
 * every request settles once and rightly, and neither side ever breaks a rule in
 * the eyes of the other, however messages cross.
 */

import fc from 'fast-check'
import { describe, it } from 'vitest'
import { ManualClock } from '../../src/base/clock.ts'
import { isMegatorrentError } from '../../src/base/errors.ts'
import { seededRandom } from '../../src/base/random.ts'
import { CounterCipher } from '../../src/crypto/counter-cipher.ts'
import { openFrame } from '../../src/crypto/sealed-frame.ts'
import { Connection } from '../../src/transport/connection.ts'
import { MemoryNetwork } from '../../src/transport/memory.ts'
import { SecureChannel } from '../../src/transport/secure-channel.ts'
import type { ByteStream } from '../../src/transport/transport.ts'
import { BLOB_BYTES, HEAD_BYTES, REKEY_INTERVAL_FRAMES } from '../../src/wire/constants.ts'

const keys = seededRandom(5)
const [KEY, OTHER_KEY] = [keys.bytes(32), keys.bytes(32)]
const BLOBS = [1, 2, 3].map((value) => new Uint8Array(BLOB_BYTES).fill(value))

interface Step {
  readonly side: 0 | 1
  readonly does: 'blob' | 'head' | 'missing' | 'cancel' | 'hello' | 'slow' | 'fast'
  /** Which blob, or which of the open requests. */
  readonly which: number
  readonly waitMs: number
}

const step: fc.Arbitrary<Step> = fc.record({
  side: fc.constantFrom(0 as const, 1 as const),
  does: fc.constantFrom(
    'blob',
    'blob',
    'blob',
    'head',
    'missing',
    'cancel',
    'cancel',
    'hello',
    'slow',
    'fast',
  ),
  which: fc.integer({ min: 0, max: 20 }),
  waitMs: fc.constantFrom(0, 0, 1, 10, 35, 200),
})

const line = fc.record({
  latencyMs: fc.constantFrom(0, 1, 30),
  lossRate: fc.constantFrom(0, 0.1),
  maxSplitBytes: fc.constantFrom(0, 300_000),
  seed: fc.integer(),
})

class Side {
  readonly connection: Connection
  readonly closes: unknown[] = []
  readonly open: { readonly controller: AbortController; outcome: string; readonly expected: string }[] = []
  /** ms that reading a blob takes. */
  delayMs = 0

  constructor(stream: ByteStream, send: Uint8Array, receive: Uint8Array, clock: ManualClock) {
    const cipher = (key: Uint8Array): CounterCipher => new CounterCipher(key, REKEY_INTERVAL_FRAMES)
    this.connection = new Connection(
      new SecureChannel(stream, { send: cipher(send), receive: cipher(receive) }),
      clock,
    )
    this.connection.start(
      {
        onNotice: () => {},
        readBlob: async (id) => {
          if (this.delayMs > 0) await new Promise<void>((resolve) => clock.setTimer(resolve, this.delayMs))
          return BLOBS[(id[0] ?? 0) - 1] ?? null
        },
        readHead: () => new Uint8Array(HEAD_BYTES).fill(9),
        onClose: (reason) => this.closes.push(reason),
      },
      new Uint8Array(0),
    )
  }

  ask(kind: 'blob' | 'head', value: number, expected: string): void {
    const controller = new AbortController()
    const entry = { controller, outcome: '', expected }
    this.open.push(entry)
    const id = new Uint8Array(32)
    id[0] = value
    const promise =
      kind === 'blob'
        ? this.connection
            .requestBlob(id, controller.signal)
            .then((frame) => openFrame(frame) ?? new Uint8Array(1))
        : this.connection.requestHead(id.slice(0, 16), controller.signal)
    promise.then(
      (bytes) => {
        entry.outcome += `${bytes.length} of ${bytes[0]}`
      },
      (error: unknown) => {
        entry.outcome += isMegatorrentError(error) ? error.code : String(error)
      },
    )
  }

  do({ does, which }: Step): void {
    if (does === 'blob') this.ask('blob', 1 + (which % 3), `${BLOB_BYTES} of ${1 + (which % 3)}`)
    if (does === 'head') this.ask('head', 1, `${HEAD_BYTES} of 9`)
    if (does === 'missing') this.ask('blob', 50, 'ERR_REMOTE_NOT_FOUND')
    if (does === 'cancel') this.open[which % Math.max(1, this.open.length)]?.controller.abort()
    if (does === 'slow') this.delayMs = 40
    if (does === 'fast') this.delayMs = 0
    if (does === 'hello') {
      this.connection.notify({
        type: 'hello',
        highestVersion: 1,
        lowestVersion: 1,
        features: 0,
        counter: 0,
        observedAddress: null,
        places: new Uint8Array(56 * 16),
      })
    }
  }

  /** What went wrong, if anything. */
  faults(): string[] {
    return this.open
      .filter(({ controller, outcome, expected }) =>
        controller.signal.aborted ? outcome !== 'ERR_ABORTED' && outcome !== expected : outcome !== expected,
      )
      .map(({ outcome, expected }) => `expected ${expected}, got ${outcome || 'nothing'}`)
  }
}

describe('two connections that ask and cancel at random', () => {
  it('answer every request once and rightly, and never break a rule', async () => {
    await fc.assert(
      fc.asyncProperty(line, fc.array(step, { minLength: 1, maxLength: 40 }), async (options, steps) => {
        const clock = new ManualClock()
        const network = new MemoryNetwork(clock, seededRandom(options.seed), options)
        const accepted: ByteStream[] = []
        await network.transport('b').listen({ host: 'b', port: 1 }, (stream) => accepted.push(stream))
        const dialling = network.transport('a').dial({ host: 'b', port: 1 }, { timeoutMs: 1000 })
        await clock.advance(100)
        const sides = [
          new Side(await dialling, KEY, OTHER_KEY, clock),
          new Side(accepted[0] as ByteStream, OTHER_KEY, KEY, clock),
        ] as const
        for (const one of steps) {
          sides[one.side].do(one)
          if (one.waitMs > 0) await clock.advance(one.waitMs)
        }
        await clock.advance(20_000)
        const faults = sides.flatMap((side) => [...side.faults(), ...side.closes.map(String)])
        const open = sides.map(({ connection }) => connection.openRequests)
        for (const { connection } of sides) connection.destroy()
        if (faults.length > 0 || open.some((count) => count > 0))
          throw new Error(`${faults.join('; ')} ${open}`)
      }),
      { numRuns: 40 },
    )
  })
})
