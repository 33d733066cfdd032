import { mkdtemp, rm, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ErrorCode, type ErrorKind, MegatorrentError } from '../../../src/base/errors.ts'
import { LATER_COMMANDS } from '../../../src/cli/program.ts'
import { CHANNEL, endlessWork, fakeNode } from '../rpc/fake-node.ts'
import { type Daemon, run, startDaemon } from './run.ts'

let daemon: Daemon
beforeAll(async () => {
  daemon = await startDaemon()
})
afterAll(() => daemon.close())

const URI = CHANNEL.uri

describe('exit codes', () => {
  const cases: readonly [ErrorKind, ErrorCode, number][] = [
    ['bug', 'ERR_BUG', 1],
    ['timeout', 'ERR_TIMEOUT', 2],
    ['not-found', 'ERR_NOT_FOUND', 3],
    ['network', 'ERR_DIAL_FAILED', 6],
    ['peer', 'ERR_PROTOCOL', 6],
    ['usage', 'ERR_USAGE', 64],
    ['config', 'ERR_CONFIG', 78],
  ]

  it.each(cases)('of %s', async (kind, code, exitCode) => {
    const failing = await startDaemon({
      getStatus: () => Promise.reject(new MegatorrentError(code, 'what happened')),
    })
    const { exitCode: found, stdout, stderr } = await failing.run(['status', '--json'])
    expect(found).toBe(exitCode)
    const { error } = JSON.parse(stdout)
    expect(error.kind).toBe(kind)
    expect(Object.keys(error).sort()).toEqual(['code', 'kind', 'message'])
    if (kind !== 'bug') expect(error).toEqual({ code, kind, message: 'what happened' })
    expect(stderr.split('\n')).toHaveLength(2)
    await failing.close()
  })

  it('of a fault of ours say where the detail is, and not what it is', async () => {
    const failing = await startDaemon({ getStatus: () => Promise.reject(new Error('canary')) })
    const { exitCode, stderr } = await failing.run(['status'])
    expect(exitCode).toBe(1)
    expect(stderr).toContain('log')
    expect(stderr).not.toContain('canary')
    await failing.close()
  })

  it('of a release that nobody confirmed is 2 or 6, and the document has the sequence', async () => {
    const published = await fakeNode().api.publish(
      { source: { path: '/x' }, channel: null, title: null, timeoutMs: null },
      {
        signal: new AbortController().signal,
        onProgress: () => {},
      },
    )
    for (const [code, exitCode] of [
      ['ERR_TIMEOUT', 2],
      ['ERR_DIAL_FAILED', 6],
    ] as const) {
      const pending = { code, message: 'nobody confirmed yet' }
      const own = await startDaemon({ publish: async () => ({ ...published, storedBy: 0, pending }) })
      const result = await own.run(['publish', './x', '--json'])
      expect(result.exitCode).toBe(exitCode)
      expect(result.json()).toMatchObject({
        sequence: 4,
        uri: URI,
        error: { code, message: 'nobody confirmed yet', sequence: 4 },
      })
      await own.close()
    }
  })

  it('of verify is 5 when a blob stays bad, with the result all the same', async () => {
    const own = await startDaemon({ verify: async () => ({ checked: 9, bad: 2, repaired: 1 }) })
    const result = await own.run(['verify', '--json'])
    expect(result.exitCode).toBe(5)
    const error = { code: 'ERR_UNREPAIRED', kind: 'integrity' }
    expect(result.json()).toMatchObject({ checked: 9, bad: 2, repaired: 1, error })
    expect(result.stderr).toMatch(/^megatorrent: 1 of 9 blobs stay damaged.*\n$/)
    await own.close()
  })

  it('without a daemon is 69, and the line says how to start one', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'megatorrent-cli-'))
    for (const args of [['status'], ['publish', './x'], ['get', URI], ['stop'], ['verify'], ['ls', URI]]) {
      const { exitCode, stderr } = await run(['--data-dir', folder, ...args])
      expect(exitCode, args.join(' ')).toBe(69)
      expect(stderr).toContain('megatorrent serve --data-dir')
    }
    expect((await run(['status'])).stderr).toContain('"megatorrent serve"')
    await rm(folder, { recursive: true })
  })

  it('of a daemon.json that a dead daemon left is 69', async () => {
    const own = await startDaemon()
    await own.server.close()
    const { exitCode, json } = await own.run(['status', '--json'])
    expect(exitCode).toBe(69)
    expect(json()).toMatchObject({ error: { code: 'ERR_NO_DAEMON', kind: 'no-daemon' } })
    await rm(join(own.folder, '..'), { recursive: true })
  })

  it('with a wrong token is 4', async () => {
    const file = join(daemon.folder, '..', 'token')
    await writeFile(file, '0'.repeat(64))
    const args = ['--rpc-url', daemon.server.url, '--rpc-token-file', file, 'status', '--json']
    const { exitCode, json } = await run(args)
    expect(exitCode).toBe(4)
    expect(json()).toMatchObject({ error: { code: 'ERR_RPC_REFUSED', kind: 'auth' } })
    await unlink(file)
  })

  it('of a job that the daemon has forgotten is 6: it was restarted', async () => {
    const work = endlessWork()
    const own = await startDaemon({ ingest: work.run })
    const running = own.run(['ingest', './x'])
    await work.begun
    await own.restart()
    expect(await running).toMatchObject({ exitCode: 6, stderr: expect.stringContaining('restarted') })
    await own.close()
  })

  it('of Ctrl-C is 130, and the job is cancelled', async () => {
    const work = endlessWork()
    const own = await startDaemon({ ingest: work.run })
    const ctrlC = new AbortController()
    const running = own.run(['ingest', './x', '--json'], { signal: ctrlC.signal })
    await work.begun
    ctrlC.abort()
    expect((await running).exitCode).toBe(130)
    await work.aborted
    await own.close()
  })

  it('of work that takes longer than --timeout is 2, and the job is cancelled', async () => {
    const work = endlessWork()
    const own = await startDaemon({ ingest: work.run })
    expect((await own.run(['ingest', './x', '--timeout', '0.05'])).exitCode).toBe(2)
    await work.aborted
    await own.close()
  })
})

