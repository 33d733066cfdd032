/**
 * How fast and to how many: changed at once, and kept.
 *
 * @module web/views/limits
 */
import { useState } from 'preact/hooks'
import { formatRate } from '../../base/format.ts'
import { useNode, type ViewProps } from '../context.ts'
import { parseKib } from '../format.ts'
import { Field, Form } from '../parts/form.tsx'
import { CallError } from '../rpc.ts'
import type { Limits } from '../state.ts'

const KIB = 1024

export function LimitsView({ node }: ViewProps) {
  const { limits } = node
  const { call, dispatch, say } = useNode()
  const [down, setDown] = useState(kibOf(limits.downloadLimit))
  const [up, setUp] = useState(kibOf(limits.uploadLimit))
  const [peers, setPeers] = useState(String(limits.maxPeers))
  const onSend = async (): Promise<void> => {
    const changed = parseLimits(down, up, peers)
    if (changed === null) throw new CallError('ERR_USAGE', 'Expected numbers: KiB a second, and connections.')
    dispatch({ type: 'part', part: { limits: await call('setLimits', changed) } })
    say('The limits hold from now on.')
  }
  return (
    <section class="card">
      <h2>Limits</h2>
      <p>
        Now: {rateText(limits.downloadLimit)} down, {rateText(limits.uploadLimit)} up, {limits.maxPeers}{' '}
        connections at most.
      </p>
      <Form label="Limits" send="Save" onSend={onSend}>
        <Field
          label="Download, KiB a second"
          hint="0 is unlimited."
          value={down}
          onValue={setDown}
          isNumber
          isRequired
        />
        <Field
          label="Upload, KiB a second"
          hint="0 is unlimited."
          value={up}
          onValue={setUp}
          isNumber
          isRequired
        />
        <Field label="Connections at most" value={peers} onValue={setPeers} isNumber isRequired />
      </Form>
    </section>
  )
}

function kibOf(bytes: number): string {
  return String(Math.round((bytes / KIB) * 1000) / 1000)
}

function rateText(bytes: number): string {
  return bytes === 0 ? 'unlimited' : formatRate(bytes)
}

function parseLimits(down: string, up: string, peers: string): Limits | null {
  const downloadLimit = parseKib(down)
  const uploadLimit = parseKib(up)
  if (downloadLimit === null || uploadLimit === null || !/^[1-9]\d{0,4}$/.test(peers.trim())) return null
  return { downloadLimit, uploadLimit, maxPeers: Number(peers) }
}
