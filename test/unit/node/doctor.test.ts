/** What the doctor says of what it finds, and what it finds on a real machine. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../src/base/clock.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { loadConfig } from '../../../src/config/load.ts'
import type { Config } from '../../../src/config/schema.ts'
import { type DoctorFacts, diagnose, type Finding } from '../../../src/node/doctor.ts'
import { gatherFacts } from '../../../src/node/doctor-facts.ts'

const GIB = 1_073_741_824
const RIGHT: DoctorFacts = {
  ...{ nodeVersion: '22.1.0', nowMs: Date.UTC(2027, 1, 1), openFiles: 65_536 },
  dataFolder: { path: '/data', mode: 0o40700, isOurs: true },
  ...{ freeBytes: 50 * GIB, minFreeBytes: GIB, peerPort: 'free', rpcPort: 'free' },
  ...{ proxyError: null, torError: null, notReady: null },
}
const named = (facts: DoctorFacts, check: string): Finding | undefined =>
  diagnose(facts).find((finding) => finding.check === check)

describe('findings', () => {
  it('are all right on a machine that is', () => {
    expect(diagnose(RIGHT).filter(({ state }) => state !== 'ok')).toEqual([])
    const behindTor = diagnose({ ...RIGHT, proxyError: '', torError: '', notReady: [] })
    expect(behindTor.filter(({ state }) => state !== 'ok')).toEqual([])
    expect(behindTor.map(({ check }) => check)).toEqual(expect.arrayContaining(['proxy', 'Tor control']))
  })

  it.each<[string, Partial<DoctorFacts>, string, Finding['state'], RegExp]>([
    ['an old Node', { nodeVersion: '20.18.9' }, 'Node', 'problem', /install 20\.19/],
    ['a clock of 1970', { nowMs: 0 }, 'clock', 'problem', /set the clock/],
    [
      'an open folder',
      { dataFolder: { path: '/d', mode: 0o40755, isOurs: true } },
      'data folder',
      'warning',
      /chmod 700/,
    ],
    [
      'a foreign folder',
      { dataFolder: { path: '/d', mode: 0o40700, isOurs: false } },
      'data folder',
      'problem',
      /another user/,
    ],
    ['no folder', { dataFolder: null }, 'data folder', 'ok', /makes it/],
    ['a full disk', { freeBytes: 5 }, 'disk', 'problem', /nothing is written/],
    ['a disk that is nearly full', { freeBytes: 1.5 * GIB }, 'disk', 'warning', /0\.5 GiB above/],
    ['a disk that says nothing', { freeBytes: null }, 'disk', 'warning', /cannot be read/],
    ['few files', { openFiles: 1024 }, 'open files', 'warning', /ulimit -n/],
    ['a port that is taken', { peerPort: 'taken' }, 'peer port', 'problem', /choose another --listen/],
    ['a low port', { rpcPort: 'refused' }, 'RPC port', 'problem', /above 1023 for --rpc/],
    ['a dead proxy', { proxyError: 'connecting failed' }, 'proxy', 'problem', /start Tor/],
    ['a control port that refuses', { torError: 'wrong password' }, 'Tor control', 'problem', /cookie/],
    [
      'a daemon that is alone',
      { notReady: ['no node of the DHT is known yet'] },
      'daemon',
      'warning',
      /no node/,
    ],
  ])('say what is wrong with %s, and what to do', (_name, change, check, state, message) => {
    const finding = named({ ...RIGHT, ...change }, check)
    expect(finding).toEqual({ check, state, message: expect.stringMatching(message) })
  })
})

describe('facts', () => {
  let folder: string
  let servers: Server[]
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'megatorrent-doctor-'))
    servers = []
  })
  afterEach(() => {
    for (const server of servers) server.close()
    rmSync(folder, { recursive: true })
  })

  /** A listener on loopback; its port. */
  const listen = (): Promise<number> =>
    new Promise((resolve) => {
      const server = createServer((socket) => socket.destroy())
      servers.push(server)
      server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
    })

  function configOf(flags: Readonly<Record<string, string>>): Config {
    const loaded = loadConfig({
      flags: new Map(
        Object.entries({ 'data-dir': join(folder, 'data'), ...flags }).map(([name, value]) => [
          name,
          [value],
        ]),
      ),
      ...{ environment: {}, callerFolder: folder, file: null },
    })
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
    return loaded.config
  }

  const gather = (config: Config, notReady: readonly string[] | null = null): Promise<DoctorFacts> =>
    gatherFacts(config, {
      ...{ clock: systemClock, random: seededRandom(1), nodeVersion: '22.1.0' },
      ...{ userId: process.getuid?.() ?? null, notReady },
    })

  it('are those of this machine', async () => {
    const [free, taken] = [await listen(), await listen()]
    servers[0]?.close()
    const config = configOf({ listen: `127.0.0.1:${free}`, rpc: `127.0.0.1:${taken}` })
    const facts = await gather(config)
    expect(facts).toMatchObject({
      dataFolder: null,
      peerPort: 'free',
      rpcPort: 'taken',
      proxyError: null,
      torError: null,
    })
    expect(facts.freeBytes).toBeGreaterThan(0)
    mkdirSync(config.dataDir, { mode: 0o755 })
    expect((await gather(config)).dataFolder).toMatchObject({
      isOurs: true,
      mode: expect.toSatisfy((mode: number) => (mode & 0o077) !== 0),
    })
  })

  it('give the ports to the daemon that runs', async () => {
    const taken = await listen()
    const facts = await gather(configOf({ listen: `127.0.0.1:${taken}` }), [])
    expect([facts.peerPort, facts.rpcPort]).toEqual(['ours', 'ours'])
  })

  it('tell a proxy that listens from one that does not', async () => {
    const proxy = await listen()
    const flags = { listen: '127.0.0.1:0', proxy: `socks5://127.0.0.1:${proxy}` }
    expect((await gather(configOf(flags))).proxyError).toBe('')
    servers[0]?.close()
    expect((await gather(configOf(flags))).proxyError).toMatch(/failed/)
  })

  it('say why the control port did not let us in', async () => {
    const [proxy, control] = [await listen(), await listen()]
    const flags = {
      listen: '127.0.0.1:0',
      proxy: `socks5://127.0.0.1:${proxy}`,
      'tor-control': `127.0.0.1:${control}`,
    }
    expect((await gather(configOf(flags))).torError).not.toBe('')
  })
})
