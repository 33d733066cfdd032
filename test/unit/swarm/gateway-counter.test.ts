/**
 * The onion of a gateway over real handshakes and frames, on a network in memory: what
 * comes by it meets the gateway alone. The host of the network stands for the onion.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { GATEWAY_ERRAND_MS, MAX_ONION_ERRANDS } from '../../../src/base/limits.ts'
import { silentLog } from '../../../src/base/log.ts'
import { seededRandom, systemRandom } from '../../../src/base/random.ts'
import { TokenBucket } from '../../../src/base/token-bucket.ts'
import {
  dayOf,
  handshakeKey,
  NETWORK_HANDSHAKE_KEY,
  nodeHandshakeKey,
} from '../../../src/crypto/key-schedule.ts'
import { GatewayCounter } from '../../../src/swarm/gateway-counter.ts'
import { DialledGateways } from '../../../src/swarm/gateway-link.ts'
import { Acceptor } from '../../../src/transport/acceptor.ts'
import { Connection } from '../../../src/transport/connection.ts'
import { initiateHandshake, type Secured } from '../../../src/transport/handshake.ts'
import {
  EphemeralMemory,
  HandshakeKeyring,
  type HandshakePurpose,
} from '../../../src/transport/handshake-keys.ts'
import { MemoryNetwork } from '../../../src/transport/memory.ts'
import type { Dialer } from '../../../src/transport/transport.ts'
import type { PeerAddress } from '../../../src/wire/address.ts'
import { onionName } from '../../../src/wire/onion.ts'
import {
  NOON,
  newKey,
  offered,
  outcomeOf,
  quickHash,
  serviceIn,
  signed,
  WORK_BITS,
} from '../discovery/gateway/gateway-rig.ts'
import { MemoryNetwork as MemoryDhtNetwork } from '../discovery/memory-dht.ts'
import { SimChannel } from './sim-node.ts'

const HOST = '127.0.0.1'
const PORT = 7117
const ERRAND = { purpose: 'slot', subject: 'a test' } as const
const never = (): AbortSignal => new AbortController().signal

class World {
  readonly clock = new ManualClock(NOON)
  readonly network = new MemoryNetwork(this.clock, seededRandom(3), { latencyMs: 5 })
  readonly dhtNetwork = new MemoryDhtNetwork(this.clock)
  readonly key = newKey()
  readonly address: PeerAddress = {
    kind: 'onion',
    host: onionName(this.key.publicKey),
    port: PORT,
    nodeKey: null,
  }
  readonly service = serviceIn(this.dhtNetwork, this.clock)
  readonly counter = new GatewayCounter({
    gateway: this.service,
    clock: this.clock,
    random: systemRandom,
    log: silentLog,
  })
  /** As Tor would bring it: the name leads to the listener. */
  readonly dialer: Dialer = {
    dial: (endpoint, options) => {
      expect(endpoint.host).toBe(this.address.host)
      return this.network.transport('10.0.0.1').dial({ host: HOST, port: PORT }, options)
    },
  }
  readonly link = new DialledGateways({
    dialer: this.dialer,
    ...{ resolve: null, clock: this.clock, random: systemRandom, memoryHash: quickHash, workBits: WORK_BITS },
  })
  #acceptor = new Acceptor({
    ephemerals: new EphemeralMemory({ load: () => [], add: () => {}, prune: () => {} }),
    trials: new TokenBucket(this.clock, 1000, 1000),
    clock: this.clock,
    random: systemRandom,
    log: silentLog,
  })

  async listen(): Promise<void> {
    const keyring = new HandshakeKeyring(this.key.publicKey, false)
    await this.network.transport(HOST).listen({ host: HOST, port: PORT }, (stream) =>
      this.#acceptor.accept(stream, {
        candidates: (nowMs) => keyring.candidates(nowMs),
        isOwnAddress: () => false,
        nodeKey: this.key,
        onSecured: (secured) => this.counter.accept(secured),
        onion: this.address.host,
      }),
    )
  }

  /** What it comes to, or the code of its error, with time moved on. */
  wait<T>(work: Promise<T>): Promise<T | string> {
    return outcomeOf(this.clock, work)
  }

  /** A connection under a key of the dialler's choice. */
  async dial(psk: Uint8Array, purpose: HandshakePurpose, expected: Uint8Array | null): Promise<Secured> {
    const transport = this.network.transport('10.0.0.2')
    const stream = await transport.dial({ host: HOST, port: PORT }, { timeoutMs: 1000 })
    return initiateHandshake(stream, {
      ...{ psk, purpose, dialled: null, expectedNodeKey: expected, nodeKey: null },
      ...{ clock: this.clock, random: systemRandom },
    })
  }

  connection({ channel, early }: Secured): Connection {
    const connection = new Connection(channel, this.clock)
    const handlers = {
      onNotice: () => {},
      readBlob: async () => null,
      readHead: () => null,
      onClose: () => {},
    }
    connection.start(handlers, early)
    return connection
  }
}

