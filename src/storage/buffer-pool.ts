/**
 * Memory for blobs that goes round: 1 MiB from fresh pages costs as much as
 * copying it, so buffers that were read into, sealed or sent are used again. Each has
 * room for a blob and the tag of the frame in which it travels.
 *
 * Whoever takes one owns it; who gives it back must not touch it any more. Its
 * content is whatever was in it: overwrite all of it or use only what was written.
 *
 * @module storage/buffer-pool
 */
import { MAX_IDLE_BUFFERS } from '../base/limits.ts'
import { BLOB_FRAME_BYTES } from '../wire/constants.ts'

export class BufferPool {
  readonly #idle: Uint8Array[] = []

  /** Buffers waiting for use. */
  get idle(): number {
    return this.#idle.length
  }

  /** BLOB_FRAME_BYTES of memory of its own, with anything in it. */
  take(): Uint8Array {
    return this.#idle.pop() ?? new Uint8Array(BLOB_FRAME_BYTES)
  }

  /** One that lies here idle, or null: for callers that can have it made elsewhere. */
  takeIdle(): Uint8Array | null {
    return this.#idle.pop() ?? null
  }

  /**
   * Give back what `take` gave, or a view of it (a blob, an opened chunk). Anything else is left to the garbage
   * collector, as is what is more than the pool keeps.
   */
  give(bytes: Uint8Array): void {
    const { buffer } = bytes
    if (!(buffer instanceof ArrayBuffer) || buffer.byteLength !== BLOB_FRAME_BYTES) return
    if (this.#idle.length >= MAX_IDLE_BUFFERS || this.#idle.some((idle) => idle.buffer === buffer)) return
    this.#idle.push(new Uint8Array(buffer))
  }
}

/** The same bytes in memory that holds nothing else, so that it can be handed to a worker. */
export function ownMemory(bytes: Uint8Array): Uint8Array {
  const { buffer } = bytes
  return buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength ? bytes : bytes.slice()
}
