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
  RPC_LINGER_MS,
} from '../base/limits.ts'
import type { EventFeed, FeedEvent } from './event-feed.ts'

export interface EventStreamsDeps {
  readonly feed: EventFeed
  readonly clock: Clock
  /** Is that token good for looking, now? */
  readonly mayRead: (token: string) => boolean
  /** A stream could not be begun by a fault of ours. */
  readonly onFault: (error: unknown) => void
}

/** One listener, however it is connected. */
interface Sink {
  readonly token: string
  send(event: FeedEvent): void
  /** So that a middleman does not take silence for an end, and we notice one. */
  beat(): void
  backlogBytes(): number
  end(why: CloseReason): void
}

/** Codes of a WebSocket that is closed: 4000 and up are an application's own. */
const CLOSE_CODES = { unauthorized: 4401, tooMany: 4429, tooSlow: 4408, fault: 1011, stopping: 1001 } as const

type CloseReason = keyof typeof CLOSE_CODES

export class EventStreams {
  readonly #deps: EventStreamsDeps
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_EVENT_MESSAGE_BYTES,
    perMessageDeflate: false,
  })
  /** How to end each that listens. */
  readonly #open = new Set<(why: CloseReason) => void>()
  /** Those that have shown no token yet: counted by themselves, so that they end no stream of those who have one. */
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
      end: () => void response.destroy(), // also what a slow reader has not taken
    }
    const lastId = request.headers['last-event-id']
    const end = this.#attach(sink, typeof lastId === 'string' ? lastId : null)
    response.once('close', () => end('stopping'))
  }

  /** Take over a connection that asks for a WebSocket, which the guard has let in. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => this.#greet(webSocket))
  }

  /** End all of them and take no more. */
  close(): void {
    this.#isClosed = true
    for (const end of [...this.#open]) end('stopping')
    for (const webSocket of this.#pending) this.#hangUp(webSocket, 'stopping')
  }

  #greet(webSocket: WebSocket): void {
    webSocket.on('error', () => webSocket.terminate()) // a message that is too long, or is none
    if (this.#isClosed || this.#pending.size >= MAX_EVENT_STREAMS) {
      this.#hangUp(webSocket, 'tooMany')
      return
    }
    this.#pending.add(webSocket)
    const timer = this.#deps.clock.setTimer(() => {
      settle()
      this.#hangUp(webSocket, 'unauthorized')
    }, EVENT_AUTH_MS)
    const settle = (): void => {
      timer.cancel()
      this.#pending.delete(webSocket)
    }
    webSocket.once('close', settle)
    webSocket.once('message', (data) => {
      settle()
      const opening = parseOpening(String(data))
      if (opening === null || !this.#deps.mayRead(opening.token)) {
        this.#hangUp(webSocket, 'unauthorized')
      } else if (this.isFull) {
        this.#hangUp(webSocket, 'tooMany')
      } else {
        const end = this.#attach(this.#sinkOf(webSocket, opening.token), opening.lastEventId)
        webSocket.once('close', () => end('stopping'))
      }
    })
  }

  /** Say that it is over, and why. Who does not answer that is cut off. */
  #hangUp(webSocket: WebSocket, why: CloseReason): void {
    const timer = this.#deps.clock.setTimer(() => webSocket.terminate(), RPC_LINGER_MS)
    webSocket.once('close', () => timer.cancel())
    webSocket.close(CLOSE_CODES[why], why)
  }

  #sinkOf(webSocket: WebSocket, token: string): Sink {
    return {
      token,
      send: (event) => webSocket.send(JSON.stringify(event)),
      beat: () => webSocket.ping(),
      backlogBytes: () => webSocket.bufferedAmount,
      end: (why) => this.#hangUp(webSocket, why),
    }
  }

  /** @returns how to end it; once is enough. */
  #attach(sink: Sink, lastId: string | null): (why: CloseReason) => void {
    const { feed, clock, mayRead, onFault } = this.#deps
    let isOver = false
    let stop = (): void => {}
    const end = (why: CloseReason): void => {
      if (isOver) return
      isOver = true
      timer.cancel()
      this.#open.delete(end)
      stop()
      sink.end(why)
    }
    this.#open.add(end)
    const beat = (): void => {
      if (!mayRead(sink.token)) {
        end('unauthorized')
        return
      }
      sink.beat()
      timer = clock.setTimer(beat, EVENT_HEARTBEAT_MS)
    }
    let timer = clock.setTimer(beat, EVENT_HEARTBEAT_MS)
    const listening = feed.listen(lastId, (events) => {
      if (isOver) return
      for (const event of events) sink.send(event)
      if (sink.backlogBytes() > MAX_EVENT_BACKLOG_BYTES) end('tooSlow')
    })
    listening.then(
      (stopListening) => {
        stop = stopListening
        if (isOver) stop()
      },
      (error: unknown) => {
        onFault(error)
        end('fault')
      },
    )
    return end
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