describe('the onion of a gateway', () => {
  let world: World
  afterEach(() => world.counter.destroy())

  it('proves the key of its name, takes an item, and gives it to whoever asks', async () => {
    world = new World()
    await world.listen()
    const item = signed()
    const answer = await world.wait(world.link.publish(world.address, ERRAND, offered(item), never()))
    expect(answer).toMatchObject({ outcome: 0 })
    const read = await world.wait(world.link.readSlot(world.address, ERRAND, item.publicKey, never()))
    expect(read).toMatchObject({ items: [{ seq: 1, value: item.value }] })
    expect(
      await world.wait(world.link.findPeers(world.address, ERRAND, new Uint8Array(20), never())),
    ).toEqual([])
    await world.clock.advance(1000)
    expect(world.counter.open).toBe(0)
  })

  it('that has another key than its name is none', async () => {
    world = new World()
    await world.listen()
    const other = { ...world.address, host: onionName(newKey().publicKey) }
    const dialer: Dialer = {
      dial: (_, options) => world.network.transport('10.0.0.1').dial({ host: HOST, port: PORT }, options),
    }
    const elsewhere = new DialledGateways({
      dialer,
      ...{
        resolve: null,
        clock: world.clock,
        random: systemRandom,
        memoryHash: quickHash,
        workBits: WORK_BITS,
      },
    })
    const failing = elsewhere.readSlot(other, ERRAND, newKey().publicKey, never())
    expect(await world.wait(failing)).toMatch(/^ERR_(?:TIMEOUT|HANDSHAKE_FAILED|CONNECTION_CLOSED)$/)
  })

  it('is deaf to the key of the network and to that of a channel', async () => {
    world = new World()
    await world.listen()
    const { keys } = new SimChannel(1)
    const day = dayOf(world.clock.now())
    for (const [psk, purpose] of [
      [NETWORK_HANDSHAKE_KEY, { kind: 'network' }],
      [handshakeKey(keys.secret, day), { kind: 'channel', channel: keys }],
    ] as [Uint8Array, HandshakePurpose][]) {
      expect(await world.wait(world.dial(psk, purpose, null))).toMatch(/^ERR_/)
    }
    expect(world.counter.open).toBe(0)
  })

  it('gives no blob and no head, whoever asks', async () => {
    world = new World()
    await world.listen()
    const { publicKey } = world.key
    const dialling = world.dial(nodeHandshakeKey(publicKey), { kind: 'node' }, publicKey)
    const secured = (await world.wait(dialling)) as Secured
    const connection = world.connection(secured)
    expect(await world.wait(connection.requestBlob(new Uint8Array(32)))).toBe('ERR_REMOTE_NOT_FOUND')
    expect(await world.wait(connection.requestHead(new Uint8Array(16)))).toBe('ERR_REMOTE_NOT_FOUND')
  })

  it('keeps nobody for longer than an errand takes, and no more than so many at a time', async () => {
    world = new World()
    await world.listen()
    const { publicKey } = world.key
    const come = async (): Promise<Connection> => {
      const dialling = world.dial(nodeHandshakeKey(publicKey), { kind: 'node' }, publicKey)
      return world.connection((await world.wait(dialling)) as Secured)
    }
    const first = await come()
    for (let i = 1; i < MAX_ONION_ERRANDS; i++) await come()
    await world.clock.advance(100)
    expect([world.counter.open, first.closed]).toEqual([MAX_ONION_ERRANDS, false])
    const last = await come()
    await world.clock.advance(100)
    expect([world.counter.open, first.closed, last.closed]).toEqual([MAX_ONION_ERRANDS, true, false])
    await world.clock.advance(GATEWAY_ERRAND_MS)
    expect(world.counter.open).toBe(0)
  })
})
