/**
 * The lines of the chart of speeds. Pure.
 *
 * @module web/parts/chart-lines
 */
import { MAX_SAMPLES, type Sample } from '../state.ts'

/** Of the drawing, in units of its own. */
export const WIDTH = 600
export const HEIGHT = 140
/** bytes a second: an idle line does not fill the chart. */
const LEAST_TOP = 10_240

/** The value of the upper edge, a round one: 1, 2 or 5, 10 or 100 times as much, of KiB, MiB and so on. */
export function topOf(samples: readonly Sample[]): number {
  const most = Math.max(LEAST_TOP, ...samples.map(({ down, up }) => Math.max(down, up)))
  let unit = 1024
  while (unit * 1000 < most) unit *= 1024
  for (const factor of [1, 2, 5, 10, 20, 50, 100, 200, 500]) {
    if (factor * unit >= most) return factor * unit
  }
  return 1000 * unit
}

/** Points of a line, the newest at the right edge. */
export function pointsOf(values: readonly number[], top: number): string {
  const step = WIDTH / (MAX_SAMPLES - 1)
  const first = MAX_SAMPLES - values.length
  return values
    .map((value, i) => `${((first + i) * step).toFixed(1)},${(HEIGHT - (HEIGHT * value) / top).toFixed(1)}`)
    .join(' ')
}
