/**
 * One subscription: how far it is, its files, pause and remove.
 *
 * @module web/views/subscription-card
 */
import { useId, useState } from 'preact/hooks'
import { formatBytes, formatPercent, formatRate, formatTime, plural } from '../../base/format.ts'
import { useNode } from '../context.ts'
import { stateText, titleOf } from '../format.ts'
import { CopyLine } from '../parts/copy.tsx'
import { Dialog } from '../parts/dialog.tsx'
import { Check, useBusy } from '../parts/form.tsx'
import { Text } from '../parts/text.tsx'
import type { Subscription } from '../state.ts'
import { Files } from './files.tsx'

export function SubscriptionCard({ subscription }: { readonly subscription: Subscription }) {
  const { call, say } = useNode()
  const { isBusy, run } = useBusy()
  const [hasFiles, setFiles] = useState(false)
  const [isAsking, setAsking] = useState(false)
  const [deleteFiles, setDeleteFiles] = useState(false)
  const id = useId()
  const { publicKey, state } = subscription
  const title = titleOf(subscription.title, publicKey)

  const onPause = (): void =>
    run(async () => {
      if (state === 'paused') await call('resumeSubscription', { publicKey })
      else await call('pauseSubscription', { publicKey })
    })
  const onRemove = (): void => {
    setAsking(false)
    run(async () => {
      const { deletedFiles } = await call('removeSubscription', { publicKey, deleteFiles })
      say(deletedFiles > 0 ? `Removed, with ${plural(deletedFiles, 'file')}.` : 'Removed.')
    })
  }
  return (
    <section class="card" aria-labelledby={id} data-state={state}>
      <h2 id={id}>
        <Text of={title} />
      </h2>
      <p class="badges">
        <span class={`badge state-${state}`}>{stateText(state)}</span>
        {subscription.hosted && <span class="badge">hosted</span>}
        {subscription.sequence > 0 && <span class="badge">release {subscription.sequence}</span>}
        {subscription.conflicts.length > 0 && (
          <span class="badge state-error">two releases under number {subscription.conflicts.join(', ')}</span>
        )}
      </p>
      <Progress subscription={subscription} title={title} />
      {subscription.error !== null && (
        <p class="bad">
          <Text of={subscription.error.message} />
        </p>
      )}
      {subscription.silentSince !== null && (
        <p class="bad">
          Nothing was signed since {formatTime(subscription.silentSince)}: the publisher may be gone.
        </p>
      )}
      {subscription.directory !== null && (
        <p class="hint wrap">
          Files are in <Text of={subscription.directory} />
        </p>
      )}
      <p class="buttons">
        <button type="button" disabled={isBusy} onClick={onPause}>
          {state === 'paused' ? 'Resume' : 'Pause'}
        </button>
        <button type="button" aria-expanded={hasFiles} onClick={() => setFiles(!hasFiles)}>
          Files
        </button>
        <button type="button" class="danger" disabled={isBusy} onClick={() => setAsking(true)}>
          Remove
        </button>
      </p>
      {hasFiles && (
        <>
          <Files key={subscription.sequence} uri={subscription.uri} title={title} />
          <CopyLine label={`Link of ${title}`} text={subscription.uri} />
        </>
      )}
      {isAsking && (
        <Dialog title="Stop following?" yes="Remove" onYes={onRemove} onNo={() => setAsking(false)}>
          <p>
            <Text of={title} /> is not kept up to date any more.
          </p>
          {!subscription.hosted && (
            <Check
              label="Delete the files that were fetched, unless they were changed"
              isOn={deleteFiles}
              onChange={setDeleteFiles}
            />
          )}
        </Dialog>
      )}
    </section>
  )
}

interface ProgressProps {
  readonly subscription: Subscription
  readonly title: string
}

function Progress({ subscription, title }: ProgressProps) {
  const { blobsDone, blobsTotal, files, bytes, peers, downloadRate, uploadRate } = subscription
  const isKnown = blobsTotal > 0
  return (
    <>
      <progress
        aria-label={`Progress of ${title}`}
        max={Math.max(1, blobsTotal)}
        value={isKnown ? blobsDone : 0}
      />
      <p class="numbers">
        {isKnown && <span>{formatPercent(blobsDone, blobsTotal)}</span>}
        {isKnown && (
          <span>
            {plural(files, 'file')}, {formatBytes(bytes)}
          </span>
        )}
        <span>{plural(peers, 'peer')}</span>
        <span>down {formatRate(downloadRate)}</span>
        <span>up {formatRate(uploadRate)}</span>
      </p>
    </>
  )
}
