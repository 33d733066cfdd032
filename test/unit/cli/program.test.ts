import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MegatorrentError } from '../../../src/base/errors.ts'
import { VERSION } from '../../../src/base/version.ts'
import { LATER_COMMANDS } from '../../../src/cli/program.ts'
import type { Flags } from '../../../src/config/load.ts'
import { LATER_SETTINGS } from '../../../src/config/schema.ts'
import { CHANNEL, fakeNode, KEY, SUBSCRIPTION } from '../rpc/fake-node.ts'
import { TOKEN } from '../rpc/test-server.ts'
import { type Daemon, KeptStream, run, startDaemon } from './run.ts'

let daemon: Daemon
beforeAll(async () => {
  daemon = await startDaemon()
})
afterAll(() => daemon.close())

/** Characters that act on a terminal, or turn the direction of what follows; line ends alone may pass. */
const ACTING = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/
const URI = CHANNEL.uri

describe('results with --json', () => {
  it.each<[string, readonly string[], unknown]>([
    [
      'channel create',
      ['channel', 'create', 'a', '--private'],
      { name: 'a', private: true, open: false, sequence: 0 },
    ],
    ['channel list', ['channel', 'list'], [CHANNEL]],
    ['channel show', ['channel', 'show', 'news'], CHANNEL],
    ['channel export', ['channel', 'export', 'news', 'f'], CHANNEL],
    ['channel import', ['channel', 'import', 'f', '--name', 'b'], CHANNEL],
    ['channel remove', ['channel', 'remove', 'news', '--yes'], CHANNEL],
    [
      'ingest',
      ['ingest', 'x', '--channel', 'news'],
      { ingestId: 'i1', files: 4, blobs: 5, newBlobs: 5, skipped: 0 },
    ],
    [
      'publish',
      ['publish', './x'],
      { uri: URI, publicKey: KEY, sequence: 4, manifestBlobs: 1, storedBy: 8, unchanged: false },
    ],
    [
      'subscribe',
      ['subscribe', URI],
      { publicKey: KEY, directory: SUBSCRIPTION.directory, state: 'resolving' },
    ],
    [
      'subscribe --wait',
      ['subscribe', URI, '--wait'],
      { state: 'complete', sequence: 3, files: 4, bytes: 5_000_000 },
    ],
    ['unsubscribe', ['unsubscribe', URI], { publicKey: KEY }],
    ['pause', ['pause', URI], { publicKey: KEY, state: 'paused' }],
    ['resume', ['resume', KEY.toUpperCase()], SUBSCRIPTION],
    ['subscriptions', ['subscriptions'], [SUBSCRIPTION]],
    ['subscriptions show', ['subscriptions', 'show', KEY], SUBSCRIPTION],
    ['get', ['get', URI], { publicKey: KEY, state: 'complete', sequence: 3, files: 4, bytes: 5_000_000 }],
    [
      'ls',
      ['ls', URI],
      [
        { path: 'a/one.txt', size: 10 },
        { path: 'two.txt', size: 20 },
      ],
    ],
    [
      'status',
      ['status'],
      { version: '0.1.0', protocolVersion: 1, dht: { enabled: true, nodes: 12, server: false } },
    ],
    ['peers', ['peers'], [{ nodeKey: KEY, direction: 'out', bytesIn: 10 }]],
    ['peers add', ['peers', 'add', '127.0.0.1:1'], { address: '127.0.0.1:1' }],
    ['peers ban', ['peers', 'ban', KEY], { nodeKey: KEY }],
    ['peers unban', ['peers', 'unban', KEY.toUpperCase()], { nodeKey: KEY }],
    ['jobs', ['jobs'], expect.arrayContaining([expect.objectContaining({ method: 'addSubscription' })])],
    ['verify', ['verify'], { checked: 10, bad: 0, repaired: 0 }],
    ['health', ['health'], { ok: true }],
  ])('%s is one document, exit 0', async (_name, args, expected) => {
    for (const withJson of [
      ['--json', ...args],
      [...args, '--json'],
    ]) {
      const result = await daemon.run(withJson)
      expect(result).toMatchObject({ exitCode: 0, stderr: '' })
      expect(result.stdout.trim().split('\n')).toHaveLength(1)
      expect(result.json()).toMatchObject(expected as object)
    }
  })

  it('of everything, people get text that is not JSON', async () => {
    for (const args of [['status'], ['peers'], ['channel', 'list'], ['subscriptions'], ['subscribe', URI]]) {
      const { stdout } = await daemon.run(args)
      expect(() => JSON.parse(stdout)).toThrow()
      expect(stdout).toMatch(/\n$/)
    }
  })
})

