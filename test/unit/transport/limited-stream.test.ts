import { describe, expect, it } from 'vitest'
import { ManualClock, systemClock } from '../../../src/base/clock.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { limitTransport } from '../../../src/transport/limited-stream.ts'
import { MemoryNetwork } from '../../../src/transport/memory.ts'
import { type TransferLimits, transferLimits } from '../../../src/transport/rate-limit.ts'
import { TcpTransport } from '../../../src/transport/tcp.ts'
import type { ByteStream } from '../../../src/transport/transport.ts'
import { transportCompliance } from '../../compliance/transport.ts'
import { until } from './helpers.ts'

const HOST = '127.0.0.1'

for (const rate of [0, 200_000_000]) {
  const limits = (): TransferLimits => {
    const made = transferLimits(systemClock)
    made.upload.setRate(rate)
    made.download.setRate(rate)
    return made
  }
  transportCompliance({
    name: `TCP within limits of ${rate} bytes a second`,
    make: () => ({
      near: limitTransport(new TcpTransport(), limits()),
      far: limitTransport(new TcpTransport(), limits()),
      hosts: [{ host: HOST, port: 0 }],
      nobody: { host: HOST, port: 1 },
      stalled: {
        dialer: new TcpTransport({
          ...systemClock,
          setTimer: (callback) => {
            queueMicrotask(callback)
            return { cancel: () => {} }
          },
        }),
        timeoutMs: 1,
      },
      until: (condition) => until(condition),
      maxInFlightBytes: 64 * 1_048_576,
    }),
  })
}

/** A stream between two hosts, the far one within limits, and what arrives at each end. */
async function pair(clock: ManualClock): Promise<{
  near: ByteStream
  far: ByteStream
  limits: TransferLimits
  got: { near: number; far: number }
}> {
  const network = new MemoryNetwork(clock, seededRandom(3), { latencyMs: 5, maxSplitBytes: 65_536 })
  const limits = transferLimits(clock)
  const got = { near: 0, far: 0 }
  let far: ByteStream | null = null
  const count = (side: 'near' | 'far') => ({
    onData: (chunk: Uint8Array) => {
      got[side] += chunk.length
    },
    onDrain: () => {},
    onClose: () => {},
  })
  await limitTransport(network.transport('10.0.0.2'), limits).listen(
    { host: '10.0.0.2', port: 7 },
    (stream) => {
      far = stream
      stream.start(count('far'))
    },
  )
  const dialled = network.transport('10.0.0.1').dial({ host: '10.0.0.2', port: 7 }, { timeoutMs: 1000 })
  await clock.advance(100)
  const near = await dialled
  near.start(count('near'))
  return { near, far: far as unknown as ByteStream, limits, got }
}

/** Keep a stream full for a minute, and a little more at the end. */
async function flood(clock: ManualClock, stream: ByteStream): Promise<void> {
  for (let tick = 0; tick < 600; tick++) {
    while (stream.write(new Uint8Array(262_144)));
    await clock.advance(100)
  }
}

describe('within limits', () => {
  it.each([100_000, 1_000_000])('%i bytes a second are sent over a minute, to 5 %', async (rate) => {
    const clock = new ManualClock()
    const { far, limits, got } = await pair(clock)
    limits.upload.setRate(rate)
    await flood(clock, far)
    expect(Math.abs(got.near / (rate * 60) - 1)).toBeLessThan(0.05)
  })

  it.each([100_000, 1_000_000])('%i bytes a second are read over a minute, to 5 %', async (rate) => {
    const clock = new ManualClock()
    const { near, limits, got } = await pair(clock)
    limits.download.setRate(rate)
    await flood(clock, near)
    expect(Math.abs(got.far / (rate * 60) - 1)).toBeLessThan(0.05)
    // The sender feels it: what it sends is not swallowed somewhere between.
    expect(near.queuedBytes).toBeGreaterThan(1_000_000)
  })

  it('tells that memory is free again when the last piece of it was taken, and in order', async () => {
    const clock = new ManualClock()
    const { far, limits, got } = await pair(clock)
    limits.upload.setRate(100_000)
    const taken: number[] = []
    for (let i = 0; i < 3; i++) far.write(new Uint8Array(50_000), () => taken.push(i))
    await clock.advance(200)
    expect(taken.length).toBeLessThan(3)
    await clock.advance(3000)
    expect(taken).toEqual([0, 1, 2])
    expect(got.near).toBe(150_000)
  })

  it('sends what waited before the limit was lifted, first and in order, and then its end', async () => {
    const clock = new ManualClock()
    const { near, far, limits } = await pair(clock)
    const seen: number[] = []
    let ends = 0
    near.start({
      onData: (chunk) => void seen.push(...new Set(chunk)),
      onDrain: () => {},
      onEnd: () => void ends++,
      onClose: () => {},
    })
    limits.upload.setRate(1000)
    for (let i = 1; i < 5; i++) far.write(new Uint8Array(30_000).fill(i))
    far.end()
    await clock.advance(500)
    expect(ends).toBe(0)
    limits.upload.setRate(0)
    await clock.advance(1000)
    expect(seen.filter((value, at) => value !== seen[at - 1])).toEqual([1, 2, 3, 4])
    expect(ends).toBe(1)
    far.destroy()
    near.destroy()
    await clock.advance(1000)
    expect(clock.pendingTimers).toBe(0)
  })
})
