/**
 * Long work in the daemon: how far it is, and how to stop it.
 *
 * @module web/parts/job
 */
import { formatBytes, formatPercent } from '../../base/format.ts'
import { useNode } from '../context.ts'
import type { Job } from '../state.ts'
import { useBusy } from './form.tsx'
import { Text } from './text.tsx'

export function JobLine({ job }: { readonly job: Job }) {
  const { call } = useNode()
  const { isBusy, run } = useBusy()
  const { jobId, method, state, progress, error } = job
  return (
    <div class="job">
      <p>
        <strong>{method}</strong>: <span class={state === 'failed' ? 'bad' : ''}>{outcomeOf(job)}</span>
      </p>
      {error !== null && (
        <p class="bad">
          <Text of={error.message} />
        </p>
      )}
      {state === 'running' && (
        <div class="row">
          {progress !== null && progress.total !== null ? (
            <progress
              aria-label={`Progress of ${method}`}
              max={Math.max(1, progress.total)}
              value={progress.done}
            />
          ) : (
            <progress aria-label={`Progress of ${method}`} />
          )}
          <button
            type="button"
            disabled={isBusy}
            onClick={() => run(async () => void (await call('cancelJob', { jobId })))}
          >
            Cancel
          </button>
        </div>
      )}
    </div>
  )
}

function outcomeOf({ state, progress }: Job): string {
  if (state !== 'running') return state
  if (progress === null) return 'running'
  const { phase, done, total, unit } = progress
  const amount = unit === 'bytes' ? formatBytes(done) : `${done} ${unit}`
  return `${phase}, ${amount}${total === null ? '' : ` (${formatPercent(done, total)})`}`
}
