/** Relay connections, seen from the other end: handshakes, frames and messages, on a network in memory. */
import { afterEach, describe, expect, it } from 'vitest'
import {
  HELLO_DEADLINE_MS,
  MAX_FLOOD_NEIGHBOURS,
  MAX_GUEST_STATEMENTS,
  MAX_RELAY_GUESTS,
  RELAY_GUEST_MS,
  RELAY_NEIGHBOURS,
  RELAY_SETTLED_MS,
} from '../../../src/base/limits.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { dayOf, NETWORK_HANDSHAKE_KEY, RELAY_SECRET, topic } from '../../../src/crypto/key-schedule.ts'
import { initiateHandshake } from '../../../src/transport/handshake.ts'
import { formatAddress } from '../../../src/wire/address.ts'
import { HELLO_NEIGHBOUR } from '../../../src/wire/constants.ts'
import type { AnnounceMessage } from '../../../src/wire/message.ts'
import { readStatement, statementAddress } from '../../../src/wire/onion-statement.ts'
import { madeUpStatement, signedStatement } from '../discovery/statements.ts'
import { RELAY_PORT, RelayNet, type SimRelay } from './relay-net.ts'
import type { SimPeer } from './sim-peer.ts'

const CAME_IN = MAX_FLOOD_NEIGHBOURS - RELAY_NEIGHBOURS

const nets: RelayNet[] = []
afterEach(async () => {
  for (const net of nets.splice(0)) await net.end()
})

async function oneRelay(): Promise<{ net: RelayNet; relay: SimRelay }> {
  const net = new RelayNet()
  nets.push(net)
  return { net, relay: await net.add({ isGateway: true }) }
}

function tell(peer: SimPeer, statement: Uint8Array, hops = 0): void {
  peer.connection.notify({ type: 'announce', statements: [{ hops, statement }] })
}

/** What a peer is told under a topic, or why not. */
async function found(net: RelayNet, peer: SimPeer, wanted: Uint8Array): Promise<string[] | string> {
  const asked = peer.connection.requestPeers(wanted, 0).then(
    (addresses) => addresses.map(formatAddress),
    (error) => String(error.code),
  )
  await net.clock.advance(1_000)
  return asked
}

const heard = ({ notices }: SimPeer): AnnounceMessage[] =>
  notices.filter((notice): notice is AnnounceMessage => notice.type === 'announce')

describe('a guest of a relay', () => {
  it('tells a statement, finds it there, and hears of nothing', async () => {
    const { net, relay } = await oneRelay()
    const guest = await net.peer(relay.address, 0)
    const other = await net.peer(relay.address, 0)
    const neighbour = await net.peer(relay.address, HELLO_NEIGHBOUR)
    const statement = signedStatement(1, net.clock.now())
    const { topic: said } = readStatement(statement)
    expect(await found(net, other, said)).toBe('ERR_REMOTE_NOT_FOUND')
    tell(guest, statement)
    const address = formatAddress(statementAddress(readStatement(statement)))
    expect(await found(net, guest, said)).toEqual([address])
    expect(await found(net, other, said)).toEqual([address])
    await net.clock.advance(50_000)
    expect(heard(neighbour).flatMap(({ statements }) => statements)).toEqual([{ hops: 0, statement }])
    expect([...heard(guest), ...heard(other)]).toEqual([])
    expect(relay.relays.connected).toBe(1)
  })

  it('begins a stem whatever it says of hops', async () => {
    const { net, relay } = await oneRelay()
    const neighbours = [
      await net.peer(relay.address, HELLO_NEIGHBOUR),
      await net.peer(relay.address, HELLO_NEIGHBOUR),
    ]
    tell(await net.peer(relay.address, 0), signedStatement(1, net.clock.now()), 3)
    await net.clock.advance(60_000)
    expect(neighbours.flatMap(heard).flatMap(({ statements }) => statements.map(({ hops }) => hops))).toEqual(
      [0],
    )
  })

  it('tells a few, and no more', async () => {
    const { net, relay } = await oneRelay()
    const guest = await net.peer(relay.address, 0)
    const statements = Array.from({ length: MAX_GUEST_STATEMENTS + 2 }, (_, i) =>
      signedStatement(100 + i, net.clock.now()),
    )
    for (const statement of statements) tell(guest, statement)
    const asker = await net.peer(relay.address, 0)
    const there: boolean[] = []
    for (const statement of statements) {
      there.push(typeof (await found(net, asker, readStatement(statement).topic)) !== 'string')
    }
    expect(there.filter((is) => is)).toHaveLength(MAX_GUEST_STATEMENTS)
    expect(there.at(-1)).toBe(false)
  })

  it('has to go after its time, and sooner where too many come', async () => {
    const { net, relay } = await oneRelay()
    const first = await net.peer(relay.address, 0)
    await net.clock.advance(RELAY_GUEST_MS - 1_000)
    expect(first.isClosed).toBe(false)
    await net.clock.advance(2_000)
    expect(first.isClosed).toBe(true)
    const neighbour = await net.peer(relay.address, HELLO_NEIGHBOUR)
    const guests: SimPeer[] = []
    for (let i = 0; i < MAX_RELAY_GUESTS + 2; i++) guests.push(await net.peer(relay.address, 0))
    await net.clock.advance(1_000)
    expect(guests.map(({ isClosed }) => isClosed).lastIndexOf(true)).toBe(1)
    expect(neighbour.isClosed).toBe(false)
  })
})

