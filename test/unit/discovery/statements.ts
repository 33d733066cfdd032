/** Onion statements for tests: signed in earnest, with little work, or made up for simulations of thousands. */
import { type Random, seededRandom } from '../../../src/base/random.ts'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import { dayOf } from '../../../src/crypto/key-schedule.ts'
import { ONION_STATEMENT_BYTES, TOPIC_BYTES } from '../../../src/wire/constants.ts'
import { findNonce, signStatement, statementHours } from '../../../src/wire/onion-statement.ts'

/** Work that takes no time. */
export const TEST_WORK_BITS = 4

export function signedStatement(
  seed: number,
  nowMs: number,
  change: { readonly topic?: Uint8Array; readonly workBits?: number; readonly day?: number } = {},
): Uint8Array {
  const key = new SigningKey(seededRandom(seed).bytes(32))
  const day = change.day ?? dayOf(nowMs)
  const claim = {
    topic: change.topic ?? seededRandom(seed + 1).bytes(TOPIC_BYTES),
    onionKey: key.publicKey,
    port: 443,
    day,
    untilHour: statementHours(day).end,
  }
  const nonce = findNonce(claim, 0, 2 ** 20, change.workBits ?? TEST_WORK_BITS)
  if (nonce === null) throw new Error('no nonce')
  return signStatement(claim, nonce, (message) => key.sign(message))
}

/** Current, and proves nothing. */
export function madeUpStatement(random: Random, nowMs: number): Uint8Array {
  const bytes = random.bytes(ONION_STATEMENT_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint16(52, 443)
  view.setUint32(54, dayOf(nowMs))
  view.setUint32(58, statementHours(dayOf(nowMs)).end)
  return bytes
}
