import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { HANDSHAKE_UNITS_PER_TURN } from '../../../src/base/limits.ts'
import { TokenBucket } from '../../../src/base/token-bucket.ts'
import { HandshakeGate } from '../../../src/transport/handshake-gate.ts'
import { hostGroup } from '../../../src/transport/host-group.ts'
import { turn } from './helpers.ts'

const here = (): boolean => false

function make(perSecond: number, capacity: number): { clock: ManualClock; gate: HandshakeGate } {
  const clock = new ManualClock()
  return { clock, gate: new HandshakeGate(clock, new TokenBucket(clock, perSecond, capacity)) }
}

describe('the gate of handshakes', () => {
  it('lets work through at once while there is room', async () => {
    const { gate } = make(100, 50)
    for (let i = 0; i < 5; i++) expect(gate.pass('a', 10, here, false)).toBe(true)
    expect(gate.pass('a', 10, here, false)).not.toBe(true)
    expect(gate.waiting).toBe(1)
  })

  it('lets what waits through at the rate, in order', async () => {
    const { clock, gate } = make(100, 10)
    const passed: number[] = []
    for (let i = 0; i < 6; i++)
      void Promise.resolve(gate.pass('a', 10, here, false)).then(() => passed.push(i))
    await clock.advance(0)
    expect(passed).toEqual([0])
    await clock.advance(199)
    expect(passed).toEqual([0, 1])
    await clock.advance(301)
    expect(passed).toEqual([0, 1, 2, 3, 4, 5])
    expect([gate.waiting, clock.pendingTimers]).toEqual([0, 0])
  })

  it('gives every host its turn, so that a flood waits behind itself', async () => {
    const { clock, gate } = make(100, 10)
    const passed: string[] = []
    const ask = (host: string): void => {
      void Promise.resolve(gate.pass(host, 10, here, false)).then(() => passed.push(host))
    }
    for (let i = 0; i < 500; i++) ask('flood')
    ask('honest')
    ask('other')
    await clock.advance(400)
    expect(passed).toEqual(['flood', 'flood', 'honest', 'other', 'flood'])
  })

  it('finishes what has begun before it begins more of the same host', async () => {
    const { clock, gate } = make(100, 10)
    const passed: string[] = []
    const ask = (name: string, isBegun: boolean): void => {
      void Promise.resolve(gate.pass('a', 10, here, isBegun)).then(() => passed.push(name))
    }
    for (const name of ['first', 'second', 'third']) ask(name, false)
    ask('begun', true)
    await clock.advance(1000)
    expect(passed).toEqual(['first', 'begun', 'second', 'third'])
  })

  it('spends nothing on what has gone', async () => {
    const { clock, gate } = make(100, 10)
    const gone = new Set<number>()
    const results: unknown[] = []
    for (let i = 0; i < 300; i++) {
      void Promise.resolve(gate.pass('a', 10, () => gone.has(i), false)).then((result) => {
        results[i] = result
      })
    }
    for (let i = 1; i < 299; i++) gone.add(i)
    await clock.advance(100)
    expect(results.length).toBe(300)
    expect(results.filter((result) => result === true).length).toBe(2)
  })

  it('leaves the event loop its turns, however full the bucket is', async () => {
    const { clock, gate } = make(1_000_000, 1_000_000)
    let passed = 0
    const ask = (): void => {
      void Promise.resolve(gate.pass('a', 100, here, false)).then(() => passed++)
    }
    for (let i = 0; i < 200; i++) ask()
    await Promise.resolve()
    expect(passed * 100).toBeLessThanOrEqual(HANDSHAKE_UNITS_PER_TURN)
    expect(passed).toBeGreaterThan(0)
    for (let i = 0; i < 100 && passed < 200; i++) {
      const before = passed
      await clock.advance(1)
      expect((passed - before) * 100).toBeLessThanOrEqual(2 * HANDSHAKE_UNITS_PER_TURN)
    }
    expect(passed).toBe(200)
    await turn()
  })

  it('refuses what the bucket can never hold', () => {
    const { gate } = make(100, 10)
    expect(() => gate.pass('a', 11, here, false)).toThrow(RangeError)
  })
})

describe('hosts that count as one', () => {
  it('are an IPv4 address, or the /64 of an IPv6 one', () => {
    expect(hostGroup('192.0.2.1')).not.toBe(hostGroup('192.0.2.2'))
    expect(hostGroup('2001:db8:1:2:3:4:5:6')).toBe(hostGroup('2001:db8:1:2::9'))
    expect(hostGroup('2001:db8:1:2::9')).not.toBe(hostGroup('2001:db8:1:3::9'))
    expect(hostGroup('2001:db8::1')).not.toBe(hostGroup('2001:db8:0:1::1'))
    expect(hostGroup('fe80::1%eth0')).toBe(hostGroup('fe80::2%eth1'))
    expect(hostGroup('')).toBe('')
  })
})
