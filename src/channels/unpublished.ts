/**
 * The answer to who wants something of a channel that was unpublished.
 *
 * @module channels/unpublished
 */
import { MegatorrentError } from '../base/errors.ts'

export function unpublished(): MegatorrentError {
  return new MegatorrentError(
    'ERR_UNPUBLISHED',
    'the publisher has unpublished this channel: there is nothing to fetch any more; files that are here stay',
  )
}
