/** Runs the command line in this process, with streams that are kept. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { ManualClock, systemClock } from '../../../src/base/clock.ts'
import { seededRandom } from '../../../src/base/random.ts'
import type { CliIo, OutputStream } from '../../../src/cli/io.ts'
import { runCli } from '../../../src/cli/program.ts'
import type { Flags } from '../../../src/config/load.ts'
import type { NodeApi } from '../../../src/node/api.ts'
import { fakeNode } from '../rpc/fake-node.ts'
import { startTestServer, type TestServer, TOKEN } from '../rpc/test-server.ts'

export { ManualClock }

export class KeptStream extends Writable {
  text = ''
  readonly isTTY: boolean
  readonly columns: number

  constructor(isTTY = false, columns = 80) {
    super({ decodeStrings: false })
    this.isTTY = isTTY
    this.columns = columns
  }

  override _write(chunk: string | Uint8Array, _encoding: string, done: () => void): void {
    this.text += chunk.toString()
    done()
  }
}

export interface RunResult {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
  /** Stdout as one JSON document. */
  json(): unknown
}

export interface RunOptions {
  readonly stdout?: KeptStream
  readonly stderr?: KeptStream
  readonly environment?: Record<string, string>
  readonly signal?: AbortSignal
  readonly clock?: CliIo['clock']
  readonly examine?: CliIo['examine']
  readonly signOffline?: CliIo['signOffline']
  readonly serve?: (flags: Flags) => Promise<number>
  readonly callerFolder?: string
}

export async function run(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const stdout = options.stdout ?? new KeptStream()
  const stderr = options.stderr ?? new KeptStream()
  const exitCode = await runCli(args, {
    stdout: stdout as OutputStream,
    stderr: stderr as OutputStream,
    environment: options.environment ?? { HOME: '/nonexistent' },
    callerFolder: options.callerFolder ?? '/caller',
    clock: options.clock ?? systemClock,
    random: seededRandom(1),
    signal: options.signal ?? new AbortController().signal,
    self: [],
    examine: options.examine ?? (async () => []),
    signOffline: options.signOffline ?? (() => Promise.reject(new Error('nothing is signed here'))),
    serve: options.serve ?? (async () => 0),
  })
  return {
    exitCode,
    stdout: stdout.text,
    stderr: stderr.text,
    json: () => JSON.parse(stdout.text) as unknown,
  }
}

export interface Daemon {
  readonly folder: string
  readonly server: TestServer
  readonly node: ReturnType<typeof fakeNode>
  /** Run with --data-dir in front. */
  run(args: readonly string[], options?: RunOptions): Promise<RunResult>
  /** Another process on the same folder: it knows nothing of the jobs of the one before. */
  restart(): Promise<void>
  close(): Promise<void>
}

const DAEMON = {
  pid: 1,
  peerAddress: null,
  dhtPort: null,
  nodeKey: null,
  onionAddress: null,
  mode: 'direct',
  version: '0.1.0',
}

/** A data folder with the files of a daemon, and an RPC server over a fake node behind them. */
export async function startDaemon(changes: Partial<NodeApi> = {}): Promise<Daemon> {
  const node = fakeNode(changes)
  const server = await startTestServer(node.api)
  const folder = await mkdtemp(join(tmpdir(), 'megatorrent-cli-'))
  const data = join(folder, 'data')
  await mkdir(data)
  await writeFile(join(data, 'rpc.cookie'), TOKEN)
  const announce = (url: string): Promise<void> =>
    writeFile(join(data, 'daemon.json'), JSON.stringify({ ...DAEMON, rpcUrl: url }))
  await announce(server.url)
  const servers = [server]
  return {
    folder: data,
    server,
    node,
    run: (args, options) => run(['--data-dir', data, ...args], { callerFolder: folder, ...options }),
    restart: async () => {
      const next = await startTestServer(node.api)
      servers.push(next)
      await announce(next.url)
    },
    close: async () => {
      for (const each of servers) await each.close()
      await rm(folder, { recursive: true })
    },
  }
}
