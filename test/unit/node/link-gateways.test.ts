import { describe, expect, it } from 'vitest'
import { LinkGateways } from '../../../src/node/link-gateways.ts'
import { parsePeerAddress } from '../../../src/wire/address.ts'
import { FakeDiscovery } from '../channels/channel-node.ts'
import { newChannel } from '../discovery/channel-fixture.ts'

const GOOD = parsePeerAddress('9.9.9.9:7117')
const OTHER = parsePeerAddress('9.9.9.8:7117')
const HOOKS = {
  newest: () => null,
  slotSet: () => null,
  onHead: () => {},
  onPeers: () => {},
  holders: () => 0,
}

function rig() {
  const opened: { readonly addresses: unknown; readonly discovery: FakeDiscovery; isClosed: boolean }[] = []
  const links = new LinkGateways({
    isAcceptable: ({ host }) => host.startsWith('9.'),
    open: (addresses) => {
      const one = { addresses, discovery: new FakeDiscovery(), isClosed: false }
      opened.push(one)
      return {
        discovery: one.discovery,
        close: async () => {
          one.isClosed = true
        },
      }
    },
  })
  const follow = () => links.follow(newChannel(), false, HOOKS)
  return { opened, links, follow }
}

describe('gateways that links name', () => {
  it('are asked for the channel of the link alone, at once, and with every look from then on', async () => {
    const { opened, follow } = rig()
    const [first, second] = [follow(), follow()]
    await first.look(new AbortController().signal)
    expect(opened).toEqual([])
    first.useGateways([GOOD])
    second.useGateways([OTHER])
    expect(opened.map(({ addresses }) => addresses)).toEqual([[GOOD], [OTHER]])
    await first.look(new AbortController().signal)
    expect(opened.map(({ discovery }) => discovery.last.looks)).toEqual([2, 1])
  })

  it('are none that we would not dial, and no names', () => {
    const { opened, follow } = rig()
    const followed = follow()
    followed.useGateways(['10.0.0.1:1', '127.0.0.1:7117', 'gateway.example:7117'].map(parsePeerAddress))
    expect(opened).toEqual([])
    followed.useGateways([parsePeerAddress('10.0.0.1:1'), GOOD])
    expect(opened.map(({ addresses }) => addresses)).toEqual([[GOOD]])
  })

  it('are those of the first link that names any', () => {
    const { opened, follow } = rig()
    const followed = follow()
    followed.useGateways([GOOD])
    followed.useGateways([OTHER])
    expect(opened).toHaveLength(1)
  })

  it('are left when the channel is, and when the node stops', async () => {
    const { opened, links, follow } = rig()
    const [first, second, late] = [follow(), follow(), follow()]
    first.useGateways([GOOD])
    second.useGateways([OTHER])
    first.stop()
    expect(opened.map(({ isClosed, discovery }) => [isClosed, discovery.last.isStopped])).toEqual([
      [true, true],
      [false, false],
    ])
    await links.close()
    expect(opened.map(({ isClosed }) => isClosed)).toEqual([true, true])
    late.stop()
    late.useGateways([GOOD])
    expect(opened).toHaveLength(2)
  })

  it('are given nothing to put', async () => {
    expect(await rig().links.publish()).toBe(0)
  })
})
