/**
 * The memory-hard puzzle of a gateway under load: when it is asked for, how hard it
 * is, and the checking, which costs as much as one try.
 *
 * So one solution is checked at a time, and of those that wait the one first whose
 * host has had least: who floods with false ones waits for himself.
 *
 * @module discovery/gateway/puzzle-desk
 */
import type { Clock } from '../../base/clock.ts'
import {
  GATEWAY_PUZZLE_BITS,
  GATEWAY_PUZZLE_FULL_BITS,
  GATEWAY_PUZZLE_GRACE_MS,
  GATEWAY_PUZZLE_WAIT_MS,
} from '../../base/limits.ts'
import type { MemoryHash } from '../../crypto/argon2id.ts'
import { isSolution, puzzleInput, puzzleSalt } from '../../wire/memory-puzzle.ts'
import type { PublishMessage, PuzzleParameters } from '../../wire/message.ts'
import { FairQueue, type FairQueueRules } from './fair-queue.ts'

export interface PuzzleRules extends Omit<FairQueueRules, 'parallel'> {
  /** Load from which it is asked for. */
  readonly fromLoad: number
  readonly memoryKib: number
  readonly passes: number
}

export class PuzzleDesk {
  readonly #rules: PuzzleRules
  readonly #hash: MemoryHash
  readonly #clock: Clock
  readonly #queue: FairQueue
  /** What was asked for last, and what before it became harder, and until when, monotonic ms, that counts. */
  #bits = 0
  #before = { bits: 0, untilMs: Number.NEGATIVE_INFINITY }

  constructor(rules: PuzzleRules, clock: Clock, hash: MemoryHash) {
    this.#rules = rules
    this.#hash = hash
    this.#clock = clock
    this.#queue = new FairQueue({ ...rules, parallel: 1 }, clock)
  }

  /** @param load - 0 to 1. @returns what is asked for at that load, or null. */
  asked(load: number): PuzzleParameters | null {
    const { fromLoad, memoryKib, passes } = this.#rules
    if (load < fromLoad) return null
    const more = Math.floor(Math.min(load, 1) * (GATEWAY_PUZZLE_FULL_BITS - GATEWAY_PUZZLE_BITS))
    const bits = GATEWAY_PUZZLE_BITS + more
    if (bits > this.#bits && this.#bits > 0) {
      this.#before = { bits: this.#bits, untilMs: this.#clock.monotonicMs() + GATEWAY_PUZZLE_GRACE_MS }
    }
    this.#bits = bits
    return { memoryKib, passes, bits }
  }

  /**
   * Does what the message shows solve it, or the easier one that was asked for a moment ago? Nothing is hashed
   * for one that shows nothing.
   *
   * @throws MegatorrentError ERR_DHT_BUSY when others come first, ERR_DHT_CLOSED after `close`; what the hash throws.
   */
  async isSolved(
    { host, handshakeHash }: { readonly host: string; readonly handshakeHash: Uint8Array },
    message: PublishMessage,
    puzzle: PuzzleParameters,
  ): Promise<boolean> {
    const { puzzleNonce } = message
    if (puzzleNonce === undefined) return false
    const isInGrace = this.#clock.monotonicMs() < this.#before.untilMs
    const bits = isInGrace ? Math.min(this.#before.bits, puzzle.bits) : puzzle.bits
    const check = async (): Promise<boolean> => {
      const input = puzzleInput(puzzleSalt(handshakeHash, message), puzzleNonce, puzzle)
      return isSolution(await this.#hash(input), { bits })
    }
    return this.#queue.run(host, check, GATEWAY_PUZZLE_WAIT_MS)
  }

  /** Resolves when nothing is checked any more. Call once. */
  close(): Promise<void> {
    return this.#queue.close()
  }
}
