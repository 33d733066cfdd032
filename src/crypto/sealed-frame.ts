/**
 * A frame as it came in, with what opens it: so that the thread that looks at its
 * content anyway can do that, and the one that reads the socket need not
 * (PROTOCOL_FINAL.md §6.4).
 *
 * Nothing in it is authentic before `openFrame` gave it back.
 *
 * @module crypto/sealed-frame
 */
import { openInto, TAG_BYTES } from './aead.ts'
import { wipe } from './wipe.ts'

/** The key and nonce of one frame of a stream, good for that one alone. */
export interface FrameKey {
  /** 32 bytes, a copy: whoever opens the frame wipes it. */
  readonly key: Uint8Array
  /** 12 bytes. */
  readonly nonce: Uint8Array
}

export interface SealedFrame extends FrameKey {
  /** The whole frame, its tag included. */
  readonly bytes: Uint8Array
}

/**
 * Open a frame in its own memory, once; its key is wiped.
 *
 * @returns the plaintext, a view of `bytes`, or null if it is not the next frame of its stream:
 *   then `bytes` is zero, and the connection that it came from has to end.
 */
export function openFrame({ bytes, key, nonce }: SealedFrame): Uint8Array | null {
  const plaintext = bytes.subarray(0, Math.max(0, bytes.length - TAG_BYTES))
  const isOpen = openInto(key, nonce, bytes, plaintext)
  wipe(key)
  return isOpen ? plaintext : null
}
