/** Floods over real connections: handshakes, frames and messages, on a network in memory. */
import { afterEach, describe, expect, it } from 'vitest'
import { MAX_FLOOD_NEIGHBOURS } from '../../../src/base/limits.ts'
import { silentLog } from '../../../src/base/log.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { TokenBucket } from '../../../src/base/token-bucket.ts'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import { dayOf, nodeHandshakeKey } from '../../../src/crypto/key-schedule.ts'
import { Flooding } from '../../../src/swarm/flooding.ts'
import { Acceptor, type Door } from '../../../src/transport/acceptor.ts'
import { initiateHandshake, type Secured } from '../../../src/transport/handshake.ts'
import { EphemeralMemory, HandshakeKeyring } from '../../../src/transport/handshake-keys.ts'
import { MemoryNetwork } from '../../../src/transport/memory.ts'
import { formatAddress } from '../../../src/wire/address.ts'
import {
  readStatement,
  type StatementClaim,
  statementAddress,
  statementHours,
} from '../../../src/wire/onion-statement.ts'
import { regularGraph } from '../discovery/flood-graph.ts'
import { madeUpStatement, signedStatement, TEST_WORK_BITS } from '../discovery/statements.ts'
import { SimClock } from './sim-clock.ts'
import { SimPeer } from './sim-peer.ts'

const PORT = 7117
const HOUR_MS = 3_600_000

class RelayNet {
  readonly clock = new SimClock()
  readonly network = new MemoryNetwork(this.clock, seededRandom(1), { latencyMs: 20 })
  readonly nodes: { readonly host: string; readonly key: SigningKey; readonly flooding: Flooding }[] = []
  #seed = 1

  async add(): Promise<number> {
    const number = this.nodes.length
    const host = `10.1.${number}.1`
    const key = new SigningKey(seededRandom(10_000 + number).bytes(32))
    const { clock } = this
    const flooding = new Flooding({
      clock,
      random: seededRandom(20_000 + number),
      log: silentLog,
      relayKey: key.publicKey,
      workBits: TEST_WORK_BITS,
    })
    const keyring = new HandshakeKeyring(key.publicKey)
    const acceptor = new Acceptor({
      ephemerals: new EphemeralMemory({ load: () => [], add: () => {}, prune: () => {} }),
      trials: new TokenBucket(clock, 1e9, 1e9),
      clock,
      random: seededRandom(30_000 + number),
      log: silentLog,
    })
    const door: Door = {
      candidates: (nowMs) => keyring.candidates(nowMs),
      isOwnAddress: () => true,
      nodeKey: key,
      onSecured: (secured) => flooding.add(secured),
    }
    await this.network.transport(host).listen({ host, port: PORT }, (stream) => acceptor.accept(stream, door))
    this.nodes.push({ host, key, flooding })
    return number
  }

