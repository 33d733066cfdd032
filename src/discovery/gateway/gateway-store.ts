/**
 * What a gateway keeps of an item, and where: storage implements it. Nothing says who
 * gave it.
 *
 * @module discovery/gateway/gateway-store
 */
import type { MutableItem } from '../../wire/mutable-item.ts'

export interface KeptItem {
  readonly item: MutableItem
  /** ms since 1970; 0 is at once. */
  readonly notBefore: number
  /** ms since 1970: forgotten then. */
  readonly notAfter: number
}

export interface GatewayStore {
  /** Everything that is kept: MAX_GATEWAY_ITEMS at most. */
  all(): readonly KeptItem[]
  /** Durable when it returns. Each takes the place of what was kept under its key. */
  save(kept: readonly KeptItem[]): void
  remove(keys: readonly Uint8Array[]): void
}
