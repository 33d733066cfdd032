/**
 * Answers the requests of one peer that a blob frame answers, one after the other (PROTOCOL_FINAL.md
 * §7.4): a peer that does not read costs what is queued for it and waits for
 * itself.
 *
 * @module transport/blob-server
 */
import { MAX_OPEN_REQUESTS_PER_PEER } from '../base/limits.ts'
import { ERROR_CODES, errorToCode, type FramedKind } from '../wire/message.ts'
import { twoWithOneId } from './question-server.ts'

export interface BlobServerDeps {
  /** @returns false if `drained` will be called before more should be sent. */
  sendBlob(requestId: number, kind: FramedKind, blob: Uint8Array): boolean
  sendError(requestId: number, code: number): void
}

interface Waiting {
  readonly requestId: number
  readonly kind: FramedKind
  readonly read: () => Promise<Uint8Array | null>
}

export class BlobServer {
  readonly #deps: BlobServerDeps
  /** In the order of asking. */
  readonly #waiting: Waiting[] = []
  /** The one that is being read, cancelled or not. */
  #reading: Waiting | null = null
  #isServing = false
  #closed = false
  #wake: (() => void) | null = null

  constructor(deps: BlobServerDeps) {
    this.#deps = deps
  }

  /** Is a request with that id open? */
  has(requestId: number): boolean {
    return this.#waiting.some((waiting) => waiting.requestId === requestId)
  }

  /**
   * @param read - gives what fills the frame, BLOB_BYTES, or null if it is not held. What it throws becomes an
   *   ERROR; logging it is its own matter.
   * @throws MegatorrentError ERR_PROTOCOL if a request with that id is open.
   */
  request(requestId: number, kind: FramedKind, read: Waiting['read']): void {
    if (this.has(requestId)) throw twoWithOneId()
    if (this.#waiting.length >= MAX_OPEN_REQUESTS_PER_PEER) {
      this.#deps.sendError(requestId, ERROR_CODES.busy)
      return
    }
    this.#waiting.push({ requestId, kind, read })
    if (!this.#isServing) void this.#serve()
  }

  /** @returns whether it was being read: that is for nothing now. */
  cancel(requestId: number): boolean {
    const at = this.#waiting.findIndex((waiting) => waiting.requestId === requestId)
    if (at < 0) return false // its answer is on the way already
    const [cancelled] = this.#waiting.splice(at, 1)
    this.#deps.sendError(requestId, ERROR_CODES.cancelled)
    return cancelled === this.#reading
  }

  /** What was sent has been taken. */
  drained(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }

  /** Answer nothing more. */
  close(): void {
    this.#closed = true
    this.#waiting.length = 0
    this.drained()
  }

  /** Never rejects. */
  async #serve(): Promise<void> {
    this.#isServing = true
    for (let next = this.#waiting[0]; next !== undefined && !this.#closed; next = this.#waiting[0]) {
      await this.#answer(next)
    }
    this.#isServing = false
  }

  async #answer(next: Waiting): Promise<void> {
    let blob: Uint8Array | null = null
    let code: number = ERROR_CODES.notFound
    this.#reading = next
    try {
      blob = await next.read()
    } catch (error) {
      code = errorToCode(error)
    }
    this.#reading = null
    // A CANCEL may have taken it away while it was read.
    if (this.#waiting[0] !== next) return
    this.#waiting.shift()
    if (blob === null) this.#deps.sendError(next.requestId, code)
    else if (!this.#deps.sendBlob(next.requestId, next.kind, blob)) await this.#drain()
  }

  #drain(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed) resolve()
      else this.#wake = resolve
    })
  }
}
