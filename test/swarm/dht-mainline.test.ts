/**
 * The adapter in a real DHT of serving nodes: what it stores and reads, whom it believes,
 * how its operations end, and what it leaves behind.
 */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { SigningKey } from '../../src/crypto/ed25519.ts'
import type { DhtAddress } from '../../src/discovery/dht.ts'
import { decodeDhtState, encodeDhtState } from '../../src/discovery/dht-state.ts'
import { type MainlineDht, openMainline } from '../../src/discovery/mainline.ts'
import { type MutableItem, signItem } from '../../src/wire/mutable-item.ts'
import { ascii, encodeFields } from '../unit/discovery/hostile-krpc.ts'
import { plantItem } from '../unit/discovery/plant-item.ts'
import { RawUdp } from '../unit/discovery/raw-udp.ts'
import { DhtNet } from './harness/dht-net.ts'
import { waitUntil } from './harness/wait.ts'

let net: DhtNet
let reader: MainlineDht

beforeAll(async () => {
  net = await DhtNet.start(16)
  reader = await net.addReader()
})

afterAll(() => net.dispose())

const newItem = (seq = 1, key = new SigningKey(randomBytes(32))): MutableItem =>
  signItem(key, seq, Uint8Array.from(randomBytes(608)))

/** A node that answers pings and nothing else. */
async function openHungNode(): Promise<RawUdp> {
  const node = await RawUdp.open()
  const id = randomBytes(20)
  node.onMessage = (bytes, port) => {
    const at = bytes.indexOf('1:t8:')
    if (!bytes.includes('1:q4:ping')) return
    const transaction = Uint8Array.from(bytes.subarray(at + 5, at + 13))
    void node.send(encodeFields({ r: { id }, t: transaction, y: ascii('r') }), port)
  }
  return node
}

describe('items', () => {
  it('are stored by ten nodes, and read back with all of their holders', async () => {
    const item = newItem(2 ** 40 + 65_536)
    const put = await reader.putMutable(item)
    expect(put).toEqual({ storedBy: 10, alreadyHeldBy: 0, asked: 10, newer: null })
    const got = await (await net.addReader()).getMutable(item.publicKey)
    expect(got.candidates).toEqual([{ item, holders: 10 }])
    expect(got).toMatchObject({ nearest: 10, refused: 0 })
    expect(got.replied).toBeGreaterThanOrEqual(10)
  })

  it('put again under the same seq count as held', async () => {
    const item = newItem()
    await reader.putMutable(item)
    expect(await reader.putMutable(item)).toMatchObject({ storedBy: 0, alreadyHeldBy: 10 })
  })

  it('that are newer on one node of ten are found, and the older ones are seen too', async () => {
    const key = new SigningKey(randomBytes(32))
    const [older, newer] = [newItem(5, key), newItem(6, key)]
    await reader.putMutable(older)
    const { candidates } = await reader.getMutable(key.publicKey)
    expect(candidates).toHaveLength(1)
    // One node alone takes the newer one; find one that holds the older.
    const takers = await Promise.all(
      net.servers.map(({ port }) => plantItem(port, older).then((took) => !took)),
    )
    const holder = net.servers[takers.indexOf(true)] as MainlineDht
    expect(await plantItem(holder.port, newer)).toBe(true)
    const got = await reader.getMutable(key.publicKey)
    expect(got.candidates.map(({ item, holders }) => [item.seq, holders])).toEqual([
      [6, 1],
      [5, 9],
    ])
  })

  it('are never put below a seq that was met', async () => {
    const key = new SigningKey(randomBytes(32))
    const [older, newer] = [newItem(5, key), newItem(6, key)]
    await reader.putMutable(newer)
    expect(await reader.putMutable(older)).toEqual({ storedBy: 0, alreadyHeldBy: 0, asked: 0, newer })
    const { candidates } = await reader.getMutable(key.publicKey)
    expect(candidates.map(({ item }) => item.seq)).toEqual([6])
  })

  it('with another value under the same seq are shown side by side', async () => {
    const key = new SigningKey(randomBytes(32))
    const [one, other] = [newItem(5, key), newItem(5, key)]
    const nodes = net.servers.map(({ port }) => port)
    await Promise.all(nodes.slice(0, 10).map((port) => plantItem(port, one)))
    await Promise.all(nodes.slice(10).map((port) => plantItem(port, other)))
    const { candidates } = await reader.getMutable(key.publicKey)
    expect(candidates.map(({ item }) => item.seq)).toEqual([5, 5])
    expect((candidates[0]?.holders ?? 0) + (candidates[1]?.holders ?? 0)).toBe(10)
  })

  it('that nobody signed are refused before anything is sent', async () => {
    const item = newItem()
    await expect(reader.putMutable({ ...item, seq: 2 })).rejects.toThrow(TypeError)
    await expect(reader.putMutable({ ...item, salt: Uint8Array.of(1) })).rejects.toThrow(TypeError)
  })

  it('are read and written in one walk when the reading decides', async () => {
    const item = newItem()
    const { datagramsOut } = reader.counters
    const first = await reader.updateMutable(item.publicKey, ({ candidates }) =>
      candidates.length === 0 ? item : null,
    )
    expect(first).toMatchObject({ read: { candidates: [] }, put: { storedBy: 10 } })
    expect(reader.counters.datagramsOut - datagramsOut).toBe(first.read.asked + 10)
    const second = await reader.updateMutable(item.publicKey, ({ candidates }) =>
      candidates.length === 0 ? item : null,
    )
    expect(second.put).toBeNull()
  })
})