  /** A connection to that node under its relay key. */
  async dial(to: number, from = '10.2.0.1'): Promise<Secured> {
    const { host, key } = this.nodes[to] as (typeof this.nodes)[number]
    let secured: Secured | null = null
    void (async () => {
      const stream = await this.network.transport(from).dial({ host, port: PORT }, { timeoutMs: 10_000 })
      secured = await initiateHandshake(stream, {
        psk: nodeHandshakeKey(key.publicKey),
        purpose: { kind: 'node' },
        dialled: null,
        expectedNodeKey: key.publicKey,
        nodeKey: null,
        clock: this.clock,
        random: seededRandom(this.#seed++),
      })
    })()
    if (!(await this.clock.until(() => secured !== null, 20_000)) || secured === null)
      throw new Error('no connection')
    return secured
  }

  /** One that speaks for itself. */
  async peer(to: number, hello = true): Promise<SimPeer> {
    const peer = new SimPeer(await this.dial(to), this.clock, {})
    if (hello) peer.hello([])
    await this.clock.advance(100)
    return peer
  }

  async connect(edges: readonly ReadonlySet<number>[]): Promise<void> {
    for (const [from, neighbours] of edges.entries()) {
      for (const to of neighbours) {
        if (to < from) this.nodes[from]?.flooding.add(await this.dial(to, this.nodes[from].host))
      }
    }
  }

  async end(): Promise<void> {
    for (const { flooding } of this.nodes) flooding.close()
    await this.clock.advance(60_000)
    expect(this.clock.pendingTimers, 'timers left').toBe(0)
  }
}

const nets: RelayNet[] = []
afterEach(async () => {
  for (const net of nets.splice(0)) await net.end()
})

async function relayNet(count: number): Promise<RelayNet> {
  const net = new RelayNet()
  nets.push(net)
  for (let i = 0; i < count; i++) await net.add()
  return net
}

function claimOf(net: RelayNet, key: SigningKey): StatementClaim {
  const day = dayOf(net.clock.now())
  const topic = seededRandom(77).bytes(20)
  return { topic, onionKey: key.publicKey, port: 443, day, untilHour: statementHours(day).end }
}

describe('an onion that announces itself', () => {
  it('is heard of by all over real connections, and told to whoever asks for the topic', async () => {
    const net = await relayNet(16)
    await net.connect(regularGraph(16, 4, seededRandom(5)))
    const key = new SigningKey(seededRandom(6).bytes(32))
    const claim = claimOf(net, key)
    const announced = net.nodes[3]?.flooding.announce(claim, (message) => key.sign(message))
    const knows = ({ flooding }: (typeof net.nodes)[number]): boolean =>
      flooding.find(claim.topic).length === 1
    expect(await net.clock.until(() => net.nodes.every(knows), HOUR_MS)).toBe(true)
    expect(await announced).toBe(true)
    expect(await net.nodes[3]?.flooding.announce(claim, (message) => key.sign(message))).toBe(false)
    const asker = await net.peer(9)
    const found = asker.connection.requestPeers(claim.topic, 0)
    const none = asker.connection.requestPeers(seededRandom(1).bytes(20), 0).catch((error) => error.code)
    await net.clock.advance(1_000)
    const expected = statementAddress(readStatement(signedStatement(6, net.clock.now())))
    expect((await found).map(formatAddress)).toEqual([formatAddress(expected)])
    expect(await none).toBe('ERR_REMOTE_NOT_FOUND')
  })

  it('by one without relay connections is told that nobody hears', async () => {
    const net = await relayNet(1)
    const key = new SigningKey(seededRandom(6).bytes(32))
    const announced = net.nodes[0]?.flooding.announce(claimOf(net, key), (message) => key.sign(message))
    await net.clock.advance(1_000)
    expect(await announced).toBe(false)
  })
})

describe('a relay connection', () => {
  it('ends with one false statement, and the true ones before it stay', async () => {
    const net = await relayNet(1)
    const peer = await net.peer(0)
    const good = signedStatement(1, net.clock.now())
    peer.connection.notify({ type: 'announce', statements: [{ hops: 1, statement: good }] })
    await net.clock.advance(100)
    expect(peer.isClosed).toBe(false)
    const bad = madeUpStatement(seededRandom(99), net.clock.now())
    peer.connection.notify({ type: 'announce', statements: [{ hops: 1, statement: bad }] })
    await net.clock.advance(100)
    expect(peer.isClosed).toBe(true)
    expect(net.nodes[0]?.flooding.neighbours).toBe(0)
    expect(net.nodes[0]?.flooding.find(readStatement(good).topic)).toHaveLength(1)
    expect(net.nodes[0]?.flooding.find(readStatement(bad).topic)).toHaveLength(0)
  })

  it('says HELLO first: one that does not is closed, sooner or later', async () => {
    const net = await relayNet(1)
    const silent = await net.peer(0, false)
    expect(silent.hellos).toHaveLength(1)
    const rash = await net.peer(0, false)
    rash.connection.notify({
      type: 'announce',
      statements: [{ hops: 1, statement: signedStatement(1, net.clock.now()) }],
    })
    await net.clock.advance(100)
    expect([rash.isClosed, silent.isClosed]).toEqual([true, false])
    await net.clock.advance(30_000)
    expect(silent.isClosed).toBe(true)
    const later = await net.peer(0, false)
    later.hello([], 0, { lowestVersion: 2, highestVersion: 3 })
    await net.clock.advance(100)
    expect(later.isClosed).toBe(true)
  })

  it('is one of twelve at most', async () => {
    const net = await relayNet(1)
    const peers: SimPeer[] = []
    for (let i = 0; i < MAX_FLOOD_NEIGHBOURS + 2; i++) peers.push(await net.peer(0))
    await net.clock.advance(10_000)
    expect(net.nodes[0]?.flooding.neighbours).toBe(MAX_FLOOD_NEIGHBOURS)
    expect(peers.map(({ isClosed }) => isClosed).indexOf(true)).toBe(MAX_FLOOD_NEIGHBOURS)
  })
})