describe('what the node is asked', () => {
  const paramsOf = async (method: string, args: readonly string[]): Promise<unknown> => {
    daemon.node.calls.length = 0
    expect((await daemon.run(args)).exitCode).toBe(0)
    return daemon.node.calls.find((call) => call.method === method)?.params
  }

  it('relative paths are taken from the folder of the caller', async () => {
    const caller = join(daemon.folder, '..')
    const ingested = { path: join(caller, 'x'), channel: null, rehash: false }
    expect(await paramsOf('ingest', ['ingest', 'x'])).toEqual(ingested)
    expect(await paramsOf('ingest', ['ingest', 'x', '--rehash'])).toEqual({ ...ingested, rehash: true })
    expect(await paramsOf('publish', ['publish', './x', '--rehash'])).toMatchObject({ rehash: true })
    const plain = { channel: 'news', file: join(caller, '../f'), words: false, passphraseFile: null }
    const exported = ['channel', 'export', 'news', '../f']
    expect(await paramsOf('exportChannel', exported)).toEqual(plain)
    expect(await paramsOf('exportChannel', [...exported, '--words'])).toEqual({ ...plain, words: true })
    const passphraseFile = join(caller, 'p')
    expect(await paramsOf('exportChannel', [...exported, '--passphrase-file', 'p'])).toEqual({
      ...plain,
      passphraseFile,
    })
    expect(
      await paramsOf('importChannel', ['channel', 'import', 'f', '--passphrase-file', 'p', '--name', 'n']),
    ).toEqual({ file: join(caller, 'f'), name: 'n', passphraseFile })
    expect(await paramsOf('addSubscription', ['subscribe', URI, '--dir', 'd'])).toMatchObject({
      dir: join(caller, 'd'),
    })
    expect(await paramsOf('addSubscription', ['get', URI, '--dir', '/abs'])).toMatchObject({ dir: '/abs' })
  })

  it('a source is a path when it has a slash or exists, else an ingest', async () => {
    const caller = join(daemon.folder, '..')
    expect(await paramsOf('publish', ['publish', 'abc123'])).toMatchObject({ source: { ingestId: 'abc123' } })
    expect(await paramsOf('publish', ['publish', './abc123'])).toMatchObject({
      source: { path: join(caller, 'abc123') },
    })
    expect(await paramsOf('publish', ['publish', 'data'])).toMatchObject({ source: { path: daemon.folder } })
  })

  it('globs are repeated options and do not swallow the link', async () => {
    const params = await paramsOf('addSubscription', ['get', '--only', '*.txt', '--only', 'a/**', URI])
    expect(params).toMatchObject({ uri: URI, only: ['*.txt', 'a/**'], once: true, wait: true })
  })

  it('which files are wanted is left as it is, changed, or all again', async () => {
    expect(await paramsOf('addSubscription', ['subscribe', URI])).toMatchObject({ only: null })
    expect(await paramsOf('addSubscription', ['subscribe', URI, '--only', 'a/*'])).toMatchObject({
      only: ['a/*'],
    })
    expect(await paramsOf('addSubscription', ['subscribe', URI, '--all'])).toMatchObject({ only: [] })
    expect((await daemon.run(['subscribe', URI, '--all', '--only', 'a/*'])).exitCode).toBe(64)
  })

  it('seconds become milliseconds', async () => {
    expect(await paramsOf('publish', ['publish', './x', '--timeout', '2.5'])).toMatchObject({
      timeoutMs: 2500,
    })
    expect(await paramsOf('addSubscription', ['subscribe', URI, '--wait', '--timeout', '3'])).toMatchObject({
      timeoutMs: 3000,
    })
    expect(await paramsOf('publish', ['publish', './x'])).toMatchObject({
      timeoutMs: null,
      title: null,
      channel: null,
    })
  })

  it('a subscription is named by its link or by its key', async () => {
    expect(
      await paramsOf('removeSubscription', ['unsubscribe', KEY.toUpperCase(), '--delete-files']),
    ).toEqual({
      subscription: KEY,
      deleteFiles: true,
    })
    expect(await paramsOf('removeSubscription', ['unsubscribe', URI])).toEqual({
      subscription: URI,
      deleteFiles: false,
    })
  })
})

