/**
 * One real node: a `megatorrent serve` process with a data folder of its own.
 *
 * A test talks to it as users do, by RPC and by the command line, and ends it in
 * one of three ways: `stop` (politely, and it must end clean), `kill` (no warning)
 * or `dispose` (whatever is left, at the end of every test). It sees nothing of
 * the environment of the test: a setting that leaks in would hide a fault.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { activityOf, isRunning, processesWithEnv } from './memory.ts'
import { waitUntil, within } from './wait.ts'

/** The folder with package.json, from the sources and from `dist` alike. */
export const PROJECT_ROOT: string = findRoot(dirname(fileURLToPath(import.meta.url)))

/** The program under test, as `npm run build` makes it. */
export const PROGRAM: string = join(PROJECT_ROOT, 'dist', 'bin', 'megatorrent.js')

/** How long a node may take to be ready, and to stop after SIGTERM. */
const START_MS = 30_000
const STOP_MS = 10_000

/** Marks processes of one node, children included: what is left of them can be found. */
const MARK = 'TEST_NODE_ID'

/** The line that a node prints when it is ready; the same as daemon.json. */
export interface ReadyInfo {
  readonly event: 'ready'
  readonly pid: number
  readonly rpcUrl: string
  readonly peerAddress: string | null
  readonly dhtPort: number | null
  readonly nodeKey: string | null
  readonly mode: string
  readonly version: string
}

export interface TestNodeOptions {
  /** For messages of failures. */
  readonly name?: string
  /** Flags of `serve`, besides data folder, ports and log level. */
  readonly args?: readonly string[]
  /** Host of peer transport and DHT; loopback. Port 0 picks one. */
  readonly listen?: string
  /** Further variables of its environment. */
  readonly env?: Readonly<Record<string, string>>
  /** What starts it: `ip netns exec ...`. Commands are started so too; its RPC may be out of reach for the test. */
  readonly wrapper?: readonly string[]
  /** Where RPC listens; port 0 picks one. */
  readonly rpc?: string
  /** Flags of Node itself, such as `--max-old-space-size=64`. */
  readonly nodeFlags?: readonly string[]
  /** A file that gets everything on stderr, over all starts; of what it holds only the tail is kept in memory. */
  readonly logFile?: string
  /** A process group of its own: Ctrl-C reaches the program that started it, and not the node. */
  readonly detached?: boolean
}

export interface CommandResult {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** An error that the RPC answered with. */
export class RpcFailure extends Error {
  readonly rpcCode: number
  /** Our own stable code, such as ERR_NOT_FOUND. */
  readonly code: string | null

  constructor(method: string, rpcCode: number, message: string, code: string | null) {
    super(`${method}: ${message} (${rpcCode}, ${code})`)
    this.rpcCode = rpcCode
    this.code = code
  }
}

export class TestNode {
  readonly name: string
  readonly dataDir: string
  readonly #home: string
  readonly #options: TestNodeOptions
  readonly #id = randomUUID()
  #child: ChildProcess | null = null
  #ready: ReadyInfo | null = null
  #exit: { readonly code: number | null; readonly signal: NodeJS.Signals | null } | null = null
  #stdout = ''
  #stderr = ''

  private constructor(home: string, options: TestNodeOptions) {
    this.name = options.name ?? 'node'
    this.#home = home
    this.dataDir = join(home, 'data')
    this.#options = options
  }

  /** Start a node in a fresh folder and wait until it is ready. */
  static async start(options: TestNodeOptions = {}): Promise<TestNode> {
    const node = await TestNode.create(options)
    await node.begin().catch(async (error: unknown) => {
      await node.dispose()
      throw error
    })
    return node
  }