describe('wrong usage is 64, in one line, before any daemon is asked', () => {
  it.each<[string, readonly string[]]>([
    ['no command', []],
    ['an unknown command', ['frobnicate']],
    ['an unknown option', ['status', '--frobnicate']],
    ['a missing argument', ['publish']],
    ['one argument too many', ['status', 'x']],
    ['a group without its command', ['channel']],
    ['an unknown command of a group', ['channel', 'frobnicate']],
    ['a channel both private and open', ['channel', 'create', 'a', '--private', '--open']],
    ['a channel with a bad name', ['channel', 'create', 'a/b']],
    ['a channel with an empty name', ['channel', 'create', '']],
    ['words under a passphrase', ['channel', 'export', 'a', 'x', '--words', '--passphrase-file', 'p']],
    ['an empty path of a passphrase', ['channel', 'import', 'x', '--passphrase-file', '']],
    ['removal without --yes', ['channel', 'remove', 'a']],
    ['a time-out that is no number', ['get', URI, '--timeout', 'soon']],
    ['a time-out of 0', ['get', URI, '--timeout', '0']],
    ['a time-out where nothing waits', ['status', '--timeout', '1']],
    ['an option without its value', ['publish', './x', '--title']],
    ['a key that is none', ['peers', 'ban', 'xyz']],
    ['an URL without a token file', ['status', '--rpc-url', 'http://127.0.0.1:1/api/rpc']],
    [
      'an URL and a data folder',
      ['status', '--rpc-url', 'http://x', '--rpc-token-file', 'x', '--data-dir', 'y'],
    ],
    [
      'a token file that does not exist',
      ['status', '--rpc-url', 'http://127.0.0.1:1/', '--rpc-token-file', '/nonexistent'],
    ],
    ['serve with an argument', ['serve', 'x']],
    ['serve with an unknown flag', ['serve', '--frobnicate']],
    ['serve with a client option', ['serve', '--rpc-url', 'http://x']],
    ['serve with a flag without its value', ['serve', '--listen']],
    ['publish without anything to publish', ['publish']],
    ['both ends of a bundle', ['publish', '--from-bundle', 'a', '--bundle', 'b']],
    ['a title for what is signed already', ['publish', '--from-bundle', 'a', '--title', 'b']],
    ['a folder besides a bundle', ['publish', './x', '--from-bundle', 'a']],
    ['a release number without a bundle', ['publish', './x', '--after', '3']],
    ['a release to leave out, without a bundle', ['publish', './x', '--since', '3']],
    ['a release number that is none', ['publish', './x', '--bundle', 'b', '--after', 'x']],
    [
      'signing by a daemon elsewhere',
      ['publish', './x', '--bundle', 'b', '--rpc-url', 'http://127.0.0.1:1/api/rpc', '--rpc-token-file', 't'],
    ],
  ])('%s', async (_name, args) => {
    const { exitCode, stdout, stderr } = await run(args)
    expect(exitCode).toBe(64)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^megatorrent: .+\n$/)
    expect(stderr.split('\n')).toHaveLength(2)
    const json = await run([...args, '--json'])
    if (!args.includes('--title') && args.at(-1) !== '--listen') {
      expect(json.json()).toMatchObject({ error: { kind: 'usage' } })
      expect(json.exitCode).toBe(64)
    }
  })

  it.each(LATER_COMMANDS)('%s is not in this version yet', async (name) => {
    for (const args of [[name], [name, 'x', '--y'], [name, '--help'], [name, '--json']]) {
      const { exitCode, stderr, json } = await run(args)
      expect(exitCode).toBe(64)
      expect(stderr).toContain('not in this version yet')
      if (args.includes('--json')) expect(json()).toMatchObject({ error: { code: 'ERR_NOT_IN_VERSION' } })
    }
  })
})
