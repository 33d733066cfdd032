/** One channel in safe mode, over a network in memory that stands for the proxy and for Tor. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../src/base/clock.ts'
import { MegatorrentError } from '../../../src/base/errors.ts'
import { silentLog } from '../../../src/base/log.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { TokenBucket } from '../../../src/base/token-bucket.ts'
import { dayOf, topic } from '../../../src/crypto/key-schedule.ts'
import { onionOf, SafeChannel, type SafeChannelDeps } from '../../../src/node/safe-channel.ts'
import { Bans, readSubject } from '../../../src/swarm/bans.ts'
import type { AnnouncedOnion } from '../../../src/swarm/onion-announcer.ts'
import { Quiet } from '../../../src/swarm/quiet.ts'
import { Acceptor } from '../../../src/transport/acceptor.ts'
import { EphemeralMemory } from '../../../src/transport/handshake-keys.ts'
import { MemoryNetwork } from '../../../src/transport/memory.ts'
import { OnionServices } from '../../../src/transport/onion/onion-services.ts'
import { TorControl } from '../../../src/transport/onion/tor-control.ts'
import { TcpTransport } from '../../../src/transport/tcp.ts'
import { onionName } from '../../../src/wire/onion.ts'
import { ControlPort } from '../../swarm/harness/control-port.ts'
import { SimClock } from '../swarm/sim-clock.ts'
import { SimChannel, SimStore } from '../swarm/sim-node.ts'
import { listenBare, type SimPeer, type SimPeerBehaviour } from '../swarm/sim-peer.ts'
import { until } from '../transport/helpers.ts'

const CHANNEL = new SimChannel(1)
const OTHER = new SimChannel(2)
const NODE_SEED = new Uint8Array(32).fill(9)

let clock: SimClock
let network: MemoryNetwork
let deps: SafeChannelDeps
let bans: Bans
const open: SafeChannel[] = []
/** Onions that relays are told of. */
const announced = new Set<AnnouncedOnion>()

beforeEach(() => {
  clock = new SimClock()
  network = new MemoryNetwork(clock, seededRandom(1), { latencyMs: 10 })
  const random = seededRandom(2)
  bans = new Bans(clock, { load: () => [], save: () => {}, remove: () => {} })
  deps = {
    clock,
    log: silentLog,
    swarmDeps: {
      ...{ clock, random, log: silentLog },
      anchors: { load: () => [], save: () => {} },
    },
    store: Object.assign(new SimStore(), { has: () => false }),
    origins: { of: () => ({ has: () => false, add: () => {} }) },
    bans,
    maxPeers: () => 200,
    maxQueuedUploads: () => 64,
    transport: network.transport('127.0.0.1'),
    acceptor: new Acceptor({
      ephemerals: new EphemeralMemory({ load: () => [], add: () => {}, prune: () => {} }),
      trials: new TokenBucket(clock, 1e9, 1e9),
      ...{ clock, random, log: silentLog },
    }),
    onions: null,
    listenHost: '127.0.0.1',
    nodeSeed: NODE_SEED,
    quiet: null,
    announce: (onion) => {
      announced.add(onion)
      return () => void announced.delete(onion)
    },
  }
})

afterEach(async () => {
  for (const channel of open.splice(0)) {
    channel.close()
    channel.swarm.destroy()
  }
  deps.acceptor.close()
  await clock.advance(60_000)
  expect(clock.pendingTimers, 'timers left').toBe(0)
})

function safeChannel(channel = CHANNEL, onHead = () => {}): SafeChannel {
  const safe = new SafeChannel(channel.keys, { onHead }, deps)
  open.push(safe)
  return safe
}

/** A node in the clear that knows these channels, and says so to whoever comes. */
async function member(host: string, channels = [CHANNEL], behaviour: SimPeerBehaviour = {}) {
  const peers: SimPeer[] = []
  const onPeer = (peer: SimPeer): void => {
    peers.push(peer)
    peer.hello(channels.map((channel) => [channel, behaviour.readHead === undefined ? 0 : 1] as const))
  }
  const address = await listenBare(network, clock, host, channels, onPeer, behaviour)
  return { address, peers }
}

describe('a channel in safe mode', () => {
  it('tells peers of no clear address, be it of the network around the proxy', async () => {
    const safe = safeChannel()
    const inside = await member('192.168.0.7')
    const outside = await member('8.8.8.8')
    // As all are seen who come by an onion.
    const asker = await member('127.0.0.1')
    for (const { address } of [inside, outside, asker]) safe.swarm.addUserAddress(address)
    await clock.until(() => safe.swarm.peersOf(safe.channel) === 3, 20_000)
    expect(safe.swarm.peersOf(safe.channel)).toBe(3)
    const asked = asker.peers[0]?.connection.requestPeers(topic(CHANNEL.keys.secret, dayOf(clock.now())), 0)
    await clock.advance(1_000)
    expect(await asked).toEqual([])
  })

  it('shows no key of its own to whom the user pinned', async () => {
    const pinned = await member('8.8.8.8')
    for (const channel of [CHANNEL, OTHER]) safeChannel(channel).swarm.addUserAddress(pinned.address)
    await clock.until(() => pinned.peers.length === 2, 20_000)
    expect(pinned.peers.map(({ secured }) => secured.remoteNodeKey)).toEqual([null, null])
  })

  it('bans who lies to it, and no other channel of the node shows that', async () => {
    const liar = await member('8.8.8.8', [CHANNEL, OTHER], { readHead: () => new Uint8Array(568) })
    const first = safeChannel(CHANNEL, () => {
      throw new MegatorrentError('ERR_HEAD_SIGNATURE', 'not signed by the channel')
    })
    first.swarm.addAddresses(first.channel, [liar.address], 'link')
    await clock.until(() => bans.list().length > 0, 20_000)
    expect(new Set(bans.list().map(({ subject }) => readSubject(subject).address))).toEqual(
      new Set([null, '8.8.8.8:7117']),
    )
    const second = safeChannel(OTHER)
    second.swarm.addAddresses(second.channel, [liar.address], 'link')
    await clock.until(() => second.swarm.peersOf(second.channel) === 1, 20_000)
    await clock.advance(60_000)
    expect([first, second].map(({ swarm, channel }) => swarm.peersOf(channel))).toEqual([0, 1])
    expect(liar.peers.length).toBe(2)
  })
})

