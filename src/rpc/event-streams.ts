/**
 * Events over HTTP: as server-sent events and over a WebSocket.
 *
 * Both are bounded in number and in what is queued for a reader that does not read,
 * and both end when the token does. A WebSocket is opened without a token, since a page
 * cannot send a header with it: its first message has it, or it is closed.
 *
 * @module rpc/event-streams
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Clock } from '../base/clock.ts'
import {
  EVENT_AUTH_MS,
  EVENT_HEARTBEAT_MS,
  MAX_EVENT_BACKLOG_BYTES,
  MAX_EVENT_MESSAGE_BYTES,
  MAX_EVENT_STREAMS,
} from '../base/limits.ts'
import type { EventFeed, FeedEvent } from './event-feed.ts'

export interface EventStreamsDeps {
  readonly feed: EventFeed
  readonly clock: Clock
  /** Is that token good for looking, now? */
  readonly mayRead: (token: string) => boolean
}

/** One listener, however it is connected. */
interface Sink {
  readonly token: string
  send(event: FeedEvent): void
  /** So that a middleman does not take silence for an end, and we notice one. */
  beat(): void
  backlogBytes(): number
  end(): void
}

/** Codes of a WebSocket that is closed: 4000 and up are an application's own. */
const WS_CLOSE = { unauthorized: 4401, tooMany: 4429, tooSlow: 4408, goingAway: 1001 } as const

export class EventStreams {
  readonly #deps: EventStreamsDeps
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_EVENT_MESSAGE_BYTES,
    perMessageDeflate: false,
  })
  /** How to end each that listens. */
  readonly #open = new Set<() => void>()
  /** Those that have shown no token yet: counted by themselves, so that they keep nobody out who has one. */
  readonly #pending = new Set<WebSocket>()
  #isClosed = false

  constructor(deps: EventStreamsDeps) {
    this.#deps = deps
  }

  get isFull(): boolean {
    return this.#isClosed || this.#open.size >= MAX_EVENT_STREAMS
  }

  /** Answer GET /api/events, which the guard has let in with this token. */
  serve(request: IncomingMessage, response: ServerResponse, token: string): void {
    response.write(': events of this node\n\n')
    const sink: Sink = {
      token,
      send: ({ id, event, data }) =>
        void response.write(`id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`),
      beat: () => void response.write(':\n\n'),
      backlogBytes: () => response.writableLength,
      end: () => void response.destroy(),
    }
    const lastId = request.headers['last-event-id']
    const end = this.#attach(sink, typeof lastId === 'string' ? lastId : null)
    response.once('close', end)
  }

  /** Take over a connection that asks for a WebSocket, which the guard has let in. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => this.#greet(webSocket))
  }

  /** End all of them and take no more. */
  close(): void {
    this.#isClosed = true
    for (const end of [...this.#open]) end()
    for (const webSocket of this.#pending) webSocket.close(WS_CLOSE.goingAway, 'the daemon is stopping')
  }

  #greet(webSocket: WebSocket): void {
    webSocket.on('error', () => webSocket.terminate()) // a message that is too long, or is not one
    if (this.#isClosed || this.#pending.size >= MAX_EVENT_STREAMS) {
      webSocket.close(WS_CLOSE.tooMany, 'too many come at once')
      return
    }
    this.#pending.add(webSocket)
    const timer = this.#deps.clock.setTimer(
      () => webSocket.close(WS_CLOSE.unauthorized, 'no token came'),
      EVENT_AUTH_MS,
    )
    const settle = (): void => {
      timer.cancel()
      this.#pending.delete(webSocket)
    }
    webSocket.once('close', settle)
    webSocket.once('message', (data) => {
      settle()
      const opening = parseOpening(String(data))
      if (opening === null || !this.#deps.mayRead(opening.token)) {
        webSocket.close(WS_CLOSE.unauthorized, 'the first message is {"token": "..."}')
      } else if (this.isFull) {
        webSocket.close(WS_CLOSE.tooMany, 'too many listen already')
      } else {
        const end = this.#attach(webSocketSink(webSocket, opening.token), opening.lastEventId)
        webSocket.once('close', end)
      }
    })
  }

  /** @returns how to end it; once is enough. */
  #attach(sink: Sink, lastId: string | null): () => void {
    const { feed, clock, mayRead } = this.#deps
    let isOver = false
    let stop = (): void => {}
    const end = (): void => {
      if (isOver) return
      isOver = true
      timer.cancel()
      this.#open.delete(end)
      stop()
      sink.end()
    }
    this.#open.add(end)
    const beat = (): void => {
      if (!mayRead(sink.token)) {
        end()
        return
      }
      sink.beat()
      timer = clock.setTimer(beat, EVENT_HEARTBEAT_MS)
    }
    let timer = clock.setTimer(beat, EVENT_HEARTBEAT_MS)
    const listening = feed.listen(lastId, (events) => {
      if (isOver) return
      for (const event of events) sink.send(event)
      if (sink.backlogBytes() > MAX_EVENT_BACKLOG_BYTES) end()
    })
    void listening.then((stopListening) => {
      stop = stopListening
      if (isOver) stop()
    })
    return end
  }
}

function webSocketSink(webSocket: WebSocket, token: string): Sink {
  return {
    token,
    send: (event) => webSocket.send(JSON.stringify(event)),
    beat: () => webSocket.ping(),
    backlogBytes: () => webSocket.bufferedAmount,
    end: () => webSocket.close(WS_CLOSE.goingAway, 'over'),
  }
}

/** `{"token": "...", "lastEventId": "..."}`, the second if it has seen any. Null when it is anything else. */
function parseOpening(text: string): { readonly token: string; readonly lastEventId: string | null } | null {
  try {
    const value = JSON.parse(text) as Readonly<Record<string, unknown>> | null
    if (typeof value?.token !== 'string') return null
    return {
      token: value.token,
      lastEventId: typeof value.lastEventId === 'string' ? value.lastEventId : null,
    }
  } catch {
    return null // it is no JSON, so it is no opening
  }
}
