/**
 * Letting fresh files settle, so that a later change shows.
 *
 * File systems stamp changes by a clock that ticks: two changes within a tick leave
 * the same stamp, so a file that is read within the tick of its last change could
 * change unseen. A walk is followed by a wait until all that it saw is older than a
 * tick, and by another look at what was not.
 *
 * @module channels/settle
 */
import { type Clock, sleep } from '../base/clock.ts'
import { type FileStamp, statAll } from './stat-all.ts'
import type { SourceEntry, SourceTree } from './walk.ts'

/** Linux ticks every 10 ms at the most. */
const TICK_MS = 30
/** Where stamps are whole seconds: FAT counts in steps of two. */
const COARSE_TICK_MS = 2_100
/** Our clock counts whole ms, and a timer may end one too early. */
const CLOCK_STEP_MS = 2

/**
 * The tree with stamps that can be trusted: if a file has the same stamp after it
 * was read, it did not change since. Waits for 2 seconds at the most.
 */
export async function settleTree(tree: SourceTree, clock: Clock, signal?: AbortSignal): Promise<SourceTree> {
  const now = clock.now()
  const fresh = new Map<string, FileStamp>()
  let waitMs = 0
  for (const { path, stamp } of tree.entries) {
    if (stamp === null) continue
    const ageMs = now - Math.max(stamp.mtimeMs, stamp.ctimeMs)
    const tickMs = tickOf(stamp)
    // What claims to come from the future cannot be waited for.
    if (ageMs >= tickMs || ageMs < -tickMs) continue
    fresh.set(path, stamp)
    waitMs = Math.max(waitMs, Math.ceil(tickMs - ageMs) + CLOCK_STEP_MS)
  }
  if (fresh.size === 0) return tree
  await sleep(clock, waitMs, signal)
  return look(tree, fresh, signal)
}

/** Would a change after `now` show in the stamp, whatever happened before? */
export function isSettled(stamp: FileStamp, now: number): boolean {
  return now - Math.max(stamp.mtimeMs, stamp.ctimeMs) >= tickOf(stamp)
}

function tickOf(stamp: FileStamp): number {
  return stamp.mtimeMs % 1000 === 0 && stamp.ctimeMs % 1000 === 0 ? COARSE_TICK_MS : TICK_MS
}

async function look(
  tree: SourceTree,
  fresh: Map<string, FileStamp>,
  signal: AbortSignal | undefined,
): Promise<SourceTree> {
  const paths = [...fresh.keys()]
  const stats = await statAll(
    paths.map((path) => tree.sourceOf(path)),
    signal,
  )
  let bytes = tree.bytes
  paths.forEach((path, index) => {
    const stat = stats[index]
    const before = fresh.get(path)
    // What is gone or no file any more is met when it is read.
    if (stat === null || stat === undefined || before === undefined || !stat.isFile) return
    bytes += stat.stamp.size - before.size
    fresh.set(path, stat.stamp)
  })
  const entries = tree.entries.map((entry): SourceEntry => {
    const stamp = fresh.get(entry.path)
    return stamp === undefined ? entry : { path: entry.path, stamp }
  })
  const { root, skipped, files } = tree
  return { root, entries, skipped, bytes, files, sourceOf: (path) => tree.sourceOf(path) }
}
