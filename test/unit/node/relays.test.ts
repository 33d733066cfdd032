/** What a node tells relays and asks of them, and a small network of relays, in memory. The large one: test/slow/relay-network.test.ts. */
import { afterEach, describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import {
  MAX_ONION_TELLS,
  ONION_TELL_SPREAD_MS,
  RELAY_ASKS,
  RELAY_FIND_MAX_MS,
  RELAY_FIND_SELDOM_MS,
  RELAY_FIND_SPREAD_MS,
} from '../../../src/base/limits.ts'
import { NO_DISCOVERY } from '../../../src/channels/discovery.ts'
import { dayOf, RELAY_SECRET, topic } from '../../../src/crypto/key-schedule.ts'
import { type Address, formatPeerAddress } from '../../../src/wire/address.ts'
import { DAY_MS, HELLO_NEIGHBOUR } from '../../../src/wire/constants.ts'
import { onionName } from '../../../src/wire/onion.ts'
import type { OnionStatement } from '../../../src/wire/onion-statement.ts'
import { signedStatement } from '../discovery/statements.ts'
import {
  floodReaches,
  follow,
  onionOfSeed,
  RELAY_PORT,
  RelayNet,
  relayNetwork,
  type SimRelay,
  Watcher,
} from '../swarm/relay-net.ts'
import { SimChannel } from '../swarm/sim-node.ts'
import type { SimPeer } from '../swarm/sim-peer.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000

const nets: RelayNet[] = []
afterEach(async () => {
  for (const net of nets.splice(0)) await net.end()
})

describe('relays', () => {
  it('find each other, and an onion that one of them announces; anchors do without a gateway later', async () => {
    const net = await relayNetwork(1, 5)
    nets.push(net)
    await net.clock.advance(10 * MINUTE_MS)
    for (const { relays, name } of net.all) expect(relays.connected, name).toBeGreaterThanOrEqual(2)
    const channel = new SimChannel(1)
    const { key } = onionOfSeed(500)
    const onion = `${onionName(key.publicKey)}:${RELAY_PORT}`
    const [, announcer, ...others] = net.all as [SimRelay, ...SimRelay[]]
    // One has peers, and asks seldom; the others look for some, less and less often by now.
    const [content, ...waiting] = others.map((relay, i) =>
      follow(relay, channel.keys, () => (i === 0 ? 1 : 0)),
    )
    await net.clock.advance(2 * HOUR_MS)
    const wanted = topic(channel.keys.secret, dayOf(net.clock.now()))
    announcer?.relays.announce({ secret: channel.keys.secret, key, port: RELAY_PORT })
    const beganMs = net.clock.monotonicMs()
    expect(await floodReaches(net, net.all, wanted, onion, HOUR_MS)).toBe(true)
    const hasAll = (): boolean => waiting.every(({ found }) => found.has(onion))
    expect(await net.clock.until(hasAll, RELAY_FIND_MAX_MS)).toBe(true)
    expect(net.clock.monotonicMs() - beganMs).toBeLessThan(HOUR_MS)
    expect(await net.clock.until(() => content?.found.has(onion) === true, RELAY_FIND_SELDOM_MS)).toBe(true)
    const asks = ({ circuits }: SimRelay): number =>
      circuits.filter(({ subject }) => subject.endsWith(toHex(wanted))).length
    expect(asks(others[0] as SimRelay)).toBeLessThanOrEqual(2 * RELAY_ASKS)
    const { savedAnchors: anchors } = net.all.find(({ savedAnchors }) => savedAnchors.length > 0) as SimRelay
    expect(anchors.every((text) => text.includes('.onion:'))).toBe(true)
    const late = await net.add({ anchors })
    const newcomer = follow(late, channel.keys)
    expect(await net.clock.until(() => newcomer.found.has(onion), RELAY_FIND_SPREAD_MS + MINUTE_MS)).toBe(
      true,
    )
    expect(asks(late)).toBeGreaterThan(0)
    const none = await net.add()
    await net.clock.advance(5 * MINUTE_MS)
    expect([late.relays.connected > 0, none.relays.connected, none.circuits.length]).toEqual([true, 0, 0])
    for (const followed of [content, ...waiting, newcomer]) followed?.stop()
  })
})

/** What ties things together that a relay was told. */
function ties(
  told: readonly { readonly peer: object; readonly statement: OnionStatement; readonly kept: boolean }[],
): string[] {
  const faults: string[] = []
  const byConnection = new Map<object, Set<string>>()
  for (const { peer, statement, kept } of told) {
    if (kept) faults.push('a statement of our own on a connection that is kept')
    const onions = byConnection.get(peer) ?? new Set()
    byConnection.set(peer, onions.add(toHex(statement.onionKey)))
    if (onions.size === 2) faults.push('two onions on one connection')
  }
  return faults
}

describe('what a node tells of its onions', () => {
  const channels = [new SimChannel(1), new SimChannel(2), new SimChannel(3)]

  async function watched(): Promise<{ net: RelayNet; watcher: Watcher; relay: SimRelay }> {
    const net = new RelayNet(Date.UTC(2026, 0, 1, 6))
    nets.push(net)
    const watcher = await Watcher.listen(net)
    return { net, watcher, relay: await net.add({ given: [watcher.address] }) }
  }

  const keptBy = (peer: SimPeer): boolean =>
    peer.hellos.some(({ features }) => (features & HELLO_NEIGHBOUR) !== 0)
  const toldTo = (watcher: Watcher) =>
    watcher.told.map(({ peer, statement }) => ({ peer, statement, kept: keptBy(peer) }))

  it('goes to relays on connections of its own, each at a time of its own, the onion of relays too', async () => {
    const { net, watcher, relay } = await watched()
    for (const [i, { keys }] of channels.entries()) {
      relay.relays.announce({ secret: keys.secret, key: onionOfSeed(600 + i).key, port: RELAY_PORT })
    }
    await net.clock.advance(ONION_TELL_SPREAD_MS + 10_000)
    const told = toldTo(watcher)
    const topics = [...channels.map(({ keys }) => keys.secret), RELAY_SECRET].map((secret) =>
      toHex(topic(secret, dayOf(net.clock.now()))),
    )
    expect(new Set(told.map(({ statement }) => toHex(statement.topic)))).toEqual(new Set(topics))
    expect(told).toHaveLength(4)
    expect(watcher.told.every(({ hops }) => hops === 0)).toBe(true)
    expect(ties(told)).toEqual([])
    const times = watcher.seen.filter(({ peer }) => !keptBy(peer)).map(({ sinceMs }) => sinceMs)
    expect(new Set(times).size).toBe(times.length)
    const gaps = times
      .sort((a, b) => a - b)
      .slice(1)
      .map((at, i) => at - (times[i] as number))
    expect(Math.max(...gaps)).toBeGreaterThan(5_000)
    // A circuit for each, that nothing else has.
    const announced = relay.circuits.filter(({ purpose }) => purpose === 'announce')
    expect(new Set(announced.map(({ subject }) => subject)).size).toBe(4)
    expect(announced).toHaveLength(4)
    const others = relay.circuits.filter(({ purpose }) => purpose !== 'announce')
    expect(others.some(({ subject }) => announced.some((one) => one.subject === subject))).toBe(false)
    expect(watcher.seen.filter(({ peer }) => keptBy(peer))).toHaveLength(1)
  })

  it('would be found out by this test on a connection that is kept, or together', async () => {
    const { net, watcher } = await watched()
    const today = net.clock.now()
    const planted = async (features: number, statements: readonly Uint8Array[]): Promise<void> => {
      const peer = await net.peer(watcher.address, features)
      for (const statement of statements)
        peer.connection.notify({ type: 'announce', statements: [{ hops: 0, statement }] })
      await net.clock.advance(1_000)
    }
    await planted(HELLO_NEIGHBOUR, [signedStatement(1, today)])
    expect(ties(toldTo(watcher).filter(({ kept }) => kept))).toEqual([
      'a statement of our own on a connection that is kept',
    ])
    await planted(0, [signedStatement(2, today), signedStatement(3, today)])
    expect(ties(toldTo(watcher).filter(({ kept }) => !kept))).toEqual(['two onions on one connection'])
  })

  it('is told again where it was swallowed, to a bounded number, and for the next day before it begins', async () => {
    const { net, watcher, relay } = await watched()
    const [{ keys }] = channels as [SimChannel]
    const { key } = onionOfSeed(600)
    const stop = relay.relays.announce({ secret: keys.secret, key, port: RELAY_PORT })
    const own = () =>
      watcher.told.filter(({ statement }) => toHex(statement.onionKey) === toHex(key.publicKey))
    await net.clock.advance(12 * HOUR_MS)
    expect(own().length).toBe(MAX_ONION_TELLS)
    expect(new Set(own().map(({ peer }) => peer)).size).toBe(MAX_ONION_TELLS)
    await net.clock.advance(3 * HOUR_MS - MINUTE_MS) // three hours before midnight, nearly
    expect(own().length).toBe(MAX_ONION_TELLS)
    await net.clock.advance(3 * HOUR_MS + MINUTE_MS)
    const tomorrow = own().filter(({ statement }) => statement.day === dayOf(net.clock.now()))
    expect(tomorrow.length).toBeGreaterThanOrEqual(1)
    expect(toHex(tomorrow[0]?.statement.topic as Uint8Array)).toBe(
      toHex(topic(keys.secret, dayOf(net.clock.now()))),
    )
    stop()
    const before = own().length
    await net.clock.advance(DAY_MS)
    expect(own().length).toBe(before)
  })

  it('does not lead it to itself: its own onion is not given out', async () => {
    const { net, relay } = await watched()
    const [{ keys }] = channels as [SimChannel]
    const { key } = onionOfSeed(600)
    relay.relays.announce({ secret: keys.secret, key, port: RELAY_PORT })
    const found: string[] = []
    const own = `${onionName(key.publicKey)}:${RELAY_PORT}`
    const followed = relay.relays
      .discovery(NO_DISCOVERY, () => own)
      .follow(keys, false, {
        ...{ newest: () => null, slotSet: () => null, onHead: () => {}, holders: () => 0 },
        onPeers: (addresses) => void found.push(...addresses.map(formatPeerAddress)),
      })
    await net.clock.advance(10 * MINUTE_MS)
    expect(found).toEqual([])
    followed.stop()
  })
})

describe('what a relay neighbour tells of a channel that we follow', () => {
  const { keys } = new SimChannel(7)
  const PLANTED = 50_000

  /** A node that asks a relay of ours, and a neighbour that holds the link of the channel, and tells an onion for each. */
  async function told(relay: SimRelay, net: RelayNet): Promise<void> {
    const neighbour = await net.peer(relay.address, HELLO_NEIGHBOUR)
    const today = topic(keys.secret, dayOf(net.clock.now()))
    for (const [i, hops] of [0, 1, 64].entries()) {
      const statement = signedStatement(PLANTED + i, net.clock.now(), { topic: today })
      neighbour.connection.notify({ type: 'announce', statements: [{ hops, statement }] })
    }
    let known: readonly Address[] = []
    void neighbour.connection.requestPeers(today, 0).then((answer) => {
      known = answer
    })
    expect(await net.clock.until(() => known.length === 3, 10_000)).toBe(true) // they were taken
  }

  it('is not given to it, whatever its hops: a channel learns onions by its own questions alone', async () => {
    const net = new RelayNet()
    nets.push(net)
    const answer = onionOfSeed(700).address
    const asked = topic(keys.secret, dayOf(net.clock.now()))
    const isAsked = (wanted: Uint8Array): boolean => toHex(wanted) === toHex(asked)
    const readPeers = (wanted: Uint8Array) => (isAsked(wanted) ? [answer] : ('notFound' as const))
    const watcher = await Watcher.listen(net, { readPeers })
    const relay = await net.add({ given: [watcher.address] })
    await net.clock.advance(MINUTE_MS)
    // Followed before it is told, with peers and without, and after.
    let peers = 1
    const before = follow(relay, keys, () => peers)
    await told(relay, net)
    await net.clock.advance(30 * MINUTE_MS)
    expect([...before.found]).toEqual([])
    const after = follow(relay, keys, () => peers)
    await net.clock.advance(30 * MINUTE_MS)
    expect([...after.found]).toEqual([])
    expect(relay.circuits.some(({ subject }) => subject.endsWith(toHex(asked)))).toBe(false)
    peers = 0
    expect(await net.clock.until(() => after.found.size > 0 && before.found.size > 0, 5 * MINUTE_MS)).toBe(
      true,
    )
    for (const { found, stop } of [before, after]) {
      expect([...found]).toEqual([formatPeerAddress(answer)])
      stop()
    }
    expect(relay.circuits.some(({ subject }) => subject.endsWith(toHex(asked)))).toBe(true)
  })
})
