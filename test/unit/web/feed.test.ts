import { describe, expect, it } from 'vitest'
import type { RpcEvent } from '../../../src/rpc/schema/events.ts'
import { FIRST_RETRY_MS, followEvents, LAST_RETRY_MS, SILENT_MS } from '../../../src/web/feed.ts'

/** `open`: a stream on which nothing comes for now. `silent`: nothing ever comes, not even signs of life. */
type Answer = 'unreachable' | 401 | 503 | readonly string[] | 'open' | 'silent'

interface Seen {
  readonly lastIds: (string | null)[]
  readonly waits: number[]
  readonly events: RpcEvent[]
  opened: number
  lost: number
  refused: number
}

/** Follow a daemon that answers one request after the other so, until it has no more answers. */
async function follow(answers: readonly Answer[], failedRounds = 0): Promise<Seen> {
  const seen: Seen = { lastIds: [], waits: [], events: [], opened: 0, lost: 0, refused: 0 }
  const stopping = new AbortController()
  let at = 0
  await followEvents({
    token: 'aa',
    signal: stopping.signal,
    async fetch(target, init) {
      expect(target).toBe('/api/events')
      const headers = init.headers as Readonly<Record<string, string>>
      expect(headers.authorization).toBe('Bearer aa')
      expect(init).toMatchObject({ credentials: 'omit', redirect: 'error' })
      seen.lastIds.push(headers['last-event-id'] ?? null)
      const answer = answers[at++] ?? 'unreachable'
      if (at >= answers.length) stopping.abort()
      if (answer === 'unreachable') throw new TypeError('no network')
      if (typeof answer === 'number') return new Response('{}', { status: answer })
      return new Response(streamOf(typeof answer === 'string' ? null : answer, init.signal))
    },
    async onOpen() {
      seen.opened++
      if (seen.opened <= failedRounds) throw new Error('a call failed')
    },
    onEvent: (event) => seen.events.push(event),
    onLost: () => seen.lost++,
    onRefused: () => seen.refused++,
    async wait(ms, signal) {
      if (ms !== SILENT_MS) seen.waits.push(ms)
      else if (answers[at - 1] !== 'silent')
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
    },
  })
  return seen
}

/** Null: nothing ever comes, and it does not end. */
function streamOf(
  parts: readonly string[] | null,
  signal: AbortSignal | null | undefined,
): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      signal?.addEventListener('abort', () => controller.error(signal.reason))
      for (const part of parts ?? []) controller.enqueue(new TextEncoder().encode(part))
      if (parts !== null) controller.close()
    },
  })
}

const event = (id: string): string =>
  `id: ${id}\nevent: release\ndata: {"publicKey":"a","sequence":1,"own":true}\n\n`

describe('following the events', () => {
  it('goes on after the last event that it saw', async () => {
    const { lastIds, events, opened } = await follow([[event('s-1'), event('s-2')], [event('s-3')], []])
    expect(lastIds).toEqual([null, 's-2', 's-3'])
    expect(events.map((each) => each.event)).toEqual(['release', 'release', 'release'])
    expect(opened).toBe(3)
  })

  it('waits longer after each failure, and from the start again after an event', async () => {
    const failures: Answer[] = Array.from({ length: 8 }, () => 'unreachable')
    const { waits, lost } = await follow([...failures, [event('s-1')], 503, []])
    expect(waits.slice(0, 3)).toEqual([FIRST_RETRY_MS, 2 * FIRST_RETRY_MS, 4 * FIRST_RETRY_MS])
    expect(Math.max(...waits)).toBe(LAST_RETRY_MS)
    expect(waits.slice(8)).toEqual([FIRST_RETRY_MS, 2 * FIRST_RETRY_MS])
    expect(lost).toBe(10)
  })

  it('opens a stream again when what has to be asked beside it was not answered', async () => {
    const { opened, lost, waits } = await follow(['open', []], 1)
    expect([opened, lost]).toEqual([2, 1])
    expect(waits).toEqual([FIRST_RETRY_MS])
  })

  it('ends when the token is refused', async () => {
    const { refused, lastIds } = await follow([[event('s-1')], 401, [], []])
    expect(refused).toBe(1)
    expect(lastIds).toHaveLength(2)
  })

  it('takes a stream without a sign of life for dead', async () => {
    const { opened, waits } = await follow(['silent', []])
    expect(opened).toBe(2)
    expect(waits).toHaveLength(1)
  })

  it('leaves out events that it does not know, and tries again after what is none', async () => {
    const { events, waits } = await follow([
      ['id: s-1\nevent: later\ndata: {}\n\n', event('s-2')],
      ['id: s-3\nevent: peer\ndata: {"broken\n\n'],
      [],
    ])
    expect(events).toHaveLength(1)
    expect(waits).toHaveLength(2)
  })
})
