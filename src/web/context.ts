/**
 * What every view may do.
 *
 * @module web/context
 */
import { createContext } from 'preact'
import { useContext } from 'preact/hooks'
import type { Call } from './rpc.ts'
import type { Action, Snapshot, State } from './state.ts'

export interface NodeTools {
  readonly call: Call
  readonly dispatch: (action: Action) => void
  /** Say what was done. */
  readonly say: (text: string) => void
  /** Say what went wrong. */
  readonly complain: (error: unknown) => void
}

export interface ViewProps {
  readonly state: State
  readonly node: Snapshot
}

export const NodeContext = createContext<NodeTools | null>(null)

export function useNode(): NodeTools {
  const tools = useContext(NodeContext)
  if (tools === null) throw new TypeError('a view stands outside of its page')
  return tools
}
