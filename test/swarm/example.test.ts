/**
 * An example of a swarm test: copy it to start a new one.
 *
 * A swarm test starts real nodes, `megatorrent serve` in processes of their own,
 * and talks to them as users do. It is slower than a unit test by a factor of a
 * thousand, so it shows what only whole nodes can show: here, that a folder
 * published on one node arrives on another that has nothing but the link.
 *
 * The name of the file is <area>-<feature>.test.ts, with the area one of p2p, safe,
 * gateway, dht, pex, channel, rpc, cli, plugin, feature. (This one is the exception.)
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { Testnet } from './harness/testnet.ts'
import { compareTrees, makeTree } from './harness/tree.ts'
import { waitUntil } from './harness/wait.ts'

// One variable for everything that has to be ended, so that it is also ended when the test fails half-way.
let net: Testnet | undefined

afterEach(async () => {
  // Ends processes that still run and removes their folders. It never fails a test; `stop` below does.
  await net?.dispose()
})

// Names are claims: what is written here is false when the test fails.
describe('a folder published on one node', () => {
  it('arrives on another that has only the link, and follows a second release', async () => {
    // Two nodes that serve a private DHT, and two ordinary ones that ask it. All on loopback, on
    // ports that the system picks, each with a data folder of its own under the temporary folder.
    net = await Testnet.start({ dhtNodes: 2, nodes: ['publisher', 'reader'] })
    const publisher = net.node('publisher')
    const reader = net.node('reader')

    // A tree that follows from its seed: should the test fail, it fails again with the same bytes.
    // `path` gives a place in the node's own folder, which goes away with the node.
    const source = publisher.path('source')
    await makeTree(source, { seed: 1, smallFiles: 20, awkward: true })

    // `json` runs the real command line in a process of its own, with --json and --data-dir, and
    // fails the test when the exit code is not 0 (or the one that is given as second argument).
    const { uri } = await publisher.json<{ uri: string }>(['channel', 'create', 'example'])
    const first = await publisher.json<{ sequence: number; storedBy: number }>([
      ...['publish', source, '--channel', 'example'],
    ])
    expect(first.sequence).toBe(1)
    expect(first.storedBy).toBeGreaterThanOrEqual(1)

    // The reader finds the publisher through the DHT. `--wait` returns when the release is complete.
    const target = reader.path('target')
    await reader.json(['subscribe', uri, '--dir', target, '--wait'])

    // What `diff -r` would say: nothing.
    expect(await compareTrees(source, target)).toEqual([])

    // A second release. The reader is connected, so it hears of it at once.
    await writeFile(join(source, 'news.txt'), 'something new')
    await publisher.json(['publish', source, '--channel', 'example'])

    // The only way to wait: say what must become true, and by when. The limit is for the broken
    // case, so it is generous; the test goes on the moment that the condition holds.
    await waitUntil(
      async () => (await compareTrees(source, target)).length === 0,
      15_000,
      // Called only on failure, to say what was seen instead.
      () => `the reader follows the second release\n${reader.stderrTail()}`,
    )

    // RPC by name of the method, for what the command line does not show in the form that is needed.
    const { subscriptions } = await reader.rpc<{ subscriptions: { sequence: number; state: string }[] }>(
      'getSubscriptions',
    )
    expect(subscriptions).toMatchObject([{ sequence: 2, state: 'complete' }])

    // Every node must end by itself within 10 s of SIGTERM, with exit 0 and nothing left behind.
    await net.stop()
  })
})
