/**
 * What the samples of one process come to, and which bounds they break.
 */
import { type Fit, fitSlope, quantile } from './fit.ts'
import type { Sample } from './samples.ts'

const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000
/** At start memory grows to what the work needs: a quarter of the run is left out, half an hour at most. */
const MAX_WARM_UP_MS = 30 * MINUTE_MS
const BLOCK_MS = 5 * MINUTE_MS
/** A line through less says nothing about an hour. */
const MIN_JUDGED_MS = 30 * MINUTE_MS
const MAX_SLOPE_MIB_PER_HOUR = 1
/**
 * Worker threads end when nothing is to be done, and with them nine files and some 15 MiB: what is judged is what
 * is left then, by a low quantile. Peers come and go besides. A leak with each restart would be dozens.
 */
const LOW = 0.1
const MAX_MORE_HANDLES = 4

export interface Use {
  readonly name: string
  /** Of what was alive after collections; null with too few samples, as below. */
  readonly live: Fit | null
  readonly liveLastMiB: number | null
  readonly rss: Fit | null
  /** Of the lowest sample of each five minutes: without workers, and without what waits to be collected. */
  readonly rssLow: Fit | null
  readonly rssFirstMiB: number
  readonly rssLastMiB: number
  readonly rssMostMiB: number
  /** Files and sockets after the warm-up. */
  readonly handlesFirst: number
  readonly handlesLast: number
  readonly handlesMost: number
  /** What is open at the least, mostly: in the last third after the warm-up, less that in the first. */
  readonly handlesMore: number
  readonly threads: number
  readonly cpuSeconds: number
  /** Bounds that are broken, in words. */
  readonly broken: readonly string[]
}

/** @param samples - of one process that ran all the time, in order. */
export function useOf(name: string, samples: readonly Sample[], durationMs: number): Use | null {
  const warm = samples.filter(({ atMs }) => atMs >= Math.min(durationMs / 4, MAX_WARM_UP_MS))
  const [first, last] = [warm[0], warm.at(-1)]
  if (first === undefined || last === undefined) return null
  const judgedMs = last.atMs - first.atMs
  const blocks = Math.max(6, Math.round(judgedMs / BLOCK_MS))
  const points = warm.map(({ atMs, rssMiB }) => ({ x: atMs / HOUR_MS, y: rssMiB }))
  const rss = fitSlope(points, blocks)
  const handles = warm.map(({ files, sockets }) => files + sockets)
  const third = Math.ceil(warm.length / 3)
  const handlesMore = quantile(handles.slice(-third), LOW) - quantile(handles.slice(0, third), LOW)
  const rssLow = fitSlope(lows(points, blocks), blocks)
  const alive = warm.flatMap(({ atMs, liveMiB }) =>
    liveMiB === null ? [] : { x: atMs / HOUR_MS, y: liveMiB },
  )
  const live = fitSlope(alive, blocks)
  const broken: string[] = []
  if (judgedMs >= MIN_JUDGED_MS) broken.push(...growth(name, live, rssLow))
  if (handlesMore > MAX_MORE_HANDLES) broken.push(`${name}: ${handlesMore} more files and sockets open`)
  return {
    ...{ name, live, liveLastMiB: alive.at(-1)?.y ?? null, rss, rssLow, handlesMore, broken },
    ...{ rssFirstMiB: first.rssMiB, rssLastMiB: last.rssMiB },
    rssMostMiB: Math.max(...samples.map(({ rssMiB }) => rssMiB)),
    handlesFirst: handles[0] ?? 0,
    handlesLast: handles.at(-1) ?? 0,
    handlesMost: Math.max(...handles),
    ...{ threads: last.threads, cpuSeconds: last.cpuSeconds },
  }
}

/**
 * What is alive is exact enough to judge as it is. Resident memory goes up and down with workers and
 * collections by more than the bound, so it counts where there is no doubt.
 */
function growth(name: string, live: Fit | null, rssLow: Fit | null): readonly string[] {
  if (live !== null && live.slope >= MAX_SLOPE_MIB_PER_HOUR) {
    return [`${name}: what is alive grows by ${live.slope.toFixed(2)} MiB/h`]
  }
  if (rssLow === null || rssLow.slope - rssLow.margin < MAX_SLOPE_MIB_PER_HOUR) return []
  return [`${name}: resident memory grows by ${rssLow.slope.toFixed(2)} MiB/h`]
}

type Points = Parameters<typeof fitSlope>[0]

function lows(points: Points, blocks: number): Points {
  const size = Math.max(1, Math.round(points.length / blocks))
  const lowest: Points[number][] = []
  for (let at = 0; at < points.length; at += size) {
    lowest.push(points.slice(at, at + size).reduce((low, point) => (point.y < low.y ? point : low)))
  }
  return lowest
}
