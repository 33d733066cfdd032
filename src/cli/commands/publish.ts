/**
 * `ingest`, `publish` and `unpublish`.
 *
 * @module cli/commands/publish
 */
import { existsSync } from 'node:fs'
import type { CommandContext } from '../context.ts'
import { formatBytes, formatPairs, plural } from '../format.ts'

export async function ingest(
  context: CommandContext,
  path: string,
  options: { readonly channel?: string; readonly rehash?: boolean },
): Promise<void> {
  const channel = options.channel === undefined ? {} : { channel: options.channel }
  const params = {
    path: context.path(path),
    ...channel,
    ...(options.rehash === true ? { rehash: true } : {}),
  }
  const result = await context.client.runJob('ingest', params, context.progress.update, context.timeoutMs)
  context.progress.end()
  if (result.skipped > 0) context.note(skippedNote(result.skipped))
  context.print(result, () =>
    formatPairs([
      ['ingest', result.ingestId],
      ['content', `${plural(result.files, 'file')}, ${formatBytes(result.bytes)}`],
      ['blobs', `${result.blobs}, ${result.newBlobs} of them new`],
    ]),
  )
}

export async function publish(
  context: CommandContext,
  source: string,
  options: { readonly channel?: string; readonly title?: string; readonly rehash?: boolean },
): Promise<void> {
  // An ingest id is one word; what has a slash or exists is a path.
  const path = context.path(source)
  const isPath = /[\\/]/.test(source) || existsSync(path)
  const params = {
    ...(isPath ? { path } : { ingestId: source }),
    ...(options.channel === undefined ? {} : { channel: options.channel }),
    ...(options.title === undefined ? {} : { title: options.title }),
    ...(options.rehash === true ? { rehash: true } : {}),
    ...(context.timeoutMs === null ? {} : { timeout: context.timeoutMs / 1000 }),
  }
  const result = await context.client.runJob('publish', params, context.progress.update)
  context.progress.end()
  if (result.skipped > 0) context.note(skippedNote(result.skipped))
  context.print(result, () =>
    formatPairs([
      ['release', `${result.sequence}${result.unchanged ? ', unchanged' : ''}`],
      ['content', `${plural(result.files, 'file')}, ${formatBytes(result.bytes)}`],
      ['blobs', `${result.blobs}, ${result.newBlobs} of them new; ${result.manifestBlobs} for the manifest`],
      ['stored', `by ${plural(result.storedBy, 'other node')}`],
      ['link', result.uri],
    ]),
  )
}

export async function unpublish(context: CommandContext, channel: string): Promise<void> {
  const timeout = context.timeoutMs === null ? {} : { timeout: context.timeoutMs / 1000 }
  const result = await context.client.runJob('unpublish', { channel, ...timeout }, context.progress.update)
  context.progress.end()
  context.print(result, () =>
    formatPairs([
      ['unpublished', result.unchanged ? 'before already' : `by release ${result.sequence}`],
      ['stored', `by ${plural(result.storedBy, 'other node')}`],
    ]),
  )
}

function skippedNote(skipped: number): string {
  return `left out: ${plural(skipped, 'symlink or special file')}`
}
