/**
 * Blobs on their way out: what a REQUEST is answered with.
 *
 * Each connection is served one blob at a time (transport/blob-server.ts has its queue);
 * whose turn it is decides swarm/upload-slots.ts. This is its driver: it reads, waits,
 * and looks at what is taken while somebody waits for a place.
 *
 * @module swarm/uploads
 */
import type { Clock, Timer } from '../base/clock.ts'
import { errorMessage, isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import { UPLOAD_LOOK_MS } from '../base/limits.ts'
import type { Log } from '../base/log.ts'
import { hostGroup } from '../transport/host-group.ts'
import { BLOB_BYTES } from '../wire/constants.ts'
import type { Peer } from './peer.ts'
import { RateMeter } from './rate-meter.ts'
import { UploadSlots } from './upload-slots.ts'

/** Where blobs are read. storage/blob-store.ts is one. */
export interface BlobSource {
  /** Sealed bytes, or null when it is not held. */
  read(id: Uint8Array): Promise<Uint8Array | null>
}

export interface UploadDeps {
  readonly clock: Clock
  readonly source: BlobSource
  readonly log: Log
  /** Of all peers. */
  readonly total: RateMeter
  /** Bytes a second that may be sent, 0 is unlimited; where absent, unlimited. */
  readonly rate?: (() => number) | undefined
  /** Blobs that may be read and not yet taken, at least 1; where absent, MAX_QUEUED_UPLOADS. */
  readonly maxQueued?: (() => number) | undefined
  /** Is it a blob that is given to whoever names it? */
  readonly isForAll?: (id: Uint8Array) => boolean
}

interface Turn {
  readonly begin: () => void
  readonly refuse: (error: MegatorrentError) => void
}

export class Uploads {
  readonly #deps: UploadDeps
  readonly #slots: UploadSlots<Peer>
  readonly #turns = new Map<Peer, Turn>()
  /** Bytes that were taken, as seen while somebody waits. */
  readonly #taken: RateMeter
  #timer: Timer | null = null

  constructor(deps: UploadDeps) {
    this.#deps = deps
    this.#slots = new UploadSlots(deps.maxQueued)
    this.#taken = new RateMeter(deps.clock)
  }

  /** Blobs that were read and are not taken yet: 1 MiB each. */
  get queuedBlobs(): number {
    return this.#slots.heldBlobs
  }

  /**
   * The blob that a peer asked for, or null for "not found". Blobs are for peers that have shown a
   * channel of ours that is not unpublished: others would only probe what we hold, but for blobs that a gateway keeps for all.
   *
   * @throws what goes wrong on our side, or when others come first for too long: the peer is told that
   *   we are busy.
   */
  async read(peer: Peer, id: Uint8Array): Promise<Uint8Array | null> {
    return mayAsk(peer) || this.#deps.isForAll?.(id) === true
      ? this.inTurn(peer, () => this.#deps.source.read(id))
      : null
  }

  /** Read what fills a blob frame when it is the peer's turn. Throws as `read`. */
  async inTurn(peer: Peer, read: () => Promise<Uint8Array | null>): Promise<Uint8Array | null> {
    await this.#turnOf(peer)
    let sealed: Uint8Array | null = null
    try {
      sealed = await read()
      if (sealed !== null) this.#count(peer)
      return sealed
    } catch (error) {
      this.#deps.log.warn('a blob could not be read', { why: errorMessage(error) })
      // Ours is damaged: whoever asks again would get no other answer.
      if (isMegatorrentError(error, 'ERR_BLOB_DAMAGED')) return null
      throw error
    } finally {
      this.#slots.read(peer, sealed !== null, this.#nowMs())
      this.#next()
    }
  }

  /** The system has taken a blob that was sent to it. */
  taken(peer: Peer): void {
    this.#slots.taken(peer, this.#nowMs())
    this.#taken.add(BLOB_BYTES)
    this.#next()
  }

  /** The connection is over. */
  peerGone(peer: Peer): void {
    this.#slots.gone(peer)
    this.#turns.get(peer)?.refuse(new MegatorrentError('ERR_CONNECTION_CLOSED', 'the connection closed'))
    this.#turns.delete(peer)
    this.#next()
  }

  #turnOf(peer: Peer): Promise<void> {
    return new Promise((begin, refuse) => {
      this.#turns.set(peer, { begin, refuse })
      // A blob that was called off while it was read was never sent.
      this.#look(peer)
      const { followsUs, verified: trust } = peer
      const group = hostGroup(peer.init.remote.host)
      this.#slots.ask(peer, { group, trust, followsUs }, this.#nowMs())
      this.#next()
    })
  }

  #next(): void {
    for (;;) {
      const peer = this.#slots.begin(this.#rate(), this.#nowMs())
      if (peer === null) break
      this.#turns.get(peer)?.begin()
      this.#turns.delete(peer)
    }
    if (this.#slots.waiting === 0) {
      this.#timer?.cancel()
      this.#timer = null
      return
    }
    this.#timer ??= this.#deps.clock.setTimer(() => {
      this.#timer = null
      this.#watch()
      this.#next()
    }, UPLOAD_LOOK_MS)
  }

  /** Somebody waits: is it because others do not read, or has he waited enough? */
  #watch(): void {
    const nowMs = this.#nowMs()
    for (const peer of this.#slots.holders()) this.#look(peer)
    for (const peer of this.#slots.stalled(this.#rate(), this.#taken.rate, nowMs)) {
      const why = 'the peer does not read what it asked for, and others wait'
      peer.connection.destroy(new MegatorrentError('ERR_TIMEOUT', why))
    }
    for (const peer of this.#slots.late(nowMs)) {
      this.#turns.get(peer)?.refuse(new MegatorrentError('ERR_TIMEOUT', 'others are served first'))
      this.#turns.delete(peer)
    }
  }

  #look(peer: Peer): void {
    this.#slots.look(peer, peer.connection.queuedBytes, this.#nowMs())
  }

  #rate(): number {
    return this.#deps.rate?.() ?? 0
  }

  #nowMs(): number {
    return this.#deps.clock.monotonicMs()
  }

  /** Of which channel a blob is, only a connection with a single one tells. */
  #count(peer: Peer): void {
    peer.tookMs = this.#nowMs()
    this.#deps.total.add(BLOB_BYTES)
    const [only, ...others] = peer.shared.keys()
    if (only !== undefined && others.length === 0) only.upload.add(BLOB_BYTES)
  }
}

/** Is there a channel that both of us take part in and that has something published? */
function mayAsk(peer: Peer): boolean {
  for (const channel of peer.shared.keys()) if (channel.isServed) return true
  return false
}
