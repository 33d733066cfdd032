/**
 * Which calls strace let fail, and whether those are all.
 *
 * It counts the calls of each name in each thread by itself: the main thread writes the database and
 * small files, workers what goes through the page cache, threads of their pools what goes past it.
 * Pure.
 */
import { CHUNK_BYTES } from '../../../src/wire/constants.ts'

/** Calls of one name, of the main thread or of any other. */
export interface Counted {
  /** The most that one thread made. */
  readonly made: number
  /** As the thread counts, from 1: those that failed. */
  readonly failed: ReadonlySet<number>
}

export interface Injected {
  /** By 'main' or 'others' and the name of the call. */
  readonly counted: ReadonlyMap<string, Counted>
  /** Writes of a whole chunk that failed, which are those past the page cache. */
  readonly failedDirectly: number
}

/** @param trace - what `strace -f` wrote. */
export function readInjected(trace: string): Injected {
  const made = new Map<string, number>()
  const open = new Map<string, string>()
  const counted = new Map<string, { made: number; failed: Set<number> }>()
  let failedDirectly = 0
  const main = trace.slice(0, trace.indexOf(' '))
  for (const line of trace.split('\n')) {
    const [, thread = '', body = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    const resumed = /^<\.\.\. ([a-z0-9_]+) resumed>/.exec(body)?.[1]
    const name = resumed ?? /^([a-z0-9_]+)\(/.exec(body)?.[1]
    if (name === undefined) continue
    const role = `${thread === main ? 'main' : 'others'} ${name}`
    const number = (made.get(thread + name) ?? 0) + (resumed === undefined ? 1 : 0)
    made.set(thread + name, number)
    const all = counted.get(role) ?? { made: 0, failed: new Set() }
    counted.set(role, all)
    all.made = Math.max(all.made, number)
    if (resumed === undefined) open.set(thread, body)
    if (!body.endsWith('(INJECTED)')) continue
    all.failed.add(number)
    if (open.get(thread)?.includes(`, ${CHUNK_BYTES}, `) === true) failedDirectly += 1
  }
  return { counted, failedDirectly }
}

export interface Coverage {
  /** So many calls of one thread each run made, if not more; `most` at most. */
  readonly made: number
  /** Of their numbers those that failed in no run. */
  readonly missing: readonly number[]
}

/** By role and name, for the calls that every run made. */
export function coverageOf(runs: readonly Injected[], most: number): Map<string, Coverage> {
  const roles = new Set(runs.flatMap(({ counted }) => [...counted.keys()]))
  const found = new Map<string, Coverage>()
  for (const role of roles) {
    const each = runs.map(({ counted }) => counted.get(role))
    const made = Math.min(most, ...each.map((one) => one?.made ?? 0))
    const failed = new Set(each.flatMap((one) => [...(one?.failed ?? [])]))
    const numbers = Array.from({ length: made }, (_, n) => n + 1)
    found.set(role, { made, missing: numbers.filter((number) => !failed.has(number)) })
  }
  return found
}
