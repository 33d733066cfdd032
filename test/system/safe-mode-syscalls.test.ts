/**
 * What a node in safe mode asks of the system: no datagram, no look for a name, no way but to the proxy, and
 * nothing loaded that knows another. What was planted shows.
 */
import { spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { OnionNet } from '../swarm/harness/onion-net.ts'
import { PROJECT_ROOT, TestNode, type TestNodeOptions } from '../swarm/harness/test-node.ts'
import { compareTrees, makeTree } from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'
import { DIRECT_PART, syscallFaults, TRACED } from './syscall-faults.ts'

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

/** Of a node that does not exist. */
function anyNodeKey(): string {
  const { publicKey } = generateKeyPairSync('ed25519')
  return Buffer.from(publicKey.export({ format: 'jwk' }).x as string, 'base64url').toString('hex')
}

describe.skipIf(!HAS_STRACE)('the system calls of a node in safe mode', () => {
  it('are those of a program that knows the proxy and nothing else', async () => {
    const folder = await newFolder()
    const net = new OnionNet()
    cleanUps.push(() => net.dispose())
    const source = join(folder, 'source')
    await mkdir(source)
    await makeTree(source, { seed: 5, smallFiles: 5, smallBytes: 1_000, bigBytes: 2_000_000 })
    const publisher = await net.node({
      name: 'publisher',
      wrapper: traced(join(folder, 'publisher')),
      args: ['--use-gateway', `${anyNodeKey()}@gateway.example:7117`],
    })
    const reader = await net.node({ name: 'reader', wrapper: traced(join(folder, 'reader')) })
    const { uri } = await publisher.node.rpc<{ uri: string }>('createChannel', { name: 'news' })
    await publisher.node.rpc('publish', { path: source, channel: 'news', timeout: 1 }).catch(() => {}) // nobody can confirm
    const gateway = `gateway=${anyNodeKey()}${encodeURIComponent('@9.9.9.9:7117')}`
    const link = `${uri}&peer=name.example:7117&peer=${encodeURIComponent('[2620:fe::9]:7117')}&${gateway}`
    await reader.node.rpc('addSubscription', {
      uri: link,
      dir: join(folder, 'target'),
      wait: true,
      timeout: 50,
    })
    expect(await compareTrees(source, join(folder, 'target'))).toEqual([])
    for (const [{ proxy }, name] of [
      [reader, 'name.example'],
      [reader, '9.9.9.9'],
      [publisher, 'gateway.example'],
    ] as const) {
      const asked = (): boolean => proxy.requests.some(({ host }) => host === name)
      await waitUntil(asked, 30_000, `the proxy of one is asked for ${name}`)
    }
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
    for (const part of ['SOCK_DGRAM', DIRECT_PART]) {
      expect(faults.some((line) => line.includes(part))).toBe(true)
    }
  }, 60_000)

  it.each(['dgram', 'dns/promises', '/bittorrent-dht/', '/mainline-client.ts', '/resolver.ts'])(
    'would show it, for %s is in no other part of the program',
    (mark) => {
      const folder = join(PROJECT_ROOT, 'dist', 'bin')
      const parts = readdirSync(folder).filter((name) => /^(?:megatorrent|worker|part-.*)\.js$/.test(name))
      const marked = parts.filter((name) => readFileSync(join(folder, name), 'utf8').includes(mark))
      expect(parts.length).toBeGreaterThan(3)
      expect(marked).toEqual([DIRECT_PART])
    },
  )
})

async function start(folder: string, options: TestNodeOptions): Promise<TestNode> {
  const node = await TestNode.start({ ...options, wrapper: traced(join(folder, 'trace')) })
  cleanUps.push(() => node.dispose())
  return node
}
