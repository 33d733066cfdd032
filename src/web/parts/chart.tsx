/**
 * The speeds of the last two minutes.
 *
 * @module web/parts/chart
 */
import { formatRate } from '../../base/format.ts'
import type { Sample } from '../state.ts'
import { HEIGHT, pointsOf, topOf, WIDTH } from './chart-lines.ts'

export function Chart({ samples }: { readonly samples: readonly Sample[] }) {
  const top = topOf(samples)
  const now = samples.at(-1) ?? { down: 0, up: 0 }
  const label = `Speed of the last two minutes: now ${formatRate(now.down)} down and ${formatRate(now.up)} up`
  const lines = [0.25, 0.5, 0.75].map((part) => part * HEIGHT)
  return (
    <figure class="chart">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
        {lines.map((y) => (
          <line key={y} class="grid" x1="0" x2={WIDTH} y1={y} y2={y} />
        ))}
        <polyline
          class="down"
          points={pointsOf(
            samples.map(({ down }) => down),
            top,
          )}
        />
        <polyline
          class="up"
          points={pointsOf(
            samples.map(({ up }) => up),
            top,
          )}
        />
      </svg>
      <figcaption>
        <span class="legend down">down {formatRate(now.down)}</span>
        <span class="legend up">up {formatRate(now.up)}</span>
        <span class="top-label">full height: {formatRate(top)}</span>
      </figcaption>
    </figure>
  )
}
