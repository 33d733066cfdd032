/**
 * What is followed and hosted.
 *
 * @module web/views/subscriptions
 */
import { useState } from 'preact/hooks'
import { useNode, type ViewProps } from '../context.ts'
import { parseLines } from '../format.ts'
import { Check, Field, Form } from '../parts/form.tsx'
import { SubscriptionCard } from './subscription-card.tsx'

export function Subscriptions({ node }: ViewProps) {
  const { subscriptions } = node
  return (
    <>
      <NewSubscription />
      {subscriptions.length === 0 && <p>Nothing is followed yet. Paste a link above.</p>}
      {subscriptions.map((subscription) => (
        <SubscriptionCard key={subscription.publicKey} subscription={subscription} />
      ))}
    </>
  )
}

function NewSubscription() {
  const { call, dispatch, say } = useNode()
  const [uri, setUri] = useState('')
  const [dir, setDir] = useState('')
  const [only, setOnly] = useState('')
  const [isHosted, setHosted] = useState(false)
  const onSend = async (): Promise<void> => {
    const link = uri.trim()
    const globs = parseLines(only)
    if (isHosted) await call('host', { uri: link })
    else {
      const place = dir.trim() === '' ? {} : { dir: dir.trim() }
      await call('addSubscription', {
        uri: link,
        ...place,
        ...(globs.length === 0 ? {} : { only: [...globs] }),
      })
    }
    const { subscriptions } = await call('getSubscriptions', {})
    dispatch({ type: 'part', part: { subscriptions } })
    setUri('')
    say(isHosted ? 'The channel is kept alive now.' : 'The channel is followed now.')
  }
  return (
    <section class="card">
      <h2>Follow a link</h2>
      <Form label="Follow a link" send={isHosted ? 'Host' : 'Subscribe'} onSend={onSend}>
        <Field label="Link" hint="It begins with megatorrent:" value={uri} onValue={setUri} isRequired />
        <details>
          <summary>More</summary>
          <Check
            label="Keep it alive only: hold it for others, write no files"
            isOn={isHosted}
            onChange={setHosted}
          />
          {!isHosted && (
            <>
              <Field
                label="Folder"
                hint="A full path on the machine where the daemon runs. Empty: a folder of its own in the data folder."
                value={dir}
                onValue={setDir}
              />
              <Field
                label="Only these files"
                hint="Patterns such as photos/**, one a line. Empty: all files."
                value={only}
                onValue={setOnly}
                isLong
              />
            </>
          )}
        </details>
      </Form>
    </section>
  )
}
