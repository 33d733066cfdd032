/**
 * Nothing of a node in safe mode goes anywhere but to its proxy: counted by the kernel in a namespace of the
 * node's own, over everything that a user, a peer, a link or a broken proxy can make it do. What was leaked on
 * purpose is counted.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { seededRandom } from '../../src/base/random.ts'
import type { CliIo } from '../../src/cli/io.ts'
import { runCli } from '../../src/cli/program.ts'
import { parseAddress } from '../../src/wire/address.ts'
import { encodePeerAddresses } from '../../src/wire/peers.ts'
import { type BareConnection, TYPES } from '../swarm/harness/bare-connection.ts'
import { BareChannel } from '../swarm/harness/bare-crypto.ts'
import { BareListener } from '../swarm/harness/bare-peer.ts'
import { type Socks5Behaviour, Socks5Server, type SocksRequest } from '../swarm/harness/socks5-server.ts'
import { type CommandResult, TestNode } from '../swarm/harness/test-node.ts'
import { compareTrees, makeTree } from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'
import { hasLab, LeakLab, PROXY_HOST, RPC_PORT } from './leak-lab.ts'

const HAS_LAB = hasLab()
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000)
const NODE_KEY = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a'
const ONION = '25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid.onion'
const TOLD_ONION = 'vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd.onion'
const PROXY_DEATHS = 50

let lab: LeakLab
let proxy: Socks5Server
let folder: string
/** In direct mode, on the other side of the proxy; its link is followed. */
let publisher: TestNode
let node: TestNode
let uri = ''

const proxyPort = (): number => proxy.endpoint.port

/** Where names and addresses lead on the other side of the proxy, ports on loopback; all else leads nowhere. */
const routes = new Map<string, number>()

const route = ({ host, port }: SocksRequest): { host: string; port: number } => ({
  host: '127.0.0.1',
  port: routes.get(`${host}:${port}`) ?? 1,
})

const startProxy = (port = 0): Promise<Socks5Server> => Socks5Server.start(route, port, PROXY_HOST)

function newNode(
  options: { args?: readonly string[]; nodeFlags?: readonly string[]; env?: Record<string, string> } = {},
): Promise<TestNode> {
  const args = [
    '--proxy',
    `socks5://${PROXY_HOST}:${proxyPort()}`,
    '--start-spread',
    '0.001',
    ...(options.args ?? []),
  ]
  return TestNode.create({
    ...{ name: 'safe', wrapper: lab.wrapper, rpc: `127.0.0.1:${RPC_PORT}` },
    ...options,
    args,
  })
}

/** Run a command and insist on its exit code. */
async function command(args: readonly string[], exitCodes: readonly number[] = [0]): Promise<CommandResult> {
  const result = await node.cli(args)
  if (!exitCodes.includes(result.exitCode ?? -1)) {
    throw new Error(`${args.join(' ')} ended with ${result.exitCode}\n${result.stderr}${node.stderrTail()}`)
  }
  return result
}

/** At the same place, with nothing written down yet. */
async function restartProxy(behaviour: Socks5Behaviour): Promise<void> {
  const port = proxyPort()
  await proxy.close()
  proxy = await startProxy(port)
  proxy.behaviour = behaviour
}

async function restartNode(): Promise<void> {
  await node.kill()
  await node.begin()
}

/** Start it where it should refuse to. */
async function startAnyhow(): Promise<{ exitCode: number | null; stderr: string }> {
  const failed = await node.begin().then(
    () => '',
    (error: unknown) => String(error),
  )
  return { exitCode: node.exitCode, stderr: failed }
}

async function asked(host: string): Promise<void> {
  await waitUntil(
    () => proxy.requests.some((request) => request.host === host),
    30_000,
    `${host} is asked for`,
  )
}

