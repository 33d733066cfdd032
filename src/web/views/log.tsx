/**
 * What has happened since the page was opened.
 *
 * @module web/views/log
 */
import type { ViewProps } from '../context.ts'
import { clockText } from '../format.ts'
import { Text } from '../parts/text.tsx'

export function LogView({ state }: ViewProps) {
  if (state.log.length === 0) return <p>Nothing has happened since this page was opened.</p>
  // The newest first, for the eye. Nothing here is read out as it comes: a busy node would never be silent.
  const lines = state.log.toReversed()
  return (
    <ol class="log" aria-label="Events, newest first">
      {lines.map(({ atMs, text, isBad }, i) => (
        <li key={state.log.length - i} class={isBad ? 'bad' : ''}>
          <time dateTime={new Date(atMs).toISOString()}>{clockText(atMs)}</time> <Text of={text} />
        </li>
      ))}
    </ol>
  )
}
