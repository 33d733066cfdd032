/**
 * One channel in safe mode: a swarm of its own, reached by an onion of its own where Tor makes us
 * some. Nothing of it is shared with another channel but the proxy, the limits and the place for blobs.
 *
 * @module node/safe-channel
 */
import { equalBytes, toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { errorMessage } from '../base/errors.ts'
import { PROXY_DIAL_TIMEOUT_MS } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { SigningKey } from '../crypto/ed25519.ts'
import { type ChannelKeys, dayOf } from '../crypto/key-schedule.ts'
import { onionSeed } from '../crypto/onion-key.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import type { Bans } from '../swarm/bans.ts'
import type { ChannelEvents, SwarmChannel } from '../swarm/channel.ts'
import type { AnnouncedOnion } from '../swarm/onion-announcer.ts'
import type { Quiet } from '../swarm/quiet.ts'
import { Swarm, type SwarmDeps } from '../swarm/swarm.ts'
import type { Acceptor, Door } from '../transport/acceptor.ts'
import { HandshakeKeyring } from '../transport/handshake-keys.ts'
import type { OnionServices } from '../transport/onion/onion-services.ts'
import type { Dialer, Listener, Transport } from '../transport/transport.ts'
import { type Address, encodeAddress, formatAddress } from '../wire/address.ts'
import { onionName } from '../wire/onion.ts'
import type { BlobOrigins } from './blob-origins.ts'
import { ONION_PORT } from './onion-control.ts'
import { isAcceptableBehindProxy } from './own-addresses.ts'
import { ServedBlobs } from './served-blobs.ts'

export interface SafeChannelDeps {
  readonly clock: Clock
  readonly log: Log
  /** What swarms of all channels have in common. */
  readonly swarmDeps: Omit<
    SwarmDeps,
    | 'bans'
    | 'dialer'
    | 'nodeKey'
    | 'resolve'
    | 'isAcceptable'
    | 'isTellable'
    | 'listenPort'
    | 'maxPeers'
    | 'maxQueuedUploads'
    | 'store'
  >
  /** Of all channels. */
  readonly store: SwarmDeps['store'] & Pick<BlobStore, 'has'>
  readonly origins: Pick<BlobOrigins, 'of'>
  readonly bans: Bans
  /** Connections that this swarm may have, beside those of other channels. */
  readonly maxPeers: (swarm: Swarm) => number
  /** Blobs that this swarm may have read and not sent, at least 1. */
  readonly maxQueuedUploads: (swarm: Swarm) => number
  /** Dials through the proxy, and listens on this machine. */
  readonly transport: Transport
  readonly acceptor: Acceptor
  /** Null where there is no control port: the channel only dials out. */
  readonly onions: OnionServices | null
  /** On loopback: where Tor brings streams to. */
  readonly listenHost: string
  readonly nodeSeed: Uint8Array
  /** While it lasts nobody is dialled, and there is no onion. */
  readonly quiet: Quiet | null
  /** Tell others of the onion, once there is one. @returns how to stop. */
  readonly announce: (onion: AnnouncedOnion) => () => void
}

/** Where a channel of this node is reached. */
export function onionOf(nodeSeed: Uint8Array, keys: ChannelKeys): Address {
  const { publicKey } = new SigningKey(onionSeed(nodeSeed, keys.secret))
  return { kind: 'onion', host: onionName(publicKey), port: ONION_PORT }
}

export class SafeChannel {
  readonly swarm: Swarm
  readonly channel: SwarmChannel
  readonly served: ServedBlobs
  readonly #keys: ChannelKeys
  readonly #deps: SafeChannelDeps
  readonly #seed: Uint8Array
  /** Where Tor brings its streams to; null for one that only dials out. */
  #listener: Promise<Listener | null> | null = null
  #onion: string | null = null
  #stopAnnouncing: () => void = () => {}
  #isClosed = false

  constructor(keys: ChannelKeys, events: ChannelEvents, deps: SafeChannelDeps) {
    this.#keys = keys
    this.#deps = deps
    this.#seed = onionSeed(deps.nodeSeed, keys.secret)
    const ownKey = new SigningKey(this.#seed)
    this.served = new ServedBlobs(deps.store, deps.origins.of(keys.publicKey))
    let swarm: Swarm | null = null // while it is made
    this.swarm = swarm = new Swarm({
      ...deps.swarmDeps,
      get maxPeers() {
        return swarm === null ? 0 : deps.maxPeers(swarm)
      },
      maxQueuedUploads: () => (swarm === null ? 1 : deps.maxQueuedUploads(swarm)),
      store: this.served,
      bans: deps.bans.within(toHex(keys.publicKey)),
      dialer: onCircuitsOf(keys, deps),
      resolve: null,
      isQuiet: () => deps.quiet?.isOver === false,
      isAcceptable: isAcceptableBehindProxy,
      // All who come by an onion seem to be of this machine, so its networks are no measure here.
      isTellable: ({ kind }) => kind === 'onion',
      nodeKey: ownKey,
      // One whom the user named is dialled for every channel, and would have a list of our onions.
      showsKey: false,
      listenPort: () => 0,
      dialTimeoutMs: PROXY_DIAL_TIMEOUT_MS,
    })
    this.channel = this.swarm.join(keys, events)
  }

  /** Make the onion, as soon as the channel may be seen. Idempotent. */
  listen(): void {
    const { onions, quiet } = this.#deps
    if (onions === null || this.#isClosed) return
    this.#listener ??= (quiet?.over ?? Promise.resolve()).then(() =>
      this.#isClosed ? null : this.#serve(onions),
    )
  }

  /** Where others come to us, once we listen. */
  get onionAddress(): string | null {
    return this.#listener === null ? null : formatAddress(onionOf(this.#deps.nodeSeed, this.#keys))
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#stopAnnouncing()
    if (this.#onion !== null) void this.#deps.onions?.remove(this.#onion)
    void this.#listener?.then((listener) => listener?.close())
    this.swarm.close()
  }

  /** Never rejects. */
  async #serve(onions: OnionServices): Promise<Listener | null> {
    const keys = this.#keys
    const ownKey = new SigningKey(this.#seed)
    const { acceptor, transport, listenHost, log } = this.#deps
    const own = onionOf(this.#deps.nodeSeed, keys)
    const dialled = encodeAddress(own)
    const keyring = new HandshakeKeyring(ownKey.publicKey, false)
    keyring.addChannel(keys)
    const door: Door = {
      candidates: (nowMs) => keyring.candidates(nowMs),
      isOwnAddress: (bytes) => equalBytes(bytes, dialled),
      nodeKey: ownKey,
      onSecured: (secured) => this.swarm.accept(secured),
      onion: own.host,
    }
    try {
      const listener = await transport.listen({ host: listenHost, port: 0 }, (stream) =>
        acceptor.accept(stream, door),
      )
      if (this.#isClosed) return listener // and `close` closes it
      this.#onion = onions.add({ seed: this.#seed, port: own.port, target: listener.endpoint })
      this.#stopAnnouncing = this.#deps.announce({ secret: keys.secret, key: ownKey, port: own.port })
      return listener
    } catch (error) {
      log.error('no onion for a channel: it cannot be listened for', { why: errorMessage(error) })
      return null
    }
  }
}

/** Circuits that no other channel shares, and that are other ones tomorrow. */
function onCircuitsOf({ secret }: ChannelKeys, { clock, transport }: SafeChannelDeps): Dialer {
  const subject = toHex(secret)
  return {
    dial(endpoint, options) {
      const circuit = { purpose: 'channel', subject, day: dayOf(clock.now()) } as const
      return transport.dial(endpoint, { ...options, circuit })
    },
  }
}