  /** A folder for a node that does not run yet: `begin` starts it. */
  static async create(options: TestNodeOptions = {}): Promise<TestNode> {
    if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: run "npm run build" first`)
    return new TestNode(await mkdtemp(join(tmpdir(), 'megatorrent-test-')), options)
  }

  /** What it said when it became ready. */
  get ready(): ReadyInfo {
    if (this.#ready === null) throw new Error(`${this.name} is not running`)
    return this.#ready
  }

  get pid(): number {
    return this.ready.pid
  }

  /** The same, for who looks at nodes that come and go. */
  get pidOrNull(): number | null {
    return this.#ready?.pid ?? null
  }

  /** Of the process that ended last; null while one runs, or when a signal ended it. */
  get exitCode(): number | null {
    return this.#exit?.code ?? null
  }

  /** Everything on stderr since the last start. */
  get stderr(): string {
    return this.#stderr
  }

  /** Everything on stdout since the last start. */
  get stdout(): string {
    return this.#stdout
  }

  /** NODEKEY@HOST:PORT, for `--peer` of others. */
  get peerAddress(): string {
    if (this.ready.peerAddress === null) throw new Error(`${this.name} has no peer address`)
    return this.ready.peerAddress
  }

  /** Host and port of its peer transport. */
  get endpoint(): { readonly host: string; readonly port: number } {
    const [host = '', port = ''] = (this.peerAddress.split('@').at(-1) as string).split(':')
    return { host, port: Number(port) }
  }

  /** For `--bootstrap` of others. */
  get bootstrapAddress(): string {
    if (this.ready.dhtPort === null) throw new Error(`${this.name} has no DHT`)
    return `127.0.0.1:${this.ready.dhtPort}`
  }

  /** Start the process and wait for its ready line. */
  async begin(extraArgs: readonly string[] = []): Promise<void> {
    if (this.#child !== null) throw new Error(`${this.name} runs already`)
    this.#stdout = ''
    this.#stderr = ''
    this.#exit = null
    const listen = this.#options.listen ?? '127.0.0.1:0'
    const { wrapper = [], rpc = '127.0.0.1:0' } = this.#options
    const [program = '', ...args] = [
      ...wrapper,
      process.execPath,
      ...(this.#options.nodeFlags ?? []),
      ...[PROGRAM, 'serve', '--data-dir', this.dataDir, '--listen', listen, '--rpc', rpc],
      ...['--log-level', 'debug', ...(this.#options.args ?? []), ...extraArgs],
    ]
    const child = spawn(program, args, {
      env: this.#environment(),
      cwd: this.#home,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: this.#options.detached ?? false,
    })
    this.#child = child
    const { logFile } = this.#options
    const keptCharacters = logFile === undefined ? KEPT_LOG_CHARACTERS : TAIL_CHARACTERS
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (logFile !== undefined) appendFileSync(logFile, text)
      this.#stderr = (this.#stderr + text).slice(-keptCharacters)
    })
    child.on('error', (error) => {
      this.#stderr += `${error.message}\n` // it did not start: 'close' follows
    })
    child.on('close', (code, signal) => {
      this.#exit = { code, signal }
      this.#child = null
      this.#ready = null
    })
    await waitUntil(
      () => {
        if (this.#exit !== null) return true
        this.#ready = readyLine(this.#stdout)
        return this.#ready !== null
      },
      START_MS,
      () => `${this.name} is ready\n${this.stderrTail()}`,
    )
    if (this.#ready === null) {
      const how = JSON.stringify(this.#exit)
      throw new Error(`${this.name} ended instead of becoming ready: ${how}\n${this.stderrTail()}`)
    }
  }

  /** Call an RPC method. Throws RpcFailure for what the node answers as an error. */
  async rpc<T = Record<string, unknown>>(
    method: string,
    params: Readonly<Record<string, unknown>> = {},
    timeoutMs = 60_000,
  ): Promise<T> {
    const answer = await within(
      this.post(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })),
      timeoutMs,
      async () => `${this.name} answers ${method}; it is ${await activityOf(this.pid)}`,
    )
    const parsed = JSON.parse(answer.body) as {
      result?: T
      error?: { code: number; message: string; data?: { code?: string } }
    }
    if (parsed.error !== undefined) {
      const { code, message, data } = parsed.error
      throw new RpcFailure(method, code, message, data?.code ?? null)
    }
    return parsed.result as T
  }

  /** POST any body to the RPC, with the cookie unless headers say otherwise. */
  post(
    body: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<{ readonly status: number; readonly body: string }> {
    const cookie = readFileSync(join(this.dataDir, 'rpc.cookie'), 'utf8').trim()
    const all = { 'content-type': 'application/json', authorization: `Bearer ${cookie}`, ...headers }
    return new Promise((resolve, reject) => {
      // A connection of its own: a kept one would hold up the node's stop.
      const call = request(this.ready.rpcUrl, { method: 'POST', headers: all, agent: false }, (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (part: string) => {
          text += part
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }))
        response.on('error', reject)
      })
      call.on('error', reject)
      call.end(body)
    })
  }

  /** Run a client command against this node: the real command line, in a process of its own. */
  cli(args: readonly string[], timeoutMs = 60_000): Promise<CommandResult> {
    return runProgram([...args, '--data-dir', this.dataDir], {
      cwd: this.#home,
      env: this.#environment(),
      timeoutMs,
      ...(this.#options.wrapper === undefined ? {} : { wrapper: this.#options.wrapper }),
    })
  }

  /** A client command that the test does not wait for, but kills. */
  spawn(args: readonly string[]): ChildProcess {
    return spawn(process.execPath, [PROGRAM, ...args, '--data-dir', this.dataDir], {
      cwd: this.#home,
      env: this.#environment(),
      stdio: 'ignore',
    })
  }

  /** The same with `--json`: its one document. Fails when the exit code is not `expected`. */
  async json<T = Record<string, unknown>>(
    args: readonly string[],
    expected = 0,
    timeoutMs = 60_000,
  ): Promise<T> {
    const result = await this.cli([...args, '--json'], timeoutMs)
    if (result.exitCode !== expected) {
      const what = `${args.join(' ')} ended with ${result.exitCode ?? result.signal}, not ${expected}`
      throw new Error(`${this.name}: ${what}\n${result.stdout}${result.stderr}${this.stderrTail()}`)
    }
    return JSON.parse(result.stdout) as T
  }

  /** The last lines of its log, for messages of failures. */
  stderrTail(lines = 30): string {
    const tail = this.#stderr.trimEnd().split('\n').slice(-lines)
    return `--- last lines of ${this.name} ---\n${tail.join('\n')}`
  }

  /** SIGTERM: it must end by itself, in time, with exit 0 and no process left behind. */
  async stop(): Promise<void> {
    const child = this.#child
    if (child === null) throw new Error(`${this.name} does not run: ${JSON.stringify(this.#exit)}`)
    child.kill('SIGTERM')
    const late = (): string => `${this.name} ends after SIGTERM\n${this.stderrTail()}`
    await waitUntil(() => this.#exit !== null, STOP_MS, late)
    if (this.#exit?.code !== 0) {
      throw new Error(`${this.name} ended with ${JSON.stringify(this.#exit)}, not 0\n${this.stderrTail()}`)
    }
    const left = await processesWithEnv(MARK, this.#id)
    if (left.length > 0) throw new Error(`${this.name} left processes behind: ${left.join(', ')}`)
    if (existsSync(join(this.dataDir, 'daemon.json'))) throw new Error(`${this.name} left daemon.json behind`)
  }

  /** SIGKILL, without warning. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL')
    await waitUntil(() => this.#child === null, STOP_MS, `${this.name} is gone after SIGKILL`)
  }

  /** Stop and start again on the same data folder. */
  async restart(extraArgs: readonly string[] = []): Promise<void> {
    await this.stop()
    await this.begin(extraArgs)
  }

  /** Is the process there? */
  async isUp(): Promise<boolean> {
    return this.#child?.pid !== undefined && (await isRunning(this.#child.pid))
  }

  /** End whatever is left and remove the folder. For the end of a test; never fails a test by itself. */
  async dispose(): Promise<void> {
    await this.kill()
    for (const pid of await processesWithEnv(MARK, this.#id)) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It ended between being found and being killed.
      }
    }
    await rm(this.#home, { recursive: true, force: true })
  }

  /** A folder inside of the one that `dispose` removes. */
  path(name: string): string {
    return join(this.#home, name)
  }

  #environment(): NodeJS.ProcessEnv {
    return { ...scrubbedEnvironment(this.#home), ...this.#options.env, [MARK]: this.#id }
  }
}

const KEPT_LOG_CHARACTERS = 4_000_000
const TAIL_CHARACTERS = 20_000

/** What a process gets of our environment: where programs are, and a home that is not ours. */
export function scrubbedEnvironment(home: string): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, HOME: home, LANG: 'C.UTF-8', TZ: 'UTC' }
}

/** Run the program with these arguments to its end. Nothing can be typed into it. */
export async function runProgram(
  args: readonly string[],
  options: {
    readonly cwd: string
    readonly env: NodeJS.ProcessEnv
    readonly timeoutMs?: number
    readonly wrapper?: readonly string[]
  },
): Promise<CommandResult> {
  const [program = '', ...rest] = [...(options.wrapper ?? []), process.execPath, PROGRAM, ...args]
  const child = spawn(program, rest, {
    cwd: options.cwd,
    env: options.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const ended = new Promise<CommandResult>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (exitCode, signal) => resolve({ exitCode, signal, stdout, stderr }))
  })
  const timeoutMs = options.timeoutMs ?? 60_000
  try {
    return await within(ended, timeoutMs, `megatorrent ${args.join(' ')} ends\n${stdout}${stderr}`)
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
}

// The ready line is the first whole line on stdout that is JSON with that event.
function readyLine(stdout: string): ReadyInfo | null {
  for (const line of stdout.split('\n').slice(0, -1)) {
    if (!line.startsWith('{')) continue
    const parsed = JSON.parse(line) as { event?: unknown }
    if (parsed.event === 'ready') return parsed as ReadyInfo
  }
  return null
}

function findRoot(from: string): string {
  if (existsSync(join(from, 'package.json'))) return from
  const parent = dirname(from)
  if (parent === from) throw new Error('no package.json above the harness')
  return findRoot(parent)
}
