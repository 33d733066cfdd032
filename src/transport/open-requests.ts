/**
 * What we have asked on one connection and not had answered (PROTOCOL_FINAL.md
 * §7.1), as data: ids, promises, and which were given up.
 *
 * A request that was given up stays open until its answer came, since that answer
 * may be on its way; only nobody hears of it.
 *
 * @module transport/open-requests
 */
import type { SealedFrame } from '../crypto/sealed-frame.ts'
import type { KeepAnswer, PublishAnswer, SlotAnswer } from '../wire/message.ts'

const MAX_REQUEST_ID = 0xffff_ffff

/** What the answer to each kind of request holds. */
export interface Answers {
  readonly blob: SealedFrame
  readonly slotSet: SealedFrame
  /** HEAD_BYTES. */
  readonly head: Uint8Array
  /** Addresses, undecoded. */
  readonly peers: Uint8Array
  readonly slot: SlotAnswer
  readonly published: PublishAnswer
  readonly kept: KeepAnswer
}

export type Wanted = keyof Answers

export interface Settle {
  readonly resolve: (answer: Answers[Wanted]) => void
  readonly reject: (error: unknown) => void
}

export class OpenRequest {
  readonly id: number
  readonly wanted: Wanted
  /** Monotonic ms. */
  readonly askedMs: number
  /** Its place in the order of asking. */
  readonly order: number
  readonly #settle: Settle
  #givenUpMs: number | null = null

  constructor(id: number, wanted: Wanted, order: number, askedMs: number, settle: Settle) {
    this.id = id
    this.wanted = wanted
    this.order = order
    this.askedMs = askedMs
    this.#settle = settle
  }

  /** Monotonic ms, or null while somebody waits for it. */
  get givenUpMs(): number | null {
    return this.#givenUpMs
  }

  resolve(answer: Answers[Wanted]): void {
    if (this.#givenUpMs === null) this.#settle.resolve(answer)
  }

  reject(error: unknown): void {
    if (this.#givenUpMs === null) this.#settle.reject(error)
  }

  /** Reject it now, and take no notice of the answer. */
  giveUp(nowMs: number, error: unknown): void {
    this.reject(error)
    this.#givenUpMs ??= nowMs
  }
}

export class OpenRequests {
  /** By id, in the order of asking. */
  readonly #open = new Map<number, OpenRequest>()
  readonly #lastId: number
  #nextId = 1
  #nextOrder = 0

  /** @param lastId - after it they begin again from 1; lower than what fits into a frame for tests only. */
  constructor(lastId = MAX_REQUEST_ID) {
    this.#lastId = lastId
  }

  get size(): number {
    return this.#open.size
  }

  /** A new request under an id that no open one has. */
  add(wanted: Wanted, nowMs: number, settle: Settle): OpenRequest {
    while (this.#open.has(this.#nextId)) this.#nextId = this.#following()
    const request = new OpenRequest(this.#nextId, wanted, this.#nextOrder++, nowMs, settle)
    this.#nextId = this.#following()
    this.#open.set(request.id, request)
    return request
  }

  get(id: number): OpenRequest | undefined {
    return this.#open.get(id)
  }

  /** Its answer has come. */
  close(request: OpenRequest): void {
    this.#open.delete(request.id)
  }

  /** Those still waited for that were asked before `than`, and before `beforeMs`. */
  overtaken(than: OpenRequest, beforeMs: number): OpenRequest[] {
    return [...this.#open.values()].filter(
      ({ order, askedMs, givenUpMs }) => givenUpMs === null && order < than.order && askedMs < beforeMs,
    )
  }

  /** Is one waited for by somebody? */
  get isWaiting(): boolean {
    for (const { givenUpMs } of this.#open.values()) if (givenUpMs === null) return true
    return false
  }

  /** When the one that was given up first was, or null. */
  get givenUpMs(): number | null {
    let first: number | null = null
    for (const { givenUpMs } of this.#open.values()) {
      if (givenUpMs !== null && (first === null || givenUpMs < first)) first = givenUpMs
    }
    return first
  }

  all(): OpenRequest[] {
    return [...this.#open.values()]
  }

  clear(): void {
    this.#open.clear()
  }

  #following(): number {
    return (this.#nextId % this.#lastId) + 1
  }
}
