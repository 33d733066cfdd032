/**
 * What scripts see: exit codes, one line on stderr, one JSON document on stdout,
 * from the real program against a real daemon. The numbers are in docs/INTERFACE.md.
 */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BareIdentity } from '../swarm/harness/bare-crypto.ts'
import { udpPorts } from '../swarm/harness/memory.ts'
import {
  type CommandResult,
  RpcFailure,
  runProgram,
  scrubbedEnvironment,
  TestNode,
} from '../swarm/harness/test-node.ts'
import { makeTree } from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'

let home = ''
let node: TestNode

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'megatorrent-test-'))
  node = await TestNode.start({ args: ['--no-dht'] })
  await node.json(['channel', 'create', 'taken'])
  await makeTree(node.path('source'), { seed: 1, smallFiles: 3 })
  await mkdir(node.path('hostile'))
  await writeFile(node.path('hostile/AUX.txt'), 'a name that another system cannot have')
})

afterAll(async () => {
  await node?.dispose()
  await rm(home, { recursive: true, force: true })
})

/** The program without a daemon, in an empty home. */
function alone(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CommandResult> {
  return runProgram(args, { cwd: home, env: { ...scrubbedEnvironment(home), ...env } })
}

/** One line that says what happened, without a stack, and a stdout that scripts can trust. */
function expectOneLine(result: CommandResult): void {
  expect(result.stdout).toBe('')
  expect(result.stderr.trimEnd().split('\n')).toHaveLength(1)
  expect(result.stderr).toMatch(/^megatorrent: \S.{10,}/)
  expect(result.stderr).not.toMatch(/\n\s+at |Error:/)
}

/** A key that can exist, and that nobody uses. */
const UNUSED_KEY = new BareIdentity(Buffer.alloc(32, 9)).publicKey.toString('hex')
const UNUSED_LINK = `megatorrent://${UNUSED_KEY}`

describe('without a daemon', () => {
  it.each<[string, readonly string[], number]>([
    ['--version is fine', ['--version'], 0],
    ['--help is fine', ['--help'], 0],
  ])('%s', async (_name, args, exitCode) => {
    const result = await alone(args)
    expect(result).toMatchObject({ exitCode, stderr: '' })
    expect(result.stdout.length).toBeGreaterThan(3)
  })

  it.each<[string, readonly string[], number]>([
    ['status finds none', ['status'], 69],
    ['an unknown command is wrong usage', ['frobnicate'], 64],
    ['a command of a later version is refused', ['watch'], 64],
    ['a setting of a later version is refused', ['serve', '--bind-interface', 'tun0'], 78],
    ['safe mode takes no DHT', ['serve', '--proxy', 'socks5://127.0.0.1:9050', '--dht-server'], 78],
    ['a value of the wrong kind is refused', ['serve', '--max-peers', 'many'], 78],
  ])('%s', async (_name, args, exitCode) => {
    const result = await alone(args)
    expect(result.exitCode).toBe(exitCode)
    expectOneLine(result)
  })

  it('an unknown variable or key in the file is refused and named', async () => {
    const unknown = await alone(['serve'], { MEGATORRENT_MAX_PERS: '3' })
    expect(unknown.exitCode).toBe(78)
    expect(unknown.stderr).toContain('MEGATORRENT_MAX_PERS')
    const dataDir = join(home, 'wrong')
    await mkdir(dataDir, { mode: 0o700 })
    await writeFile(join(dataDir, 'config.toml'), 'max_pers = 3\n')
    const wrong = await alone(['serve', '--data-dir', dataDir])
    expect(wrong.exitCode).toBe(78)
    expect(wrong.stderr).toMatch(/max_pers.*config\.toml|config\.toml.*max_pers/)
  })

  it.runIf(existsSync('/proc/self'))('a data folder that cannot be made is told at once', async () => {
    const result = await alone(['serve', '--data-dir', '/proc/nowhere/data', '--no-dht'])
    expect(result.exitCode).toBe(9)
    expect(result.stderr.trimEnd().split('\n').at(-1)).toMatch(
      /^megatorrent: .*nothing can be made in \/proc/,
    )
  })

  it('--json gives a document for errors too', async () => {
    const result = await alone(['status', '--json'])
    expect(result.exitCode).toBe(69)
    expect(JSON.parse(result.stdout)).toMatchObject({
      error: { code: 'ERR_NO_DAEMON', kind: 'no-daemon', message: expect.stringContaining('serve') },
    })
  })
})

describe('with a daemon', () => {
  it.each<[string, () => readonly string[], number, string, string]>([
    ['a name that is taken', () => ['channel', 'create', 'taken'], 64, 'usage', 'ERR_NAME_TAKEN'],
    [
      'a channel that nobody has',
      () => ['get', UNUSED_LINK, '--timeout', '1'],
      3,
      'not-found',
      'ERR_RELEASE_NOT_FOUND',
    ],
    [
      'a name that other systems cannot have',
      () => ['ingest', node.path('hostile'), '--channel', 'taken'],
      64,
      'usage',
      'ERR_INGEST_PATHS',
    ],
    [
      'a release that nobody can confirm',
      () => ['publish', node.path('source'), '--channel', 'taken'],
      6,
      'network',
      'ERR_NO_CARRIER',
    ],
  ])('%s', async (_name, args, exitCode, kind, code) => {
    const result = await node.cli([...args(), '--json'])
    const shown = `${result.stdout}${result.stderr}`
    expect(result.exitCode, shown).toBe(exitCode)
    const document = JSON.parse(result.stdout) as { error: { code: string; kind: string; message: string } }
    expect(document.error.kind, shown).toBe(kind)
    expect(document.error.code, shown).toBe(code)
    expect(document.error.message).toMatch(/^\S.{5,}/)
  })

  it('what was published and not confirmed is there all the same', async () => {
    const { sequence } = await node.json<{ sequence: number }>(['channel', 'show', 'taken'])
    expect(sequence).toBe(1)
  })

  it('a channel that is followed already keeps its folder and its read key', async () => {
    const dir = node.path('first')
    await node.rpc('addSubscription', { uri: UNUSED_LINK, dir, wait: false })
    await node.rpc('addSubscription', { uri: UNUSED_LINK, wait: false })
    const again = (params: object): Promise<unknown> =>
      node.rpc('addSubscription', { uri: UNUSED_LINK, wait: false, ...params })
    await expect(again({ dir: node.path('second') })).rejects.toMatchObject({ code: 'ERR_SUBSCRIPTION_DIR' })
    const withReadKey = `${UNUSED_LINK}:${'ab'.repeat(32)}`
    await expect(again({ uri: withReadKey })).rejects.toMatchObject({ code: 'ERR_SUBSCRIPTION_KEY' })
    await node.rpc('removeSubscription', { uri: UNUSED_LINK })
    await expect(node.rpc('removeSubscription', { uri: UNUSED_LINK })).rejects.toBeInstanceOf(RpcFailure)
  })

  it('a key can be exported once, is for its user alone, and comes back as it was', async () => {
    const file = node.path('key')
    const before = await node.json<{ publicKey: string }>(['channel', 'export', 'taken', file])
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    await node.json(['channel', 'export', 'taken', file], 64)
    await node.json(['channel', 'remove', 'taken', '--yes'])
    const after = await node.json<{ publicKey: string; name: string }>(['channel', 'import', file])
    expect(after).toMatchObject({ publicKey: before.publicKey, name: 'taken' })
  })

  it('verify finds nothing wrong where nothing is', async () => {
    expect(await node.json(['verify'])).toMatchObject({ checked: 2, bad: 0, repaired: 0 })
  })

  it('verify ends soon with what nobody can give again, and says so', async () => {
    const [blob] = (
      await readdir(join(node.dataDir, 'blobs'), { recursive: true, withFileTypes: true })
    ).filter((entry) => entry.isFile())
    if (blob === undefined) throw new Error('no blob is there')
    const path = join(blob.parentPath, blob.name)
    const file = await open(path, 'r+')
    await file.write(Buffer.of(1, 2, 3), 0, 3, 1000)
    await file.close()
    const startMs = performance.now()
    expect(await node.json(['verify'], 5)).toMatchObject({ checked: 2, bad: 1, repaired: 0 })
    // The time of a repair that may come is a minute.
    expect(performance.now() - startMs).toBeLessThan(30_000)
    expect(existsSync(path)).toBe(false)
  })

  it('a command that is killed leaves its work to the daemon, where it is found and ended', async () => {
    const killed = node.spawn(['get', UNUSED_LINK])
    let found: { jobId: string; method: string; state: string } | undefined
    await waitUntil(
      async () => {
        const { jobs } = await node.rpc<{ jobs: (typeof found)[] }>('getJobs')
        found = jobs.find((job) => job?.state === 'running')
        return found !== undefined
      },
      20_000,
      'its job runs',
    )
    killed.kill('SIGKILL')
    await once(killed, 'close')
    const jobs = await node.json<{ jobId: string; state: string }[]>(['jobs'])
    expect(jobs).toContainEqual(expect.objectContaining({ jobId: found?.jobId, state: 'running' }))
    const cancelled = await node.json(['jobs', 'cancel', found?.jobId ?? ''])
    expect(cancelled).toMatchObject({ method: 'addSubscription', state: 'cancelled' })
    await node.json(['jobs', 'cancel', 'none'], 3)
  })

  it('a second daemon on the same folder is refused', async () => {
    const result = await alone([
      'serve',
      '--data-dir',
      node.dataDir,
      '--listen',
      '127.0.0.1:0',
      '--rpc',
      '127.0.0.1:0',
    ])
    expect(result).toMatchObject({ exitCode: 78, stdout: '' })
    expect(result.stderr.trimEnd().split('\n').at(-1)).toMatch(/^megatorrent: .* is in use by .*--data-dir/)
    expect(await node.isUp()).toBe(true)
  })

  it('without a DHT there is no UDP port', async () => {
    expect(node.ready.dhtPort).toBeNull()
    expect(await udpPorts(node.pid)).toEqual([])
  })

  it('files with secrets are for their user alone', async () => {
    const mode = async (path: string): Promise<number> => (await stat(join(node.dataDir, path))).mode & 0o777
    expect(await mode('.')).toBe(0o700)
    expect(await mode('rpc.cookie')).toBe(0o600)
    expect(await mode('keys')).toBe(0o700)
  })

  it('stop ends it clean, and then there is none', async () => {
    const info = JSON.parse(await readFile(join(node.dataDir, 'daemon.json'), 'utf8')) as { pid: number }
    expect(info.pid).toBe(node.pid)
    expect((await node.cli(['stop'])).exitCode).toBe(0)
    await waitUntil(async () => !(await node.isUp()), 10_000, 'the daemon has ended')
    expect(existsSync(join(node.dataDir, 'daemon.json'))).toBe(false)
    expect((await node.cli(['status'])).exitCode).toBe(69)
  })
})
