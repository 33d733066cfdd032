/**
 * Where questions to a gateway come in: on connections that others made to us, not
 * under a channel's key (PROTOCOL_FINAL.md §7.8). Everybody else gets the answers of
 * a node that is no gateway.
 *
 * @module swarm/gateway-desk
 */
import { errorMessage, isMegatorrentError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { ROLE_RESPONDER } from '../crypto/tags.ts'
import type { KeepSource } from '../discovery/gateway/blob-keeper.ts'
import type { GatewayAsker, GatewayService } from '../discovery/gateway/gateway-service.ts'
import type { Connection, ConnectionHandlers, FoundPeers } from '../transport/connection.ts'
import type { Secured } from '../transport/handshake.ts'
import { hostGroup, isIpOfOthers } from '../transport/host-group.ts'
import { classOf } from './peer-exchange.ts'

export type Gateway = Pick<GatewayService, 'publish' | 'readSlot' | 'findPeers'> &
  Partial<Pick<GatewayService, 'blobs'>>

/** The connection as far as blobs go: what the other side names is asked of it. */
export type Asked = Pick<Connection, 'requestBlob' | 'destroy'>

export class GatewayDesk {
  readonly #gateway: Gateway
  readonly #asker: GatewayAsker
  readonly #log: Log
  readonly #over = new AbortController()

  private constructor(gateway: Gateway, asker: GatewayAsker, log: Log) {
    this.#gateway = gateway
    this.#asker = asker
    this.#log = log
  }

  /** The desk of one connection; null when it may ask nothing of a gateway. */
  static of(gateway: Gateway | null, secured: Secured, log: Log): GatewayDesk | null {
    const isAsking = secured.role === ROLE_RESPONDER && secured.purpose.kind !== 'channel'
    if (gateway === null || !isAsking) return null
    const { host } = secured.channel.stream.remote
    const asker = {
      host: hostGroup(host),
      isShared: !isIpOfOthers(host),
      hostClass: classOf(host),
      handshakeHash: secured.handshakeHash,
    }
    return new GatewayDesk(gateway, asker, log)
  }

  /** What is answered besides what every peer is. */
  get handlers(): Pick<ConnectionHandlers, 'publish' | 'readSlot'> {
    return {
      publish: (message) => this.#answer(this.#gateway.publish(this.#asker, message)),
      readSlot: (slotKey) => this.#answer(this.#gateway.readSlot(this.#asker, slotKey)),
    }
  }

  /** What is answered by a gateway that keeps blobs. @param connection - by which they come. */
  keeping(connection: Asked): Pick<ConnectionHandlers, 'keep'> {
    const blobs = this.#gateway.blobs ?? null
    if (blobs === null) return {}
    const source: KeepSource = {
      ask: (id, signal) => connection.requestBlob(id, signal),
      signal: this.#over.signal,
      onFalse: () => connection.destroy(),
    }
    return { keep: (message) => this.#answer(blobs.keep(this.#asker, message, source)) }
  }

  /** The connection is over. */
  close(): void {
    this.#over.abort()
  }

  findPeers(topic: Uint8Array): Promise<FoundPeers> {
    return this.#answer(this.#gateway.findPeers(this.#asker, topic))
  }

  /** Whoever asked hears only that we are busy. */
  async #answer<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      const level = isMegatorrentError(error) && error.kind !== 'bug' ? 'debug' : 'error'
      this.#log[level]('a question to this gateway has no answer', { why: errorMessage(error) })
      throw error
    }
  }
}
