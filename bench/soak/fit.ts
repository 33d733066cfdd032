/**
 * A straight line through samples, and how far its slope can be trusted.
 */

export interface Point {
  readonly x: number
  readonly y: number
}

export interface Fit {
  readonly slope: number
  /** Half the width of the interval that holds the true slope in 95 of 100 cases. */
  readonly margin: number
}

/**
 * Least squares over means of blocks. Memory goes up and down with collections, so
 * neighbouring samples are alike and would make the slope look surer than it is;
 * means over some minutes are nearly independent.
 *
 * @param blocks - how many means; null comes back when fewer than four of them have a sample.
 */
export function fitSlope(points: readonly Point[], blocks: number): Fit | null {
  const means = blockMeans(points, blocks)
  const count = means.length
  if (count < 4) return null
  const meanX = mean(means.map(({ x }) => x))
  const meanY = mean(means.map(({ y }) => y))
  const spread = sum(means.map(({ x }) => (x - meanX) ** 2))
  const slope = sum(means.map(({ x, y }) => (x - meanX) * (y - meanY))) / spread
  const left = sum(means.map(({ x, y }) => (y - meanY - slope * (x - meanX)) ** 2))
  const freedom = count - 2
  return { slope, margin: studentQuantile(freedom) * Math.sqrt(left / freedom / spread) }
}

/** The value that this part of all is not above. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN
}

function blockMeans(points: readonly Point[], blocks: number): readonly Point[] {
  const first = points[0]?.x ?? 0
  const width = ((points.at(-1)?.x ?? 0) - first) / blocks
  const groups = Array.from({ length: blocks }, (): Point[] => [])
  for (const point of points) {
    groups[Math.min(blocks - 1, Math.floor((point.x - first) / width))]?.push(point)
  }
  return groups
    .filter((group) => group.length > 0)
    .map((group) => ({ x: mean(group.map(({ x }) => x)), y: mean(group.map(({ y }) => y)) }))
}

/** Student's t at 97.5 %, to some percent from four degrees of freedom on. */
function studentQuantile(freedom: number): number {
  return 1.96 + 2.8 / freedom
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length
}
