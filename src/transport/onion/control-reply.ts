/**
 * Replies of Tor's control port (Tor's control-spec, section 2.3), out of bytes in any pieces.
 *
 * @module transport/onion/control-reply
 */
import { MegatorrentError } from '../../base/errors.ts'
import { MAX_CONTROL_REPLY_BYTES } from '../../base/limits.ts'

/** One reply: to a command, or, from 600 on, an event that nobody asked for. */
export interface ControlReply {
  readonly code: number
  /** The text of each line, without its code. Blocks of data are joined to their line by line ends. */
  readonly lines: readonly string[]
}

const FIRST_EVENT_CODE = 600
const LINE_END = '\r\n'

export function isEvent({ code }: ControlReply): boolean {
  return code >= FIRST_EVENT_CODE
}

export class ControlReader {
  #held = ''
  #lines: string[] = []
  #lineBytes = 0
  /** The line that a block of data belongs to is being filled. */
  #inData = false

  /**
   * @returns the replies that are whole now.
   * @throws MegatorrentError ERR_TOR_CONTROL for what is no reply, or one over MAX_CONTROL_REPLY_BYTES.
   */
  push(bytes: Uint8Array): ControlReply[] {
    // An end of a line may lie across two pieces.
    const from = Math.max(0, this.#held.length - 1)
    this.#held += Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
    const replies: ControlReply[] = []
    let start = 0
    for (let end = this.#held.indexOf(LINE_END, from); end >= 0; end = this.#held.indexOf(LINE_END, start)) {
      const reply = this.#line(this.#held.slice(start, end))
      if (reply !== null) replies.push(reply)
      start = end + LINE_END.length
    }
    this.#held = this.#held.slice(start)
    this.#bound(this.#held.length)
    return replies
  }

  /** @returns the reply that the line ends. */
  #line(line: string): ControlReply | null {
    this.#lineBytes += line.length + LINE_END.length
    this.#bound(0)
    if (this.#inData) {
      if (line === '.') this.#inData = false
      else this.#lines[this.#lines.length - 1] += `\n${line.startsWith('.') ? line.slice(1) : line}`
      return null
    }
    const [, code, separator, text = ''] = /^(\d{3})([ +-])(.*)$/s.exec(line) ?? []
    if (code === undefined) throw broken('a line that is no reply')
    this.#lines.push(text)
    if (separator === '+') this.#inData = true
    if (separator !== ' ') return null
    const lines = this.#lines
    this.#lines = []
    this.#lineBytes = 0
    return { code: Number(code), lines }
  }

  #bound(heldBytes: number): void {
    if (this.#lineBytes + heldBytes > MAX_CONTROL_REPLY_BYTES) throw broken('a reply without an end')
  }
}

function broken(what: string): MegatorrentError {
  return new MegatorrentError('ERR_TOR_CONTROL', `the control port sent ${what}: is it Tor's ControlPort?`)
}
