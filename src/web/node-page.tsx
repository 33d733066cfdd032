/**
 * The page of somebody who has signed in: navigation, one view at a time, what was said last.
 *
 * @module web/node-page
 */
import { useEffect, useMemo, useReducer, useRef, useState } from 'preact/hooks'
import { NodeContext, type NodeTools } from './context.ts'
import { followNode } from './follow.ts'
import { Text } from './parts/text.tsx'
import { CallError, createCall, type Fetch, type Session } from './rpc.ts'
import { type Connection, INITIAL, reduce } from './state.ts'
import { Channels } from './views/channels.tsx'
import { Gateways } from './views/gateways.tsx'
import { LimitsView } from './views/limits.tsx'
import { LogView } from './views/log.tsx'
import { Overview } from './views/overview.tsx'
import { PeersView } from './views/peers.tsx'
import { Subscriptions } from './views/subscriptions.tsx'

const VIEWS = {
  overview: { title: 'Overview', View: Overview },
  channels: { title: 'Channels', View: Channels },
  subscriptions: { title: 'Subscriptions', View: Subscriptions },
  peers: { title: 'Peers', View: PeersView },
  gateways: { title: 'Gateways', View: Gateways },
  log: { title: 'Log', View: LogView },
  limits: { title: 'Limits', View: LimitsView },
} as const

type ViewName = keyof typeof VIEWS

const CONNECTIONS: Readonly<Record<Connection, string>> = {
  connecting: 'Connecting',
  live: 'Live',
  lost: 'No answer, trying again',
}

/** ms for which what was done is shown. */
const NOTICE_MS = 8_000

interface NodePageProps {
  readonly session: Session
  readonly fetch: Fetch
  readonly onRefused: () => void
  readonly onSignOut: () => void
}

interface Notice {
  readonly text: string
  readonly isBad: boolean
}

export function NodePage({ session, fetch, onRefused, onSignOut }: NodePageProps) {
  const [state, dispatch] = useReducer(reduce, INITIAL)
  const [notice, setNotice] = useState<Notice | null>(null)
  const name = useViewName()
  const heading = useRef<HTMLHeadingElement>(null)
  const isFirst = useRef(true)

  const tools: NodeTools = useMemo(() => {
    const call = createCall(fetch, session.token, onRefused)
    const say = (text: string): void => setNotice({ text, isBad: false })
    const complain = (error: unknown): void => {
      const text = error instanceof CallError ? error.message : 'That failed, by a fault of this page.'
      setNotice({ text, isBad: true })
    }
    return { call, dispatch, say, complain }
  }, [fetch, session.token, onRefused])

  useEffect(() => {
    const { token } = session
    return followNode({ token, fetch, call: tools.call, dispatch, onRefused })
  }, [session, fetch, tools, onRefused])

  useEffect(() => {
    if (notice === null || notice.isBad) return
    const timer = setTimeout(() => setNotice(null), NOTICE_MS)
    return () => clearTimeout(timer)
  }, [notice])

  const { title, View } = VIEWS[name]
  useEffect(() => {
    document.title = `${title} - Megatorrent`
    // Who reads by ear hears where they are now; on the first view the page itself is read.
    if (!isFirst.current) heading.current?.focus()
    isFirst.current = false
  }, [title])

  return (
    <NodeContext.Provider value={tools}>
      <button type="button" class="skip" onClick={() => heading.current?.focus()}>
        Skip to content
      </button>
      <header class="top">
        <p class="brand">Megatorrent</p>
        <p class={`connection ${state.connection}`} role="status">
          {CONNECTIONS[state.connection]}
        </p>
        <button type="button" class="quiet" onClick={onSignOut}>
          Sign out
        </button>
      </header>
      <div class="frame">
        <nav aria-label="Views">
          <ul>
            {(Object.keys(VIEWS) as ViewName[]).map((each) => (
              <li key={each}>
                <a href={`#/${each}`} aria-current={each === name ? 'page' : undefined}>
                  {VIEWS[each].title}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <main>
          <h1 ref={heading} tabIndex={-1}>
            {title}
          </h1>
          {state.node === null ? <p>Asking the daemon...</p> : <View state={state} node={state.node} />}
        </main>
      </div>
      <div class="notices" role="status">
        {notice !== null && (
          <p class={notice.isBad ? 'notice bad' : 'notice'}>
            <Text of={notice.text} />
            <button type="button" class="quiet" aria-label="Dismiss" onClick={() => setNotice(null)}>
              {'\u00d7'}
            </button>
          </p>
        )}
      </div>
    </NodeContext.Provider>
  )
}

/** The view that the address names. */
function useViewName(): ViewName {
  const [hash, setHash] = useState(location.hash)
  useEffect(() => {
    const onChange = (): void => setHash(location.hash)
    addEventListener('hashchange', onChange)
    return () => removeEventListener('hashchange', onChange)
  }, [])
  const named = hash.replace(/^#\//, '')
  return Object.hasOwn(VIEWS, named) ? (named as ViewName) : 'overview'
}
