/**
 * Measurements of time on a machine that may do other things: they begin when it does little else, and
 * one that failed while others took much of the processors is done again. One that passed counts
 * whatever else went on. Where /proc tells nothing, each is done once.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { waitUntil } from './wait.ts'

const TICKS_PER_SECOND = 100 // USER_HZ; the same on every Linux that Node runs on
/** Of all processors: what others may take of them for a failure to be ours. */
const MAX_OTHERS_SHARE = 0.1
const LOOK_MS = 3_000
/** It is begun then all the same, since it may pass. */
const MAX_WAIT_MS = 300_000
const MAX_ATTEMPTS = 4

export async function whenQuiet(attempt: () => Promise<void>): Promise<void> {
  for (let left = MAX_ATTEMPTS - 1; ; left--) {
    await waitUntilQuiet()
    const othersShare = watchOthers()
    try {
      return await attempt()
    } catch (error) {
      const share = othersShare()
      if (left === 0 || share <= MAX_OTHERS_SHARE) throw error
      process.stdout.write(`  once more: others took ${share.toFixed(2)} of the processors\n`)
    }
  }
}

async function waitUntilQuiet(): Promise<void> {
  let sinceMs = performance.now()
  let othersShare = watchOthers()
  const isQuiet = (): boolean => {
    if (performance.now() - sinceMs < LOOK_MS) return false
    const share = othersShare()
    sinceMs = performance.now()
    othersShare = watchOthers()
    return share <= MAX_OTHERS_SHARE
  }
  await waitUntil(isQuiet, MAX_WAIT_MS, 'the machine does little else').catch(() => {})
}

/** @returns what tells the part of all processors that went to others than us and our children since then. */
function watchOthers(): () => number {
  const startMs = performance.now()
  const before = othersSeconds()
  return () => {
    const after = othersSeconds()
    if (before === null || after === null) return 0
    return (after - before) / availableParallelism() / ((performance.now() - startMs) / 1_000)
  }
}

/** Processor time of all that does not descend from us, in seconds; null where nobody tells. */
function othersSeconds(): number | null {
  const all = readOrNull('/proc/stat')
  if (all === null) return null
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = numbersIn(
    all.slice(0, all.indexOf('\n')),
  )
  const parents = new Map<number, number>()
  const ticks = new Map<number, number>()
  for (const entry of readdirSync('/proc')) {
    const stat = /^\d+$/.test(entry) ? readOrNull(`/proc/${entry}/stat`) : null
    if (stat === null) continue
    // From the fourth field on: the second may hold blanks and brackets.
    const fields = numbersIn(stat.slice(stat.lastIndexOf(')') + 3))
    parents.set(Number(entry), fields[0] ?? 0)
    ticks.set(
      Number(entry),
      fields.slice(10, 14).reduce((sum, one) => sum + one, 0),
    )
  }
  const isOurs = (pid: number): boolean => pid === process.pid || (pid > 1 && isOurs(parents.get(pid) ?? 0))
  let ours = 0
  for (const [pid, count] of ticks) if (isOurs(pid)) ours += count
  return (user + nice + system + irq + softirq - ours) / TICKS_PER_SECOND
}

function numbersIn(text: string): number[] {
  return [...text.matchAll(/ (-?\d+)/g)].map(([, digits]) => Number(digits))
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null // it has ended, or there is no /proc
  }
}