describe('values of others', () => {
  it('are forgotten when their time is over', async () => {
    const short = await DhtNet.start(3, { valueLifetimeMs: 300 })
    const node = await short.addReader()
    const item = newItem()
    expect(await node.putMutable(item)).toMatchObject({ storedBy: 3 })
    await waitUntil(
      async () => (await node.getMutable(item.publicKey)).candidates.length === 0,
      5_000,
      'the value is gone',
    )
    await short.dispose()
  })
})

describe('peers', () => {
  it('that announce are found by who looks', async () => {
    const infohash = randomBytes(20)
    expect(await reader.announce(infohash, 40_001)).toEqual({ storedBy: 10 })
    const found: DhtAddress[] = []
    expect(await (await net.addReader()).lookup(infohash, (peer) => found.push(peer))).toEqual({ peers: 1 })
    expect(found).toEqual([{ host: '127.0.0.1', port: 40_001 }])
    // Announcing gives out who is there already.
    const met: DhtAddress[] = []
    await reader.announce(infohash, 40_002, { onPeer: (peer) => met.push(peer) })
    expect(met).toEqual(found)
  })

  it('are looked for under 20 bytes', async () => {
    await expect(reader.lookup(randomBytes(32), () => {})).rejects.toThrow(RangeError)
  })
})

describe('a first node that others bootstrap from', () => {
  it('finds what it alone holds for them', async () => {
    const options = {
      host: '127.0.0.1',
      port: 0,
      resolve: async () => [],
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
    }
    const first = await openMainline({ ...options, isServer: true, bootstrap: [] })
    const bootstrap = [{ host: '127.0.0.1', port: first.port }]
    const other = await openMainline({ ...options, isServer: false, bootstrap })
    const [item, topic] = [newItem(), Uint8Array.from(randomBytes(20))]
    expect(await other.putMutable(item)).toMatchObject({ storedBy: 1 })
    expect(await other.announce(topic, 4321)).toEqual({ storedBy: 1 })
    expect((await first.getMutable(item.publicKey)).candidates).toEqual([{ item, holders: 0 }])
    const peers: DhtAddress[] = []
    await first.lookup(topic, (peer) => peers.push(peer))
    expect(peers).toEqual([{ host: '127.0.0.1', port: 4321 }])
    await Promise.all([first.close(), other.close()])
  })
})

describe('the table', () => {
  it('of serving nodes holds no read-only node', () => {
    expect(net.servers.some((node) => node.nodes().some(({ port }) => port === reader.port))).toBe(false)
  })

  it('is found again from saved nodes, without bootstrap', async () => {
    const saved = decodeDhtState(encodeDhtState(reader.nodes()))
    expect(saved?.length).toBeGreaterThan(5)
    const again = await net.addReader({ bootstrap: [], savedNodes: saved ?? [] })
    const item = newItem()
    expect(await again.putMutable(item)).toMatchObject({ storedBy: 10 })
  })

  it('is found through names that the resolver given to it resolves', async () => {
    const asked: string[] = []
    const port = (net.servers[0] as MainlineDht).port
    const node = await openMainline({
      host: '127.0.0.1',
      port: 0,
      isServer: false,
      bootstrap: [
        { host: 'dht.example.org', port },
        { host: 'gone.example.org', port },
      ],
      resolve: async (host) => {
        asked.push(host)
        if (host.startsWith('gone')) throw new Error('no such name')
        return ['127.0.0.1']
      },
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
    })
    await waitUntil(() => node.nodeCount > 5, 5_000, 'nodes are found')
    expect(asked.sort()).toEqual(['dht.example.org', 'gone.example.org'])
    await node.close()
  })

  it('comes back when the first node starts after us', async () => {
    const late = await RawUdp.open()
    const { port } = late
    await late.close()
    const node = await net.addReader({
      bootstrap: [{ host: '127.0.0.1', port }],
      tuning: { bootstrapRetryMs: 100, queryTimeoutMs: 100 },
    })
    expect((await node.getMutable(randomBytes(32), { timeoutMs: 300 })).asked).toBe(0)
    const first = await openMainline({
      host: '127.0.0.1',
      port,
      isServer: true,
      bootstrap: net.bootstrap(),
      resolve: async () => [],
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
    })
    await waitUntil(() => node.nodeCount > 5, 10_000, 'the DHT is found')
    await first.close()
  })
})

