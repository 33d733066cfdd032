/**
 * Walks and operations on nodes that are functions: silent, lying, disagreeing, lost.
 */
import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import {
  DHT_CLOSEST_NODES,
  DHT_MAX_PEERS_PER_LOOKUP,
  DHT_MAX_WAITING_OPERATIONS,
  DHT_MAX_WALK_QUERIES,
  DHT_OPERATION_TIMEOUT_MS,
  DHT_PARALLEL_WALKS,
  DHT_STALL_MS,
} from '../../../src/base/limits.ts'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import {
  announce,
  getMutable,
  lookup,
  putMutable,
  updateMutable,
} from '../../../src/discovery/dht-operations.ts'
import {
  type DhtAnswer,
  type DhtNetwork,
  type DhtReply,
  DhtWalker,
} from '../../../src/discovery/dht-walker.ts'
import type { KrpcArguments } from '../../../src/discovery/krpc.ts'
import type { WalkNode } from '../../../src/discovery/walk.ts'
import { itemTarget, type MutableItem, signItem } from '../../../src/wire/mutable-item.ts'

type Behaviour = (query: KrpcArguments) => DhtAnswer | Promise<DhtAnswer>

const SILENCE: DhtAnswer = { kind: 'silence' }
const NEVER = (): Promise<DhtAnswer> => new Promise(() => {})

/** Nodes 10.0.0.1 and on, all in the table; each answers as it is told to. */
class FakeNetwork implements DhtNetwork {
  readonly ownId = new Uint8Array(20).fill(1)
  readonly nodes: (WalkNode & { behave: Behaviour })[] = []
  readonly silent = new Set<string>()
  readonly asked: { readonly host: string; readonly query: KrpcArguments }[] = []

  add(count: number, behave: (node: WalkNode) => Behaviour): void {
    for (let i = 0; i < count; i++) {
      const node = {
        id: Uint8Array.from(randomBytes(20)),
        host: `10.0.0.${this.nodes.length + 1}`,
        port: 6881,
      }
      this.nodes.push({ ...node, behave: behave(node) })
    }
  }

  ownReply = (): null => null

  async ask(node: { host: string; port: number }, query: KrpcArguments): Promise<DhtAnswer> {
    this.asked.push({ host: node.host, query })
    return (await this.nodes.find(({ host }) => host === node.host)?.behave(query)) ?? SILENCE
  }

  tableNodes(_target: Uint8Array, count: number): readonly WalkNode[] {
    return this.nodes.slice(0, count)
  }

  isAcceptable(host: string): boolean {
    return host.startsWith('10.')
  }

  wasSilent({ host }: { host: string }): boolean {
    return this.silent.has(host)
  }

  sharesHost(): boolean {
    return false
  }
}

const reply = (node: WalkNode, fields: Partial<DhtReply> = {}): DhtAnswer => ({
  kind: 'reply',
  reply: {
    id: node.id,
    nodes: new Uint8Array(0),
    token: Uint8Array.of(7),
    peers: [],
    value: null,
    mutable: null,
    ...fields,
  },
})

const withItem = (node: WalkNode, item: MutableItem): DhtAnswer =>
  reply(node, {
    value: item.value,
    mutable: { publicKey: item.publicKey, seq: item.seq, signature: item.signature },
  })

function newWalker() {
  const clock = new ManualClock()
  const network = new FakeNetwork()
  return { clock, network, walker: new DhtWalker(network, clock) }
}

const key = new SigningKey(Uint8Array.from(randomBytes(32)))
const itemOf = (seq: number, fill = 1): MutableItem => signItem(key, seq, new Uint8Array(30).fill(fill))

