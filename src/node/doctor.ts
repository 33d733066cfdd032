/**
 * What could keep a node from working, from what was found on this machine. Pure.
 *
 * @module node/doctor
 */
import { MIN_FREE_WARNING_BYTES, MIN_OPEN_FILES } from '../base/limits.ts'

export interface Finding {
  readonly check: string
  readonly state: 'ok' | 'warning' | 'problem'
  /** What is so, and what to do about it unless it is right. */
  readonly message: string
}

/** A port that a daemon would listen on. */
export type PortFact = 'free' | 'ours' | 'taken' | 'refused' | 'no-such-address'

export interface DoctorFacts {
  /** `20.19.1` */
  readonly nodeVersion: string
  readonly nowMs: number
  /** Null when it is not there yet. */
  readonly dataFolder: { readonly path: string; readonly mode: number; readonly isOurs: boolean } | null
  /** Of the disk that the data folder is on, or will be; null when nobody could say. */
  readonly freeBytes: number | null
  readonly minFreeBytes: number
  /** Null where the system has none that we know. */
  readonly openFiles: number | null
  readonly peerPort: PortFact
  readonly rpcPort: PortFact
  /** What went wrong; '' when it works; null when none is set. */
  readonly proxyError: string | null
  readonly torError: string | null
  /** Why a running daemon says that it is not ready; null when none runs. */
  readonly notReady: readonly string[] | null
}

const NODE_VERSION = [20, 19] as const
/** When this was written: no right clock shows an earlier time. */
const WRITTEN_MS = Date.UTC(2026, 10, 1)

export function diagnose(facts: DoctorFacts): readonly Finding[] {
  return [
    nodeFinding(facts),
    clockFinding(facts),
    folderFinding(facts),
    diskFinding(facts),
    filesFinding(facts),
    portFinding('peer port', facts.peerPort, '--listen'),
    portFinding('RPC port', facts.rpcPort, '--rpc'),
    ...remoteFindings('proxy', facts.proxyError, 'start Tor, or set --proxy to where it listens'),
    ...remoteFindings(
      'Tor control',
      facts.torError,
      'set ControlPort in torrc, and let this user read its cookie or give --tor-control-password-file',
    ),
    daemonFinding(facts),
  ].filter((finding) => finding !== null)
}

const ok = (check: string, message: string): Finding => ({ check, state: 'ok', message })
const warning = (check: string, message: string): Finding => ({ check, state: 'warning', message })
const problem = (check: string, message: string): Finding => ({ check, state: 'problem', message })

function nodeFinding({ nodeVersion }: DoctorFacts): Finding {
  const [major = 0, minor = 0] = nodeVersion.split('.').map(Number)
  const isOld = major < NODE_VERSION[0] || (major === NODE_VERSION[0] && minor < NODE_VERSION[1])
  return isOld
    ? problem('Node', `version ${nodeVersion} is too old: install ${NODE_VERSION.join('.')} or later`)
    : ok('Node', `version ${nodeVersion}`)
}

function clockFinding({ nowMs }: DoctorFacts): Finding {
  const now = new Date(nowMs).toISOString().slice(0, 16)
  // Slots go by the day: with a wrong one nothing is found, and nothing says why.
  return nowMs < WRITTEN_MS
    ? problem(
        'clock',
        `${now} UTC is before this program was made: set the clock, channels are found by the day`,
      )
    : ok('clock', `${now} UTC; more than three hours off, and channels are not found`)
}

function folderFinding({ dataFolder }: DoctorFacts): Finding {
  if (dataFolder === null) return ok('data folder', 'not there yet: "megatorrent serve" makes it')
  const { path, mode, isOurs } = dataFolder
  if (!isOurs)
    return problem('data folder', `${path} belongs to another user: run as that one, or give --data-dir`)
  return (mode & 0o077) === 0
    ? ok('data folder', path)
    : warning('data folder', `others may look into ${path}: chmod 700 it`)
}

function diskFinding({ freeBytes, minFreeBytes }: DoctorFacts): Finding {
  if (freeBytes === null) return warning('disk', 'its free space cannot be read')
  const gib = (bytes: number): string => `${(bytes / 1_073_741_824).toFixed(1)} GiB`
  if (freeBytes < minFreeBytes) {
    return problem(
      'disk',
      `${gib(freeBytes)} free, and --min-free is ${gib(minFreeBytes)}: nothing is written`,
    )
  }
  return freeBytes < minFreeBytes + MIN_FREE_WARNING_BYTES
    ? warning('disk', `${gib(freeBytes)} free: ${gib(freeBytes - minFreeBytes)} above --min-free`)
    : ok('disk', `${gib(freeBytes)} free`)
}

function filesFinding({ openFiles }: DoctorFacts): Finding | null {
  if (openFiles === null) return null
  return openFiles < MIN_OPEN_FILES
    ? warning(
        'open files',
        `${openFiles} may be open, and a node may want ${MIN_OPEN_FILES}: raise it with ulimit -n`,
      )
    : ok('open files', `${openFiles} may be open`)
}

function portFinding(check: string, port: PortFact, flag: string): Finding {
  switch (port) {
    case 'free':
      return ok(check, 'free')
    case 'ours':
      return ok(check, 'used by the daemon that runs')
    case 'taken':
      return problem(check, `another program has it: end that, or choose another ${flag}`)
    case 'refused':
      return problem(check, `this user may not use it: choose one above 1023 for ${flag}`)
    case 'no-such-address':
      return problem(check, `this machine has no such address: choose another ${flag}`)
  }
}

function remoteFindings(check: string, error: string | null, remedy: string): readonly Finding[] {
  if (error === null) return []
  return [error === '' ? ok(check, 'answers') : problem(check, `${error}: ${remedy}`)]
}

function daemonFinding({ notReady }: DoctorFacts): Finding {
  if (notReady === null) return ok('daemon', 'does not run: start it with "megatorrent serve"')
  return notReady.length === 0
    ? ok('daemon', 'runs and is ready')
    : warning('daemon', `runs and is not ready: ${notReady.join('; ')}`)
}
