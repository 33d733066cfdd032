/**
 * A Tor network of its own on loopback: three authorities, a relay and clients, all real.
 *
 * It cannot reach any other: its own authorities take the place of the built-in ones, and every socket of every
 * node is bound to 127.0.0.1. Some 20 s to start, 300 MB of memory.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Endpoint } from '../../src/transport/transport.ts'
import { waitUntil } from '../swarm/harness/wait.ts'

const LOOPBACK = '127.0.0.1'
const AUTHORITIES = 3
const RELAYS = 1
/** A loaded machine takes several times what a quiet one does. */
const START_TIMEOUT_MS = 240_000
const BOOTSTRAPPED = 'Bootstrapped 100%'

export const CONTROL_PASSWORD = 'a "quoted" \\ word'

export function hasTor(): boolean {
  const has =
    spawnSync('tor', ['--version']).status === 0 && spawnSync('tor-gencert', ['--help']).error === undefined
  if (!has) process.stderr.write('tor: skipped, needs Tor: apt-get install tor\n')
  return has
}

export interface TorClient {
  readonly socks: Endpoint
  readonly control: Endpoint
  /** Tor ends, as when its user stops it. */
  stop(): Promise<void>
  start(): Promise<void>
}

interface Running {
  readonly folder: string
  process: ChildProcess | null
}

export class TorNet {
  readonly clients: TorClient[] = []
  readonly #folder = mkdtempSync(join(tmpdir(), 'megatorrent-tor-'))
  readonly #running: Running[] = []
  #authorityLines = ''

  private constructor() {}

  static async start(clients: number): Promise<TorNet> {
    const tor = new TorNet()
    try {
      await tor.#startRelays()
      for (let number = 0; number < clients; number++) await tor.#addClient(number)
      return tor
    } catch (error) {
      await tor.dispose()
      throw error
    }
  }

