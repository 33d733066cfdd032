/**
 * What the doctor looks at: this machine, and what the settings name on it. Nothing
 * leaves the machine but connections to the proxy and the control port that are set.
 *
 * @module node/doctor-facts
 */
import { readFile, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { errorMessage } from '../base/errors.ts'
import { DOCTOR_DIAL_MS } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import type { Config } from '../config/schema.ts'
import type { HostPort } from '../config/values.ts'
import { TcpTransport } from '../transport/tcp.ts'
import type { DoctorFacts, PortFact } from './doctor.ts'
import { controlOpener } from './onion-control.ts'

export interface DoctorDeps {
  readonly clock: Clock
  readonly random: Random
  readonly nodeVersion: string
  /** Of this process; null where systems have none. */
  readonly userId: number | null
  /** As `DoctorFacts.notReady`. */
  readonly notReady: readonly string[] | null
}

export async function gatherFacts(config: Config, deps: DoctorDeps): Promise<DoctorFacts> {
  const { clock, nodeVersion, notReady } = deps
  const tcp = new TcpTransport(clock)
  const isRunning = notReady !== null
  return {
    ...{ nodeVersion, notReady, nowMs: clock.now(), minFreeBytes: config.minFree },
    dataFolder: await folderFact(config.dataDir, deps.userId),
    freeBytes: await freeBytes(config.dataDir),
    openFiles: await openFiles(),
    peerPort: await portFact(tcp, config.listen, isRunning),
    rpcPort: await portFact(tcp, config.rpc, isRunning),
    proxyError: config.proxy === null ? null : await dialError(tcp, config.proxy),
    torError: await torError(config, deps, tcp),
  }
}

async function folderFact(path: string, userId: number | null): Promise<DoctorFacts['dataFolder']> {
  const found = await stat(path).catch(() => null)
  return found === null ? null : { path, mode: found.mode, isOurs: userId === null || found.uid === userId }
}

/** Of the nearest folder that is there. */
async function freeBytes(path: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(path)
    return bavail * bsize
  } catch {
    return dirname(path) === path ? null : freeBytes(dirname(path)) // not made yet: its disk is its parent's
  }
}

async function openFiles(): Promise<number | null> {
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '') // Linux alone has it
  const soft = /^Max open files +(\d+|unlimited)/m.exec(limits)?.[1]
  if (soft === undefined) return null
  return soft === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(soft)
}

/** A daemon that runs on this folder has both. */
async function portFact(tcp: TcpTransport, at: HostPort, isRunning: boolean): Promise<PortFact> {
  if (isRunning) return 'ours'
  try {
    await (await tcp.listen(at, (stream) => stream.destroy())).close()
    return 'free'
  } catch (error) {
    const code = (error as { readonly cause?: { readonly code?: unknown } }).cause?.code
    if (code === 'EACCES') return 'refused'
    return code === 'EADDRNOTAVAIL' ? 'no-such-address' : 'taken'
  }
}

/** '' when somebody answers there. */
async function dialError(tcp: TcpTransport, at: HostPort): Promise<string> {
  try {
    ;(await tcp.dial(at, { timeoutMs: DOCTOR_DIAL_MS })).destroy()
    return ''
  } catch (error) {
    return errorMessage(error)
  }
}

/** As `dialError`, with the login; null where no control port is named. */
async function torError(
  config: Config,
  { clock, random }: DoctorDeps,
  tcp: TcpTransport,
): Promise<string | null> {
  try {
    const open = controlOpener({ config, clock, random }, tcp)
    if (open === null) return null
    ;(await open({ onPublished: () => {}, onClosed: () => {} })).close()
    return ''
  } catch (error) {
    return errorMessage(error)
  }
}
