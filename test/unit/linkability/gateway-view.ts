/**
 * What three gateways that work together write down of publishers in safe mode: for each connection when it
 * came, what it began with, who it showed itself to be, and what it put. Over the real
 * handshakes, frames and choices of discovery/gateway, in memory.
 */
import { toHex } from '../../../src/base/bytes.ts'
import { GATEWAY_SAFE_SPREAD_MS } from '../../../src/base/limits.ts'
import { silentLog } from '../../../src/base/log.ts'
import { randomInteger, seededRandom, systemRandom } from '../../../src/base/random.ts'
import { dayOf, publisherKeys } from '../../../src/crypto/key-schedule.ts'
import { GatewayDht } from '../../../src/discovery/gateway/gateway-dht.ts'
import { placesOfDay } from '../../../src/discovery/slots.ts'
import type { Gateway } from '../../../src/swarm/gateway-desk.ts'
import { DialledGateways } from '../../../src/swarm/gateway-link.ts'
import { MemoryNetwork } from '../../../src/transport/memory.ts'
import type { Dialer } from '../../../src/transport/transport.ts'
import { formatPeerAddress, type PeerAddress } from '../../../src/wire/address.ts'
import { DAY_MS } from '../../../src/wire/constants.ts'
import { buildSlot } from '../../../src/wire/slot.ts'
import { newHead } from '../discovery/channel-fixture.ts'
import { quickHash, serviceIn, WORK_BITS } from '../discovery/gateway/gateway-rig.ts'
import { MemoryNetwork as MemoryDhtNetwork } from '../discovery/memory-dht.ts'
import { SimClock } from '../swarm/sim-clock.ts'
import { SimNode } from '../swarm/sim-node.ts'
import { FIRST_DAY, HOUR_MS } from './crawl.ts'
import { likeness } from './statistics.ts'

/** One item that came in. */
export interface Visit {
  readonly atMs: number
  readonly gateway: number
  readonly slotKey: Uint8Array
  readonly seq: number
  readonly value: Uint8Array
  readonly notAfter: number
  readonly shownKey: Uint8Array | null
  readonly handshakeHash: Uint8Array
  readonly host: string
}

/** With the truth. */
export interface KnownVisit extends Visit {
  readonly channel: number
  readonly day: number
}

export const GATEWAY_FEATURES: Readonly<Record<string, (a: Visit, b: Visit) => number>> = {
  'seq apart': (a, b) => -Math.log2(1 + Math.abs(a.seq - b.seq)),
  'slot key': (a, b) => likeness(a.slotKey, b.slotKey),
  value: (a, b) => likeness(a.value, b.value),
  'handshake hash': (a, b) => likeness(a.handshakeHash, b.handshakeHash),
  'node key': (a, b) => (a.shownKey !== null && b.shownKey !== null ? likeness(a.shownKey, b.shownKey) : 0),
  'minutes of notAfter': (a, b) => -Math.abs((a.notAfter % HOUR_MS) - (b.notAfter % HOUR_MS)),
  gateway: (a, b) => (a.gateway === b.gateway ? 1 : 0),
}

/** The same day: when they came. */
export const TIME_APART = (a: Visit, b: Visit): number => -Math.abs(a.atMs - b.atMs)

/** Each publisher puts the slots of each day at a random time of that day, from behind the same exit. */
export async function visits(channels: number, days: number, seed: number): Promise<KnownVisit[]> {
  const clock = new SimClock(FIRST_DAY * DAY_MS)
  const random = seededRandom(seed)
  const network = new MemoryNetwork(clock, random, { latencyMs: 50 })
  const dhtNetwork = new MemoryDhtNetwork(clock)
  const seen: Visit[] = []
  const gateways: SimNode[] = []
  for (let at = 0; at < 3; at++) {
    const service = serviceIn(dhtNetwork, clock, { workBits: WORK_BITS }, random)
    const recorder: Gateway = {
      publish: (asker, message) => {
        const { slotKey, seq, value, notAfter } = message
        const { handshakeHash, host } = asker
        const secured = gateways[at]?.secured.find((one) => one.handshakeHash === handshakeHash)
        const shownKey = secured?.remoteNodeKey ?? null
        const atMs = clock.now()
        seen.push({ atMs, gateway: at, slotKey, seq, value, notAfter, shownKey, handshakeHash, host })
        return service.publish(asker, message)
      },
      readSlot: (asker, slotKey) => service.readSlot(asker, slotKey),
      findPeers: (asker, topic) => service.findPeers(asker, topic),
    }
    const node = new SimNode({
      clock,
      network,
      host: `198.51.100.${at + 1}`,
      seed: at,
      gateway: () => recorder,
    })
    await node.listen()
    gateways.push(node)
  }
  const dialer: Dialer = network.transport('203.0.113.9')
  const truth = new Map<string, { channel: number; day: number }>()
  const plan: { channel: number; day: number; atMs: number }[] = []
  const publishers = Array.from({ length: channels }, (_, channel) => {
    for (let day = FIRST_DAY; day < FIRST_DAY + days; day++) {
      plan.push({ channel, day, atMs: day * DAY_MS + random.fraction() * (DAY_MS - HOUR_MS) })
    }
    const keys = publisherKeys(random.bytes(32))
    const link = new DialledGateways({
      dialer,
      resolve: null,
      clock,
      random: systemRandom,
      memoryHash: quickHash,
      workBits: WORK_BITS,
    })
    const dht = new GatewayDht<PeerAddress>({
      gateways: new Map(gateways.map(({ pinned }) => [formatPeerAddress(pinned), pinned])),
      link,
      clock,
      random,
      log: silentLog,
      spreadMs: GATEWAY_SAFE_SPREAD_MS,
    })
    return { keys, dht, head: newHead(keys, randomInteger(random, 1, 255)) }
  })
  const putting: Promise<unknown>[] = []
  for (const { channel, day, atMs } of plan.sort((a, b) => a.atMs - b.atMs)) {
    await clock.advance(atMs - clock.now())
    const { keys, dht, head } = publishers[channel] as (typeof publishers)[number]
    for (const place of placesOfDay(dayOf(clock.now()))) {
      const item = buildSlot(keys, place, head.bytes)
      truth.set(toHex(item.publicKey), { channel, day })
      putting.push(dht.putMutable(item))
    }
  }
  let isDone = false
  const done = Promise.all(putting).then(() => {
    isDone = true
  })
  await clock.until(() => isDone, HOUR_MS)
  await done
  return seen.flatMap((visit) => {
    const known = truth.get(toHex(visit.slotKey))
    return known === undefined ? [] : [{ ...visit, ...known }]
  })
}