  async dispose(): Promise<void> {
    await Promise.all(this.#running.map(end))
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #startRelays(): Promise<void> {
    const ports = await freePorts(2 * AUTHORITIES + RELAYS)
    writeFileSync(join(this.#folder, 'empty'), '')
    // Port 9 answers nothing: exits resolve no names.
    writeFileSync(join(this.#folder, 'resolv.conf'), `nameserver ${LOOPBACK}:9\n`)
    const authorities = Array.from({ length: AUTHORITIES }, (_, number) => {
      const [orPort = 0, dirPort = 0] = ports.slice(2 * number)
      return this.#makeAuthority(`a${number}`, orPort, dirPort)
    })
    this.#authorityLines = authorities.map(({ line }) => line).join('\n')
    for (const { name, orPort, dirPort } of authorities) {
      this.#launch(name, [
        ...relayLines(this.#folder, orPort),
        ...[`DirPort ${LOOPBACK}:${dirPort}`, 'AuthoritativeDirectory 1', 'V3AuthoritativeDirectory 1'],
        'TestingV3AuthInitialVotingInterval 5',
        ...['TestingV3AuthInitialVoteDelay 2', 'TestingV3AuthInitialDistDelay 2'],
        ...['V3AuthVotingInterval 10', 'V3AuthVoteDelay 2', 'V3AuthDistDelay 2'],
      ])
    }
    for (let number = 0; number < RELAYS; number++) {
      this.#launch(`r${number}`, relayLines(this.#folder, ports[2 * AUTHORITIES + number] ?? 0))
    }
    // A client that starts before the consensus lists every relay waits long for circuits of too few.
    const consensus = join(this.#folder, 'a0', 'cached-microdesc-consensus')
    const listed = (): number =>
      existsSync(consensus) ? (readFileSync(consensus, 'latin1').match(/^r /gm)?.length ?? 0) : 0
    await waitUntil(
      () => listed() === AUTHORITIES + RELAYS,
      START_TIMEOUT_MS,
      () => `a consensus lists all relays, not ${listed()}`,
    )
  }

  async #addClient(number: number): Promise<void> {
    const name = `c${number}`
    const [socksPort = 0, controlPort = 0] = await freePorts(2)
    const hashed = execFileSync('tor', ['--quiet', '--hash-password', CONTROL_PASSWORD], { encoding: 'utf8' })
    const folder = join(this.#folder, name)
    const lines = [
      'ClientOnly 1',
      `SocksPort ${LOOPBACK}:${socksPort} IsolateSOCKSAuth`,
      `ControlPort ${LOOPBACK}:${controlPort}`,
      ...['CookieAuthentication 1', `CookieAuthFile ${folder}/control_auth_cookie`],
      `HashedControlPassword ${hashed.trim().split('\n').at(-1)}`,
      'ClientRejectInternalAddresses 0',
    ]
    const running = this.#launch(name, lines)
    const isUp = async (): Promise<void> => {
      const log = join(folder, 'log')
      await waitUntil(
        () => existsSync(log) && readFileSync(log, 'utf8').includes(BOOTSTRAPPED),
        START_TIMEOUT_MS,
        `Tor ${name} is bootstrapped`,
      )
    }
    await isUp()
    this.clients.push({
      socks: { host: LOOPBACK, port: socksPort },
      control: { host: LOOPBACK, port: controlPort },
      stop: () => end(running),
      start: async () => {
        rmSync(join(folder, 'log'), { force: true })
        running.process = spawnTor(folder)
        await isUp()
      },
    })
  }

  #makeAuthority(name: string, orPort: number, dirPort: number) {
    const folder = join(this.#folder, name)
    const keys = join(folder, 'keys')
    mkdirSync(keys, { recursive: true, mode: 0o700 })
    const certificate = join(keys, 'authority_certificate')
    execFileSync(
      'tor-gencert',
      [
        ...['--create-identity-key', '--passphrase-fd', '0', '-m', '12', '-a', `${LOOPBACK}:${dirPort}`],
        ...['-i', join(keys, 'authority_identity_key'), '-s', join(keys, 'authority_signing_key')],
        ...['-c', certificate],
      ],
      { input: 'x\n', stdio: ['pipe', 'ignore', 'ignore'] },
    )
    const identity = /^fingerprint (\w{40})$/m.exec(readFileSync(certificate, 'utf8'))?.[1] ?? ''
    const listed = execFileSync(
      'tor',
      [
        ...['--ignore-missing-torrc', '-f', '/nonexistent', '--defaults-torrc', '/nonexistent'],
        ...['--DataDirectory', folder, '--Nickname', name, '--ORPort', `${LOOPBACK}:${orPort}`],
        ...['--Address', LOOPBACK, '--SocksPort', '0', '--ExitRelay', '0', '--Log', 'err stderr'],
        // So that not even this call knows the public ones.
        ...[
          '--DirAuthority',
          `x orport=1 v3ident=${identity} ${LOOPBACK}:1 ${identity}`,
          '--list-fingerprint',
        ],
      ],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
    )
    const fingerprint = new RegExp(`^${name} ([0-9A-F ]+)$`, 'm').exec(listed)?.[1]?.replaceAll(' ', '') ?? ''
    const line = `DirAuthority ${name} orport=${orPort} no-v2 v3ident=${identity} ${LOOPBACK}:${dirPort} ${fingerprint}`
    return { name, orPort, dirPort, line }
  }

  #launch(name: string, lines: readonly string[]): Running {
    const folder = join(this.#folder, name)
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const common = [
      ...['TestingTorNetwork 1', `DataDirectory ${folder}`, `Nickname ${name}`, 'RunAsDaemon 0'],
      ...[`Log notice file ${folder}/log`, 'ShutdownWaitLength 1', `OutboundBindAddress ${LOOPBACK}`],
      ...[`GeoIPFile ${this.#folder}/empty`, `GeoIPv6File ${this.#folder}/empty`, 'AssumeReachable 1'],
      ...['PathsNeededToBuildCircuits 0.67', 'V3AuthNIntervalsValid 2', 'TestingMinExitFlagThreshold 0'],
      ...['TestingDirAuthVoteExit *', 'TestingDirAuthVoteGuard *', 'TestingDirAuthVoteHSDir *'],
      this.#authorityLines,
    ]
    writeFileSync(join(folder, 'torrc'), `${[...common, ...lines].join('\n')}\n`)
    const running = { folder, process: spawnTor(folder) }
    this.#running.push(running)
    return running
  }
}

function spawnTor(folder: string): ChildProcess {
  const args = ['--defaults-torrc', '/dev/null', '-f', join(folder, 'torrc'), '--quiet']
  return spawn('tor', args, { stdio: 'ignore' })
}

/** An exit to anywhere on loopback: a policy for 127.0.0.0/8 alone is summed up as none at all. */
function relayLines(folder: string, orPort: number): string[] {
  return [
    ...[`Address ${LOOPBACK}`, `ORPort ${LOOPBACK}:${orPort} IPv4Only`, 'SocksPort 0', 'ContactInfo none'],
    ...[
      'ExitRelay 1',
      'ExitPolicyRejectPrivate 0',
      'ExitPolicyRejectLocalInterfaces 0',
      'ExitPolicy accept *:*',
    ],
    ...[`ServerDNSResolvConfFile ${folder}/resolv.conf`, 'ServerDNSAllowBrokenConfig 1'],
    ...['ServerDNSDetectHijacking 0', 'ServerDNSSearchDomains 0', 'BridgeRelay 0'],
  ]
}

async function end(running: Running): Promise<void> {
  const { process: child } = running
  running.process = null
  if (child === null || child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
  await exit
  clearTimeout(timer)
}

/** Free a moment ago: Tor wants to know its ports before it starts. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = net.createServer().listen(0, LOOPBACK)
      await once(server, 'listening')
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as net.AddressInfo).port)
  for (const server of servers) server.close()
  return ports
}
