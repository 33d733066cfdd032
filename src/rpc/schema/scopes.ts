/**
 * What a token may be for. The token in rpc.cookie may do everything; a named one only
 * what its scopes say, so that a program that reads cannot publish.
 *
 * @module rpc/schema/scopes
 */

/** read: look. subscribe: follow channels and fetch. publish: use channel keys. admin: everything. */
export const SCOPES = ['read', 'subscribe', 'publish', 'admin'] as const

export type Scope = (typeof SCOPES)[number]

/** Who may do anything may look; who may administer may do all. */
export function allows(granted: readonly Scope[], needed: Scope): boolean {
  if (granted.includes('admin')) return true
  return needed === 'read' ? granted.length > 0 : granted.includes(needed)
}
