/**
 * What of the news is worth a line in the log, in words. Pure.
 *
 * @module web/log-lines
 */
import type { RpcEvent } from '../rpc/schema/events.ts'
import { nameOfChannel, peerName, shortKey, stateText, titleOf } from './format.ts'
import type { Snapshot } from './state.ts'

export interface LogLine {
  readonly atMs: number
  readonly text: string
  readonly isBad: boolean
}

/** Lines of one event, held against what was known before it. */
export function linesOf(before: Snapshot, event: RpcEvent, atMs: number): readonly LogLine[] {
  const line = (text: string, isBad = false): readonly LogLine[] => [{ atMs, text, isBad }]
  switch (event.event) {
    case 'status':
      return []
    case 'subscription': {
      const { data } = event
      const known = before.subscriptions.find((each) => each.publicKey === data.publicKey)
      if ('removed' in data) return line(`${nameOfChannel(before, data.publicKey)}: removed`)
      if (known?.state === data.state) return []
      const name =
        data.title === null ? nameOfChannel(before, data.publicKey) : titleOf(data.title, data.publicKey)
      const reason = data.error === null ? '' : `: ${data.error.message}`
      return line(`${name}: ${stateText(data.state)}${reason}`, data.state === 'error')
    }
    case 'release': {
      const { publicKey, sequence, own } = event.data
      const name = nameOfChannel(before, publicKey)
      return line(own ? `${name}: release ${sequence} is signed` : `${name}: release ${sequence} is out`)
    }
    case 'peer': {
      const { data } = event
      const who = data.nodeKey === null ? (data.address ?? 'a peer') : shortKey(data.nodeKey)
      const isKnown = before.peers.some((peer) => peerName(peer) === peerName(data))
      if (data.state === 'closed') return isKnown ? line(`Peer ${who}: connection closed`) : []
      if (isKnown) return []
      return line(`Peer ${who}: connection ${data.direction === 'in' ? 'from' : 'to'} it`)
    }
    case 'job': {
      const { jobId, method, state, error } = event.data
      const known = before.jobs.find((job) => job.jobId === jobId)
      if (known?.state === state) return []
      if (state === 'running') return line(`${method}: begun`)
      if (state === 'failed') return line(`${method}: failed: ${error?.message ?? ''}`, true)
      return line(`${method}: ${state}`)
    }
  }
}