describe('a version and help', () => {
  it('go to stdout, exit 0', async () => {
    expect(await run(['--version'])).toMatchObject({ exitCode: 0, stdout: `${VERSION}\n`, stderr: '' })
    for (const args of [
      ['--help'],
      ['serve', '--help'],
      ['channel', '--help'],
      ['channel', 'create', '-h'],
    ]) {
      const { exitCode, stdout, stderr } = await run(args)
      expect([exitCode, stderr]).toEqual([0, ''])
      expect(stdout).toContain('Usage: megatorrent')
    }
  })

  it.each([
    [['frob'], 'megatorrent --help'],
    [['--data-dir', 'status-of-x', 'status', '--frob'], 'megatorrent status --help'],
    [['--data-dir', 'x', 'channel', 'create'], 'megatorrent channel create --help'],
    [['publish', 'x', '--frob', 'y'], 'megatorrent publish --help'],
  ])('a wrong command line %j leads to help that there is', async (args, help) => {
    const { exitCode, stderr } = await run(args)
    expect(exitCode).toBe(64)
    expect(stderr).toContain(`see "${help}"`)
    expect((await run(help.split(' ').slice(1))).exitCode).toBe(0)
  })

  it.each([
    [['peers', 'ban', 'x'], 'nodeKey: expected 64 hex digits'],
    [['publish', './x', '--title', 'a'.repeat(1025)], 'title: expected at most 1024 bytes'],
    [['subscribe', ''], 'uri: expected a link'],
    [['get', URI, '--only', ''], 'only: expected a glob'],
  ])('a wrong value in %j is named', async (args, message) => {
    expect(await daemon.run(args)).toMatchObject({ exitCode: 64, stderr: `megatorrent: ${message}\n` })
  })

  it('the version is that of package.json', () => {
    expect(VERSION).toBe((JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version)
  })

  it('help names what there is and nothing that there is not yet', async () => {
    const { stdout } = await run(['--help'])
    for (const name of LATER_COMMANDS) expect(stdout).not.toMatch(new RegExp(`^ +${name}\\b`, 'm'))
    const serve = (await run(['serve', '--help'])).stdout
    expect(serve).toContain('--max-peers <N>')
    expect(serve).toContain('--data-dir')
    for (const { name } of LATER_SETTINGS) expect(serve).not.toMatch(new RegExp(`--${name}\\b`))
  })
})

describe('serve', () => {
  it('is handed what was given, by names of settings', async () => {
    let given: Flags = new Map()
    const args = [
      'serve',
      '--listen',
      '127.0.0.1:0',
      '--peer',
      'a:1',
      '--peer',
      'b:2',
      '--no-dht',
      '--data-dir',
      'd',
      '--proxy',
      'x',
    ]
    const { exitCode } = await run(args, {
      serve: async (flags) => {
        given = flags
        return 78
      },
    })
    expect(exitCode).toBe(78)
    expect([...given].sort()).toEqual([
      ['data-dir', ['d']],
      ['listen', ['127.0.0.1:0']],
      ['no-dht', true],
      ['peer', ['a:1', 'b:2']],
      ['proxy', ['x']],
    ])
  })
})

describe('config show', () => {
  const environment = { HOME: '/home/u', MEGATORRENT_MAX_PEERS: '7' }

  it('prints values and where they came from, without a daemon', async () => {
    const { exitCode, stdout } = await run(['config', 'show', '--origin', '--log-level', 'debug'], {
      environment,
    })
    expect(exitCode).toBe(0)
    expect(stdout).toContain('max_peers = 7  # environment: MEGATORRENT_MAX_PEERS\n')
    expect(stdout).toContain('log_level = "debug"  # flag: --log-level\n')
    expect(stdout).toContain('rpc = "127.0.0.1:7118"  # default\n')
  })

  it('is one document with --json', async () => {
    const plain = (await run(['config', 'show', '--json'], { environment })).json()
    expect(plain).toMatchObject({
      max_peers: 7,
      rpc: '127.0.0.1:7118',
      max_store: 20 * 2 ** 30,
      external: null,
    })
    const withOrigin = (await run(['config', 'show', '--json', '--origin'], { environment })).json()
    expect(withOrigin).toMatchObject({
      max_peers: { value: 7, origin: 'environment', place: 'MEGATORRENT_MAX_PEERS' },
    })
  })

  it('exits 78 for wrong settings, each named', async () => {
    const wrong = { ...environment, MEGATORRENT_MAX_PEERS: 'x', MEGATORRENT_FOO: '1' }
    const { exitCode, stderr } = await run(['config', 'show', '--bind-interface', 'tun0'], {
      environment: wrong,
    })
    expect(exitCode).toBe(78)
    for (const part of ['MEGATORRENT_MAX_PEERS', 'MEGATORRENT_FOO', '--bind-interface'])
      expect(stderr).toContain(part)
  })

  it('reads config.toml of the data folder', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'megatorrent-cli-'))
    await writeFile(join(folder, 'config.toml'), 'max_peers = 9\n')
    expect((await run(['config', 'show', '--data-dir', folder])).stdout).toContain('max_peers = 9\n')
    await writeFile(join(folder, 'config.toml'), 'max_peers = \n')
    expect((await run(['config', 'show', '--data-dir', folder])).exitCode).toBe(78)
    await rm(folder, { recursive: true })
  })
})