describe('operations', () => {
  it('end, and find what there is, although some nodes hang', async () => {
    const node = await net.addReader({ tuning: { queryTimeoutMs: 400 } })
    const item = newItem()
    await node.putMutable(item)
    const hung = await Promise.all(Array.from({ length: 6 }, openHungNode))
    for (const { port } of hung) expect(await node.addNode('127.0.0.1', port)).toBe(true)
    const startMs = performance.now()
    const { candidates } = await node.getMutable(item.publicKey, { timeoutMs: 3_000 })
    expect(candidates).toEqual([{ item, holders: 10 }])
    expect(performance.now() - startMs).toBeLessThan(3_500)
    await Promise.all(hung.map((other) => other.close()))
  })

  it('end by their own time-out when every node hangs', async () => {
    const hung = await Promise.all(Array.from({ length: 3 }, openHungNode))
    const node = await net.addReader({ bootstrap: [], tuning: { queryTimeoutMs: 60_000 } })
    for (const { port } of hung) await node.addNode('127.0.0.1', port)
    const startMs = performance.now()
    const item = newItem()
    const results = await Promise.all([
      node.getMutable(item.publicKey, { timeoutMs: 200 }),
      node.putMutable(item, { timeoutMs: 200 }),
      node.announce(randomBytes(20), 1, { timeoutMs: 200 }),
      node.lookup(randomBytes(20), () => {}, { timeoutMs: 200 }),
    ])
    expect(results).toMatchObject([{ replied: 0 }, { storedBy: 0, asked: 0 }, { storedBy: 0 }, { peers: 0 }])
    expect(performance.now() - startMs).toBeLessThan(3_000)
    await node.close()
    await Promise.all(hung.map((other) => other.close()))
  })

  it('end at once when their signal fires, and with ERR_DHT_CLOSED when the DHT is closed', async () => {
    const hung = await openHungNode()
    const node = await net.addReader({ bootstrap: [], tuning: { queryTimeoutMs: 60_000 } })
    await node.addNode('127.0.0.1', hung.port)
    const controller = new AbortController()
    const stopped = node.getMutable(randomBytes(32), { signal: controller.signal })
    const closed = node.lookup(randomBytes(20), () => {})
    controller.abort()
    await expect(stopped).rejects.toMatchObject({ code: 'ERR_ABORTED' })
    await Promise.all([expect(closed).rejects.toMatchObject({ code: 'ERR_DHT_CLOSED' }), node.close()])
    await expect(node.getMutable(randomBytes(32))).rejects.toMatchObject({ code: 'ERR_DHT_CLOSED' })
    await hung.close()
  })

  it('leave no handle behind when the DHT is closed', async () => {
    const udp = (): number => process.getActiveResourcesInfo().filter((name) => /UDP/i.test(name)).length
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    let last = -1
    const isSteady = (): boolean => {
      const [was, is] = [last, udp()]
      last = is
      return was === is
    }
    await waitUntil(isSteady, 5_000, 'sockets of earlier tests are gone')
    const before = [udp(), timers()] as const
    const nodes = await Promise.all([net.addReader(), net.addReader(), net.addReader()])
    expect(udp()).toBe(before[0] + 3)
    const working = nodes.map((node) => node.putMutable(newItem()).catch(() => {}))
    await Promise.all(nodes.map((node) => node.close()))
    await Promise.all(working)
    await waitUntil(() => udp() <= before[0] && timers() <= before[1], 5_000, 'handles are gone')
    await nodes[0]?.close() // again, harmlessly
  })
})
