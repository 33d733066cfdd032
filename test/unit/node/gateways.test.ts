/** What a node without a DHT gives to gateways, over real connections: its own, and those that a link names. */
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { seededRandom, systemRandom } from '../../../src/base/random.ts'
import { dayOf } from '../../../src/crypto/key-schedule.ts'
import { openGatewayDiscovery } from '../../../src/node/gateways.ts'
import type { NetworkDeps } from '../../../src/node/network.ts'
import { MemoryNetwork } from '../../../src/transport/memory.ts'
import type { Dialer } from '../../../src/transport/transport.ts'
import { formatPeerAddress } from '../../../src/wire/address.ts'
import { buildSlot } from '../../../src/wire/slot.ts'
import { newChannel, newHead } from '../discovery/channel-fixture.ts'
import { HOUR_MS, NOON, quickHash, serviceIn } from '../discovery/gateway/gateway-rig.ts'
import { MemoryNetwork as MemoryDhtNetwork, MemorySlotStore } from '../discovery/memory-dht.ts'
import { SimNode } from '../swarm/sim-node.ts'

const HOOKS = { slotSet: () => null, onHead: () => {}, onPeers: () => {}, holders: () => 0 }

/** Follows a channel whose slots few nodes hold, for a while. @returns for what gateways were dialled. */
async function errands(gatewayIs: 'own' | 'of the link'): Promise<string[]> {
  const clock = new ManualClock(NOON)
  const network = new MemoryNetwork(clock, seededRandom(3), { latencyMs: 5 })
  const dhtNetwork = new MemoryDhtNetwork(clock)
  const service = serviceIn(dhtNetwork, clock, {})
  const gateway = new SimNode({ clock, network, host: '10.0.1.0', seed: 0, gateway: () => service })
  await gateway.listen()
  const subjects: string[] = []
  const transport = network.transport('10.0.0.1')
  const dialer: Dialer = {
    dial: (endpoint, options) => {
      subjects.push(options.circuit?.subject ?? '')
      return transport.dial(endpoint, options)
    },
  }
  const deps = {
    config: { useGateway: gatewayIs === 'own' ? [formatPeerAddress(gateway.pinned)] : [] },
    state: { slots: new MemorySlotStore() },
    publisherKeys: () => null,
    memoryHash: quickHash,
    clock,
    random: systemRandom,
    log: silentLog,
    tuning: {},
  } as unknown as NetworkDeps
  const reach = { dialer, resolve: null, spreadMs: 100, isAcceptable: () => true }
  const { discovery, close } = openGatewayDiscovery(deps, reach)
  const keys = newChannel()
  const head = newHead(keys, 3)
  for (const replica of [0, 1, 2]) {
    dhtNetwork.plant(buildSlot(keys, { day: dayOf(NOON), replica }, head.bytes), 2)
  }
  const followed = discovery.follow(keys, false, { ...HOOKS, newest: () => head })
  followed.useGateways([gateway.pinned])
  for (let step = 0; step < 60; step++) await clock.advance(HOUR_MS / 30)
  followed.stop()
  const closing = Promise.all([close(), service.close()])
  await clock.advance(60_000)
  await closing
  return subjects.map((subject) => subject.slice(0, subject.indexOf(' ')))
}

describe('a node without a DHT', () => {
  it('puts slots back through its own gateways', async () => {
    expect(new Set(await errands('own'))).toContain('put')
  })

  it('gives gateways that a link names nothing to put', async () => {
    const found = new Set(await errands('of the link'))
    expect(found).toContain('read')
    expect(found).not.toContain('put')
  })
})
