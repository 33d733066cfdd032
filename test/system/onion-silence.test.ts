/**
 * An onion of one channel says nothing to who knows another channel of the same node: the silence lasts until the
 * deadline of the handshake, so it takes longer than what `npm test` has (test/unit/transport/acceptor.test.ts has
 * the rule itself).
 */
import { afterEach, describe, expect, it } from 'vitest'
import { OnionNet } from '../swarm/harness/onion-net.ts'
import { waitUntil } from '../swarm/harness/wait.ts'

interface Channel {
  readonly uri: string
  readonly onionAddress: string
}

const net = new OnionNet()

afterEach(() => net.dispose())

const hostOf = ({ onionAddress }: Channel): string => onionAddress.split(':')[0] as string

describe('the onion of one channel', () => {
  it('is deaf to who knows another one of its node', async () => {
    const { node, control } = await net.node({ name: 'publisher' })
    const make = (name: string): Promise<Channel> => node.rpc('createChannel', { name })
    const [one, two] = [await make('one'), await make('two')]
    await waitUntil(() => control.onions.size === 2, 20_000, 'both onions are there')
    const stranger = await net.node({ name: 'stranger' })
    const asked = (of: Channel): number =>
      stranger.proxy.requests.filter(({ host }) => host === hostOf(of)).length
    const follow = (uri: string): Promise<unknown> =>
      stranger.node.rpc('addSubscription', { uri, dir: stranger.node.path('here'), wait: false })
    await follow(two.uri.replace(encodeURIComponent(two.onionAddress), encodeURIComponent(one.onionAddress)))
    const isRefused = (): boolean => stranger.node.stderr.includes('connecting failed')
    await waitUntil(isRefused, 30_000, 'nobody answered it')
    expect([asked(one), asked(two)]).toEqual([expect.toSatisfy((count) => count >= 1), 0])
    expect(stranger.node.stderr + node.stderr).not.toContain('peer connected')
    // The same stranger, at the door of the channel that it knows.
    await stranger.node.rpc('removeSubscription', { uri: two.uri })
    await follow(two.uri)
    await waitUntil(() => node.stderr.includes('peer connected'), 30_000, 'it is let in there')
  }, 90_000)
})
