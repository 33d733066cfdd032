import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../../src/base/random.ts'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import { formatAddress } from '../../../src/wire/address.ts'
import { ANNOUNCE_WORK_BITS } from '../../../src/wire/constants.ts'
import {
  findNonce,
  isStatementCurrent,
  NONCE_BYTES,
  readStatement,
  signStatement,
  statementAddress,
  statementHours,
  verifyStatement,
} from '../../../src/wire/onion-statement.ts'
import { hex, readOwnVectors } from '../../reference/shared-vectors.ts'
import { damaged } from './refusal.ts'

const VECTORS = readOwnVectors<{
  readonly workBits: number
  readonly address: string
  readonly valid: readonly {
    name: string
    bytes: string
    fields: Record<string, number | string>
    current: readonly number[]
    notCurrent: readonly number[]
  }[]
  readonly invalid: readonly { why: string; bytes: string }[]
}>('onion-statements.json')

describe('an onion statement', () => {
  it.each(VECTORS.valid)('$name is that of the vector', ({ bytes, fields, current, notCurrent }) => {
    const statement = readStatement(hex(bytes))
    const { topic, onionKey, port, day, untilHour, nonce } = statement
    const text = (value: Uint8Array): string => Buffer.from(value).toString('hex')
    expect({
      topic: text(topic),
      onionKey: text(onionKey),
      port,
      day,
      untilHour,
      nonce: text(nonce),
    }).toEqual(fields)
    expect(verifyStatement(statement)).toBe(true)
    expect(formatAddress(statementAddress(statement))).toBe(VECTORS.address)
    for (const hour of current) expect(isStatementCurrent(statement, hour), `${hour}`).toBe(true)
    for (const hour of notCurrent) expect(isStatementCurrent(statement, hour), `${hour}`).toBe(false)
  })

  it.each(VECTORS.invalid)('with $why proves nothing', ({ bytes }) => {
    expect(verifyStatement(readStatement(hex(bytes)))).toBe(false)
  })

  it('that was damaged anywhere proves nothing', () => {
    const good = hex(VECTORS.valid[0]?.bytes ?? '')
    for (const { bytes } of damaged(good, seededRandom(4))) {
      if (bytes.length === good.length) expect(verifyStatement(readStatement(bytes))).toBe(false)
      else expect(() => readStatement(bytes)).toThrow(RangeError)
    }
  })

  it('is signed as it is read, and its work can be looked for in turns', () => {
    const key = new SigningKey(seededRandom(5).bytes(32))
    const claim = {
      topic: new Uint8Array(20).fill(7),
      onionKey: key.publicKey,
      port: 443,
      day: 20_000,
      untilHour: statementHours(20_000).end,
    }
    let nonce: Uint8Array | null = null
    let turns = 0
    for (; nonce === null; turns++) nonce = findNonce(claim, turns * 16, 16, 8)
    expect(turns).toBeGreaterThan(1)
    const bytes = signStatement(claim, nonce, (message) => key.sign(message))
    expect(readStatement(bytes)).toMatchObject({ ...claim, nonce, bytes })
    expect(verifyStatement(readStatement(bytes), 8)).toBe(true)
    // The work of a simulation is not enough in the world: the check is not left out by accident.
    expect(verifyStatement(readStatement(bytes))).toBe(false)
    expect(findNonce(claim, 0, 10, 32)).toBeNull()
  })

  it('asks for work that takes a machine some tenths of a second, and a nonce that fits', () => {
    expect(VECTORS.workBits).toBe(ANNOUNCE_WORK_BITS)
    const { topic, onionKey, day } = readStatement(hex(VECTORS.valid[0]?.bytes ?? ''))
    const nonce = hex(String(VECTORS.valid[0]?.fields.nonce))
    const from = Number(Buffer.from(nonce).readBigUInt64BE())
    expect(findNonce({ topic, onionKey, day }, from, 1)).toEqual(nonce)
    expect(findNonce({ topic, onionKey, day }, from - 100, 100)).toBeNull()
    expect(nonce.length).toBe(NONCE_BYTES)
  })

  it('out of its ranges is our own mistake', () => {
    const claim = { topic: new Uint8Array(20), onionKey: new Uint8Array(32), port: 1, day: 1, untilHour: 1 }
    const sign = (): Uint8Array => new Uint8Array(64)
    const nonce = new Uint8Array(NONCE_BYTES)
    expect(() => signStatement({ ...claim, port: 0 }, nonce, sign)).toThrow(RangeError)
    expect(() => signStatement({ ...claim, topic: nonce }, nonce, sign)).toThrow(RangeError)
    expect(() => signStatement(claim, new Uint8Array(7), sign)).toThrow(RangeError)
    expect(() => signStatement(claim, nonce, () => nonce)).toThrow(RangeError)
  })
})
