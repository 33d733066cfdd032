/**
 * Server-sent events out of a stream of text, as the HTML standard reads them. EventSource
 * would do it, and cannot send a token. Pure.
 *
 * @module web/sse
 */

export interface SseEvent {
  readonly id: string
  readonly event: string
  readonly data: string
}

/** Characters that one event may have, all its lines together: more than our daemon ever sends. */
export const MAX_EVENT_CHARACTERS = 8_388_608

export class SseParser {
  #rest = ''
  /** The last part ended in a CR, which an LF may belong to. */
  #afterReturn = false
  #id = ''
  #event = ''
  #data: string[] = []
  #dataLength = 0

  /**
   * Take the next part of the stream, cut anywhere.
   *
   * @returns the events that it completes.
   * @throws RangeError when one is longer than MAX_EVENT_CHARACTERS: whoever sends it is not our daemon.
   */
  push(part: string): readonly SseEvent[] {
    const fresh = this.#afterReturn && part.startsWith('\n') ? part.slice(1) : part
    if (part !== '') this.#afterReturn = part.endsWith('\r')
    const lines = (this.#rest + fresh).split(/\r\n|\r|\n/)
    this.#rest = lines.pop() ?? ''
    const events: SseEvent[] = []
    for (const line of lines) {
      if (line === '') this.#complete(events)
      else this.#take(line)
    }
    if (this.#rest.length + this.#dataLength > MAX_EVENT_CHARACTERS) {
      throw new RangeError(`an event has more than ${MAX_EVENT_CHARACTERS} characters`)
    }
    return events
  }

  #take(line: string): void {
    const colon = line.indexOf(':')
    if (colon === 0) return // a comment: a sign of life
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (name === 'event') this.#event = value
    else if (name === 'id' && !value.includes('\0')) this.#id = value
    else if (name === 'data') {
      this.#data.push(value)
      this.#dataLength += value.length
    }
  }

  #complete(events: SseEvent[]): void {
    if (this.#data.length > 0) {
      const event = this.#event === '' ? 'message' : this.#event
      events.push({ id: this.#id, event, data: this.#data.join('\n') })
    }
    this.#event = ''
    this.#data = []
    this.#dataLength = 0
  }
}
