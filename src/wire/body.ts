/**
 * What the bodies of all messages are made with: the shape of a codec, and how a
 * reader takes bytes out of a frame.
 *
 * @module wire/body
 */
import type { ByteReader, ByteWriter } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'

export interface Body<M> {
  /** Fewer bytes than this cannot be it. */
  readonly minBytes: number
  size(message: M): number
  write(writer: ByteWriter, message: M): void
  read(reader: ByteReader, requestId: number): M
}

/** A copy of the next bytes: not by `slice`, which of a Buffer gives a view. */
export function take(reader: ByteReader, count: number): Uint8Array {
  if (reader.remaining < count) throw malformed('the body ends in a field')
  return new Uint8Array(reader.take(count))
}

export function malformed(what: string): MegatorrentError {
  return new MegatorrentError('ERR_MESSAGE_BODY', what)
}
