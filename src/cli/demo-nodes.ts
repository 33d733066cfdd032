/**
 * Daemons of the demo: real processes of this same program, each with a data
 * folder and a log of its own, on loopback ports that the system picks.
 *
 * @module cli/demo-nodes
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DaemonInfo } from '../rpc/schema/results.ts'
import { daemonResult } from '../rpc/schema/results.ts'
import { RpcClient } from './client.ts'
import { CliError } from './errors.ts'
import type { CliIo } from './io.ts'

export interface DemoNode {
  readonly name: string
  readonly client: RpcClient
  readonly daemon: DaemonInfo
  readonly logFile: string
}

/** Time for a daemon to end by itself before it is killed. */
const STOP_MS = 10_000

export class DemoNodes {
  readonly #io: CliIo
  readonly #folder: string
  readonly #children: { readonly child: ChildProcess; readonly ended: Promise<void> }[] = []

  #isStopped = false

  constructor(io: CliIo, folder: string) {
    this.#io = io
    this.#folder = folder
  }

  /** Start one and wait until it is ready. */
  async start(name: string, flags: readonly string[]): Promise<DemoNode> {
    const home = join(this.#folder, 'nodes', name)
    await mkdir(home, { recursive: true, mode: 0o700 })
    const dataDir = join(home, 'data')
    const logFile = join(home, 'log.txt')
    const [program = '', ...before] = this.#io.self
    const args = ['serve', '--data-dir', dataDir, '--listen', '127.0.0.1:0', '--rpc', '127.0.0.1:0', ...flags]
    // Nothing is awaited from here until the process is in the list of those to stop.
    if (this.#isStopped)
      throw new CliError({ code: 'ERR_ABORTED', kind: 'aborted', message: 'the demo is over' })
    const log = openSync(logFile, 'wx', 0o600)
    const child = spawn(program, [...before, ...args], {
      stdio: ['ignore', 'pipe', log],
      // Settings of the user's own daemon must not reach these.
      env: Object.fromEntries(
        Object.entries(this.#io.environment).filter(([variable]) => !variable.startsWith('MEGATORRENT_')),
      ),
      // Ctrl-C reaches us alone: we stop them in order.
      detached: true,
    })
    closeSync(log)
    const ended = new Promise<void>((resolve) => {
      child.once('exit', () => resolve())
      child.once('error', () => resolve())
    })
    this.#children.push({ child, ended })
    const line = await Promise.race([firstLine(child), ended.then(() => null)])
    const daemon = line === null ? null : parseReady(line)
    if (daemon === null) throw await failedStart(name, logFile)
    const client = new RpcClient({ dataDir, isDefaultDataDir: false }, this.#io.clock, this.#io.signal)
    return { name, client, daemon, logFile }
  }

  /** Stop all, start none any more, and wait; what does not end by itself is killed. */
  async stop(): Promise<void> {
    this.#isStopped = true
    for (const { child } of this.#children) child.kill('SIGTERM')
    const timer = this.#io.clock.setTimer(() => {
      for (const { child } of this.#children) child.kill('SIGKILL')
    }, STOP_MS)
    await Promise.all(this.#children.map(({ ended }) => ended))
    timer.cancel()
  }
}

/** The first line on stdout, or null when stdout ends before. */
function firstLine(child: ChildProcess): Promise<string | null> {
  return new Promise((resolve) => {
    let text = ''
    child.stdout?.setEncoding('utf8')
    child.stdout?.on('data', (chunk: string) => {
      text += chunk
      const end = text.indexOf('\n')
      if (end >= 0) resolve(text.slice(0, end))
    })
    child.stdout?.once('end', () => resolve(null))
  })
}

function parseReady(line: string): DaemonInfo | null {
  try {
    const document: unknown = JSON.parse(line)
    return daemonResult.parse(document)
  } catch {
    return null // the caller shows the log
  }
}

async function failedStart(name: string, logFile: string): Promise<CliError> {
  const log = await readFile(logFile, 'utf8').catch(() => '')
  const lastLine = log.trim().split('\n').at(-1) ?? ''
  const message = `${name} did not start: ${lastLine === '' ? 'it said nothing' : lastLine}`
  return new CliError({ code: 'ERR_NO_DAEMON', kind: 'no-daemon', message })
}
