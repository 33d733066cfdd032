/**
 * Small frame: one message, or a fragment of one, padded to one size (PROTOCOL_FINAL.md §6.4).
 *
 * All small frames have the same length, so whoever sees only ciphertext learns
 * how many went by and nothing of what was in them. Sealing is not done here:
 * transport/secure-channel.ts seals what `encodeFrame` gives and passes what it
 * opened to `decodeFrame`. The blob frame has no header and no codec: its
 * plaintext is the blob.
 *
 *   offset  size  field
 *        0     1  type        wire/message.ts; not judged here
 *        1     1  flags       bit 0 = another fragment follows; others zero
 *        2     2  n           bytes of body, 0..FRAME_BODY_BYTES; all of them when bit 0 is set
 *        4     4  request id
 *        8     n  body
 *      8+n  rest  zero
 *
 * Invariants
 *   - decodeFrame(encodeFrame(f)) is f for every legal f.
 *   - A frame has exactly one encoding: flags and padding are checked.
 *   - Pure: nothing is kept between calls.
 *
 * @module wire/frame
 */
import { assertBytes, isZeroBytes } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import { FRAME_BODY_BYTES, FRAME_HEADER_BYTES, SMALL_FRAME_PLAIN_BYTES } from './constants.ts'

const FLAG_MORE = 0x01

export interface Frame {
  /** 0..255, known or not. */
  readonly type: number
  /** Another fragment of the same message follows: then the body is full. */
  readonly more: boolean
  /** u32; 0 where no answer is expected. */
  readonly requestId: number
  /** 0..FRAME_BODY_BYTES bytes. From `decodeFrame` a view into the frame: copy it to keep it. */
  readonly body: Uint8Array
}

/** @returns SMALL_FRAME_PLAIN_BYTES fresh bytes. @throws RangeError as `encodeFrameInto`. */
export function encodeFrame(frame: Frame): Uint8Array {
  const out = new Uint8Array(SMALL_FRAME_PLAIN_BYTES)
  encodeFrameInto(frame, out)
  return out
}

/**
 * Write a frame into memory of the caller.
 *
 * @param out - exactly SMALL_FRAME_PLAIN_BYTES; every byte of it is written.
 * @throws RangeError for a type or request id out of range, or a body that does not fit
 *   or does not fill a frame that others follow.
 */
export function encodeFrameInto(frame: Frame, out: Uint8Array): void {
  const { type, more, requestId, body } = frame
  assertBytes(out, SMALL_FRAME_PLAIN_BYTES, 'out')
  if (!Number.isInteger(type) || type < 0 || type > 0xff)
    throw new RangeError(`"type" expected u8, got ${type}`)
  if (!Number.isInteger(requestId) || requestId < 0 || requestId > 0xffff_ffff) {
    throw new RangeError(`"requestId" expected u32, got ${requestId}`)
  }
  if (body.length > FRAME_BODY_BYTES || (more && body.length !== FRAME_BODY_BYTES)) {
    const expected = more ? 'exactly' : 'at most'
    throw new RangeError(`"body" expected ${expected} ${FRAME_BODY_BYTES} bytes, got ${body.length}`)
  }
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength)
  view.setUint8(0, type)
  view.setUint8(1, more ? FLAG_MORE : 0)
  view.setUint16(2, body.length)
  view.setUint32(4, requestId)
  out.set(body, FRAME_HEADER_BYTES)
  out.fill(0, FRAME_HEADER_BYTES + body.length)
}

/**
 * Read one frame that has passed authentication.
 *
 * @param plain - exactly SMALL_FRAME_PLAIN_BYTES of plaintext. Not modified; `body` is a view into it.
 * @throws MegatorrentError, kind 'peer': ERR_FRAME_SIZE, ERR_FRAME_FLAGS (an unknown flag),
 *   ERR_FRAME_LENGTH (n too large, or not full where another fragment follows),
 *   ERR_FRAME_PADDING. The connection is closed on any of them.
 *
 * Cost: one pass over the padding. Source: PROTOCOL_FINAL.md §6.4.
 */
export function decodeFrame(plain: Uint8Array): Frame {
  if (plain.length !== SMALL_FRAME_PLAIN_BYTES) {
    throw new MegatorrentError(
      'ERR_FRAME_SIZE',
      `a small frame has ${SMALL_FRAME_PLAIN_BYTES} bytes, not ${plain.length}`,
    )
  }
  const view = new DataView(plain.buffer, plain.byteOffset, plain.byteLength)
  const flags = view.getUint8(1)
  if ((flags & ~FLAG_MORE) !== 0) throw new MegatorrentError('ERR_FRAME_FLAGS', `unknown flags ${flags}`)
  const more = flags === FLAG_MORE
  const length = view.getUint16(2)
  if (length > FRAME_BODY_BYTES || (more && length !== FRAME_BODY_BYTES)) {
    throw new MegatorrentError('ERR_FRAME_LENGTH', `a body of ${length} bytes does not fit its frame`)
  }
  const end = FRAME_HEADER_BYTES + length
  if (!isZeroBytes(plain.subarray(end))) {
    throw new MegatorrentError('ERR_FRAME_PADDING', 'the padding is not zero')
  }
  return {
    type: view.getUint8(0),
    more,
    requestId: view.getUint32(4),
    body: new Uint8Array(plain.buffer, plain.byteOffset + FRAME_HEADER_BYTES, length),
  }
}