describe('an onion of a channel', () => {
  let port: ControlPort
  let onions: OnionServices

  beforeEach(async () => {
    port = await ControlPort.start({ methods: 'NULL' })
    onions = new OnionServices({
      open: (heard) =>
        TorControl.open({
          ...heard,
          ...{ dialer: new TcpTransport(), endpoint: port.endpoint, clock: systemClock, password: null },
          readCookie: () => Promise.reject(new Error('none')),
          nonce: new Uint8Array(32),
        }),
      clock: systemClock,
      log: silentLog,
    })
    deps = { ...deps, onions }
  })

  afterEach(async () => {
    onions.close()
    await port.close()
  })

  /** Who comes to where Tor brings its streams. */
  async function isListening(target: string): Promise<boolean> {
    const [host = '', number] = target.split(':')
    let isOpen: boolean | null = null
    const dialling = network.transport('127.0.0.9').dial({ host, port: Number(number) }, { timeoutMs: 1_000 })
    void dialling.then(
      (stream) => {
        stream.destroy()
        isOpen = true
      },
      () => {
        isOpen = false
      },
    )
    await clock.until(() => isOpen !== null, 5_000)
    return isOpen === true
  }

  it('is another one for each, and each has a listener of its own', async () => {
    for (const channel of [CHANNEL, OTHER]) safeChannel(channel).listen()
    await until(() => port.onions.size === 2)
    expect(new Set(port.onions.values()).size).toBe(2)
    const hosts = [CHANNEL, OTHER].map(({ keys }) => onionOf(NODE_SEED, keys).host)
    expect([...port.onions.keys()].sort()).toEqual(hosts.sort())
    for (const target of port.onions.values()) expect(await isListening(target)).toBe(true)
  })

  it('goes with its channel, and so does its listener; the other stays', async () => {
    const first = safeChannel(CHANNEL)
    for (const channel of [first, safeChannel(OTHER)]) channel.listen()
    await until(() => port.onions.size === 2)
    const gone = port.onions.get(onionOf(NODE_SEED, CHANNEL.keys).host) as string
    const stays = port.onions.get(onionOf(NODE_SEED, OTHER.keys).host) as string
    first.close()
    await until(() => port.onions.size === 1)
    expect([await isListening(gone), await isListening(stays)]).toEqual([false, true])
    expect(onions.counts.wanted).toBe(1)
    onions.close()
    await until(() => port.onions.size === 0)
  })

  it('is not made for a channel that has gone before it listened', async () => {
    const first = safeChannel(CHANNEL)
    for (const channel of [first, safeChannel(OTHER)]) channel.listen()
    first.close()
    await until(() => port.onions.size === 1)
    expect([...port.onions.keys()]).toEqual([onionOf(NODE_SEED, OTHER.keys).host])
  })

  it('is not made for a look, and nobody is told of one', async () => {
    const look = safeChannel(CHANNEL)
    const follower = safeChannel(OTHER)
    follower.listen()
    await until(() => port.onions.size === 1)
    expect([...port.onions.keys()]).toEqual([onionOf(NODE_SEED, OTHER.keys).host])
    expect([look.onionAddress, follower.onionAddress]).toEqual([null, `${[...port.onions.keys()][0]}:7117`])
    expect([...announced].map(({ key }) => onionName(key.publicKey))).toEqual([...port.onions.keys()])
    follower.close()
    expect(announced.size).toBe(0)
  })

  it('is not made, and nobody is dialled, before the channel may be seen', async () => {
    const quiet = new Quiet()
    deps = { ...deps, quiet }
    const first = safeChannel(CHANNEL)
    deps = { ...deps, quiet: null }
    const second = safeChannel(OTHER)
    const { address, peers } = await member('8.8.8.8', [CHANNEL, OTHER])
    for (const channel of [first, second]) {
      channel.listen()
      channel.swarm.addAddresses(channel.channel, [address], 'link')
    }
    await until(() => port.onions.size === 1)
    await clock.until(() => peers.length === 1, 20_000)
    await clock.advance(60_000)
    expect([first.swarm.peersOf(first.channel), second.swarm.peersOf(second.channel)]).toEqual([0, 1])
    expect([port.onions.size, announced.size]).toEqual([1, 1])
    quiet.end()
    await until(() => port.onions.size === 2 && announced.size === 2)
    await clock.until(() => first.swarm.peersOf(first.channel) === 1, 20_000)
    expect(first.swarm.peersOf(first.channel)).toBe(1)
  })
})
