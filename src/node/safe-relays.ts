/**
 * Relays in safe mode: through the proxy on circuits of their own and, where Tor makes us onions, reached by an
 * onion of their own.
 *
 * Its key is drawn at each start and kept nowhere. Everybody can see when the onion of a relay comes and goes;
 * with a lasting one, whoever watches a channel's onion too could find over the weeks that the two are one node's.
 * It is made when the first relay has answered: before that nobody could hear of it.
 *
 * @module node/safe-relays
 */
import { errorMessage } from '../base/errors.ts'
import { PROXY_DIAL_TIMEOUT_MS } from '../base/limits.ts'
import type { ChannelDiscovery } from '../channels/discovery.ts'
import { SEED_BYTES, SigningKey } from '../crypto/ed25519.ts'
import { type ChannelKeys, RELAY_SECRET } from '../crypto/key-schedule.ts'
import type { AnnouncedOnion } from '../swarm/onion-announcer.ts'
import type { Acceptor, Door } from '../transport/acceptor.ts'
import { HandshakeKeyring } from '../transport/handshake-keys.ts'
import type { OnionServices } from '../transport/onion/onion-services.ts'
import type { Listener, Transport } from '../transport/transport.ts'
import { formatAddress, parsePeerAddress } from '../wire/address.ts'
import { onionName } from '../wire/onion.ts'
import type { NetworkDeps } from './network.ts'
import { ONION_PORT } from './onion-control.ts'
import { Relays } from './relays.ts'
import { onionOf } from './safe-channel.ts'
import { relayAnchorStore } from './stores.ts'

export interface SafeRelayParts {
  /** Dials through the proxy, and listens on this machine. */
  readonly transport: Transport
  readonly acceptor: Acceptor
  /** Null where there is no control port: relays are dialled, and nobody is announced. */
  readonly onions: OnionServices | null
}

export class SafeRelays {
  readonly #deps: NetworkDeps
  readonly #parts: SafeRelayParts
  readonly #relays: Relays
  readonly #seed: Uint8Array
  readonly #key: SigningKey
  readonly #onion: string
  /** Where Tor brings its streams to, once there is an onion. */
  #listener: Promise<Listener | null> | null = null
  #isClosed = false

  constructor(deps: NetworkDeps, parts: SafeRelayParts) {
    const { config, state, clock, random, log } = deps
    this.#deps = deps
    this.#parts = parts
    this.#seed = random.bytes(SEED_BYTES)
    this.#key = new SigningKey(this.#seed)
    this.#onion = onionName(this.#key.publicKey)
    this.#relays = new Relays({
      ...{ clock, random, log: log.child('relays'), dialer: parts.transport, relayKey: this.#key },
      resolve: null,
      dialTimeoutMs: PROXY_DIAL_TIMEOUT_MS,
      given: config.useGateway.map(parsePeerAddress),
      isAcceptable: ({ kind }) => kind === 'onion',
      anchors: relayAnchorStore(state.meta),
      onConnected: () => this.#serve(),
    })
  }

  /** Relay connections. */
  get connected(): number {
    return this.#relays.connected
  }

  discovery(inner: ChannelDiscovery): ChannelDiscovery {
    const { nodeSeed } = this.#deps
    const ownOnion = (keys: ChannelKeys): string | null =>
      this.#parts.onions === null ? null : formatAddress(onionOf(nodeSeed, keys))
    return this.#relays.discovery(inner, ownOnion)
  }

  /** Tell others of a channel's onion. @returns how to stop. */
  announce(onion: AnnouncedOnion): () => void {
    return this.#relays.announce(onion)
  }

  /** Onions of channels: all but that of relays. */
  without({ wanted, published, ...status }: OnionServices['status']): OnionServices['status'] {
    const state = this.#parts.onions?.state(this.#onion) ?? null
    return {
      ...status,
      wanted: wanted - (state === null ? 0 : 1),
      published: published - (state === 'published' ? 1 : 0),
    }
  }

  /** Resolves when nothing runs any more. */
  async close(): Promise<void> {
    this.#isClosed = true
    void this.#parts.onions?.remove(this.#onion)
    await this.#relays.close()
    await (await this.#listener)?.close()
  }

  #serve(): void {
    const { onions } = this.#parts
    if (this.#isClosed || this.#listener !== null || onions === null) return
    this.#listener = this.#listen(onions)
  }

  /** Never rejects. */
  async #listen(onions: OnionServices): Promise<Listener | null> {
    const { acceptor, transport } = this.#parts
    const { config, log } = this.#deps
    const keyring = new HandshakeKeyring(this.#key.publicKey, false)
    keyring.addRelays()
    const door: Door = {
      candidates: (nowMs) => keyring.candidates(nowMs),
      isOwnAddress: () => false, // relays name none
      nodeKey: this.#key,
      onSecured: (secured) => this.#relays.accept(secured),
      onion: this.#onion,
    }
    try {
      const listener = await transport.listen({ host: config.listen.host, port: 0 }, (stream) =>
        acceptor.accept(stream, door),
      )
      if (this.#isClosed) return listener // and `close` closes it
      onions.add({ seed: this.#seed, port: ONION_PORT, target: listener.endpoint })
      this.#relays.announce({ secret: RELAY_SECRET, key: this.#key, port: ONION_PORT })
      return listener
    } catch (error) {
      log.error('no onion for relays: they are only dialled', { why: errorMessage(error) })
      return null
    }
  }
}
