/**
 * One channel of ours.
 *
 * @module web/views/channel-card
 */
import { useId, useState } from 'preact/hooks'
import { useNode } from '../context.ts'
import { refreshChannels } from '../follow.ts'
import { CopyLine } from '../parts/copy.tsx'
import { Dialog } from '../parts/dialog.tsx'
import { Field, Form, useBusy } from '../parts/form.tsx'
import { JobLine } from '../parts/job.tsx'
import { Qr } from '../parts/qr.tsx'
import { Text } from '../parts/text.tsx'
import type { Channel, Job } from '../state.ts'

interface ChannelCardProps {
  readonly channel: Channel
  readonly jobs: readonly Job[]
}

type Question = 'unpublish' | 'remove'

export function ChannelCard({ channel, jobs }: ChannelCardProps) {
  const { call, dispatch, say } = useNode()
  const { isBusy, run } = useBusy()
  const [hasQr, setQr] = useState(false)
  const [question, setQuestion] = useState<Question | null>(null)
  const [jobId, setJobId] = useState<string | null>(null)
  const id = useId()
  const job = jobs.find((each) => each.jobId === jobId)

  const onUnpublish = (): void => {
    setQuestion(null)
    run(async () => {
      const started = await call('unpublish', { channel: channel.publicKey, wait: false })
      if ('jobId' in started) setJobId(started.jobId)
    })
  }
  const onRemove = (): void => {
    setQuestion(null)
    run(async () => {
      await call('removeChannel', { name: channel.publicKey })
      await refreshChannels(call, dispatch)
      say('The key is forgotten.')
    })
  }
  return (
    <section class="card" aria-labelledby={id}>
      <h2 id={id}>
        <Text of={channel.name} />
      </h2>
      <p class="badges">
        <span class="badge">{releaseText(channel)}</span>
        {channel.private && <span class="badge">private</span>}
        {channel.open && <span class="badge">open</span>}
      </p>
      <CopyLine label={`Link of ${channel.name}`} text={channel.uri} />
      <PublishForm channel={channel} onStarted={setJobId} />
      {job !== undefined && <JobLine job={job} />}
      <p class="buttons">
        <button type="button" aria-expanded={hasQr} onClick={() => setQr(!hasQr)}>
          QR code
        </button>
        {channel.sequence > 0 && !channel.unpublished && (
          <button type="button" disabled={isBusy} onClick={() => setQuestion('unpublish')}>
            Unpublish
          </button>
        )}
        <button type="button" class="danger" disabled={isBusy} onClick={() => setQuestion('remove')}>
          Remove
        </button>
      </p>
      {hasQr && <Qr text={channel.uri} label={`QR code of the link of ${channel.name}`} />}
      {question === 'unpublish' && (
        <Dialog title="Take it back?" yes="Unpublish" onYes={onUnpublish} onNo={() => setQuestion(null)}>
          <p>
            Those who follow <Text of={channel.name} /> stop serving it and remove its blobs. They keep their
            files.
          </p>
        </Dialog>
      )}
      {question === 'remove' && (
        <Dialog
          title="Forget the key?"
          yes="Forget it for good"
          onYes={onRemove}
          onNo={() => setQuestion(null)}
        >
          <p>
            Without the key of <Text of={channel.name} /> nobody can publish on this channel again, you
            included.
          </p>
        </Dialog>
      )}
    </section>
  )
}

function releaseText({ sequence, unpublished }: Channel): string {
  if (unpublished) return 'unpublished'
  return sequence === 0 ? 'nothing published' : `release ${sequence}`
}

interface PublishFormProps {
  readonly channel: Channel
  readonly onStarted: (jobId: string) => void
}

function PublishForm({ channel, onStarted }: PublishFormProps) {
  const { call } = useNode()
  const [path, setPath] = useState('')
  const [title, setTitle] = useState('')
  const onSend = async (): Promise<void> => {
    const named = title.trim() === '' ? {} : { title: title.trim() }
    const params = { channel: channel.publicKey, path: path.trim(), wait: false, ...named }
    const started = await call('publish', params)
    if ('jobId' in started) onStarted(started.jobId)
  }
  return (
    <details>
      <summary>Publish a folder</summary>
      <Form label={`Publish on ${channel.name}`} send="Publish" onSend={onSend}>
        <Field
          label="Folder or file"
          hint="Its full path on the machine where the daemon runs."
          value={path}
          onValue={setPath}
          isRequired
        />
        <Field label="Title" hint="Readers see it." value={title} onValue={setTitle} />
      </Form>
    </details>
  )
}
