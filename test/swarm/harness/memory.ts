/**
 * What Linux tells of a process: memory, processor time, children, open files and
 * sockets. Read from /proc, so that nothing has to be installed; elsewhere every
 * function says so by null, and tests leave the figure out.
 */
import { readdir, readFile, readlink } from 'node:fs/promises'

const TICKS_PER_SECOND = 100 // USER_HZ; the same on every Linux that Node runs on

/** Resident memory now, or null when there is no such process (or no /proc). */
export function rssBytes(pid: number): Promise<number | null> {
  return statusBytes(pid, 'VmRSS')
}

/** The most resident memory that the process has had. */
export function peakRssBytes(pid: number): Promise<number | null> {
  return statusBytes(pid, 'VmHWM')
}

/** Of the resident memory, what no file stands behind: the program's own. */
export function anonymousBytes(pid: number): Promise<number | null> {
  return statusBytes(pid, 'RssAnon')
}

/** Threads of the process: its workers come and go. */
export async function threadsOf(pid: number): Promise<number | null> {
  const match = /^Threads:\s+(\d+)$/m.exec((await readOrNull(`/proc/${pid}/status`)) ?? '')
  return match === null ? null : Number(match[1])
}

/** What the process does, for a failure that says that it does not answer: "R (running), 12.3 s of processor time". */
export async function activityOf(pid: number): Promise<string> {
  const state = /^State:\s+(.+)$/m.exec((await readOrNull(`/proc/${pid}/status`)) ?? '')?.[1] ?? 'unknown'
  return `${state}, ${(await cpuSeconds(pid))?.toFixed(1) ?? '?'} s of processor time`
}

async function statusBytes(pid: number, field: string): Promise<number | null> {
  const status = await readOrNull(`/proc/${pid}/status`)
  const match = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status ?? '')
  return match === null ? null : Number(match[1]) * 1024
}

/** User and system time so far, in seconds, children that have ended not included. */
export async function cpuSeconds(pid: number): Promise<number | null> {
  const fields = await statFields(pid)
  if (fields === null) return null
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** Is there such a process, and is it more than a zombie? */
export async function isRunning(pid: number): Promise<boolean> {
  const fields = await statFields(pid)
  return fields !== null && fields[0] !== 'Z'
}

/** Fields of /proc/PID/stat from the third (state) on: the second may hold blanks and brackets. */
async function statFields(pid: number): Promise<readonly string[] | null> {
  const stat = await readOrNull(`/proc/${pid}/stat`)
  if (stat === null) return null
  return stat
    .slice(stat.lastIndexOf(')') + 2)
    .trim()
    .split(' ')
}

/** Running processes whose environment has `name=value`: those that a test started, and their children. */
export async function processesWithEnv(name: string, value: string): Promise<readonly number[]> {
  const found: number[] = []
  for (const entry of await listOrEmpty('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const environment = await readOrNull(`/proc/${entry}/environ`)
    if (environment?.split('\0').includes(`${name}=${value}`) !== true) continue
    if (await isRunning(Number(entry))) found.push(Number(entry))
  }
  return found
}

export interface OpenHandles {
  readonly files: number
  readonly sockets: number
}

/** How many files and sockets the process has open. */
export async function openHandles(pid: number): Promise<OpenHandles | null> {
  const names = await listOrEmpty(`/proc/${pid}/fd`)
  if (names.length === 0) return null
  let sockets = 0
  for (const name of names) {
    const target = await readlink(`/proc/${pid}/fd/${name}`).catch(() => '')
    if (target.startsWith('socket:')) sockets++
  }
  return { files: names.length - sockets, sockets }
}

/** Local ports of the UDP sockets that the process has open: what safe mode must not have any of. */
export async function udpPorts(pid: number): Promise<readonly number[]> {
  const inodes = new Set<string>()
  for (const name of await listOrEmpty(`/proc/${pid}/fd`)) {
    const target = await readlink(`/proc/${pid}/fd/${name}`).catch(() => '')
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1]
    if (inode !== undefined) inodes.add(inode)
  }
  const ports: number[] = []
  for (const table of ['udp', 'udp6']) {
    for (const line of ((await readOrNull(`/proc/${pid}/net/${table}`)) ?? '').split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/)
      const port = /:([0-9A-F]{4})$/.exec(fields[1] ?? '')?.[1]
      if (port !== undefined && inodes.has(fields[9] ?? '')) ports.push(Number.parseInt(port, 16))
    }
  }
  return ports
}

async function readOrNull(path: string): Promise<string | null> {
  // A process may end between any two reads; then it has no files.
  return readFile(path, 'utf8').catch(() => null)
}

async function listOrEmpty(path: string): Promise<readonly string[]> {
  return readdir(path).catch(() => [])
}
