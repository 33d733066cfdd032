/**
 * Whose fault it is that the content of a blob cannot be had.
 *
 * @module channels/blob-fault
 */
import { isMegatorrentError, MegatorrentError } from '../base/errors.ts'

/** A blob that hashes right and does not open is the publisher's fault; anything else comes back as it is. */
export function blobFault(error: unknown): unknown {
  if (!isMegatorrentError(error, 'ERR_BLOB_OPEN')) return error
  const message = 'the publisher signed a release with a blob that does not open'
  return new MegatorrentError('ERR_RELEASE_INVALID', message, { cause: error })
}
