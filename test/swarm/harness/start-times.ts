/** What starts of nodes took: of the clock, and of the processors, since the machine may do other things. */
import { cpuSeconds } from './memory.ts'
import type { TestNode } from './test-node.ts'

export class StartTimes {
  readonly #starts: { readonly takesMs: number; readonly cpuMs: number }[] = []

  /** Start a node. @returns ms until it was ready. */
  async begin(node: TestNode): Promise<number> {
    const startMs = performance.now()
    await node.begin()
    const takesMs = performance.now() - startMs
    this.#starts.push({ takesMs, cpuMs: 1000 * ((await cpuSeconds(node.pid)) ?? 0) })
    return takesMs
  }

  /** The median: on a busy machine a single start may take any time. 0 where there is no /proc. */
  get usualCpuMs(): number {
    const sorted = this.#starts.map(({ cpuMs }) => cpuMs).sort((a, b) => a - b)
    return sorted[Math.floor(sorted.length / 2)] ?? 0
  }

  toString(): string {
    const longestMs = Math.max(...this.#starts.map(({ takesMs }) => takesMs))
    const longestCpuMs = Math.max(...this.#starts.map(({ cpuMs }) => cpuMs))
    return (
      `${this.#starts.length} starts, longest ${longestMs.toFixed(0)} ms; ` +
      `of processor time ${longestCpuMs.toFixed(0)} ms, usually ${this.usualCpuMs.toFixed(0)} ms`
    )
  }
}
