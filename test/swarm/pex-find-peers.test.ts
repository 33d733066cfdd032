/**
 * Direct mode without a DHT: nodes that know one node of a channel find all the
 * others through it, and go on when it is gone.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { TYPES } from './harness/bare-connection.ts'
import { BareChannel } from './harness/bare-crypto.ts'
import { dialBare, ipv4Address } from './harness/bare-peer.ts'
import { TestNode } from './harness/test-node.ts'
import { compareTrees, makeTree } from './harness/tree.ts'
import { waitUntil } from './harness/wait.ts'

const nodes: TestNode[] = []

afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.dispose()))
})

async function start(name: string): Promise<TestNode> {
  const node = await TestNode.start({ name, args: ['--no-dht'] })
  nodes.push(node)
  return node
}

interface PeerRow {
  readonly address: string | null
  readonly direction: 'in' | 'out'
}

async function dialled(node: TestNode): Promise<string[]> {
  const { peers } = await node.rpc<{ peers: PeerRow[] }>('getPeers')
  return peers.filter(({ direction }) => direction === 'out').map(({ address }) => address ?? '')
}

describe('a subscriber that knows one peer and no DHT', () => {
  it('finds the others, and hears of a release after that peer has gone', async () => {
    const [publisher, hub, early, late] = [
      await start('publisher'),
      await start('hub'),
      await start('early'),
      await start('late'),
    ]
    const at = (node: TestNode): string => `${node.endpoint.host}:${node.endpoint.port}`
    const source = publisher.path('source')
    await makeTree(source, { seed: 7, smallFiles: 5 })
    const { uri } = await publisher.json<{ uri: string }>(['channel', 'create', 'example'])
    // Without --peer or DHT nobody can be asked to store the slot: that it says so is not of interest here.
    await publisher.cli(['publish', source, '--channel', 'example'])
    const [bare = ''] = uri.split('?')
    await hub.json(['subscribe', `${bare}?peer=${at(publisher)}`, '--wait'])
    for (const node of [early, late]) await node.json(['subscribe', `${bare}?peer=${at(hub)}`, '--wait'])

    // The hub dialled the publisher and tells of it; the two others it met where they said that they listen.
    const others = [publisher, early]
    await waitUntil(
      async () => {
        const peers = await dialled(late)
        return (
          peers.includes(at(publisher)) &&
          (peers.includes(at(early)) || (await dialled(early)).includes(at(late)))
        )
      },
      80_000,
      () => `late is connected to ${others.map(({ name }) => name).join(', ')}\n${late.stderrTail()}`,
    )
    await hub.stop()
    await writeFile(join(source, 'news.txt'), 'something new')
    await publisher.cli(['publish', source, '--channel', 'example'])
    for (const node of [early, late]) {
      await waitUntil(
        async () => {
          const { subscriptions } = await node.rpc<{
            subscriptions: { sequence: number; state: string; directory: string }[]
          }>('getSubscriptions')
          const [only] = subscriptions
          if (only?.sequence !== 2 || only.state !== 'complete') return false
          return (await compareTrees(source, only.directory)).length === 0
        },
        60_000,
        () => `${node.name} has the second release\n${node.stderrTail()}`,
      )
    }
    for (const node of [publisher, early, late]) await node.stop()
    expect(nodes.length).toBe(4)
    // Alone it takes some 15 s; the limit is for machines that do much else.
  }, 180_000)
})

describe('FIND_PEERS', () => {
  it('for a channel that only the one who asks has shown is not answered, and is once both have', async () => {
    const node = await start('holder')
    const [dialled, other] = await Promise.all(
      ['dialled', 'other'].map(async (name) => {
        const { uri } = await node.rpc<{ uri: string }>('createChannel', { name })
        return BareChannel.fromLink(uri)
      }),
    )
    if (dialled === undefined || other === undefined) throw new Error('no channels')
    const { host, port } = node.endpoint
    const asker = await dialBare(host, port, {
      psk: dialled.handshakeKey(),
      dialled: ipv4Address(host, port),
    })
    const codeOf = async (requestId: number): Promise<number | 'peers'> => {
      const { type, body } = await asker.answerTo(requestId)
      return type === TYPES.PEERS ? 'peers' : body.readUInt16BE(0)
    }
    // In one go: the node's own HELLO of the second channel comes a moment after that of the first.
    asker.sendHello([[dialled, 0n]])
    asker.sendHello([
      [dialled, 0n],
      [other, 0n],
    ])
    const [ofDialled, ofOther] = [asker.findPeers(dialled), asker.findPeers(other)]
    expect([await codeOf(ofDialled), await codeOf(ofOther)]).toEqual(['peers', 2])
    const isShown = ({ type, body }: { readonly type: number; readonly body: Buffer }): boolean =>
      type === TYPES.HELLO && other.findInHello(body, asker.handshakeHash, asker.remoteRole) !== null
    await asker.receiveUntil(isShown, 'a HELLO that shows the second channel')
    expect(await codeOf(asker.findPeers(other))).toBe('peers')
    asker.close()
    await node.stop()
  })
})
