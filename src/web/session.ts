/**
 * Who is signed in: a token in the storage of this tab alone, gone with the tab.
 *
 * The one-time code of a link stands in the fragment, which no request carries. It leaves
 * the address and the history before anything else happens.
 *
 * @module web/session
 */
import type { Session } from './rpc.ts'

const KEY = 'megatorrent.session'

/** What of a browser this needs. */
export interface SessionPlace {
  readonly location: { readonly hash: string; readonly pathname: string }
  readonly history: { replaceState(data: unknown, unused: string, url: string): void }
  readonly storage: {
    getItem(key: string): string | null
    setItem(key: string, value: string): void
    removeItem(key: string): void
  }
}

/** The code of the link, taken out of the address; null when there is none. */
export function takeCode({ location, history }: SessionPlace): string | null {
  const match = /^#code=(.*)$/s.exec(location.hash)
  if (match === null) return null
  history.replaceState(null, '', `${location.pathname}#/`)
  return match[1] ?? null
}

/** The session of this tab, unless it has ended. */
export function loadSession({ storage }: SessionPlace, nowMs: number): Session | null {
  try {
    const value = JSON.parse(storage.getItem(KEY) ?? 'null') as Session | null
    if (value === null || typeof value.token !== 'string') return null
    return value.expiresAt !== null && value.expiresAt <= nowMs ? null : value
  } catch {
    return null // not ours, so it is none
  }
}

export function saveSession({ storage }: SessionPlace, session: Session | null): void {
  if (session === null) storage.removeItem(KEY)
  else storage.setItem(KEY, JSON.stringify(session))
}