/** What the user does, one after the other on one node. Exit codes that are right. */
const COMMANDS: readonly (readonly [string, readonly string[], readonly number[]])[] = [
  ['status', ['status'], [0]],
  ['health', ['health'], [0]],
  ['create a channel', ['channel', 'create', 'own'], [0]],
  ['create a private one', ['channel', 'create', 'secret', '--private'], [0]],
  ['create an open one', ['channel', 'create', 'wide', '--open'], [0]],
  ['list channels', ['channel', 'list'], [0]],
  ['show a channel', ['channel', 'show', 'own'], [0]],
  ['ingest', ['ingest', 'SOURCE', '--channel', 'own'], [0]],
  ['publish where nobody can confirm', ['publish', 'SOURCE', '--channel', 'own', '--timeout', '2'], [2, 6]],
  ['publish again', ['publish', 'SOURCE', '--channel', 'own', '--timeout', '2'], [2, 6]],
  ['publish on an open channel', ['publish', 'SOURCE', '--channel', 'wide', '--timeout', '2'], [2, 6]],
  ['unpublish', ['unpublish', 'own', '--timeout', '2'], [0, 2, 6]],
  ['export a key', ['channel', 'export', 'own', 'KEYFILE'], [0]],
  ['remove a channel', ['channel', 'remove', 'own', '--yes'], [0]],
  ['import a key', ['channel', 'import', 'KEYFILE'], [0]],
  ['a peer by a name', ['peers', 'add', `${NODE_KEY}@publisher.example:7117`], [0]],
  ['a peer by IPv4', ['peers', 'add', `${NODE_KEY}@198.51.100.9:7117`], [0]],
  ['a peer by IPv6', ['peers', 'add', `${NODE_KEY}@[2001:db8::9]:7117`], [0]],
  ['a peer by an onion', ['peers', 'add', `${ONION}:7117`], [0]],
  ['a peer without a key', ['peers', 'add', '198.51.100.10:7117'], [64]],
  ['peers', ['peers'], [0]],
  ['ban', ['peers', 'ban', NODE_KEY], [0]],
  ['unban', ['peers', 'unban', NODE_KEY], [0]],
  ['follow a channel', ['subscribe', 'URI', '--dir', 'TARGET', '--wait', '--timeout', '50'], [0]],
  ['subscriptions', ['subscriptions'], [0]],
  ['files of a release', ['ls', 'URI'], [0]],
  ['releases', ['releases', 'KEY'], [0]],
  ['a link full of addresses', ['get', 'HOSTILE', '--timeout', '3'], [2, 3]],
  ['a channel that nobody has', ['get', `megatorrent://${NODE_KEY}`, '--timeout', '2'], [2, 3]],
  ['host a channel', ['host', `megatorrent://${NODE_KEY}`], [0]],
  ['limits', ['limits', '--upload-limit', '1M'], [0]],
  ['verify', ['verify'], [0]],
  ['collect', ['gc'], [0]],
  ['pause', ['pause', 'KEY'], [0]],
  ['resume', ['resume', 'KEY'], [0]],
  ['unsubscribe', ['unsubscribe', 'KEY', '--delete-files'], [0]],
  ['fetch once', ['get', 'URI', '--dir', 'ONCE', '--timeout', '50'], [0]],
  ['settings', ['config', 'show', '--origin'], [0]],
  ['one subscription', ['subscriptions', 'show', 'KEY'], [3]],
  ['completion', ['completion', 'bash'], [0]],
  ['jobs', ['jobs'], [0]],
  ['end a job', ['jobs', 'cancel', '1'], [3]],
  ['make a token', ['token', 'create', 'player', '--file', 'TOKENFILE'], [0]],
  ['list tokens', ['token', 'list'], [0]],
  ['revoke a token', ['token', 'revoke', 'player'], [0]],
  ['a link to the page', ['web'], [0]],
  ['the doctor', ['doctor'], [0]],
]

/** Commands that are no scenario of that table: the start of every test, the end of one, and what starts nodes of its own. */
const OTHER_COMMANDS = ['serve', 'stop', 'demo', 'help']

