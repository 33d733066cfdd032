/** Named tokens over a real database. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { MAX_TOKENS } from '../../../src/base/limits.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { Tokens } from '../../../src/node/tokens.ts'
import { openState, type State } from '../../../src/storage/state.ts'

let folder: string
let state: State
const clock = new ManualClock()

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'megatorrent-tokens-'))
  state = openState(join(folder, 'test.db'), null)
})
afterEach(() => {
  state.close()
  rmSync(folder, { recursive: true })
})

const opened = (seed = 1) => new Tokens({ table: state.tokens, clock, random: seededRandom(seed) })

it('are found whole and in no other form, also after a restart', () => {
  const { token, ...info } = opened().create({
    name: 'bot',
    scopes: ['read', 'publish', 'read'],
    expiresInMs: null,
  })
  expect(token).toMatch(/^[0-9a-f]{64}$/)
  expect(info).toEqual({ name: 'bot', scopes: ['read', 'publish'], createdAt: clock.now(), expiresAt: null })
  const tokens = opened(2)
  expect(tokens.find(token)).toEqual(info)
  for (const other of [
    '',
    token.slice(2),
    `${token}00`,
    token.replace(/.$/, (c) => (c === '0' ? '1' : '0')),
    'bot',
  ]) {
    expect(tokens.find(other)).toBeNull()
  }
})

it('end when they expire, without a restart', async () => {
  const tokens = opened()
  const { token } = tokens.create({ name: 'bot', scopes: ['read'], expiresInMs: 1_000 })
  await clock.advance(999)
  expect(tokens.find(token)).not.toBeNull()
  await clock.advance(1)
  expect(tokens.find(token)).toBeNull()
  expect(tokens.list().map(({ name }) => name)).toEqual(['bot'])
})

it('end when they are revoked; the name is free again then', () => {
  const tokens = opened()
  const { token } = tokens.create({ name: 'bot', scopes: ['admin'], expiresInMs: null })
  expect(() => tokens.create({ name: 'bot', scopes: ['read'], expiresInMs: null })).toThrow(/of that name/)
  expect(tokens.revoke('bot')?.name).toBe('bot')
  expect(tokens.find(token)).toBeNull()
  expect(tokens.revoke('bot')).toBeNull()
  expect(tokens.create({ name: 'bot', scopes: ['read'], expiresInMs: null }).token).not.toBe(token)
})

it('are not in the database', () => {
  const { token } = opened().create({ name: 'bot', scopes: ['read'], expiresInMs: null })
  state.close()
  const content = readFileSync(join(folder, 'test.db'))
  expect(content.includes(token)).toBe(false)
  expect(content.includes(Buffer.from(token, 'hex'))).toBe(false)
  expect(content.includes('bot')).toBe(true) // what is looked for is where it would be
  state = openState(join(folder, 'test.db'), null)
})

it('are bounded', () => {
  const tokens = opened()
  state.database.transaction(() => {
    for (let i = 0; i < MAX_TOKENS; i++) {
      const hash = Uint8Array.from({ length: 32 }, (_, at) => (at < 2 ? i >> (8 * at) : 0))
      state.tokens.add({ name: `t${i}`, hash, scopes: 'read', createdAt: i, expiresAt: null })
    }
  })
  expect(() => opened().create({ name: 'more', scopes: ['read'], expiresInMs: null })).toThrow(
    /revoke some first/,
  )
  expect(tokens.list()).toEqual([]) // what was read at its start
})
