/**
 * `limits`: rates and connections of a running daemon, shown or changed.
 *
 * @module cli/commands/limits
 */
import { errorMessage } from '../../base/errors.ts'
import { SETTINGS } from '../../config/schema.ts'
import { parseRate } from '../../config/values.ts'
import type { CallParams } from '../../rpc/schema/methods.ts'
import type { CommandContext, SharedOptions } from '../context.ts'
import { usageError } from '../errors.ts'
import { formatPairs, formatRate } from '../format.ts'

interface LimitOptions extends SharedOptions {
  readonly uploadLimit?: string
  readonly downloadLimit?: string
  readonly maxPeers?: string
}

export async function limits(context: CommandContext, options: LimitOptions): Promise<void> {
  const { client } = context
  const change: CallParams<'setLimits'> = {
    ...parsed(options, 'uploadLimit', parseRate),
    ...parsed(options, 'downloadLimit', parseRate),
    ...parsed(options, 'maxPeers', (text) =>
      SETTINGS.maxPeers.parse([text], { callerFolder: '/', dataDir: '/' }),
    ),
  }
  const isChange = Object.keys(change).length > 0
  const now = isChange ? await client.call('setLimits', change) : await client.call('getLimits', {})
  context.print(now, () =>
    formatPairs([
      ['upload', rateText(now.uploadLimit)],
      ['download', rateText(now.downloadLimit)],
      ['peers', String(now.maxPeers)],
    ]),
  )
}

function parsed<N extends 'uploadLimit' | 'downloadLimit' | 'maxPeers'>(
  options: LimitOptions,
  name: N,
  parse: (text: string) => number,
): { readonly [K in N]?: number } {
  const text = options[name]
  if (text === undefined) return {}
  try {
    return { [name]: parse(text) } as { [K in N]: number }
  } catch (error) {
    throw usageError(`--${SETTINGS[name].name}: ${errorMessage(error)}`)
  }
}

function rateText(bytesPerSecond: number): string {
  return bytesPerSecond === 0 ? 'unlimited' : formatRate(bytesPerSecond)
}
