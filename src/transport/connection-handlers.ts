/**
 * What the owner of a connection is asked and told.
 *
 * @module transport/connection-handlers
 */
import type { Address } from '../wire/address.ts'
import type {
  KeepAnswer,
  KeepMessage,
  Message,
  PublishAnswer,
  PublishMessage,
  SlotAnswer,
} from '../wire/message.ts'

/** Messages that ask nothing: what the owner hears of. */
export type Notice = Extract<Message, { type: 'hello' | 'have' | 'announce' }>

/** Where memory of BLOB_FRAME_BYTES comes from and goes to. storage/buffer-pool.ts is one. */
export interface BlobMemory {
  take(): Uint8Array
  give(bytes: Uint8Array): void
}

/** Messages that answer a request of ours. */
export type Answer = 'data' | 'ok' | 'error' | 'peers' | 'published' | 'kept'

export interface ConnectionHandlers {
  /** HELLO, HAVE and ANNOUNCE, in order. Throw kind peer to close the connection. */
  onNotice(notice: Notice): void
  /**
   * The sealed blob, or null for "not found". May take its time: others of the same peer wait.
   * What it throws is answered with ERROR and goes no further, so whoever reads also logs. With
   * `blobMemory` the bytes are ours from then on: nobody else may hold them. If they begin memory of
   * BLOB_FRAME_BYTES, they are sealed and sent where they are.
   */
  readBlob(blobId: Uint8Array): Promise<Uint8Array | null>
  /**
   * The slots signed ahead of a head of the channel of that handle, as a frame carries them (BLOB_BYTES), or
   * null for "not found". As `readBlob`. Who leaves this out answers unsupported.
   */
  readSlotSet?(handle: Uint8Array, headHash: Uint8Array): Promise<Uint8Array | null>
  /** The system has taken what `readBlob` or `readSlotSet` gave. Not called for what was queued when it closes. */
  onBlobTaken?(): void
  /** Memory for blobs that goes round: taken for those that come in, given back what `readBlob` gave. */
  readonly blobMemory?: BlobMemory
  /** The newest head of the channel of that handle, or null. */
  readHead(handle: Uint8Array): Uint8Array | null
  /**
   * Addresses of peers under that topic, MAX_PEERS_ADDRESSES at most, or why there are none. `port` is where
   * the other side says that it accepts connections, or 0. What takes a while is a function, called if there is
   * room for one more such question. Who leaves this out answers unsupported.
   */
  readPeers?(topic: Uint8Array, port: number): FoundPeers | (() => Promise<FoundPeers>)
  /** What the DHT has under the key of a slot. Who is no gateway leaves this out and answers unsupported. */
  readSlot?(slotKey: Uint8Array): Promise<SlotAnswer>
  /** Take in an item, and say what became of it. Left out as `readSlot`. */
  publish?(message: PublishMessage): Promise<PublishAnswer>
  /** Keep blobs, and say what becomes of each. Left out as `readSlot`. */
  keep?(message: KeepMessage): Promise<KeepAnswer>
  /** The last call, once. `reason` is null when nobody did wrong. */
  onClose(reason: unknown): void
}

export type FoundPeers = readonly Address[] | 'notFound' | 'busy'
