/**
 * The onion of a gateway: an address by which it is reached over Tor, and whose key it
 * proves. It hides nobody, since the gateway's own address is known to the DHT; it is
 * for those who ask, whose circuits need no exit then.
 *
 * Its key is not the node's, so that the two are tied together by nothing that is said.
 *
 * @module node/gateway-onion
 */
import { errorMessage } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { SigningKey } from '../crypto/ed25519.ts'
import { gatewayOnionSeed } from '../crypto/onion-key.ts'
import { GatewayCounter, type GatewayCounterDeps } from '../swarm/gateway-counter.ts'
import type { Acceptor, Door } from '../transport/acceptor.ts'
import { HandshakeKeyring } from '../transport/handshake-keys.ts'
import type { OnionServices } from '../transport/onion/onion-services.ts'
import type { Listener, Transport } from '../transport/transport.ts'
import { formatAddress } from '../wire/address.ts'
import { onionName } from '../wire/onion.ts'
import { ONION_PORT } from './onion-control.ts'
import type { Relays } from './relays.ts'

export interface GatewayOnionDeps extends GatewayCounterDeps {
  /** Of the node key, 32 bytes. */
  readonly nodeSeed: Uint8Array
  readonly onions: OnionServices
  readonly transport: Pick<Transport, 'listen'>
  readonly acceptor: Acceptor
  /** Where relay connections go; null for a gateway that takes none. */
  readonly relays: Pick<Relays, 'accept'> | null
  readonly log: Log
}

export class GatewayOnion {
  /** `<56>.onion:PORT` */
  readonly address: string
  readonly #counter: GatewayCounter
  readonly #listener: Promise<Listener | null>

  constructor(deps: GatewayOnionDeps) {
    const seed = gatewayOnionSeed(deps.nodeSeed)
    const key = new SigningKey(seed)
    this.#counter = new GatewayCounter(deps)
    this.address = formatAddress({ kind: 'onion', host: onionName(key.publicKey), port: ONION_PORT })
    this.#listener = this.#serve(seed, key, deps)
  }

  async close(): Promise<void> {
    this.#counter.destroy()
    await (await this.#listener)?.close()
  }

  /** Where Tor brings streams to, on loopback. Never rejects. */
  async #serve(seed: Uint8Array, nodeKey: SigningKey, deps: GatewayOnionDeps): Promise<Listener | null> {
    const { transport, acceptor, onions, relays, log } = deps
    const keyring = new HandshakeKeyring(nodeKey.publicKey, false)
    if (relays !== null) keyring.addRelays()
    const door: Door = {
      candidates: (nowMs) => keyring.candidates(nowMs),
      isOwnAddress: () => false, // asked for the keys of channels alone, and there are none
      nodeKey,
      onSecured: (secured) => {
        if (secured.purpose.kind === 'relay') relays?.accept(secured)
        else this.#counter.accept(secured)
      },
      onion: onionName(nodeKey.publicKey),
    }
    try {
      const listener = await transport.listen({ host: '127.0.0.1', port: 0 }, (stream) =>
        acceptor.accept(stream, door),
      )
      onions.add({ seed, port: ONION_PORT, target: listener.endpoint })
      return listener
    } catch (error) {
      log.error('no onion for the gateway: it cannot be listened for', { why: errorMessage(error) })
      return null
    }
  }
}
