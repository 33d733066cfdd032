/**
 * The end of a soak in words: a table of the processes that ran through, what was
 * published and arrived, what the logs say, and which bounds are broken.
 */
import type { SoakChannel } from './channel.ts'
import type { Outcomes } from './churn.ts'
import { type Fit, quantile } from './fit.ts'
import type { LogCounts } from './logs.ts'
import type { SoakNode } from './soak-node.ts'
import type { Use } from './verdict.ts'

const SHOWN_MESSAGES = 15

export interface Findings {
  readonly durationMs: number
  readonly nodes: readonly SoakNode[]
  readonly channels: readonly SoakChannel[]
  readonly uses: readonly Use[]
  readonly outcomes: Outcomes
  readonly logs: LogCounts
  /** What did not settle at the end. */
  readonly problems: readonly string[]
}

/** Bounds that are broken: none is a pass. */
export function brokenBounds({ nodes, uses, logs, problems }: Findings): readonly string[] {
  const broken = [...problems, ...uses.flatMap((use) => use.broken)]
  for (const { name, faults } of nodes) broken.push(...faults.map((fault) => `${name}: ${fault}`))
  if (logs.unhandledRejections > 0) broken.push(`${logs.unhandledRejections} unhandled rejections`)
  if (logs.uncaughtErrors > 0) broken.push(`${logs.uncaughtErrors} uncaught errors`)
  if (logs.bugs > 0) broken.push(`${logs.bugs} lines of the logs tell of a bug`)
  return broken
}

export function reportOf(findings: Findings): string {
  const { durationMs, nodes, channels, uses, outcomes, logs } = findings
  const restarts = nodes.reduce((sum, node) => sum + node.restarts, 0)
  const lines = [
    '',
    `${(durationMs / 60_000).toFixed(1)} minutes, ${nodes.length} processes, ${restarts} restarts`,
    '',
    ...useTable(uses),
    '',
    ...channels.map(channelLine),
    '',
    `what happened: ${[...outcomes].map(([what, count]) => `${what} ${count}`).join(', ')}`,
    `logs: ${logs.unhandledRejections} unhandled rejections, ${logs.uncaughtErrors} uncaught errors, ${logs.bugs} bugs, ${logs.errors} errors, ${logs.warnings} warnings`,
    ...logs.messages.slice(0, SHOWN_MESSAGES).map(([message, count]) => `  ${count} x ${message}`),
    '',
  ]
  const broken = brokenBounds(findings)
  if (broken.length === 0) lines.push('pass: no bound is broken')
  else lines.push('FAIL:', ...broken.map((each) => `  ${each}`))
  return `${lines.join('\n')}\n`
}

const COLUMNS = [
  ...['process', 'alive MiB/h', 'alive', 'RSS MiB/h', 'of the lows', 'RSS first', 'last', 'most'],
  ...['handles first', 'last', 'most', 'more', 'threads', 'CPU s'],
]

export function useTable(uses: readonly Use[]): readonly string[] {
  const rows = uses.map((use) => [
    ...[
      use.name,
      shownFit(use.live),
      use.liveLastMiB?.toFixed(1) ?? '',
      shownFit(use.rss),
      shownFit(use.rssLow),
    ],
    ...[use.rssFirstMiB, use.rssLastMiB, use.rssMostMiB].map((value) => value.toFixed(1)),
    ...[use.handlesFirst, use.handlesLast, use.handlesMost, use.handlesMore, use.threads].map(String),
    use.cpuSeconds.toFixed(0),
  ])
  return [COLUMNS, COLUMNS.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)
}

function shownFit(fit: Fit | null): string {
  return fit === null ? '' : `${fit.slope.toFixed(2)} ± ${fit.margin.toFixed(2)}`
}

function channelLine({ name, publisher, releases, failures }: SoakChannel): string {
  const tookMs = releases.flatMap(({ atMs, completeAtMs }) =>
    completeAtMs === null ? [] : [completeAtMs - atMs],
  )
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(0)} s`
  const times =
    tookMs.length === 0
      ? ''
      : `, after ${seconds(quantile(tookMs, 0.5))} (median), ${seconds(Math.max(...tookMs))} at most`
  const failed = failures.length === 0 ? '' : `; without an answer: ${countsOf(failures)}`
  return `${name} of ${publisher.name}: ${releases.length} releases, ${tookMs.length} came to all${times}${failed}`
}

function countsOf(texts: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1)
  return [...counts].map(([text, count]) => `${count} x ${text}`).join(', ')
}
