import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { MemoryNetwork, type MemoryNetworkOptions } from '../../../src/transport/memory.ts'
import type { ByteStream } from '../../../src/transport/transport.ts'
import { Recorder, transportCompliance } from '../../compliance/transport.ts'

const HOST = '10.0.0.2'
/** Turns of time that a condition may take: some minutes. */
const MAX_STEPS = 20_000

function advancing(clock: ManualClock): (condition: () => boolean) => Promise<void> {
  return async (condition) => {
    await clock.advance(1)
    for (let step = 0; !condition(); step++) {
      if (step === MAX_STEPS) throw new Error('the condition never holds')
      await clock.advance(step < 100 ? 5 : 50)
    }
  }
}

const SETTINGS: Readonly<Record<string, MemoryNetworkOptions>> = {
  'memory, plain': {},
  'memory with latency': { latencyMs: 40 },
  'memory that splits': { latencyMs: 5, maxSplitBytes: 40_000 },
  'memory that loses and splits': {
    latencyMs: 20,
    lossRate: 0.2,
    retransmitMs: 120,
    maxSplitBytes: 60_000,
  },
}

for (const [name, options] of Object.entries(SETTINGS)) {
  transportCompliance({
    name,
    make: () => {
      const clock = new ManualClock()
      const network = new MemoryNetwork(clock, seededRandom(7), options)
      const slow = new MemoryNetwork(clock, seededRandom(7), { latencyMs: 1000 })
      return {
        near: network.transport('10.0.0.1'),
        far: network.transport(HOST),
        hosts: [{ host: HOST, port: 0 }],
        nobody: { host: HOST, port: 9 },
        stalled: { dialer: slow.transport('10.0.0.1'), timeoutMs: 500 },
        until: advancing(clock),
        maxInFlightBytes: 0,
      }
    },
  })
}

async function connect(
  network: MemoryNetwork,
  clock: ManualClock,
): Promise<[dialled: ByteStream, accepted: ByteStream]> {
  const accepted: ByteStream[] = []
  await network.transport(HOST).listen({ host: HOST, port: 7 }, (stream) => accepted.push(stream))
  const dialling = network.transport('10.0.0.1').dial({ host: HOST, port: 7 }, { timeoutMs: 1000 })
  await clock.advance(200)
  return [await dialling, accepted[0] as ByteStream]
}

describe('the memory network', () => {
  it('does the same again from the same seed', async () => {
    const runs: string[] = []
    for (let run = 0; run < 2; run++) {
      const clock = new ManualClock()
      const network = new MemoryNetwork(clock, seededRandom(99), {
        latencyMs: 10,
        lossRate: 0.3,
        maxSplitBytes: 700,
      })
      const [dialled, accepted] = await connect(network, clock)
      const log: string[] = []
      accepted.start({
        onData: (chunk) => log.push(`${clock.monotonicMs()}: ${chunk.length}`),
        onDrain: () => {},
        onClose: () => {},
      })
      for (let i = 0; i < 5; i++) {
        dialled.write(new Uint8Array(2000))
        await clock.advance(7)
      }
      await clock.advance(5000)
      runs.push(log.join('\n'))
    }
    expect(runs[0]).toContain(':')
    expect(runs[1]).toBe(runs[0])
  })

  it('is late by its latency, and by a retransmission for what is lost', async () => {
    const clock = new ManualClock()
    const network = new MemoryNetwork(clock, seededRandom(1), {
      latencyMs: 30,
      lossRate: 1,
      retransmitMs: 200,
    })
    const [dialled, accepted] = await connect(network, clock)
    const b = new Recorder(accepted)
    dialled.write(new Uint8Array(10))
    await clock.advance(229)
    expect(b.bytes).toBe(0)
    await clock.advance(1)
    expect(b.bytes).toBe(10)
  })

  it('breaks lines for both sides when told to', async () => {
    const clock = new ManualClock()
    const network = new MemoryNetwork(clock, seededRandom(1), { cutRate: 1 })
    const [a, b] = (await connect(network, clock)).map((stream) => new Recorder(stream)) as [
      Recorder,
      Recorder,
    ]
    a.stream.write(new Uint8Array(10))
    await clock.advance(10)
    expect([a.closes, b.closes, b.bytes]).toEqual([1, 1, 0])
  })

  it('leaves no timer behind', async () => {
    const clock = new ManualClock()
    const network = new MemoryNetwork(clock, seededRandom(1), { latencyMs: 50 })
    const [dialled, accepted] = await connect(network, clock)
    const a = new Recorder(dialled)
    const b = new Recorder(accepted)
    a.stream.write(new Uint8Array(10))
    b.stream.write(new Uint8Array(10))
    a.destroy()
    await clock.advance(100)
    expect([a.closes, b.closes, clock.pendingTimers]).toEqual([1, 1, 0])
  })
})
