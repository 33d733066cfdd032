import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { MegatorrentError } from '../../../src/base/errors.ts'
import {
  MAX_SIGN_IN_CODES,
  MAX_SIGN_IN_TOKENS,
  SIGN_IN_CODE_MS,
  SIGN_IN_TOKEN_MS,
  SIGN_IN_TRIES_PER_MINUTE,
} from '../../../src/base/limits.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { SignIns } from '../../../src/rpc/sign-ins.ts'

function rig(): { clock: ManualClock; signIns: SignIns } {
  const clock = new ManualClock()
  return { clock, signIns: new SignIns(clock, seededRandom(3)) }
}

/** The code of the error, or null when a token came. */
function refusalOf(signIns: SignIns, code: string): string | null {
  try {
    signIns.exchange(code)
    return null
  } catch (error) {
    return error instanceof MegatorrentError ? error.code : String(error)
  }
}

describe('a one-time code', () => {
  it('gives a token that may do everything, and is itself no token', () => {
    const { signIns } = rig()
    const { code } = signIns.createCode()
    expect(code).toMatch(/^[0-9a-f]{64}$/)
    expect(signIns.find(code)).toBeNull()
    const { token, scopes } = signIns.exchange(code)
    expect(token).toMatch(/^[0-9a-f]{64}$/)
    expect(token).not.toBe(code)
    expect(scopes).toEqual(['admin'])
    expect(signIns.find(token)).toEqual(['admin'])
  })

  it('is good once', () => {
    const { signIns } = rig()
    const { code } = signIns.createCode()
    expect(refusalOf(signIns, code)).toBeNull()
    expect(refusalOf(signIns, code)).toBe('ERR_SIGN_IN')
  })

  it('is good for a minute, and until its last millisecond', async () => {
    const { clock, signIns } = rig()
    const { code: early, expiresAt } = signIns.createCode()
    const { code: late } = signIns.createCode()
    expect(expiresAt).toBe(clock.now() + SIGN_IN_CODE_MS)
    await clock.advance(SIGN_IN_CODE_MS - 1)
    expect(refusalOf(signIns, early)).toBeNull()
    await clock.advance(1)
    expect(refusalOf(signIns, late)).toBe('ERR_SIGN_IN')
  })

  it('does not last longer because the clock on the wall is set back', async () => {
    const { clock, signIns } = rig()
    const { code } = signIns.createCode()
    clock.jumpWall(-3_600_000)
    await clock.advance(SIGN_IN_CODE_MS)
    expect(refusalOf(signIns, code)).toBe('ERR_SIGN_IN')
  })

  it('does not last longer because the machine slept, which the other clock does not count', () => {
    const { clock, signIns } = rig()
    const { code } = signIns.createCode()
    clock.jumpWall(SIGN_IN_CODE_MS)
    expect(refusalOf(signIns, code)).toBe('ERR_SIGN_IN')
  })

  it('pushes out the oldest when there are many', () => {
    const { signIns } = rig()
    const codes = Array.from({ length: MAX_SIGN_IN_CODES + 2 }, () => signIns.createCode().code)
    expect(codes.map((code) => refusalOf(signIns, code) === null)).toEqual(codes.map((_code, i) => i >= 2))
  })

  it.each(['', 'x', 'ab'.repeat(31), 'ab'.repeat(33), 'zz'.repeat(32)])('is not %o', (code) => {
    expect(refusalOf(rig().signIns, code)).toBe('ERR_SIGN_IN')
  })
})

describe('wrong codes', () => {
  it('are told that there were too many, and do not keep out who has a right one', async () => {
    const { clock, signIns } = rig()
    const { code } = signIns.createCode()
    for (let i = 0; i < SIGN_IN_TRIES_PER_MINUTE; i++) {
      expect(signIns.waitMs()).toBe(0)
      refusalOf(signIns, 'ab'.repeat(32))
    }
    expect(signIns.waitMs()).toBeGreaterThan(0)
    expect(refusalOf(signIns, code)).toBeNull()
    await clock.advance(signIns.waitMs())
    expect(signIns.waitMs()).toBe(0)
  })
})

describe('the token of a page', () => {
  it('ends after its time', async () => {
    const { clock, signIns } = rig()
    const { token, expiresAt } = signIns.exchange(signIns.createCode().code)
    expect(expiresAt).toBe(clock.now() + SIGN_IN_TOKEN_MS)
    await clock.advance(SIGN_IN_TOKEN_MS - 1)
    expect(signIns.find(token)).toEqual(['admin'])
    await clock.advance(1)
    expect(signIns.find(token)).toBeNull()
  })

  it('ends when the page signs out, and no other does', () => {
    const { signIns } = rig()
    const [first, second] = [1, 2].map(() => signIns.exchange(signIns.createCode().code).token) as [
      string,
      string,
    ]
    expect(signIns.end(first)).toBe(true)
    expect(signIns.end(first)).toBe(false)
    expect(signIns.find(first)).toBeNull()
    expect(signIns.find(second)).toEqual(['admin'])
  })

  it('is one of a bounded number', () => {
    const { signIns } = rig()
    const tokens = Array.from(
      { length: MAX_SIGN_IN_TOKENS + 1 },
      () => signIns.exchange(signIns.createCode().code).token,
    )
    expect(signIns.find(tokens[0] as string)).toBeNull()
    expect(tokens.slice(1).every((token) => signIns.find(token) !== null)).toBe(true)
  })
})
