/**
 * The page: signing in, or the node.
 *
 * @module web/app
 */
import { useCallback, useEffect, useState } from 'preact/hooks'
import { NodePage } from './node-page.tsx'
import { CallError, createCall, endSession, exchangeCode, type Fetch, type Session } from './rpc.ts'
import { loadSession, type SessionPlace, saveSession } from './session.ts'
import { SignIn } from './views/sign-in.tsx'

const browserFetch: Fetch = (target, init) => fetch(target, init)

interface AppProps {
  readonly place: SessionPlace
  /** Of the link that was opened, already out of the address. */
  readonly code: string | null
}

export function App({ place, code }: AppProps) {
  const [session, setSession] = useState<Session | null>(() =>
    code === null ? loadSession(place, Date.now()) : null,
  )
  const [isBusy, setBusy] = useState(code !== null)
  const [problem, setProblem] = useState<string | null>(null)

  const keep = useCallback(
    (next: Session | null, why: string | null) => {
      saveSession(place, next)
      setSession(next)
      setProblem(why)
    },
    [place],
  )

  useEffect(() => {
    if (code === null) return
    exchangeCode(browserFetch, code)
      .then((next) => keep(next, null))
      .catch((error: unknown) => keep(null, wordsOf(error)))
      .finally(() => setBusy(false))
  }, [code, keep])

  const onRefused = useCallback(() => keep(null, 'You were signed out: the token has ended.'), [keep])

  const onToken = async (token: string): Promise<void> => {
    setBusy(true)
    try {
      await createCall(browserFetch, token, () => {})('getStatus', {})
      keep({ token, expiresAt: null }, null)
    } catch (error) {
      setProblem(wordsOf(error))
    } finally {
      setBusy(false)
    }
  }

  const onSignOut = (): void => {
    if (session !== null) endSession(browserFetch, session.token).catch(() => {}) // it ends by itself as well
    keep(null, null)
  }

  if (session === null) return <SignIn isBusy={isBusy} problem={problem} onToken={onToken} />
  return (
    <NodePage
      key={session.token}
      session={session}
      fetch={browserFetch}
      onRefused={onRefused}
      onSignOut={onSignOut}
    />
  )
}

function wordsOf(error: unknown): string {
  return error instanceof CallError ? error.message : 'Signing in failed.'
}
