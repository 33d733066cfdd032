/**
 * What a node in safe mode asks of the system: no datagram, no look for a name, no way but to the proxy, and
 * nothing loaded that knows another. What was planted shows.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { OnionNet } from '../swarm/harness/onion-net.ts'
import { TestNode, type TestNodeOptions } from '../swarm/harness/test-node.ts'
import { compareTrees, makeTree } from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'
import { syscallFaults, TRACED } from './syscall-faults.ts'

const HAS_STRACE = spawnSync('strace', ['-V']).status === 0
if (!HAS_STRACE) process.stderr.write('system calls: skipped, needs strace: apt-get install strace\n')

const cleanUps: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'megatorrent-test-'))
  cleanUps.push(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Its calls are written to a file, its pid is its own. */
const traced = (file: string): readonly string[] => [
  'strace',
  '-D',
  '-f',
  '-o',
  file,
  '-e',
  `trace=${TRACED}`,
]

describe.skipIf(!HAS_STRACE)('the system calls of a node in safe mode', () => {
  it('are those of a program that knows the proxy and nothing else', async () => {
    const folder = await newFolder()
    const net = new OnionNet()
    cleanUps.push(() => net.dispose())
    const source = join(folder, 'source')
    await mkdir(source)
    await makeTree(source, { seed: 5, smallFiles: 5, smallBytes: 1_000, bigBytes: 2_000_000 })
    const publisher = await net.node({ name: 'publisher', wrapper: traced(join(folder, 'publisher')) })
    const reader = await net.node({ name: 'reader', wrapper: traced(join(folder, 'reader')) })
    const { uri } = await publisher.node.rpc<{ uri: string }>('createChannel', { name: 'news' })
    await publisher.node.rpc('publish', { path: source, channel: 'news' }).catch(() => {}) // nobody can confirm
    const link = `${uri}&peer=name.example:7117&peer=${encodeURIComponent('[2620:fe::9]:7117')}`
    await reader.node.rpc('addSubscription', {
      uri: link,
      dir: join(folder, 'target'),
      wait: true,
      timeout: 50,
    })
    expect(await compareTrees(source, join(folder, 'target'))).toEqual([])
    const asked = (): boolean => reader.proxy.requests.some(({ host }) => host === 'name.example')
    await waitUntil(asked, 30_000, 'the name is asked for')
    for (const { node, proxy, control } of [publisher, reader]) {
      await node.stop()
      // The control port is the one thing besides that was given.
      const trace = readFileSync(join(folder, node.name), 'utf8')
      const faults = syscallFaults(trace, proxy.endpoint).filter(
        (line) => syscallFaults(line, control.endpoint).length,
      )
      expect(faults).toEqual([])
      expect(trace).toContain('connect(')
    }
  }, 120_000)

  it.each(['name', 'datagram', 'connection'])(
    'would show a planted %s',
    async (leak) => {
      const folder = await newFolder()
      const node = await start(folder, {
        args: ['--proxy', 'socks5://127.0.0.1:9'],
        nodeFlags: ['--import', fileURLToPath(new URL('planted-leak.mjs', import.meta.url))],
        env: { PLANTED_LEAK: leak },
      })
      const faults = (): string[] =>
        syscallFaults(readFileSync(join(folder, 'trace'), 'utf8'), { host: '127.0.0.1', port: 9 })
      await waitUntil(() => faults().length > 0, 20_000, 'it shows')
      await node.stop()
    },
    60_000,
  )

  it('would show what direct mode loads', async () => {
    const folder = await newFolder()
    const node = await start(folder, { args: ['--bootstrap', 'none'] })
    await node.stop()
    const faults = syscallFaults(readFileSync(join(folder, 'trace'), 'utf8'), { host: '127.0.0.1', port: 9 })
    for (const part of ['SOCK_DGRAM', 'bittorrent-dht', 'resolver.js']) {
      expect(faults.some((line) => line.includes(part))).toBe(true)
    }
  }, 60_000)
})

async function start(folder: string, options: TestNodeOptions): Promise<TestNode> {
  const node = await TestNode.start({ ...options, wrapper: traced(join(folder, 'trace')) })
  cleanUps.push(() => node.dispose())
  return node
}
