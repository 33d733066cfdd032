/**
 * What a release takes over Tor beside what curl takes for as many bytes, on the same private network in the same
 * run. Printed, for bench/results.md; nothing is asked of the figures, since Tor's own differ from run to run.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { TorControl } from '../../src/transport/onion/tor-control.ts'
import { TcpTransport } from '../../src/transport/tcp.ts'
import { TestNode } from '../swarm/harness/test-node.ts'
import { writeSeededFile } from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'
import { hasTor, type TorClient, TorNet } from '../system/tor-net.ts'

const MIB = 1_048_576
const BYTES = 48 * MIB
const CHANNELS = 4
const LONG_MS = 300_000

let tor: TorNet
let folder: string
let server: http.Server
let control: TorControl
let onion = ''
let publisher: TestNode
let reader: TestNode

const nodeArgs = ({ socks, control: at }: TorClient): readonly string[] => [
  ...['--proxy', `socks5://${socks.host}:${socks.port}`, '--tor-control', `${at.host}:${at.port}`],
]

async function completed(): Promise<Map<string, number>> {
  const { subscriptions } = await reader.rpc<{
    subscriptions: { publicKey: string; sequence: number; state: string }[]
  }>('getSubscriptions')
  return new Map(
    subscriptions.map(({ publicKey, sequence, state }) => [publicKey, state === 'complete' ? sequence : 0]),
  )
}

const publish = (channel: string): Promise<unknown> =>
  publisher.rpc('publish', { path: join(folder, channel), channel }, LONG_MS).catch(() => {}) // nobody confirms

/** bytes a second of one curl, under a user name of its own. */
async function curl(client: TorClient): Promise<number> {
  const user = randomBytes(8).toString('hex')
  const { stdout } = await promisify(execFile)(
    'curl',
    [
      ...['--silent', '--show-error', '--output', '/dev/null', '--write-out', '%{speed_download}'],
      ...[
        '--socks5-hostname',
        `${client.socks.host}:${client.socks.port}`,
        '--proxy-user',
        `${user}:${user}`,
      ],
      `http://${onion}/`,
    ],
    { timeout: LONG_MS },
  )
  return Number(stdout)
}

describe.skipIf(!hasTor())('over a private Tor', () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'megatorrent-test-'))
    tor = await TorNet.start(2)
    const [first, second] = tor.clients as [TorClient, TorClient]
    const body = randomBytes(BYTES)
    server = http.createServer((_, response) => response.end(body)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    control = await TorControl.open({
      ...{ dialer: new TcpTransport(), endpoint: first.control, clock: systemClock, password: null },
      readCookie: (path) => readFile(path),
      nonce: Uint8Array.from(randomBytes(32)),
      onPublished: () => {},
      onClosed: () => {},
    })
    const { port } = server.address() as AddressInfo
    const target = { host: '127.0.0.1', port }
    onion = await control.addOnion({ seed: Uint8Array.from(randomBytes(32)), port: 80, target })
    publisher = await TestNode.start({ name: 'publisher', args: nodeArgs(first) })
    reader = await TestNode.start({ name: 'reader', args: nodeArgs(second) })
    for (let number = 0; number < CHANNELS; number++) {
      const name = `c${number}`
      await mkdir(join(folder, name))
      await writeSeededFile(join(folder, name, 'small'), 1_000, number)
      const { uri } = await publisher.rpc<{ uri: string }>('createChannel', { name })
      await publish(name)
      const dir = join(folder, `to-${name}`)
      await reader.rpc('addSubscription', { uri, dir, wait: true, timeout: 280 }, LONG_MS)
    }
  }, LONG_MS * 2)

  afterAll(async () => {
    await reader?.dispose()
    await publisher?.dispose()
    control?.close()
    server?.close()
    await tor?.dispose()
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  })

  /** ms until all of these channels have a release more, each with a new file of `bytes`. */
  async function releases(count: number, bytes: number, seed: number): Promise<number> {
    const before = Math.max(...(await completed()).values())
    for (let number = 0; number < count; number++) {
      await writeSeededFile(join(folder, `c${number}`, `big-${seed}`), bytes, seed + number)
    }
    const wanted = [...(await completed())].filter(([, sequence]) => sequence > 0)
    const startMs = performance.now()
    for (let number = 0; number < count; number++) await publish(`c${number}`)
    const isThere = async (): Promise<boolean> => {
      const now = await completed()
      return wanted.filter(([key, sequence]) => (now.get(key) ?? 0) > sequence).length === count
    }
    await waitUntil(isThere, LONG_MS, () => reader.stderrTail())
    expect(before).toBeGreaterThan(0)
    return performance.now() - startMs
  }

  it(
    'a release takes about as long as curl, and four channels share four circuits',
    async () => {
      const [, second] = tor.clients as [TorClient, TorClient]
      const floors = [await curl(second), await curl(second), await curl(second)]
      const one = (BYTES * 1000) / (await releases(1, BYTES, 100))
      const again = (BYTES * 1000) / (await releases(1, BYTES, 200))
      const four = (BYTES * 1000) / (await releases(CHANNELS, BYTES / CHANNELS, 300))
      const text = [...floors, one, again, four].map((rate) => (rate / 1e6).toFixed(1)).join(' ')
      process.stdout.write(`over Tor, MB/s: curl three times, one channel twice, four channels: ${text}\n`)
    },
    LONG_MS * 3,
  )
})
