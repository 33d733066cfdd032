/**
 * What a measurement gives, and how it is shown: one row of a table, and one JSON
 * line for programs that compare runs.
 */
import { cpuSeconds, peakRssBytes } from '../test/swarm/harness/memory.ts'
import type { TestNode } from '../test/swarm/harness/test-node.ts'

export const MIB = 1_048_576

/** The most resident memory that a daemon may have had in any figure, MiB. */
export const MAX_RSS_MIB = 200

export interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: string
  /** The same work as bare as it can be, on one thread, in the same run; null where there is no such thing. */
  readonly floor: number | null
  /** How much of the floor was reached, 1 being all of it. */
  readonly ratio: number | null
  /** User and system time of all processes concerned. */
  readonly cpuSeconds: number | null
  /** Of the process that had most. */
  readonly peakRssMiB: number | null
  /** null: a figure without a mark to reach. */
  readonly pass: boolean | null
  /** What else was seen, in words. */
  readonly note: string
}

/** A run: how large, and where to put what. */
export interface Bench {
  /** Bytes of the large file. */
  readonly bytes: number
  /** A folder that is removed at the end. */
  readonly folder: string
  report(figure: Figure): void
}

/** What a figure needs to be filled up; the rest is null. */
export function figure(given: Pick<Figure, 'name' | 'value' | 'unit'> & Partial<Figure>): Figure {
  const { name, value, unit, ...rest } = given
  const empty = { floor: null, ratio: null, cpuSeconds: null, peakRssMiB: null, pass: null, note: '' }
  return { name, value, unit, ...empty, ...rest }
}

/** What daemons spent from `Cost.since` to `spent`. */
export class Cost {
  readonly #nodes: readonly TestNode[]
  readonly #before: readonly number[]
  readonly #startMs: number

  private constructor(nodes: readonly TestNode[], before: readonly number[]) {
    this.#nodes = nodes
    this.#before = before
    this.#startMs = performance.now()
  }

  static async since(nodes: readonly TestNode[]): Promise<Cost> {
    return new Cost(nodes, await Promise.all(nodes.map((node) => cpuOf(node))))
  }

  async spent(): Promise<{ seconds: number; cpuSeconds: number; peakRssMiB: number; note: string }> {
    const seconds = (performance.now() - this.#startMs) / 1000
    const cpus: number[] = []
    const peaks: number[] = []
    for (const [i, node] of this.#nodes.entries()) {
      cpus.push((await cpuOf(node)) - (this.#before[i] ?? 0))
      peaks.push(((await peakRssBytes(node.pid)) ?? 0) / MIB)
    }
    const each = this.#nodes.map(
      ({ name }, i) => `${name} ${cpus[i]?.toFixed(1)} s CPU, ${peaks[i]?.toFixed(0)} MiB`,
    )
    return {
      seconds,
      cpuSeconds: cpus.reduce((sum, cpu) => sum + cpu, 0),
      peakRssMiB: Math.max(...peaks),
      note: each.join('; '),
    }
  }
}

async function cpuOf(node: TestNode): Promise<number> {
  return (await cpuSeconds(node.pid)) ?? 0
}

const COLUMNS = ['figure', 'value', 'unit', 'floor', 'ratio', 'CPU s', 'peak MiB', 'pass', 'note']

/** A Markdown table, as bench/results.md holds it. */
export function table(figures: readonly Figure[]): string {
  const rows = figures.map((row) => [
    ...[row.name, shown(row.value), row.unit, shown(row.floor), shown(row.ratio)],
    ...[shown(row.cpuSeconds), shown(row.peakRssMiB)],
    ...[row.pass === null ? '' : row.pass ? 'pass' : 'FAIL', row.note],
  ])
  const lines = [COLUMNS, COLUMNS.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)
  return lines.join('\n')
}

function shown(value: number | null): string {
  if (value === null) return ''
  return Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)))
}
