import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { DHT_MAX_SAVED_NODES, DHT_MAX_STATE_BYTES, DHT_STATE_SAVE_MS } from '../../../src/base/limits.ts'
import { silentLog } from '../../../src/base/log.ts'
import type { DhtAddress } from '../../../src/discovery/dht.ts'
import {
  DhtStateKeeper,
  decodeDhtState,
  encodeDhtState,
  loadDhtState,
} from '../../../src/discovery/dht-state.ts'

const nodes: DhtAddress[] = [
  { host: '192.0.2.1', port: 6881 },
  { host: '127.0.0.1', port: 65_535 },
]

describe('dht_state.json', () => {
  it('comes back as it was written', () => {
    expect(encodeDhtState(nodes)).toBe('{"version":1,"nodes":["192.0.2.1:6881","127.0.0.1:65535"]}\n')
    expect(decodeDhtState(encodeDhtState(nodes))).toEqual(nodes)
    expect(decodeDhtState(encodeDhtState([]))).toEqual([])
  })

  it('holds a bounded number of nodes', () => {
    const many = Array.from({ length: 1_000 }, (_, i) => ({ host: `10.0.${i >> 8}.${i & 255}`, port: 1 }))
    expect(decodeDhtState(encodeDhtState(many))).toHaveLength(DHT_MAX_SAVED_NODES)
    const text = JSON.stringify({ version: 1, nodes: many.map(({ host, port }) => `${host}:${port}`) })
    expect(decodeDhtState(text)).toHaveLength(DHT_MAX_SAVED_NODES)
  })

  it.each([
    ['nothing', ''],
    ['half a file', '{"version":1,"nodes":["192.0.2'],
    ['another version', '{"version":2,"nodes":[]}'],
    ['a list', '[]'],
    ['null', 'null'],
    ['no nodes', '{"version":1}'],
    ['nodes of another type', '{"version":1,"nodes":{"0":"192.0.2.1:1"}}'],
    ['too much', `{"version":1,"nodes":["${'x'.repeat(DHT_MAX_STATE_BYTES)}"]}`],
    ['deep nesting', '['.repeat(50_000)],
  ])('that is %s is none', (_name, text) => {
    expect(decodeDhtState(text)).toBeNull()
  })

  it('loses entries that are no address, and keeps the others', () => {
    const entries = [
      'x',
      1,
      null,
      '192.0.2.1',
      '192.0.2.1:0',
      '192.0.2.1:65536',
      '192.0.2.1:06881',
      '[::1]:1',
      ':1',
      '192.0.2.300:1',
      'host:1',
      '192.0.2.1:1e3',
    ]
    const text = JSON.stringify({ version: 1, nodes: [...entries, '192.0.2.9:80', '192.0.2.9:80'] })
    expect(decodeDhtState(text)).toEqual([{ host: '192.0.2.9', port: 80 }])
  })

  it('costs a warning when it is damaged or cannot be read, and none when it is not there', async () => {
    const warnings: string[] = []
    const log = { ...silentLog, warn: (message: string) => warnings.push(message) }
    expect(await loadDhtState(async () => null, log)).toEqual([])
    expect(warnings).toHaveLength(0)
    expect(await loadDhtState(async () => '{', log)).toEqual([])
    expect(await loadDhtState(() => Promise.reject(new Error('EIO')), log)).toEqual([])
    expect(warnings).toHaveLength(2)
    expect(await loadDhtState(async () => encodeDhtState(nodes), log)).toEqual(nodes)
  })
})

describe('the keeper', () => {
  function newKeeper(
    write: (text: string) => Promise<void>,
    list: () => readonly DhtAddress[] = () => nodes,
  ) {
    const clock = new ManualClock()
    return { clock, keeper: new DhtStateKeeper({ dht: { nodes: list }, write, clock, log: silentLog }) }
  }

  it('saves now and then, and once more when it is closed', async () => {
    const written: string[] = []
    const { clock, keeper } = newKeeper(async (text) => void written.push(text))
    await clock.advance(2 * DHT_STATE_SAVE_MS + 1)
    expect(written).toHaveLength(2)
    await keeper.close()
    await keeper.close()
    expect(written).toEqual(new Array(3).fill(encodeDhtState(nodes)))
    await clock.advance(10 * DHT_STATE_SAVE_MS)
    expect(written).toHaveLength(3)
    expect(clock.pendingTimers).toBe(0)
  })

  it('does not replace nodes by none', async () => {
    const written: string[] = []
    const { keeper } = newKeeper(
      async (text) => void written.push(text),
      () => [],
    )
    await keeper.close()
    expect(written).toEqual([])
  })

  it('goes on when a write fails', async () => {
    let tries = 0
    const { clock, keeper } = newKeeper(() => {
      tries++
      return Promise.reject(new Error('disk full'))
    })
    await clock.advance(3 * DHT_STATE_SAVE_MS + 1)
    expect(tries).toBe(3)
    await keeper.close()
  })
})