describe('an operation', () => {
  it('ends by its time-out when callbacks never come, with what it has', async () => {
    const { clock, network, walker } = newWalker()
    const item = itemOf(3)
    network.add(4, (node) => () => withItem(node, item))
    network.add(4, () => NEVER)
    const result = getMutable(walker, key.publicKey)
    await clock.advance(DHT_OPERATION_TIMEOUT_MS - 1)
    let isOver = false
    void result.then(() => {
      isOver = true
    })
    await clock.advance(0)
    expect(isOver).toBe(false)
    await clock.advance(1)
    expect(await result).toMatchObject({ candidates: [{ item, holders: 4 }], asked: 8, replied: 4 })
    expect(clock.pendingTimers).toBe(0)
  })

  it('ends by its time-out while it writes, too', async () => {
    const { clock, network, walker } = newWalker()
    network.add(2, (node) => (query) => (query.method === 'get' ? reply(node) : reply(node)))
    network.add(3, (node) => (query) => (query.method === 'get' ? reply(node) : NEVER()))
    const result = putMutable(walker, itemOf(1), { timeoutMs: 100 })
    await clock.advance(100)
    expect(await result).toEqual({ storedBy: 2, alreadyHeldBy: 0, asked: 5, newer: null })
  })

  it('goes on when a query fails in a way that it should not', async () => {
    const { network, walker } = newWalker()
    network.add(3, () => () => Promise.reject(new Error('a bug of the library')))
    network.add(2, (node) => () => reply(node))
    expect(await getMutable(walker, key.publicKey)).toMatchObject({ replied: 2 })
  })

  it('is not held up by nodes that take long', async () => {
    const { clock, network, walker } = newWalker()
    network.add(6, () => NEVER)
    network.add(6, (node) => () => reply(node))
    const result = getMutable(walker, key.publicKey)
    await clock.advance(DHT_STALL_MS)
    expect(network.asked.length).toBeGreaterThanOrEqual(DHT_CLOSEST_NODES)
    await clock.advance(DHT_OPERATION_TIMEOUT_MS)
    expect((await result).replied).toBeGreaterThanOrEqual(4)
    expect(clock.pendingTimers).toBe(0)
  })

  it('does not ask nodes that were silent a short while ago, whoever names them', async () => {
    const { network, walker } = newWalker()
    const gone = { id: Uint8Array.from(randomBytes(20)), host: '10.9.9.9' }
    const compact = Uint8Array.from([...gone.id, 10, 9, 9, 9, 26, 225])
    network.add(2, (node) => () => reply(node, { nodes: compact }))
    network.silent.add(gone.host)
    expect((await getMutable(walker, key.publicKey)).asked).toBe(2)
    network.silent.clear()
    expect((await getMutable(walker, key.publicKey)).asked).toBe(3)
  })

  it('stops at its signal, before, while and after it waits for its turn', async () => {
    const { clock, network, walker } = newWalker()
    network.add(1, () => NEVER)
    await expect(getMutable(walker, key.publicKey, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ERR_ABORTED',
      kind: 'aborted',
    })
    const controller = new AbortController()
    const running = Array.from({ length: DHT_PARALLEL_WALKS + 1 }, () =>
      getMutable(walker, key.publicKey, { signal: controller.signal }).catch(
        (error: { code: string }) => error.code,
      ),
    )
    await clock.advance(1)
    expect(network.asked).toHaveLength(DHT_PARALLEL_WALKS)
    controller.abort()
    expect(await Promise.all(running)).toEqual(new Array(DHT_PARALLEL_WALKS + 1).fill('ERR_ABORTED'))
    expect(clock.pendingTimers).toBe(0)
  })

  it('leaves the queue at once when its signal fires, and its place to the next', async () => {
    const { clock, network, walker } = newWalker()
    network.add(1, () => NEVER)
    const running = Array.from({ length: DHT_PARALLEL_WALKS }, () => getMutable(walker, key.publicKey))
    const controller = new AbortController()
    const waiting = getMutable(walker, key.publicKey, { signal: controller.signal })
    const next = getMutable(walker, key.publicKey)
    controller.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_ABORTED' })
    await clock.advance(2 * DHT_OPERATION_TIMEOUT_MS)
    expect(await Promise.all([...running, next])).toHaveLength(DHT_PARALLEL_WALKS + 1)
  })

  it('is refused when too many wait', async () => {
    const { walker, network } = newWalker()
    network.add(1, () => NEVER)
    const many = Array.from({ length: DHT_PARALLEL_WALKS + DHT_MAX_WAITING_OPERATIONS }, () =>
      lookup(walker, new Uint8Array(20), () => {}).catch((error: { code: string }) => error.code),
    )
    await expect(lookup(walker, new Uint8Array(20), () => {})).rejects.toMatchObject({ code: 'ERR_DHT_BUSY' })
    walker.close()
    expect(new Set(await Promise.all(many))).toEqual(new Set(['ERR_DHT_CLOSED']))
  })

  it('begins where the last one to the same target ended', async () => {
    const { network, walker } = newWalker()
    network.add(40, (node) => () => {
      const compact = new Uint8Array(26 * 8)
      // Each node names eight others, the whole ring in time.
      const at = network.nodes.findIndex(({ host }) => host === node.host)
      for (let i = 0; i < 8; i++) {
        const other = network.nodes[(at + i + 1) % 40] as WalkNode
        compact.set(other.id, i * 26)
        compact.set(other.host.split('.').map(Number), i * 26 + 20)
        compact.set([6881 >> 8, 6881 & 255], i * 26 + 24)
      }
      return reply(node, { nodes: compact })
    })
    const first = await getMutable(walker, key.publicKey)
    const second = await getMutable(walker, key.publicKey)
    expect(first.asked).toBeGreaterThan(second.asked)
    expect([first.nearest, second.nearest, second.asked]).toEqual(new Array(3).fill(DHT_CLOSEST_NODES))
  })

  it('does not ask nodes at addresses that may not be asked, and has its bound of queries', async () => {
    const { network, walker } = newWalker()
    let count = 0
    const lie = (): Uint8Array => {
      const compact = new Uint8Array(26 * 32)
      for (let i = 0; i < 32; i++) {
        count++
        compact.set([0, 0, ...randomBytes(18)], i * 26)
        // Other networks, port 0, and endless nodes of our own class.
        const host =
          i < 8
            ? [127, 0, 0, 1]
            : i < 16
              ? [192, 168, 1, i]
              : [10, 1 + (count >> 16), (count >> 8) & 255, count & 255]
        compact.set(host, i * 26 + 20)
        compact.set(i >= 24 ? [0, 0] : [26, 225], i * 26 + 24)
      }
      return compact
    }
    network.ask = async (node, query) => {
      network.asked.push({ host: node.host, query })
      return reply({ ...node, id: Uint8Array.from([0, 0, ...randomBytes(18)]) }, { nodes: lie() })
    }
    network.add(1, (node) => () => reply(node))
    const { asked } = await getMutable(walker, randomBytes(32))
    expect(asked).toBeLessThanOrEqual(DHT_MAX_WALK_QUERIES)
    expect(asked).toBeGreaterThan(10)
    expect(network.asked.every(({ host }) => host.startsWith('10.'))).toBe(true)
  })
})

