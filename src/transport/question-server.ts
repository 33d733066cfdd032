/**
 * Answers questions of one peer that take a while and whose answers are small: what
 * gateways are asked (PROTOCOL_FINAL.md §7.8). A few at a time; the answers come in
 * any order. Blobs are transport/blob-server.ts's.
 *
 * @module transport/question-server
 */
import { MegatorrentError } from '../base/errors.ts'
import { MAX_OPEN_QUESTIONS_PER_PEER } from '../base/limits.ts'
import { ERROR_CODES, errorToCode } from '../wire/message.ts'

export interface QuestionServerDeps {
  sendError(requestId: number, code: number): void
}

export class QuestionServer {
  readonly #deps: QuestionServerDeps
  /** Work for those that have no answer yet, by id: one that was called off may have left its id to another. */
  readonly #open = new Map<number, () => Promise<unknown>>()

  constructor(deps: QuestionServerDeps) {
    this.#deps = deps
  }

  /** Is a question with that id open? */
  has(requestId: number): boolean {
    return this.#open.has(requestId)
  }

  /**
   * Answer when `work` is done, unless the question was called off by then. What it throws becomes an
   * ERROR; logging it is its own matter. No two questions share one function.
   *
   * @throws MegatorrentError ERR_PROTOCOL if a question with that id is open.
   */
  ask<T>(requestId: number, work: () => Promise<T>, send: (answer: T) => void): void {
    if (this.#open.has(requestId)) throw twoWithOneId()
    if (this.#open.size >= MAX_OPEN_QUESTIONS_PER_PEER) {
      this.#deps.sendError(requestId, ERROR_CODES.busy)
      return
    }
    this.#open.set(requestId, work)
    void this.#answer(requestId, work, send)
  }

  /** It was called off: nothing else is answered to it. */
  cancel(requestId: number): void {
    if (this.#open.delete(requestId)) this.#deps.sendError(requestId, ERROR_CODES.cancelled)
  }

  /** Answer nothing more. */
  close(): void {
    this.#open.clear()
  }

  /** Never rejects. */
  async #answer<T>(requestId: number, work: () => Promise<T>, send: (answer: T) => void): Promise<void> {
    const isOpen = (): boolean => this.#open.get(requestId) === work
    try {
      const answer = await work()
      if (isOpen()) send(answer)
    } catch (error) {
      if (isOpen()) this.#deps.sendError(requestId, errorToCode(error))
    }
    if (isOpen()) this.#open.delete(requestId)
  }
}

/** A request under the id of an open one. */
export function twoWithOneId(): MegatorrentError {
  return new MegatorrentError('ERR_PROTOCOL', 'two open requests with one id')
}
