/**
 * Named tokens as the RPC asks for them and sees them. Types only.
 *
 * @module node/token-types
 */

export type TokenScope = 'read' | 'subscribe' | 'publish' | 'admin'

export interface CreateTokenParams {
  readonly name: string
  readonly scopes: readonly TokenScope[]
  /** Null: until it is revoked. */
  readonly expiresInMs: number | null
}

export interface TokenInfo {
  readonly name: string
  readonly scopes: TokenScope[]
  readonly createdAt: number
  readonly expiresAt: number | null
}