describe('reading', () => {
  it('shows every valid value once, verifies each once, and counts the others', async () => {
    const { network, walker } = newWalker()
    const [newest, older] = [itemOf(9), itemOf(8)]
    network.add(3, (node) => () => withItem(node, older))
    network.add(1, (node) => () => withItem(node, newest))
    network.add(2, (node) => () => withItem(node, { ...newest, seq: 10 })) // nobody signed that
    network.add(1, (node) => () => withItem(node, { ...newest, value: new Uint8Array(30) }))
    const foreign = signItem(new SigningKey(new Uint8Array(32)), 99, new Uint8Array(3))
    network.add(1, (node) => () => withItem(node, foreign)) // of another key: not even counted
    const { candidates, refused } = await getMutable(walker, key.publicKey)
    expect(candidates).toEqual([
      { item: newest, holders: 1 },
      { item: older, holders: 3 },
    ])
    expect(refused).toBe(2)
  })
})

describe('a node that is not what others say', () => {
  it('counts where it shows itself to be: its value is seen, and it is none of the nearest', async () => {
    const { network, walker } = newWalker()
    const item = itemOf(4)
    const target = itemTarget(key.publicKey)
    const farthest = target.map((byte) => byte ^ 0xff)
    // In the table under the target itself, so it is asked first; it answers under the farthest id.
    network.nodes.push({
      id: target,
      host: '10.0.0.99',
      port: 6881,
      behave: () => withItem({ id: farthest, host: '10.0.0.99', port: 6881 }, item),
    })
    network.add(DHT_CLOSEST_NODES, (node) => () => reply(node))
    const all = network.nodes
    network.tableNodes = () => all
    expect(await getMutable(walker, key.publicKey)).toMatchObject({
      candidates: [{ item, holders: 0 }],
      nearest: DHT_CLOSEST_NODES,
      asked: DHT_CLOSEST_NODES + 1,
    })
  })
})