const MISBEHAVIOURS: readonly (readonly [string, Socks5Behaviour])[] = [
  ['says nothing', { silentAfter: 'greeting' }],
  ['says nothing more', { silentAfter: 'request' }],
  ['refuses our credentials', { accepts: () => false }],
  ['wants no credentials', { method: 0 }],
  ['offers no method', { method: 0xff }],
  ['hangs up', { closesAfter: 'request' }],
  ['finds no way', { replies: 5 }],
  ['is none', { junk: Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n') }],
]

/** Lines of config.toml, and the key that the refusal names. */
const UNSAFE_LINES: readonly (readonly [string, string])[] = [
  ['no_dht = false', 'no_dht'],
  ['dht_server = true', 'dht_server'],
  ['dht_port = 6881', 'dht_port'],
  ['bootstrap = ["router.bittorrent.com:6881"]', 'bootstrap'],
  ['external = "9.9.9.7:7117"', 'external'],
  ['peer = ["9.9.9.7:7117"]', 'peer'],
]

const LEAKS = ['name', 'datagram', 'connection', 'ipv6', 'loopback'] as const

describe.skipIf(!HAS_LAB)(`in safe mode (SEED=${SEED})`, () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'megatorrent-test-'))
    lab = new LeakLab()
    proxy = await startProxy()
    lab.allow(proxyPort())
    publisher = await TestNode.start({
      name: 'publisher',
      args: ['--no-dht', '--external', '9.9.9.9:7117'],
    })
    routes.set('9.9.9.9:7117', publisher.endpoint.port)
    const source = join(folder, 'source')
    await mkdir(source)
    await makeTree(source, { seed: SEED, smallFiles: 10, smallBytes: 1_000, bigBytes: 2_000_000 })
    await writeFile(
      join(source, 'http:%2f%2f192.0.2.80%2f.url'),
      '[InternetShortcut]\nURL=http://192.0.2.80/\n',
    )
    const channel = await publisher.rpc<{ uri: string; publicKey: string }>('createChannel', { name: 'news' })
    await publisher
      .rpc('publish', {
        path: source,
        channel: 'news',
        title: 'see http://192.0.2.81/ and //tracker.example',
      })
      .catch(() => {}) // there is nobody to confirm it, and it is published
    uri = channel.uri
    node = await newNode()
    await node.begin()
  }, 60_000)

  afterAll(async () => {
    await node?.dispose()
    await publisher?.dispose()
    await proxy?.close()
    lab?.dispose()
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  })

  const words = (args: readonly string[]): string[] => {
    const key = /[0-9a-f]{64}/.exec(uri)?.[0] ?? ''
    const hostile = [
      '10.0.0.1:7117',
      '127.0.0.1:7118',
      '198.51.100.20:7117',
      '[2001:db8::20]:7117',
      'x.example:80',
      'localhost:7117',
      'printer.local:7117',
    ]
    const values: Record<string, string> = {
      SOURCE: join(folder, 'source'),
      KEYFILE: join(folder, 'key'),
      TARGET: join(folder, 'target'),
      ONCE: join(folder, 'once'),
      TOKENFILE: join(folder, 'token'),
      URI: uri,
      KEY: key,
      HOSTILE: `megatorrent://${NODE_KEY}?${hostile.map((text) => `peer=${encodeURIComponent(text)}`).join('&')}`,
    }
    return args.map((arg) => values[arg] ?? arg)
  }

  it('starts', () => {
    expect(node.ready).toMatchObject({ mode: 'safe', dhtPort: null, peerAddress: null })
    expect(lab.counted().leaked).toBe(0)
  })

  it('has every command among what follows', async () => {
    const commandsOf = async (group: readonly string[]): Promise<string[]> => {
      let help = ''
      const write = (text: string | Uint8Array): boolean => {
        help += text
        return true
      }
      await runCli([...group, '--help'], { stdout: { write } } as unknown as CliIo)
      const list = help.split('Commands:')[1] ?? ''
      return [...list.matchAll(/^ {2}([a-z]+)/gm)].map((match) => match[1] as string)
    }
    const isRun = (...names: string[]): boolean =>
      COMMANDS.some(([, args]) => names.every((name, at) => args[at] === name))
    const missing: string[] = []
    for (const name of await commandsOf([])) {
      if (OTHER_COMMANDS.includes(name)) continue
      if (!isRun(name)) missing.push(name)
      const inner = (await commandsOf([name])).filter((one) => !OTHER_COMMANDS.includes(one))
      missing.push(...inner.filter((one) => !isRun(name, one)).map((one) => `${name} ${one}`))
    }
    expect(missing).toEqual([])
  }, 60_000)

  it.each(COMMANDS)('%s', async (_, args, exitCodes) => {
    await command(words(args), exitCodes)
    expect(lab.counted().leaked).toBe(0)
  })

  it('and what was fetched came through the proxy', async () => {
    expect(await compareTrees(join(folder, 'source'), join(folder, 'once'))).toEqual([])
    for (const host of ['publisher.example', '9.9.9.9', '198.51.100.9', '2001:db8:0:0:0:0:0:9', ONION]) {
      await asked(host)
    }
    // Of the hostile link: what is public or a name may be asked for, what is of networks of ours never.
    await asked('x.example')
    const hosts = new Set(proxy.requests.map(({ host }) => host))
    expect([...hosts].filter((host) => /^(?:10|127|192\.0\.2)\.|local/.test(host))).toEqual([])
    expect(lab.counted().leaked).toBe(0)
  })

  it('addresses that a peer tells of are asked for if they are onions, and not else', async () => {
    const channel = new BareChannel(Buffer.from(NODE_KEY, 'hex'))
    const told = ['9.9.9.20:7117', '[2620:fe::20]:7117', '10.0.0.20:7117', `${TOLD_ONION}:7117`].map(
      parseAddress,
    )
    const connections: BareConnection[] = []
    const liar = await BareListener.listen({
      channels: [channel],
      async onConnection(connection) {
        connections.push(connection)
        connection.peersTold = Buffer.concat([Buffer.of(told.length), encodePeerAddresses(told)])
        connection.sendHello([[channel, 1n]])
        while ((await connection.receive(60_000)) !== null);
      },
    })
    routes.set('9.9.9.8:7117', liar.port)
    await command(['subscribe', `megatorrent://${NODE_KEY}?peer=9.9.9.8:7117`, '--dir', join(folder, 'liar')])
    const isAsked = (): boolean => connections.some(({ peersAsked }) => peersAsked > 0)
    await waitUntil(isAsked, 60_000, () => `it is asked for peers\n${node.stderrTail()}`)
    await asked(TOLD_ONION)
    expect(proxy.requests.some(({ host }) => host === '9.9.9.20' || host === '10.0.0.20')).toBe(false)
    expect(proxy.requests.some(({ host }) => host.startsWith('2620:'))).toBe(false)
    expect(lab.counted().leaked).toBe(0)
    await liar.close()
  }, 120_000)

  /** Followed anew while the proxy is of no use; arrives once it is. */
  async function arrives(mend: () => Promise<void>): Promise<void> {
    await command(['subscribe', uri, '--dir', join(folder, 'waiting')])
    await waitUntil(() => proxy.offered.length > 0, 30_000, 'the proxy is tried')
    await command(['status'])
    await mend()
    const isDone = async (): Promise<boolean> =>
      (await command(['subscriptions', '--json'])).stdout.includes('"complete"')
    await waitUntil(isDone, 60_000, () => `all goes on when it is better\n${node.stderrTail()}`)
    await command(['unsubscribe', uri, '--delete-files'])
    expect(lab.counted().leaked).toBe(0)
  }

  it.each(MISBEHAVIOURS)(
    'a proxy that %s',
    async (_, behaviour) => {
      await restartProxy(behaviour)
      await restartNode()
      await arrives(async () => {
        proxy.behaviour = {}
        if (behaviour.silentAfter !== undefined) await restartNode() // else a dial waits for a minute
      })
    },
    120_000,
  )

  it('a proxy that is not there when the node starts', async () => {
    const port = proxyPort()
    await proxy.close()
    await restartNode()
    await command(['subscribe', uri, '--dir', join(folder, 'waiting')])
    const isAway = async (): Promise<boolean> =>
      (await command(['status'])).stdout.includes('cannot be reached')
    await waitUntil(isAway, 30_000, 'status says so')
    proxy = await startProxy(port)
    await arrives(async () => {})
  }, 120_000)

  it(`a proxy that dies at ${PROXY_DEATHS} moments`, async () => {
    const random = seededRandom(SEED)
    let asked = 0
    for (let death = 0; death < PROXY_DEATHS; death++) {
      const adding = command(['peers', 'add', `${NODE_KEY}@198.51.100.${100 + death}:7117`])
      await sleep(random.fraction() * 500) // a random moment is what is wanted
      asked += proxy.offered.length
      await restartProxy({})
      await adding
    }
    expect(asked).toBeGreaterThan(PROXY_DEATHS / 5)
    expect(lab.counted().leaked).toBe(0)
  }, 300_000)

  it('the node is killed and starts again', async () => {
    for (let kill = 0; kill < 3; kill++) await restartNode()
    await command(['status'])
    expect(lab.counted().leaked).toBe(0)
  })

  it('is not left by settings that would speak past it: the node does not start', async () => {
    await node.stop()
    for (const [line, key] of UNSAFE_LINES) {
      await writeFile(join(node.dataDir, 'config.toml'), `${line}\n`)
      const { exitCode, stderr } = await startAnyhow()
      expect({ line, exitCode }).toEqual({ line, exitCode: 78 })
      expect(stderr).toContain(key)
    }
    await rm(join(node.dataDir, 'config.toml'))
    expect(lab.counted().leaked).toBe(0)
  }, 120_000)

  it('a gateway that sends it elsewhere: few public addresses are asked for, by the proxy, and no others', async () => {
    // Few are taken of an answer, the first: public ones are among them.
    const told = [
      ...['9.9.8.1:7117', '10.0.0.30:7117', '[fd77::30]:7117', `${TOLD_ONION}:7117`, '127.0.0.1:7119'],
      ...['9.9.8.2:7117', '192.168.7.7:7117', '[2620:fe::30]:7117', '9.9.8.3:7117', '9.9.8.4:7117'],
    ].map(parseAddress)
    let asked = 0
    const liar = await BareListener.listen({
      async onConnection(connection) {
        connection.peersTold = Buffer.concat([Buffer.of(told.length), encodePeerAddresses(told)])
        for (;;) {
          const message = await connection.receive(60_000)
          if (message === null) break
          // Of slots it says nothing: what it would say of them has to be signed.
          if (message.type === TYPES.REQUEST)
            connection.sendMessage(TYPES.ERROR, message.requestId, Buffer.of(0, 2))
        }
        asked += connection.peersAsked
      },
    })
    routes.set('9.9.9.7:7117', liar.port)
    if (await node.isUp()) await node.stop() // they would have one port
    await restartProxy({})
    const key = liar.identity.publicKey.toString('hex')
    const led = await newNode({ args: ['--use-gateway', `${key}@9.9.9.7:7117`] })
    try {
      await led.begin()
      lab.counted()
      await led.cli(['subscribe', `megatorrent://${NODE_KEY}`, '--dir', join(folder, 'led')])
      const isLed = (): boolean => asked > 0 && proxy.requests.some(({ host }) => host.startsWith('9.9.8.'))
      await waitUntil(isLed, 60_000, () => `it dials whom it was told of\n${led.stderrTail()}`)
      await led.cli(['ls', `megatorrent://${NODE_KEY}`, '--timeout', '5'])
      const hosts = new Set(proxy.requests.map(({ host }) => host))
      const dialled = [...hosts].filter((host) => host !== '9.9.9.7')
      expect(dialled.filter((host) => !host.startsWith('9.9.8.'))).toEqual([])
      expect(lab.counted().leaked).toBe(0)
    } finally {
      await led.dispose()
      await liar.close()
    }
  }, 120_000)

  it.each(LEAKS)('a planted %s is counted', async (leak) => {
    const leaky = await newNode({
      nodeFlags: ['--import', fileURLToPath(new URL('planted-leak.mjs', import.meta.url))],
      env: { PLANTED_LEAK: leak },
    })
    if (await node.isUp()) await node.stop() // they would have one port
    lab.counted()
    let leaked = 0
    try {
      await leaky.begin()
      const isCounted = (): boolean => {
        leaked += lab.counted().leaked
        return leaked > 0
      }
      await waitUntil(isCounted, 20_000, 'it is counted')
    } finally {
      await leaky.dispose()
    }
  })
})
