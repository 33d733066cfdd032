/**
 * Gateways as a last source of blobs: where a link names some and nobody else gives
 * what is being fetched, they are asked for it by id (PROTOCOL_FINAL.md §7.9).
 *
 * Such a connection is made under the key of the gateway, shows no channel, and is
 * there while something of the one channel is being fetched. What the gateway has is
 * not known: it counts as having everything, and soon as unreliable if it has little.
 *
 * @module swarm/keepers
 */
import type { Clock } from '../base/clock.ts'
import { errorMessage } from '../base/errors.ts'
import { DIAL_TIMEOUT_MS, KEEPER_AFTER_MS, KEEPER_RETRY_MS, MAX_MANIFEST_BLOBS } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { nodeHandshakeKey } from '../crypto/key-schedule.ts'
import { initiateHandshake, type Secured } from '../transport/handshake.ts'
import type { Dialer } from '../transport/transport.ts'
import { type Address, type PeerAddress, provenKey } from '../wire/address.ts'
import type { SwarmBans } from './bans.ts'
import type { BlobRange } from './blob-set.ts'
import type { SwarmChannel } from './channel.ts'
import type { Peer } from './peer.ts'

/** Every blob that a release can have. */
const EVERYTHING: readonly BlobRange[] = [{ start: 0, length: MAX_MANIFEST_BLOBS }]

export interface KeepersDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly dialer: Dialer
  readonly isAcceptable: (address: Address, source: 'link') => boolean
  /** ms for a connection; DIAL_TIMEOUT_MS where absent. */
  readonly dialTimeoutMs?: number
  /** Peers that share the channel. */
  peersOf(channel: SwarmChannel): number
  readonly bans: SwarmBans
  /** A connection is up: a peer that is shown no channel. */
  adopt(secured: Secured, address: PeerAddress): Peer
  told(peer: Peer, channel: SwarmChannel, rootId: Uint8Array, ranges: readonly BlobRange[]): void
}

interface Keeper {
  readonly address: PeerAddress
  /** Monotonic ms: not dialled before. */
  dueMs: number
  isDialling: boolean
  peer: Peer | null
}

export class Keepers {
  readonly #deps: KeepersDeps
  readonly #of = new Map<SwarmChannel, Keeper[]>()
  /** Since when something is fetched and nobody who shares the channel is there; monotonic ms. */
  readonly #aloneMs = new Map<SwarmChannel, number>()
  readonly #stopping = new AbortController()

  constructor(deps: KeepersDeps) {
    this.#deps = deps
  }

  /** Gateways that a link of the channel names; of an onion nobody keeps blobs, and names come from people. */
  add(channel: SwarmChannel, addresses: readonly PeerAddress[]): void {
    const usable = addresses.filter(
      (one) =>
        (one.kind === 'ipv4' || one.kind === 'ipv6') &&
        provenKey(one) !== null &&
        this.#deps.isAcceptable(one, 'link'),
    )
    this.#of.set(
      channel,
      usable.map((address) => ({ address, dueMs: 0, isDialling: false, peer: null })),
    )
  }

  forget(channel: SwarmChannel): void {
    this.#closeOf(channel)
    this.#of.delete(channel)
    this.#aloneMs.delete(channel)
  }

  /** Something more of the channel is being fetched. */
  fetching(channel: SwarmChannel): void {
    for (const { peer } of this.#of.get(channel) ?? []) if (peer !== null) this.#tell(peer, channel)
  }

  tick(): void {
    const nowMs = this.#deps.clock.monotonicMs()
    for (const [channel, keepers] of this.#of) {
      if (channel.fetches.size === 0) {
        this.#closeOf(channel)
        this.#aloneMs.delete(channel)
        continue
      }
      if (this.#deps.peersOf(channel) > 0) {
        this.#aloneMs.delete(channel)
        continue
      }
      const sinceMs = this.#aloneMs.get(channel) ?? nowMs
      this.#aloneMs.set(channel, sinceMs)
      if (nowMs - sinceMs < KEEPER_AFTER_MS) continue
      for (const keeper of keepers) {
        if (keeper.peer?.connection.closed === true) keeper.peer = null
        const isDue = keeper.peer === null && !keeper.isDialling && keeper.dueMs <= nowMs
        if (isDue) void this.#dial(channel, keeper)
      }
    }
  }

  stop(): void {
    this.#stopping.abort()
  }

  /** Never rejects. */
  async #dial(channel: SwarmChannel, keeper: Keeper): Promise<void> {
    const { clock, random, dialer, dialTimeoutMs: timeoutMs = DIAL_TIMEOUT_MS, log } = this.#deps
    const { signal } = this.#stopping
    const { address } = keeper
    keeper.isDialling = true
    keeper.dueMs = clock.monotonicMs() + KEEPER_RETRY_MS
    try {
      const key = provenKey(address)
      if (key === null) return
      const stream = await dialer.dial({ host: address.host, port: address.port }, { signal, timeoutMs })
      const secured = await initiateHandshake(stream, {
        ...{ psk: nodeHandshakeKey(key), purpose: { kind: 'node' }, dialled: null, expectedNodeKey: key },
        ...{ nodeKey: null, clock, random, signal }, // it is told nothing by which we could be known
      })
      const { remoteNodeKey } = secured
      const bannable = { remoteNodeKey, address, remote: secured.channel.stream.remote }
      const isWanted = this.#of.get(channel)?.includes(keeper) === true && channel.fetches.size > 0
      if (signal.aborted || !isWanted || this.#deps.bans.isPeerBanned(bannable)) {
        secured.channel.destroy()
        return
      }
      keeper.peer = this.#deps.adopt(secured, address)
      this.#tell(keeper.peer, channel)
    } catch (error) {
      log.debug('a gateway was not asked for blobs', { why: errorMessage(error) })
    } finally {
      keeper.isDialling = false
    }
  }

  #tell(peer: Peer, channel: SwarmChannel): void {
    for (const { release } of channel.fetches.values()) {
      if (peer.holdings.of(channel, release.rootId) === null) {
        this.#deps.told(peer, channel, release.rootId, EVERYTHING)
      }
    }
  }

  #closeOf(channel: SwarmChannel): void {
    for (const keeper of this.#of.get(channel) ?? []) {
      keeper.peer?.connection.close('notNeeded')
      keeper.peer = null
    }
  }
}
