/**
 * `megatorrent serve`: settings, log, node and RPC server put together.
 *
 * @module bin/serve
 */
import { join } from 'node:path'
import type { Clock } from '../src/base/clock.ts'
import { systemClock } from '../src/base/clock.ts'
import { errorMessage } from '../src/base/errors.ts'
import type { Log } from '../src/base/log.ts'
import { systemRandom } from '../src/base/random.ts'
import { readDaemonFile } from '../src/cli/client.ts'
import { configError, readConfig } from '../src/cli/commands/config.ts'
import type { Environment, Flags } from '../src/config/load.ts'
import type { Config } from '../src/config/schema.ts'
import { isLoopback } from '../src/config/values.ts'
import type { RunningNode } from '../src/node/api.ts'
import { limitHeapGrowth } from '../src/node/heap-growth.ts'
import { givenLimits } from '../src/node/limits.ts'
import { createLog } from '../src/node/log.ts'
import { startNode } from '../src/node/node.ts'
import { notifySystemd } from '../src/node/systemd-notify.ts'
import { COOKIE_FILE, createToken, DAEMON_FILE, removeFile, writePrivateFile } from '../src/rpc/auth.ts'
import { loadPage } from '../src/rpc/page.ts'
import type { DaemonInfo } from '../src/rpc/schema/results.ts'
import { type RpcServer, startRpcServer } from '../src/rpc/server.ts'

export interface ServeProcess {
  readonly environment: Environment
  readonly callerFolder: string
  readonly pid: number
  readonly isRoot: boolean
  /** Fires when the process is told to stop. */
  readonly stopSignal: AbortSignal
  /** Whole lines. */
  readonly writeOut: (line: string) => void
  readonly writeLog: (line: string) => void
  /** Called with the log once there is one, for what arrives from outside: signals, stray errors. */
  readonly onLog: (log: Log) => void
  /** Called with what to do when the settings are to be read again. */
  readonly onReload: (reload: () => void) => void
  /** End the process now: what should have stopped did not. */
  readonly abandon: (exitCode: number) => void
}

/** Of ten seconds for a clean stop, what is left for the process to end. */
const STOP_DEADLINE_MS = 9_500

/**
 * Run until told to stop, by signal or by RPC.
 *
 * @returns 0 after a clean stop.
 * @throws CliError or MegatorrentError when it cannot start or cannot go on.
 */
export async function serve(flags: Flags, self: ServeProcess): Promise<number> {
  const { environment, callerFolder } = self
  const loaded = await readConfig({ flags, environment, callerFolder })
  if (!loaded.ok) throw configError(loaded.problems)
  const { config } = loaded
  const log = createLog({ level: config.logLevel, format: config.logFormat }, self.writeLog)
  self.onLog(log)
  if (self.isRoot) log.warn('running as root: a user of its own would be safer')
  if (!isLoopback(config.rpc.host))
    log.warn('RPC can be reached from other machines, and its token travels in clear')
  limitHeapGrowth()
  const tellSystemd = (fields: readonly string[]) => notifySystemd(environment.NOTIFY_SOCKET, fields, log)
  const node = await startNode(config, {
    log,
    clock: systemClock,
    random: systemRandom,
    givenLimits: givenLimits(loaded.origins),
  })
  const stopping = new AbortController()
  const stop = (): void => stopping.abort()
  if (self.stopSignal.aborted) stop()
  self.stopSignal.addEventListener('abort', stop, { once: true })
  self.onReload(() => void reload({ flags, environment, callerFolder }, node, log))
  let rpc: RpcServer | null = null
  try {
    rpc = await startRpc(config, node, log, stop)
    await announce(config, node, rpc, self)
    await tellSystemd(['READY=1', `STATUS=mode ${node.info.mode}`])
    log.info('ready', { mode: node.info.mode })
    await Promise.race([aborted(stopping.signal), node.closed])
    return 0
  } finally {
    log.info('stopping')
    await tellSystemd(['STOPPING=1'])
    const deadline = startDeadline(systemClock, log, self)
    await rpc?.close()
    await removeFile(config.dataDir, COOKIE_FILE)
    await node.close()
    // Last: whoever waits for the end of this daemon watches it. The folder is free by now, so it may be another's.
    if ((await readDaemonFile(config.dataDir))?.pid === self.pid)
      await removeFile(config.dataDir, DAEMON_FILE)
    deadline.cancel()
    log.info('stopped')
  }
}

/** Read the settings again and take over what can change while we run. Never rejects. */
async function reload(sources: Parameters<typeof readConfig>[0], node: RunningNode, log: Log): Promise<void> {
  try {
    const loaded = await readConfig(sources)
    if (!loaded.ok) throw configError(loaded.problems)
    const changed = node.reload(loaded.config)
    log.info('settings read again', { changed: changed.length === 0 ? 'none' : changed.join(', ') })
  } catch (error) {
    log.error('settings not read again: the old ones stay', { why: errorMessage(error) })
  }
}

function startDeadline(clock: Clock, log: Log, self: ServeProcess): { cancel(): void } {
  return clock.setTimer(() => {
    log.error('could not stop cleanly in time')
    self.abandon(1)
  }, STOP_DEADLINE_MS)
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

async function startRpc(
  config: Config,
  { api }: RunningNode,
  log: Log,
  onShutdown: () => void,
): Promise<RpcServer> {
  const token = createToken(systemRandom)
  await writePrivateFile(config.dataDir, COOKIE_FILE, token)
  // Built beside us: dist/bin and dist/web.
  const page = await loadPage(join(import.meta.dirname, '..', 'web'))
  return startRpcServer(
    { listen: config.rpc, hosts: config.rpcHost, origins: config.rpcOrigin, token, page },
    { api, log: log.child('rpc'), clock: systemClock, random: systemRandom, onShutdown },
  )
}

/** daemon.json, then the ready line with the same content. */
async function announce(
  config: Config,
  { info }: RunningNode,
  rpc: RpcServer,
  self: ServeProcess,
): Promise<void> {
  const daemon: DaemonInfo = { pid: self.pid, rpcUrl: rpc.url, ...info }
  await writePrivateFile(config.dataDir, DAEMON_FILE, `${JSON.stringify(daemon)}\n`)
  self.writeOut(`${JSON.stringify({ event: 'ready', ...daemon })}\n`)
}
