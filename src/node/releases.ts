/**
 * Known releases of a channel, for the user: also those that contradict each other.
 *
 * @module node/releases
 */
import { toHex } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import type { HeadLog } from '../channels/head-log.ts'
import { decodeHead } from '../wire/head.ts'
import type { ReleasesResult } from './api.ts'

/** @throws MegatorrentError ERR_RELEASE_NOT_FOUND when none is known here. */
export function listReleases(heads: Pick<HeadLog, 'list'>, publicKey: Uint8Array): ReleasesResult {
  const releases = heads.list(publicKey).map((row) => {
    const { isUnpublished } = decodeHead(row.head)
    return {
      sequence: row.sequence,
      revision: row.revision,
      rootId: isUnpublished ? null : toHex(row.rootId),
      unpublished: isUnpublished,
      conflict: row.conflict,
      signedAt: row.signedAt,
      receivedAt: row.receivedAt,
      refreshedAt: row.refreshedAt,
    }
  })
  if (releases.length > 0) return { publicKey: toHex(publicKey), releases }
  throw new MegatorrentError(
    'ERR_RELEASE_NOT_FOUND',
    'no release of this channel is known here: subscribe to it, or host it, first',
  )
}