describe('text of others', () => {
  const hostile = '\u001b[2Jtitle\u202egpj.exe\u009b31m\r\n\u0007'

  it('reaches a terminal without what would act on it, in tables and in JSON', async () => {
    const subscription = { ...SUBSCRIPTION, title: hostile }
    const file = { path: `a/${hostile}`, size: 1 }
    const own = await startDaemon({
      getSubscriptions: async () => [subscription],
      listFiles: async (params) => ({
        ...(await fakeNode().api.listFiles(params, {} as never)),
        files: [file],
      }),
      getStatus: () => Promise.reject(new MegatorrentError('ERR_NOT_FOUND', hostile)),
    })
    for (const args of [['subscriptions'], ['subscriptions', 'show', KEY], ['ls', URI], ['status']]) {
      for (const json of [[], ['--json']]) {
        const { stdout, stderr } = await own.run([...args, ...json])
        expect(stdout + stderr).not.toMatch(ACTING)
        if (json.length > 0) expect(stdout + stderr).toContain('title')
      }
    }
    expect((await own.run(['ls', URI, '--json'])).json()).toEqual([file])
    await own.close()
  })
})

describe('a listing of many pages', () => {
  const page = async (path: string, next: string | null, change = {}) => ({
    ...(await fakeNode().api.listFiles({} as never, {} as never)),
    ...{ files: path === '' ? [] : [{ path, size: 1 }], next },
    ...change,
  })

  it('is one document', async () => {
    const own = await startDaemon({
      listFiles: ({ after }) =>
        after === null ? page('a', 'a') : after === 'a' ? page('b', 'b') : page('', null),
    })
    const files = [
      { path: 'a', size: 1 },
      { path: 'b', size: 1 },
    ]
    expect((await own.run(['ls', URI, '--json'])).json()).toEqual(files)
    expect((await own.run(['ls', URI])).stdout).toBe('       1 B  a\n       1 B  b\n')
    await own.close()
  })

  it('is an error alone when a later page fails, or is of another release', async () => {
    const later: [string, () => ReturnType<typeof page>][] = [
      ['ERR_TIMEOUT', () => Promise.reject(new MegatorrentError('ERR_TIMEOUT', 'too late'))],
      ['ERR_RPC_ANSWER', () => page('b', null, { sequence: 4 })],
    ]
    for (const [code, fail] of later) {
      const own = await startDaemon({
        listFiles: ({ after }) => (after === null ? page('a', 'a') : fail()),
      })
      const failed = await own.run(['ls', URI, '--json'])
      expect(failed.json()).toMatchObject({ error: { code } })
      expect(failed.exitCode).not.toBe(0)
      await own.close()
    }
  })
})

