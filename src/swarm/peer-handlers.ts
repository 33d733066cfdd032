/**
 * What a peer of the swarm is answered with, and who hears of what it says.
 *
 * @module swarm/peer-handlers
 */
import type { BlobMemory, ConnectionHandlers } from '../transport/connection.ts'
import type { Downloads } from './downloads.ts'
import type { GatewayDesk } from './gateway-desk.ts'
import type { Gossip } from './gossip.ts'
import type { Peer } from './peer.ts'
import type { PeerExchange } from './peer-exchange.ts'
import type { SetExchange } from './set-exchange.ts'
import type { Uploads } from './uploads.ts'

export interface PeerHandlerParts {
  readonly gossip: Gossip
  readonly downloads: Downloads
  readonly uploads: Uploads
  readonly sets: SetExchange
  readonly exchange: PeerExchange
  /** Null where this peer may ask nothing of a gateway. */
  readonly desk: GatewayDesk | null
  readonly memory: BlobMemory | undefined
  onClose(peer: Peer, reason: unknown): void
}

export function peerHandlers(peer: Peer, parts: PeerHandlerParts): ConnectionHandlers {
  const { gossip, downloads, uploads, sets, exchange, desk, memory } = parts
  return {
    onNotice: (notice) => {
      if (notice.type === 'hello') gossip.onHello(peer, notice)
      else if (notice.type === 'have') {
        const channel = peer.byHandle(notice.handle)
        if (channel === null) return
        downloads.told(peer, channel, notice.rootId, notice.ranges)
        gossip.onHave(peer, channel, { number: notice.releaseNumber, rootId: notice.rootId })
      }
    },
    readBlob: (id) => uploads.read(peer, id),
    readSlotSet: (handle, hash) => sets.read(peer, handle, hash),
    onBlobTaken: () => uploads.taken(peer),
    readHead: (handle) => gossip.readHead(peer, handle),
    readPeers: (topic, port) => {
      const found = exchange.readPeers(peer, topic, port)
      return found === 'notFound' && desk !== null ? () => desk.findPeers(topic) : found
    },
    ...desk?.handlers,
    ...desk?.keeping(peer.connection),
    ...(memory === undefined ? {} : { blobMemory: memory }),
    onClose: (reason) => {
      desk?.close()
      parts.onClose(peer, reason)
    },
  }
}
