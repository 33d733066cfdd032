import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ServeProcess, serve } from '../../../bin/serve.ts'
import type { Flags } from '../../../src/config/load.ts'
import { run } from './run.ts'

let folder: string
let data: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'megatorrent-serve-'))
  data = join(folder, 'data')
})
afterEach(() => rm(folder, { recursive: true }))

interface Running {
  readonly ended: Promise<number>
  readonly ready: Promise<Record<string, unknown>>
  readonly log: () => string
  stop(): void
}

function start(
  flags: Readonly<Record<string, readonly string[] | true>>,
  changes: Partial<ServeProcess> = {},
): Running {
  const stopping = new AbortController()
  let log = ''
  let onReady = (_line: string): void => {}
  const ready = new Promise<string>((resolve) => {
    onReady = resolve
  }).then((line) => JSON.parse(line) as Record<string, unknown>)
  const all: Flags = new Map(Object.entries({ 'data-dir': [data], ...flags }))
  const ended = serve(all, {
    environment: { HOME: folder },
    callerFolder: folder,
    pid: 4242,
    isRoot: false,
    stopSignal: stopping.signal,
    writeOut: (line) => onReady(line),
    writeLog: (line) => {
      log += line
    },
    onLog: () => {},
    onReload: () => {},
    abandon: () => {
      throw new Error('it did not stop in time')
    },
    ...changes,
  })
  return { ended, ready, log: () => log, stop: () => stopping.abort() }
}

const LOOPBACK = { listen: ['127.0.0.1:0'], rpc: ['127.0.0.1:0'], 'no-dht': true } as const

describe('serve refuses', () => {
  it.each<[string, Record<string, readonly string[] | true>]>([
    ['a flag that is not in this version', { 'bind-interface': ['tun0'] }],
    ['RPC that others could reach', { rpc: ['0.0.0.0:0'] }],
    ['a value that is wrong', { 'max-peers': ['many'] }],
  ])('%s, before it makes anything', async (_name, flags) => {
    await expect(start({ ...LOOPBACK, ...flags }).ended).rejects.toMatchObject({
      details: { kind: 'config' },
    })
    expect(existsSync(data)).toBe(false)
  })

  it('with exit code 78 on the command line', async () => {
    const { exitCode, stderr } = await run(['serve', '--data-dir', data, '--bind-interface', 'x'], {
      serve: (flags) => start(Object.fromEntries(flags)).ended,
    })
    expect(exitCode).toBe(78)
    expect(stderr).toContain('--bind-interface')
  })
})

describe('a daemon', () => {
  it('says when it is ready, can be asked, stops on request and leaves no trace of running', async () => {
    const daemon = start({ ...LOOPBACK })
    const ready = await daemon.ready
    const { event, ...content } = ready
    expect(event).toBe('ready')
    expect(content).toMatchObject({ pid: 4242, dhtPort: null, onionAddress: null, mode: 'direct' })
    expect(content.peerAddress).toMatch(/^[0-9a-f]{64}@127\.0\.0\.1:\d+$/)
    expect(content.rpcUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/api\/rpc$/)
    expect(JSON.parse(await readFile(join(data, 'daemon.json'), 'utf8'))).toEqual(content)
    for (const name of ['daemon.json', 'rpc.cookie']) {
      expect((await stat(join(data, name))).mode & 0o777, name).toBe(0o600)
    }
    const token = await readFile(join(data, 'rpc.cookie'), 'utf8')

    expect((await run(['--data-dir', data, 'status', '--json'])).json()).toMatchObject({
      peers: 0,
      mode: 'direct',
    })
    expect(await run(['--data-dir', data, 'stop', '--json'])).toMatchObject({
      exitCode: 0,
      stdout: '{"stopped":true}\n',
    })
    expect(await daemon.ended).toBe(0)
    for (const name of ['daemon.json', 'rpc.cookie']) expect(existsSync(join(data, name)), name).toBe(false)
    expect(daemon.log()).not.toContain(token)
    expect(daemon.log()).not.toContain(content.nodeKey)

    const again = start({ ...LOOPBACK })
    expect((await again.ready).nodeKey).toBe(content.nodeKey)
    expect(await readFile(join(data, 'rpc.cookie'), 'utf8')).not.toBe(token)
    again.stop()
    expect(await again.ended).toBe(0)
  })

  it('warns once when it runs as root', async () => {
    const daemon = start({ ...LOOPBACK }, { isRoot: true })
    await daemon.ready
    daemon.stop()
    await daemon.ended
    expect(daemon.log().match(/WARN .*root/g)).toHaveLength(1)
  })

  it('that cannot have its RPC port says so and gives the folder free', async () => {
    const first = start({ ...LOOPBACK })
    const port = new URL(String((await first.ready).rpcUrl)).port
    const other = join(folder, 'other')
    const second = start({ ...LOOPBACK, 'data-dir': [other], rpc: [`127.0.0.1:${port}`] })
    await expect(second.ended).rejects.toMatchObject({ code: 'ERR_LISTEN_FAILED', kind: 'config' })
    expect(existsSync(join(other, 'rpc.cookie'))).toBe(false)
    const third = start({ ...LOOPBACK, 'data-dir': [other] })
    await third.ready
    third.stop()
    first.stop()
    await Promise.all([first.ended, third.ended])
  })

  it('takes a config.toml in its folder, and refuses a wrong one by line', async () => {
    await rm(data, { recursive: true, force: true })
    const flags = { ...LOOPBACK, 'data-dir': [folder] }
    await writeFile(join(folder, 'config.toml'), 'log_level = "info"\nmax_peers = 0\n')
    await expect(start(flags).ended).rejects.toThrow(/max_peers .* line 2/)
  })
})
