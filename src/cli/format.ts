/**
 * Tables for people, with the numbers and times of base/format.ts. Text of others passes `printable`.
 *
 * @module cli/format
 */
import Table from 'cli-table3'
import { printable } from '../base/printable.ts'

export {
  formatBytes,
  formatDuration,
  formatPercent,
  formatRate,
  formatTime,
  plural,
} from '../base/format.ts'

/** Columns of blanks around each cell. */
const PADDING = 2
const MIN_COLUMN = 6

/**
 * A table that fits `width` columns: the widest ones are cut, with an ellipsis.
 * Without a width (no terminal) nothing is cut.
 */
export function formatTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  width: number | undefined,
): string {
  const cells = rows.map((row) => row.map(printable))
  const widths = head.map((title, column) =>
    Math.max(title.length, ...cells.map((row) => (row[column] ?? '').length)),
  )
  if (width !== undefined) shrink(widths, width - head.length * PADDING)
  const table = new Table({
    head: [...head],
    colWidths: widths.map((columns) => columns + PADDING),
    // No frame: lines can be cut and counted by other programs. No colours at all.
    chars: Object.fromEntries(FRAME_PARTS.map((part) => [part, ''])),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': PADDING, compact: true },
  })
  table.push(...cells.map((row) => [...row]))
  return `${table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')}\n`
}

const FRAME_PARTS = [
  'top',
  'top-mid',
  'top-left',
  'top-right',
  'bottom',
  'bottom-mid',
  'bottom-left',
  'bottom-right',
  'left',
  'left-mid',
  'mid',
  'mid-mid',
  'right',
  'right-mid',
  'middle',
]

/** Take columns from the widest until the sum fits or nothing can be taken. */
function shrink(widths: number[], available: number): void {
  for (;;) {
    const excess = widths.reduce((sum, columns) => sum + columns, 0) - available
    const widest = Math.max(...widths)
    if (excess <= 0 || widest <= MIN_COLUMN) return
    const second = Math.max(MIN_COLUMN, ...widths.filter((columns) => columns < widest))
    widths[widths.indexOf(widest)] = Math.max(second - 1, widest - excess, MIN_COLUMN)
  }
}

/** `name: value` lines, aligned. */
export function formatPairs(pairs: readonly (readonly [string, string])[]): string {
  const longest = Math.max(...pairs.map(([name]) => name.length))
  return pairs.map(([name, value]) => `${`${name}:`.padEnd(longest + 2)}${printable(value)}\n`).join('')
}