describe('writing', () => {
  it('stops at a seq that is higher than its own', async () => {
    const { network, walker } = newWalker()
    const newer = itemOf(6)
    network.add(3, (node) => () => reply(node))
    network.add(1, (node) => () => withItem(node, newer))
    expect(await putMutable(walker, itemOf(5))).toEqual({ storedBy: 0, alreadyHeldBy: 0, asked: 0, newer })
    expect(network.asked.every(({ query }) => query.method === 'get')).toBe(true)
  })

  it('counts nodes one by one: taken, held, refused, silent, without a token', async () => {
    const { network, walker } = newWalker()
    const item = itemOf(5)
    const seen: KrpcArguments[] = []
    const onPut = (before: DhtAnswer, answer: DhtAnswer): Behaviour => {
      return (query) => {
        if (query.method !== 'put') return before
        seen.push(query)
        return answer
      }
    }
    const refusal: DhtAnswer = { kind: 'error', code: 302 }
    network.add(2, (node) => onPut(reply(node), reply(node)))
    network.add(3, (node) => onPut(withItem(node, item), refusal))
    network.add(1, (node) => onPut(reply(node), refusal)) // a seq that it did not show: not ours for all we know
    network.add(1, (node) => onPut(withItem(node, itemOf(5, 2)), refusal)) // another value under our seq
    network.add(1, (node) => onPut(withItem(node, item), { kind: 'error', code: 203 }))
    network.add(1, (node) => onPut(reply(node), SILENCE))
    network.add(1, (node) => onPut(reply(node, { token: null }), reply(node)))
    expect(await putMutable(walker, item)).toEqual({ storedBy: 2, alreadyHeldBy: 3, asked: 9, newer: null })
    expect(seen.every((query) => query.method === 'put' && query.mutable?.cas === null)).toBe(true)
  })

  it('stores nothing that the reading does not ask for, nor under another key', async () => {
    const { network, walker } = newWalker()
    network.add(3, (node) => () => reply(node))
    expect(await updateMutable(walker, key.publicKey, () => null)).toMatchObject({ put: null })
    const other = signItem(new SigningKey(new Uint8Array(32)), 1, new Uint8Array(3))
    await expect(updateMutable(walker, key.publicKey, () => other)).rejects.toThrow(TypeError)
    const failure = new Error('from the caller')
    const failing = updateMutable(walker, key.publicKey, () => {
      throw failure
    })
    await expect(failing).rejects.toBe(failure)
    expect(network.asked.every(({ query }) => query.method === 'get')).toBe(true)
  })
})

describe('peers', () => {
  const compact = (host: number, port: number): Uint8Array =>
    Uint8Array.of(10, 0, host >> 8, host & 255, port >> 8, port & 255)

  it('are given out once each, and not without end', async () => {
    const { network, walker } = newWalker()
    const endless = Array.from({ length: 150 }, (_, i) => compact(i, 1_000))
    const more = Array.from({ length: 150 }, (_, i) => compact(i + 100, 1_000))
    network.add(1, (node) => () => reply(node, { peers: endless }))
    network.add(1, (node) => () => reply(node, { peers: [...more, compact(1, 0)] }))
    const found = new Set<string>()
    const { peers } = await lookup(walker, new Uint8Array(20), ({ host, port }) =>
      found.add(`${host}:${port}`),
    )
    expect([peers, found.size]).toEqual([DHT_MAX_PEERS_PER_LOOKUP, DHT_MAX_PEERS_PER_LOOKUP])
    expect(found.has('10.0.0.1:0')).toBe(false)
  })

  it('are announced to nodes that gave a token, with the port as it is', async () => {
    const { network, walker } = newWalker()
    network.add(3, (node) => () => reply(node))
    network.add(1, (node) => () => reply(node, { token: null }))
    expect(await announce(walker, new Uint8Array(20), 7_117)).toEqual({ storedBy: 3 })
    const announced = network.asked.filter(({ query }) => query.method === 'announce_peer')
    expect(announced).toHaveLength(3)
    expect(announced[0]?.query).toMatchObject({ port: 7_117, impliedPort: false, token: Uint8Array.of(7) })
  })
})
