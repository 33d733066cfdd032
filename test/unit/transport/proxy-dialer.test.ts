import { describe, expect, it } from 'vitest'
import { ManualClock, sleep } from '../../../src/base/clock.ts'
import { type ErrorCode, MegatorrentError } from '../../../src/base/errors.ts'
import { MAX_PROXY_DIALS, PROXY_RETRY_MAX_MS, PROXY_RETRY_MIN_MS } from '../../../src/base/limits.ts'
import { silentLog } from '../../../src/base/log.ts'
import { ProxyDialer } from '../../../src/transport/proxy-dialer.ts'
import type { ByteStream, Dialer, DialOptions, Endpoint } from '../../../src/transport/transport.ts'
import { turn } from './helpers.ts'

const STREAM = { local: { host: 'here', port: 1 } } as ByteStream

/** What happened to a dial, once something has. */
type Outcome = 'stream' | ErrorCode | null

/** A proxy whose answers the test gives. */
class ToldProxy implements Dialer {
  /** When each was asked, ms, and where to. */
  readonly asked: { readonly atMs: number; readonly host: string }[] = []
  readonly lines: string[] = []
  readonly clock = new ManualClock()
  /** Null: say nothing until `answer` is called. */
  says: (host: string) => 'stream' | ErrorCode | null = () => 'stream'
  /** How long it takes to say so. */
  delayMs = 0
  open = 0
  readonly #held: { readonly host: string; readonly settle: (says: 'stream' | ErrorCode) => void }[] = []
  readonly dialer: ProxyDialer

  constructor() {
    const note = (line: string): void => void this.lines.push(line)
    this.dialer = new ProxyDialer({
      dialer: this,
      clock: this.clock,
      log: { ...silentLog, info: note, warn: note, error: note },
    })
  }

