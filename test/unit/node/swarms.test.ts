import { describe, expect, it } from 'vitest'
import { Swarms } from '../../../src/node/swarms.ts'
import { useRigs } from '../swarm/rig.ts'
import { SimChannel, type SimNode } from '../swarm/sim-node.ts'

const newRig = useRigs()

describe('the swarms of a node', () => {
  it('lose no more connections than are too many, all together', async () => {
    const rig = newRig()
    const channels = [new SimChannel(1), new SimChannel(2), new SimChannel(3)]
    const hubs: SimNode[] = []
    for (const channel of channels) {
      const hub = await rig.node()
      const { channel: joined } = hub.follow(channel)
      const members = [await rig.node({ listenPort: 0 }), await rig.node({ listenPort: 0 })]
      for (const member of members) member.follow(channel)
      hub.swarm.addAddresses(
        joined,
        members.map(({ address }) => address),
        'link',
      )
      await rig.until(() => hub.swarm.peersOf(joined) === 2)
      hubs.push(hub)
    }
    const swarms = new Swarms(new Set(hubs.map(({ swarm }) => swarm)), (hubs[0] as SimNode).banned)
    const open = (): number => swarms.peers.filter(({ connection }) => !connection.closed).length
    expect(open()).toBe(6)
    swarms.shed(4, rig.clock.monotonicMs())
    expect(open()).toBe(4)
    swarms.shed(4, rig.clock.monotonicMs())
    expect(open()).toBe(4)
  })
})
