/**
 * Bans and limits as NodeApi has them (node/api.ts). Types only.
 *
 * @module node/limit-types
 */

export interface Unbanned {
  readonly nodeKey: string | null
  readonly address: string | null
}

export interface BanInfo {
  readonly nodeKey: string | null
  /** One that we dialled, or the host or network that a peer came from. */
  readonly address: string | null
  /** Null: until the user lifts it. */
  readonly until: number | null
  readonly reason: string
}

/** Rates are bytes a second of traffic with peers, 0 is unlimited. */
export interface Limits {
  readonly uploadLimit: number
  readonly downloadLimit: number
  readonly maxPeers: number
}
