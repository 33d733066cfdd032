import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../../src/base/clock.ts'
import { isMegatorrentError } from '../../../../src/base/errors.ts'
import { FairQueue } from '../../../../src/discovery/gateway/fair-queue.ts'

const RULES = { parallel: 2, waiting: 4, waitingPerHost: 3, halfLifeMs: 1000 }
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Work that ends when the test says so; `began` lists it in order. */
class Bench {
  readonly clock = new ManualClock()
  readonly queue = new FairQueue(RULES, this.clock)
  readonly began: string[] = []
  readonly failed: string[] = []
  readonly #ends = new Map<string, () => void>()

  /** @param name - host and number, such as `a1`. */
  async ask(name: string, patienceMs?: number): Promise<void> {
    const work = (): Promise<void> => {
      this.began.push(name)
      return new Promise((resolve) => this.#ends.set(name, resolve))
    }
    this.queue.run(name.slice(0, 1), work, patienceMs).catch((error: unknown) => {
      this.failed.push(isMegatorrentError(error) ? `${name} ${error.code}` : name)
    })
    await nextTurn()
  }

  async end(name: string): Promise<void> {
    this.#ends.get(name)?.()
    await nextTurn()
  }
}

describe('walks for others', () => {
  it('run a few at a time', async () => {
    const bench = new Bench()
    for (const name of ['a1', 'b1', 'c1']) await bench.ask(name)
    expect(bench.began).toEqual(['a1', 'b1'])
    await bench.end('a1')
    expect(bench.began).toEqual(['a1', 'b1', 'c1'])
  })

  it('begin with the host that has had least, and of those with the first', async () => {
    const bench = new Bench()
    for (const name of ['a1', 'a2', 'a3', 'a4', 'b1', 'c1']) await bench.ask(name)
    for (const name of ['a1', 'a2', 'b1', 'c1']) await bench.end(name)
    expect(bench.began).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'a4'])
  })

  it('are refused to the host that has most when too many wait, even if it was first', async () => {
    const bench = new Bench()
    for (const name of ['a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'b1']) await bench.ask(name)
    expect(bench.failed).toEqual(['a6 ERR_DHT_BUSY']) // three of one host may wait
    await bench.ask('c1')
    expect(bench.failed.slice(1)).toEqual(['a5 ERR_DHT_BUSY'])
    // Those that wait have had as little as the newcomer, once the others are gone.
    await bench.ask('d1')
    await bench.ask('e1')
    await bench.ask('f1')
    expect(bench.failed.slice(2)).toEqual(['a4 ERR_DHT_BUSY', 'a3 ERR_DHT_BUSY', 'f1 ERR_DHT_BUSY'])
  })

  it('forget by and by who has had how much', async () => {
    const bench = new Bench()
    for (const name of ['a1', 'a2']) await bench.ask(name)
    for (const name of ['a1', 'a2']) await bench.end(name)
    bench.clock.advance(2000)
    await bench.ask('x1')
    await bench.ask('x2')
    for (const name of ['a3', 'a4', 'x3']) await bench.ask(name)
    await bench.end('x1')
    expect(bench.began.at(-1)).toBe('a3')
  })

  it('are not begun for whoever has given up by then', async () => {
    const bench = new Bench()
    for (const name of ['a1', 'b1']) await bench.ask(name)
    await bench.ask('c1', 500)
    await bench.ask('d1')
    await bench.clock.advance(501)
    await bench.ask('e1', 500)
    for (const name of ['a1', 'b1']) await bench.end(name)
    expect(bench.began.slice(2)).toEqual(['d1', 'e1'])
    expect([bench.failed, bench.queue.load]).toEqual([['c1 ERR_DHT_BUSY'], 0])
  })

  it('go on after one has failed, and end with a reason', async () => {
    const bench = new Bench()
    const failing = bench.queue.run('a', () => Promise.reject(new Error('no'))).catch(() => 'failed')
    expect(await failing).toBe('failed')
    for (const name of ['a1', 'b1', 'c1']) await bench.ask(name)
    expect([bench.began, bench.queue.load]).toEqual([['a1', 'b1'], 0.25])
    bench.queue.close()
    await nextTurn()
    await bench.ask('d1')
    expect(bench.failed).toEqual(['c1 ERR_DHT_CLOSED', 'd1 ERR_DHT_CLOSED'])
  })
})