  async dial({ host }: Endpoint, { signal }: DialOptions): Promise<ByteStream> {
    if (signal?.aborted) throw new MegatorrentError('ERR_ABORTED', 'called off')
    this.asked.push({ atMs: this.clock.monotonicMs(), host })
    this.open++
    try {
      if (this.delayMs > 0) await sleep(this.clock, this.delayMs)
      const says = this.says(host) ?? (await new Promise((settle) => this.#held.push({ host, settle })))
      if (says === 'stream') return STREAM
      throw new MegatorrentError(says as ErrorCode, says as string)
    } finally {
      this.open--
    }
  }

  /** The first `count` that wait. */
  answer(says: 'stream' | ErrorCode, count = 1): void {
    for (const { settle } of this.#held.splice(0, count)) settle(says)
  }

  /** Dial through it. */
  to(host: string, signal?: AbortSignal): { outcome: Outcome } {
    const dialled: { outcome: Outcome } = { outcome: null }
    const options = { timeoutMs: 1_000, ...(signal === undefined ? {} : { signal }) }
    this.dialer.dial({ host, port: 1 }, options).then(
      () => {
        dialled.outcome = 'stream'
      },
      (error: MegatorrentError) => {
        dialled.outcome = error.code
      },
    )
    return dialled
  }
}

describe('a dialer through a proxy', () => {
  it('waits while the proxy is away, longer each time, and goes on when it is back', async () => {
    const proxy = new ToldProxy()
    proxy.says = () => 'ERR_PROXY_DOWN'
    const dialled = proxy.to('a')
    await proxy.clock.advance(120_000)
    const pauses = proxy.asked.slice(1).map(({ atMs }, index) => atMs - (proxy.asked[index]?.atMs ?? 0))
    const expected = pauses.map((_, index) => Math.min(PROXY_RETRY_MIN_MS * 2 ** index, PROXY_RETRY_MAX_MS))
    expect(pauses).toEqual(expected)
    expect(pauses.at(-1)).toBe(PROXY_RETRY_MAX_MS)
    expect([dialled.outcome, proxy.dialer.error?.code]).toEqual([null, 'ERR_PROXY_DOWN'])
    proxy.says = () => 'stream'
    await proxy.clock.advance(PROXY_RETRY_MAX_MS)
    expect([dialled.outcome, proxy.dialer.error]).toEqual(['stream', null])
    // And the next time it begins with a short pause again.
    proxy.says = () => 'ERR_PROXY_REFUSED'
    const { length } = proxy.asked
    proxy.to('a')
    await proxy.clock.advance(PROXY_RETRY_MIN_MS)
    expect(proxy.asked.length).toBe(length + 2)
    expect(proxy.dialer.error?.code).toBe('ERR_PROXY_REFUSED')
  })

  it('says once that all waits and once that it is over, however many wait', async () => {
    const proxy = new ToldProxy()
    proxy.says = () => null
    const dialled = [1, 2, 3, 4, 5].map((number) => proxy.to(`peer ${number}`))
    await turn()
    proxy.answer('ERR_PROXY_DOWN', 5)
    await turn()
    // One outage, one step of the pause.
    await proxy.clock.advance(PROXY_RETRY_MIN_MS)
    expect(proxy.asked.length).toBe(10)
    proxy.answer('ERR_PROXY_DOWN', 5)
    proxy.says = () => 'stream'
    await proxy.clock.advance(2 * PROXY_RETRY_MIN_MS)
    expect(dialled.map(({ outcome }) => outcome)).toEqual(Array(5).fill('stream'))
    expect(proxy.lines).toEqual(['nothing gets through the proxy: all waits', 'the proxy is back'])
  })

  it('lets nobody dial while it waits, and those who are called off go at once', async () => {
    const proxy = new ToldProxy()
    proxy.says = () => 'ERR_PROXY_DOWN'
    proxy.to('a')
    await turn()
    const controller = new AbortController()
    const dialled = proxy.to('b', controller.signal)
    await proxy.clock.advance(PROXY_RETRY_MIN_MS - 1)
    expect(proxy.asked.map(({ host }) => host)).toEqual(['a'])
    controller.abort()
    await turn()
    expect(dialled.outcome).toBe('ERR_ABORTED')
  })

  it('leaves no timer behind', async () => {
    const proxy = new ToldProxy()
    proxy.says = () => 'ERR_PROXY_DOWN'
    const controllers = Array.from({ length: 2 * MAX_PROXY_DIALS }, () => new AbortController())
    for (const { signal } of controllers) proxy.to('a', signal)
    await proxy.clock.advance(10_000)
    for (const controller of controllers) controller.abort()
    await turn()
    expect(proxy.clock.pendingTimers).toBe(0)
  })

  it('has a bounded number of dials under way', async () => {
    const proxy = new ToldProxy()
    proxy.says = () => null
    const dialled = Array.from({ length: MAX_PROXY_DIALS + 3 }, () => proxy.to('a'))
    await turn()
    expect(proxy.open).toBe(MAX_PROXY_DIALS)
    proxy.answer('stream')
    proxy.answer('ERR_DIAL_FAILED')
    await turn()
    expect([proxy.open, proxy.asked.length]).toEqual([MAX_PROXY_DIALS, MAX_PROXY_DIALS + 2])
    proxy.answer('stream', MAX_PROXY_DIALS)
    await turn()
    proxy.answer('stream')
    await turn()
    expect(dialled.every(({ outcome }) => outcome !== null)).toBe(true)
    expect(proxy.open).toBe(0)
  })

  it('does not ask a proxy that went away while others waited for a place', async () => {
    const proxy = new ToldProxy()
    proxy.says = () => null
    for (let i = 0; i < MAX_PROXY_DIALS + 50; i++) proxy.to('a')
    await turn()
    proxy.says = () => 'ERR_PROXY_DOWN'
    proxy.answer('ERR_PROXY_DOWN', MAX_PROXY_DIALS)
    await turn()
    expect(proxy.asked.length).toBe(MAX_PROXY_DIALS)
  })

  it('takes an answer for a proxy that is there, if only that there is no way', async () => {
    const proxy = new ToldProxy()
    proxy.says = () => 'ERR_PROXY_DOWN'
    proxy.to('a')
    await turn()
    expect(proxy.dialer.error).not.toBe(null)
    proxy.says = () => 'ERR_DIAL_FAILED'
    await proxy.clock.advance(PROXY_RETRY_MIN_MS)
    expect(proxy.dialer.error).toBe(null)
    // What ends without its word says nothing of it.
    proxy.says = () => 'ERR_PROXY_DOWN'
    proxy.to('a')
    await turn()
    proxy.says = () => 'ERR_TIMEOUT'
    await proxy.clock.advance(PROXY_RETRY_MIN_MS)
    expect(proxy.dialer.error?.code).toBe('ERR_PROXY_DOWN')
  })

  it('gives up an address at which the proxy breaks again and again, and the others wait but once for it', async () => {
    const proxy = new ToldProxy()
    proxy.says = (host) => (host === 'bad' ? 'ERR_PROXY_DOWN' : 'stream')
    proxy.delayMs = 10
    const bad = proxy.to('bad')
    const good = proxy.to('good')
    await proxy.clock.advance(PROXY_RETRY_MIN_MS + 20)
    expect([bad.outcome, good.outcome, proxy.dialer.error]).toEqual(['ERR_DIAL_FAILED', 'stream', null])
    // Alone it looks as if the proxy were away; what comes through next shows that it is not.
    const alone = proxy.to('bad')
    await proxy.clock.advance(10_000)
    expect([alone.outcome, proxy.dialer.error?.code]).toEqual([null, 'ERR_PROXY_DOWN'])
    const next = proxy.to('good')
    await proxy.clock.advance(2 * PROXY_RETRY_MAX_MS)
    expect([alone.outcome, next.outcome, proxy.dialer.error]).toEqual(['ERR_DIAL_FAILED', 'stream', null])
  })

  it('knows nothing of the proxy before a dial has shown it', async () => {
    const proxy = new ToldProxy()
    expect(proxy.dialer.isReachable).toBe(null)
    proxy.says = () => 'ERR_TIMEOUT'
    proxy.to('a')
    await turn()
    expect(proxy.dialer.isReachable).toBe(null)
    proxy.says = () => 'ERR_DIAL_FAILED'
    proxy.to('a')
    await turn()
    expect(proxy.dialer.isReachable).toBe(true)
    proxy.says = () => 'ERR_PROXY_DOWN'
    proxy.to('a')
    await turn()
    expect(proxy.dialer.isReachable).toBe(false)
  })

  it('passes on what is no fault of the proxy', async () => {
    const proxy = new ToldProxy()
    for (const code of ['ERR_DIAL_FAILED', 'ERR_TIMEOUT', 'ERR_ABORTED'] as const) {
      proxy.says = () => code
      const dialled = proxy.to('a')
      await turn()
      expect(dialled.outcome).toBe(code)
    }
    expect(proxy.lines).toEqual([])
  })
})
