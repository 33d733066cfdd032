/**
 * A network of thirty relays in memory, gateways and nodes behind proxies, and what hostile ones among them can do.
 * Handshakes, frames and messages are real; the proof of work is small.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import {
  FLOOD_PEER_BURST,
  FLOOD_PEER_STATEMENTS_PER_SECOND,
  MAX_FLOOD_NEIGHBOURS,
  MAX_ONION_TELLS,
  RELAY_FIND_MAX_MS,
  RELAY_GIVEN_NEIGHBOURS,
  RELAY_NEIGHBOURS,
  RELAY_SETTLED_MS,
} from '../../src/base/limits.ts'
import { dayOf, topic } from '../../src/crypto/key-schedule.ts'
import type { Address, PeerAddress } from '../../src/wire/address.ts'
import { HELLO_NEIGHBOUR } from '../../src/wire/constants.ts'
import { onionName } from '../../src/wire/onion.ts'
import { signedStatement } from '../unit/discovery/statements.ts'
import {
  floodReaches,
  follow,
  onionOfSeed,
  RELAY_PORT,
  type RelayNet,
  relayNetwork,
  type SimRelay,
  Watcher,
} from '../unit/swarm/relay-net.ts'
import { SimChannel } from '../unit/swarm/sim-node.ts'
import type { SimPeer } from '../unit/swarm/sim-peer.ts'

const GATEWAYS = 3
const NODES = 27
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000

let net: RelayNet
let seed = 500

beforeAll(async () => {
  net = await relayNetwork(GATEWAYS, NODES)
  await net.clock.advance(40 * MINUTE_MS)
})

afterAll(() => net.end())

const behindProxies = (): SimRelay[] => net.all.slice(GATEWAYS, GATEWAYS + NODES)

/** An onion that one of them announces; all others wait for it. @returns whether all had it and found it in time. */
async function reachesAll(announcer: SimRelay): Promise<boolean> {
  const { keys } = new SimChannel(seed)
  const { key } = onionOfSeed(seed++)
  const onion = `${onionName(key.publicKey)}:${RELAY_PORT}`
  const waiting = net.all.map((relay) => follow(relay, keys))
  const stop = announcer.relays.announce({ secret: keys.secret, key, port: RELAY_PORT })
  const relays = net.all.filter(({ isDeaf }) => !isDeaf)
  const wanted = topic(keys.secret, dayOf(net.clock.now()))
  const reached =
    (await floodReaches(net, relays, wanted, onion, HOUR_MS)) &&
    (await net.clock.until(() => waiting.every(({ found }) => found.has(onion)), RELAY_FIND_MAX_MS))
  for (const { found } of waiting) for (const each of found) expect(each).toBe(onion)
  for (const follower of waiting) follower.stop()
  stop()
  return reached
}

const heard = ({ notices }: SimPeer): string[] =>
  notices
    .flatMap((notice) => (notice.type === 'announce' ? notice.statements : []))
    .map(({ statement }) => toHex(statement))

describe('thirty relays', () => {
  it('find each other through the gateways that their users name, and keep a few connections', () => {
    for (const { relays, name } of net.all) {
      expect(relays.connected, name).toBeGreaterThanOrEqual(GATEWAYS - 1)
      expect(relays.connected, name).toBeLessThanOrEqual(MAX_FLOOD_NEIGHBOURS)
    }
    for (const { relays, name, circuits } of behindProxies()) {
      expect(relays.connected, name).toBeGreaterThanOrEqual(RELAY_NEIGHBOURS)
      const kept = circuits.filter(({ purpose }) => purpose === 'relay')
      // Not all of them to gateways, which are full; each under a user name of its own.
      expect(
        kept.some(({ host }) => host.endsWith('.onion')),
        name,
      ).toBe(true)
      const hosts = new Map(kept.map(({ subject, host }) => [subject, host]))
      expect(kept.every(({ subject, host }) => hosts.get(subject) === host)).toBe(true)
      expect(kept.filter(({ host }) => !host.endsWith('.onion')).length, name).toBeLessThanOrEqual(40)
    }
  })

  it('all hear of an onion that any of them announces', async () => {
    for (const place of [4, 12]) {
      const announcer = net.all[place] as SimRelay
      const before = announcer.circuits.length
      expect(await reachesAll(announcer), announcer.name).toBe(true)
      const told = announcer.circuits.slice(before).filter(({ purpose }) => purpose === 'announce')
      expect(told.length).toBeGreaterThanOrEqual(1)
      expect(told.length).toBeLessThanOrEqual(2 * MAX_ONION_TELLS)
      expect(new Set(told.map(({ subject }) => subject)).size).toBe(told.length)
    }
  })

  it('hold connections to some of many named gateways only, once they know others', async () => {
    const gateways = net.all.slice(0, GATEWAYS).map(({ address }) => address)
    for (let i = 0; i < 2; i++) gateways.push((await net.add({ isGateway: true })).address)
    for (const { relays } of net.all.slice(-2)) relays.addRelays(gateways.slice(0, GATEWAYS))
    const late = await net.add({ given: gateways })
    await net.clock.advance(20 * MINUTE_MS)
    expect(late.relays.connected).toBeGreaterThanOrEqual(RELAY_NEIGHBOURS)
    const dialled = late.circuits.filter(({ purpose }) => purpose === 'relay')
    const clear = new Set(gateways.map(({ host }) => host))
    expect(dialled.some(({ host }) => !clear.has(host))).toBe(true)
    // Two dials were on their way when it knew of no others.
    const names = new Set(dialled.map(({ host }) => host).filter((host) => clear.has(host)))
    expect(names.size).toBeLessThanOrEqual(RELAY_GIVEN_NEIGHBOURS + 2)
  })
})

