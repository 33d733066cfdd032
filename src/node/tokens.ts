/**
 * Named tokens: what a program is given instead of the content of rpc.cookie. Each has
 * scopes and, if wanted, an end.
 *
 * A token is 256 random bits and shown once. Its hash is looked up, so that how long a
 * look takes says nothing about any token. The clock is asked at each use: a token that
 * has expired is worthless at once.
 *
 * @module node/tokens
 */
import { fromHex, toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import { MAX_TOKENS } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { sha256 } from '../crypto/hash.ts'
import type { TokenRow, TokensTable } from '../storage/tables/tokens-table.ts'
import type { CreateTokenParams, TokenInfo } from './token-types.ts'

const TOKEN_BYTES = 32

export interface TokensDeps {
  readonly table: TokensTable
  readonly clock: Clock
  readonly random: Random
}

export class Tokens {
  readonly #deps: TokensDeps
  /** By the hash of the token, as hex. */
  #byHash = new Map<string, TokenInfo>()

  constructor(deps: TokensDeps) {
    this.#deps = deps
    this.#load()
  }

  /** @throws MegatorrentError ERR_NAME_TAKEN, or ERR_USAGE when there are MAX_TOKENS already. */
  create({ name, scopes, expiresInMs }: CreateTokenParams): TokenInfo & { readonly token: string } {
    const { table, clock, random } = this.#deps
    const known = this.list()
    if (known.some((token) => token.name === name)) {
      throw new MegatorrentError(
        'ERR_NAME_TAKEN',
        'there is a token of that name: revoke it first, or take another name',
      )
    }
    if (known.length >= MAX_TOKENS) {
      throw new MegatorrentError('ERR_USAGE', `there are ${MAX_TOKENS} tokens: revoke some first`)
    }
    const token = random.bytes(TOKEN_BYTES)
    const createdAt = clock.now()
    const row: TokenRow = {
      name,
      hash: sha256(token),
      scopes: [...new Set(scopes)].join(','),
      createdAt,
      expiresAt: expiresInMs === null ? null : createdAt + expiresInMs,
    }
    table.add(row)
    this.#load()
    return { ...infoOf(row), token: toHex(token) }
  }

  /** Oldest first, with those that have expired. */
  list(): readonly TokenInfo[] {
    return [...this.#byHash.values()]
  }

  /** @returns what it was, or null when there is none of that name. */
  revoke(name: string): TokenInfo | null {
    const token = this.list().find((each) => each.name === name)
    if (token === undefined) return null
    this.#deps.table.remove(name)
    this.#load()
    return token
  }

  /** What a token is good for now, or null when it is none of ours or has expired. */
  find(token: string): TokenInfo | null {
    const bytes = fromHex(token, TOKEN_BYTES)
    const info = bytes === null ? undefined : this.#byHash.get(toHex(sha256(bytes)))
    if (info === undefined || (info.expiresAt !== null && info.expiresAt <= this.#deps.clock.now()))
      return null
    return info
  }

  #load(): void {
    this.#byHash = new Map(this.#deps.table.list().map((row) => [toHex(row.hash), infoOf(row)]))
  }
}

function infoOf({ name, scopes, createdAt, expiresAt }: TokenRow): TokenInfo {
  // Only `create` writes rows, from values that the schema has checked.
  return { name, scopes: scopes.split(',') as TokenInfo['scopes'], createdAt, expiresAt }
}
