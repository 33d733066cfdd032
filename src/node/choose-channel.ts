/**
 * Which channel of ours a caller means.
 *
 * @module node/choose-channel
 */
import { fromHex } from '../base/bytes.ts'
import { MegatorrentError } from '../base/errors.ts'
import type { State } from '../storage/state.ts'
import type { ChannelRow } from '../storage/tables/channels-table.ts'

/** @param channel - its name or public key. @throws MegatorrentError ERR_NOT_FOUND. */
export function findChannel({ channels }: Pick<State, 'channels'>, channel: string): ChannelRow {
  const key = fromHex(channel, 32)
  const row = channels.byName(channel) ?? (key === null ? null : channels.get(key))
  if (row === null) throw noSuchChannel()
  return row
}

/** The channel that was named, or the only one there is. @throws MegatorrentError ERR_NOT_FOUND, ERR_USAGE. */
export function chooseChannel(state: Pick<State, 'channels'>, channel: string | null): ChannelRow {
  if (channel !== null) return findChannel(state, channel)
  const [only, ...others] = state.channels.list()
  if (only !== undefined && others.length === 0) return only
  const text =
    only === undefined ? 'there is no channel yet: make one first' : 'there are several channels: name one'
  throw new MegatorrentError('ERR_USAGE', text)
}

export function noSuchChannel(): MegatorrentError {
  return new MegatorrentError('ERR_NOT_FOUND', 'there is no such channel on this node')
}