describe('a hostile relay', () => {
  it('that floods is handed on within its bucket, and the others are still heard', async () => {
    await net.clock.advance(RELAY_SETTLED_MS)
    const hostile = await net.peer((net.all[0] as SimRelay).address, HELLO_NEIGHBOUR)
    const spy = await net.peer((net.all[1] as SimRelay).address, HELLO_NEIGHBOUR)
    const startMs = net.clock.monotonicMs()
    const junk = new Set<string>()
    for (let i = 0; i < 600; i++) {
      const statement = signedStatement(50_000 + i, net.clock.now())
      junk.add(toHex(statement))
      hostile.connection.notify({ type: 'announce', statements: [{ hops: 1, statement }] })
    }
    expect(await reachesAll(net.all[7] as SimRelay)).toBe(true)
    const seconds = (net.clock.monotonicMs() - startMs) / 1_000
    const reached = new Set(heard(spy).filter((text) => junk.has(text)))
    expect(reached.size).toBeLessThanOrEqual(
      FLOOD_PEER_BURST + FLOOD_PEER_STATEMENTS_PER_SECOND * seconds + 1,
    )
    expect(reached.size).toBeGreaterThan(0)
  })

  it('that replays what it heard, or what is over, moves nothing', async () => {
    await net.clock.advance(RELAY_SETTLED_MS)
    const victim = (net.all[2] as SimRelay).address
    const hostile = await net.peer(victim, HELLO_NEIGHBOUR)
    const spy = await net.peer(victim, HELLO_NEIGHBOUR)
    const statement = signedStatement(1, net.clock.now())
    const old = signedStatement(2, net.clock.now(), { day: dayOf(net.clock.now()) - 2 })
    for (let round = 0; round < 5; round++) {
      for (const hops of [0, 1, 5]) {
        for (const replayed of [statement, old]) {
          hostile.connection.notify({ type: 'announce', statements: [{ hops, statement: replayed }] })
        }
      }
      await net.clock.advance(MINUTE_MS)
    }
    expect(heard(spy).filter((text) => text === toHex(statement)).length).toBeLessThanOrEqual(2) // stem, and flood
    expect(heard(spy)).not.toContain(toHex(old))
    expect(hostile.isClosed).toBe(false)
  })

  it('that makes up relays costs dials within the book, and no honest connection', async () => {
    let made = 0
    const lies = (): Address[] =>
      Array.from({ length: 16 }, () => {
        const { kind, host, port } = onionOfSeed(1_000_000 + made++).address
        return { kind, host, port } as Address
      }).sort((a, b) => (a.host < b.host ? -1 : 1))
    const liar = await Watcher.listen(net, { readPeers: lies }, 98_000)
    const node = await net.add({ given: [liar.address, net.all[0]?.address as PeerAddress] })
    await net.clock.advance(2 * HOUR_MS)
    expect(made).toBeGreaterThan(16)
    expect(node.relays.connected).toBeGreaterThanOrEqual(RELAY_NEIGHBOURS)
    expect(node.circuits.filter(({ purpose }) => purpose === 'relay').length).toBeLessThan(400)
  })
})
