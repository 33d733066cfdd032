/**
 * Channels whose keys are here: make one, publish, hand on the link.
 *
 * @module web/views/channels
 */
import { useState } from 'preact/hooks'
import { useNode, type ViewProps } from '../context.ts'
import { refreshChannels } from '../follow.ts'
import { Check, Field, Form } from '../parts/form.tsx'
import { ChannelCard } from './channel-card.tsx'

export function Channels({ node }: ViewProps) {
  const { channels, jobs } = node
  return (
    <>
      {channels.length === 0 && <p>No channels yet. Make one to publish a folder.</p>}
      {channels.map((channel) => (
        <ChannelCard key={channel.publicKey} channel={channel} jobs={jobs} />
      ))}
      <NewChannel />
    </>
  )
}

function NewChannel() {
  const { call, dispatch, say } = useNode()
  const [name, setName] = useState('')
  const [isPrivate, setPrivate] = useState(false)
  const [isOpen, setOpen] = useState(false)
  const onSend = async (): Promise<void> => {
    const made = await call('createChannel', { name: name.trim(), private: isPrivate, open: isOpen })
    await refreshChannels(call, dispatch)
    setName('')
    say(`Channel ${made.name} is made.`)
  }
  return (
    <section class="card">
      <h2>New channel</h2>
      <Form label="New channel" send="Create channel" onSend={onSend}>
        <Field
          label="Name"
          hint="For you alone: letters, digits, dots, underscores, hyphens."
          value={name}
          onValue={setName}
          isRequired
        />
        <Check
          label="Private: nobody finds or reads it without the link"
          isOn={isPrivate}
          onChange={setPrivate}
        />
        <Check
          label="Open: also found by its key alone, readable by anyone"
          isOn={isOpen}
          onChange={setOpen}
        />
      </Form>
    </section>
  )
}