describe('a relay connection', () => {
  it('ends with one false statement, and the true ones before it stay', async () => {
    const { net, relay } = await oneRelay()
    for (const features of [HELLO_NEIGHBOUR, 0]) {
      const peer = await net.peer(relay.address, features)
      const good = signedStatement(1 + features, net.clock.now())
      tell(peer, good, 1)
      await net.clock.advance(100)
      expect(peer.isClosed).toBe(false)
      const bad = madeUpStatement(seededRandom(99), net.clock.now())
      tell(peer, bad, 1)
      await net.clock.advance(100)
      expect(peer.isClosed).toBe(true)
      expect(relay.relays.connected).toBe(0)
      const asker = await net.peer(relay.address, 0)
      expect(await found(net, asker, readStatement(good).topic)).toHaveLength(1)
      expect(await found(net, asker, readStatement(bad).topic)).toBe('ERR_REMOTE_NOT_FOUND')
    }
  })

  it('says HELLO first: one that does not is closed, sooner or later', async () => {
    const { net, relay } = await oneRelay()
    const silent = await net.peer(relay.address, null)
    expect(silent.hellos.map(({ features }) => features)).toEqual([HELLO_NEIGHBOUR])
    const rash = await net.peer(relay.address, null)
    tell(rash, signedStatement(1, net.clock.now()))
    await net.clock.advance(100)
    expect([rash.isClosed, silent.isClosed]).toEqual([true, false])
    await net.clock.advance(HELLO_DEADLINE_MS)
    expect(silent.isClosed).toBe(true)
    const later = await net.peer(relay.address, null)
    later.hello([], 0, { lowestVersion: 2, highestVersion: 3 })
    await net.clock.advance(100)
    expect(later.isClosed).toBe(true)
  })

  it('shows no channel, and answers none', async () => {
    const { net, relay } = await oneRelay()
    const peer = await net.peer(relay.address, HELLO_NEIGHBOUR)
    const codes: string[] = []
    const note = (error: { readonly code: string }) => void codes.push(error.code)
    peer.connection.requestHead(new Uint8Array(16)).catch(note)
    peer.connection.requestBlob(new Uint8Array(32)).catch(note)
    await net.clock.advance(1_000)
    expect(codes).toEqual(['ERR_REMOTE_NOT_FOUND', 'ERR_REMOTE_NOT_FOUND'])
  })

  it('of one who came in has a place for a while; then one that brought nothing makes room', async () => {
    const { net, relay } = await oneRelay()
    const peers: SimPeer[] = []
    const come = async (): Promise<SimPeer> => {
      const peer = await net.peer(relay.address, HELLO_NEIGHBOUR)
      peers.push(peer)
      return peer
    }
    for (let i = 0; i < CAME_IN; i++) await come()
    const useful = peers.slice(2, 5)
    for (const [i, peer] of useful.entries()) tell(peer, signedStatement(50 + i, net.clock.now()), 1)
    expect(relay.relays.connected).toBe(CAME_IN)
    const early = await come()
    await net.clock.advance(10_000)
    expect([early.isClosed, peers.filter(({ isClosed }) => isClosed).length]).toEqual([true, 1])
    await net.clock.advance(RELAY_SETTLED_MS)
    for (let i = 0; i < CAME_IN - useful.length; i++) await come()
    await net.clock.advance(10_000)
    expect(relay.relays.connected).toBe(CAME_IN)
    // All who brought nothing have gone, and none of the new ones.
    expect(useful.map(({ isClosed }) => isClosed)).toEqual([false, false, false])
    expect(peers.slice(-5).every(({ isClosed }) => !isClosed)).toBe(true)
    const last = await come()
    await net.clock.advance(10_000)
    expect(last.isClosed).toBe(true)
  })

  it('is made under the key of relays: the onion of one is deaf to the network’s', async () => {
    const net = new RelayNet()
    nets.push(net)
    const { address, key } = await net.add()
    const stream = net.network
      .transport('10.9.9.9')
      .dial({ host: address.host, port: RELAY_PORT }, { timeoutMs: 9_000 })
    let error: unknown = null
    void stream
      .then((dialled) =>
        initiateHandshake(dialled, {
          psk: NETWORK_HANDSHAKE_KEY,
          purpose: { kind: 'network' },
          dialled: null,
          expectedNodeKey: key.publicKey,
          nodeKey: null,
          clock: net.clock,
          random: seededRandom(1),
        }),
      )
      .catch((reason) => {
        error = reason
      })
    await net.clock.advance(30_000)
    expect(error).toMatchObject({ code: expect.stringMatching(/ERR_TIMEOUT|ERR_CONNECTION_CLOSED/) })
    expect((await net.peer(address, HELLO_NEIGHBOUR)).isClosed).toBe(false)
  })

  it('is asked for relays: of onions that were announced as such, and of those that it met', async () => {
    const { net, relay } = await oneRelay()
    const now = net.clock.now()
    const today = topic(RELAY_SECRET, dayOf(now))
    const statement = signedStatement(7, now, { topic: today })
    const peer = await net.peer(relay.address, HELLO_NEIGHBOUR)
    expect(await found(net, peer, today)).toBe('ERR_REMOTE_NOT_FOUND')
    tell(peer, statement, 1)
    expect(await found(net, peer, today)).toEqual([formatAddress(statementAddress(readStatement(statement)))])
  })
})
