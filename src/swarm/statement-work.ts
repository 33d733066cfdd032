/**
 * Making an onion statement: its proof of work, a little at a time between other work
 * (PROTOCOL_FINAL.md §7.7).
 *
 * @module swarm/statement-work
 */
import { type Clock, sleep } from '../base/clock.ts'
import { WORK_TRIES_PER_TURN } from '../base/limits.ts'
import { ANNOUNCE_WORK_BITS } from '../wire/constants.ts'
import { findNonce, type StatementClaim, signStatement } from '../wire/onion-statement.ts'

export interface StatementWork {
  readonly clock: Clock
  /** ANNOUNCE_WORK_BITS but in simulations. */
  readonly workBits?: number
}

/** ms between two turns of work: the least that a timer has. */
const WORK_PAUSE_MS = 1

/**
 * @param sign - by the key of the onion.
 * @returns ONION_STATEMENT_BYTES fresh bytes. Cost: some 0.5 s of processor time for ANNOUNCE_WORK_BITS.
 * @throws what the signal aborts with.
 */
export async function makeStatement(
  { clock, workBits = ANNOUNCE_WORK_BITS }: StatementWork,
  claim: StatementClaim,
  sign: (message: Uint8Array) => Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  for (let from = 0; ; from += WORK_TRIES_PER_TURN) {
    const nonce = findNonce(claim, from, WORK_TRIES_PER_TURN, workBits)
    if (nonce !== null) return signStatement(claim, nonce, sign)
    await sleep(clock, WORK_PAUSE_MS, signal)
  }
}
