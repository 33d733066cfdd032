/**
 * The events of the daemon, for as long as the page is open: reads the stream, goes on
 * where it was when the line breaks, and waits longer after each failure.
 *
 * @module web/feed
 */
import type { EventName, RpcEvent } from '../rpc/schema/events.ts'
import { type SseEvent, SseParser } from './sse.ts'

/** ms before the first new try after a failure; twice as long after each further one. */
export const FIRST_RETRY_MS = 500
export const LAST_RETRY_MS = 15_000
/** ms without a byte after which a stream counts as dead: the daemon gives a sign of life every 15 s. */
export const SILENT_MS = 45_000

const NAMES: ReadonlySet<string> = new Set<EventName>(['status', 'subscription', 'release', 'peer', 'job'])

export interface FeedInit {
  readonly token: string
  /** The browser's fetch. */
  readonly fetch: (target: string, init: RequestInit) => Promise<Response>
  /**
   * The stream is open: what comes is what is new, but what went away meanwhile is not told. When it rejects
   * the stream is of no use, and is opened again later.
   */
  readonly onOpen: () => Promise<void>
  readonly onEvent: (event: RpcEvent) => void
  readonly onLost: () => void
  /** The token is good for nothing any more; nothing follows. */
  readonly onRefused: () => void
  /** Resolves after so many ms, sooner when the signal fires. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>
  readonly signal: AbortSignal
}

/** Follow the events until the signal fires or the token is refused. Never rejects. */
export async function followEvents(init: FeedInit): Promise<void> {
  let lastId: string | null = null
  let retryMs = FIRST_RETRY_MS
  while (!init.signal.aborted) {
    const outcome = await readOnce(init, lastId, (id) => {
      lastId = id
      retryMs = FIRST_RETRY_MS
    })
    if (init.signal.aborted) return
    if (outcome === 'refused') {
      init.onRefused()
      return
    }
    init.onLost()
    await init.wait(retryMs, init.signal)
    retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)
  }
}

async function readOnce(
  { token, fetch, onOpen, onEvent, wait, signal }: FeedInit,
  lastId: string | null,
  onId: (id: string) => void,
): Promise<'refused' | 'ended'> {
  const stream = new AbortController()
  const onAbort = (): void => stream.abort()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    const headers = {
      authorization: `Bearer ${token}`,
      ...(lastId === null ? {} : { 'last-event-id': lastId }),
    }
    const response = await fetch('/api/events', {
      headers,
      credentials: 'omit',
      redirect: 'error',
      signal: stream.signal,
    })
    if (response.status === 401) return 'refused'
    if (response.status !== 200 || response.body === null) return 'ended'
    onOpen().catch(() => stream.abort())
    const parser = new SseParser()
    const decoder = new TextDecoder()
    const reader = response.body.getReader()
    for (;;) {
      const silence = new AbortController()
      const dead = wait(SILENT_MS, silence.signal).then(() => null)
      const part = await Promise.race([reader.read(), dead]).finally(() => silence.abort())
      if (part === null || part.done) return 'ended'
      for (const event of parser.push(decoder.decode(part.value, { stream: true }))) {
        onId(event.id)
        const known = parseEvent(event)
        if (known !== null) onEvent(known)
      }
    }
  } catch {
    return 'ended' // the line broke, or what came is no stream of events: both are tried again
  } finally {
    signal.removeEventListener('abort', onAbort)
    stream.abort()
  }
}

/** Null for an event that a newer daemon may know. */
function parseEvent({ event, data }: SseEvent): RpcEvent | null {
  return NAMES.has(event) ? ({ event, data: JSON.parse(data) } as RpcEvent) : null
}