describe('a subscription whose publisher contradicts itself', () => {
  it('is shown with the numbers, and one that does not is shown without that line', async () => {
    const subscriptions = [{ ...SUBSCRIPTION, conflicts: [3, 2] }]
    const own = await startDaemon({ getSubscriptions: async () => subscriptions })
    const args = ['subscriptions', 'show', KEY]
    expect((await own.run(args)).stdout).toMatch(/^CONFLICT.*release 3, release 2/m)
    expect((await own.run([...args, '--json'])).json()).toMatchObject({ conflicts: [3, 2] })
    expect((await daemon.run(args)).stdout).not.toContain('CONFLICT')
    await own.close()
  })
})

describe('a subscription whose publisher has been silent', () => {
  it('is shown with a warning and since when, and others are shown without', async () => {
    const subscriptions = [{ ...SUBSCRIPTION, silentSince: Date.UTC(2026, 0, 5) }]
    const own = await startDaemon({ getSubscriptions: async () => subscriptions })
    const args = ['subscriptions', 'show', KEY]
    expect((await own.run(args)).stdout).toMatch(/^WARNING.*not refreshed since 2026-01-05 00:00:00Z/m)
    expect((await own.run([...args, '--json'])).json()).toMatchObject({ silentSince: Date.UTC(2026, 0, 5) })
    expect((await daemon.run(args)).stdout).not.toContain('WARNING')
    await own.close()
  })
})

describe('a terminal', () => {
  it('gets tables that fit it, other outputs get them whole', async () => {
    for (const columns of [60, 80, 200]) {
      const { stdout } = await daemon.run(['subscriptions'], { stdout: new KeptStream(true, columns) })
      for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(columns)
      if (columns === 200) expect(stdout).toContain(KEY)
    }
    expect((await daemon.run(['subscriptions'])).stdout).toContain(KEY)
  })

  it('gets no colours', async () => {
    const { stdout } = await daemon.run(['subscriptions'], { stdout: new KeptStream(true, 80) })
    expect(stdout).not.toContain('\u001b')
  })

  it('gets a bar while work goes on, which is gone at the end; with --quiet nothing', async () => {
    const steps = async (report: (done: number) => void): Promise<void> => {
      for (const done of [0, 1, 2]) {
        report(done)
        await new Promise((resolve) => setTimeout(resolve, 60))
      }
    }
    const own = await startDaemon({
      ingest: async (params, options) => {
        await steps((done) => options.onProgress({ phase: 'sealing', done, total: 2, unit: 'bytes' }))
        return fakeNode().api.ingest(params, options)
      },
    })
    const stderr = new KeptStream(true)
    await own.run(['ingest', './x'], { stderr })
    expect(stderr.text).toContain('sealing')
    const quiet = new KeptStream(true)
    await own.run(['ingest', './x', '--quiet'], { stderr: quiet })
    expect(quiet.text).toBe('')
    const piped = new KeptStream(false)
    await own.run(['ingest', './x'], { stderr: piped })
    expect(piped.text).toBe('')
    await own.close()
  })
})

describe('secrets', () => {
  it('the token is never printed', async () => {
    const outputs = await Promise.all([
      daemon.run(['status']),
      daemon.run(['status', '--json']),
      daemon.run(['frobnicate']),
      daemon.run(['peers', 'ban', 'x']),
    ])
    for (const { stdout, stderr } of outputs) expect(stdout + stderr).not.toContain(TOKEN)
  })
})
