/**
 * `ingest`, `publish` and `unpublish`.
 *
 * @module cli/commands/publish
 */
import { existsSync } from 'node:fs'
import type { CommandContext, SharedOptions } from '../context.ts'
import { usageError } from '../errors.ts'
import { formatBytes, formatPairs, plural } from '../format.ts'
import type { OfflineResult } from '../io.ts'

/** Below the highest number that a release can have. */
const MAX_AFTER = 2 ** 36 - 1

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

interface PublishOptions extends SharedOptions {
  readonly channel?: string
  readonly title?: string
  readonly rehash?: boolean
  /** Write the release here in place of publishing it. */
  readonly bundle?: string
  /** Publish what is written there. */
  readonly fromBundle?: string
  readonly after?: string
  readonly since?: string
  readonly passphraseFile?: string
}

export async function publish(
  context: CommandContext,
  source: string | undefined,
  options: PublishOptions,
): Promise<void> {
  if (options.fromBundle !== undefined) return publishBundle(context, options.fromBundle, source, options)
  if (source === undefined)
    throw usageError('say what to publish: a path, an ingest id, or --from-bundle FILE')
  if (options.bundle !== undefined) return signOffline(context, source, options.bundle, options)
  if ([options.after, options.since, options.passphraseFile].some((each) => each !== undefined)) {
    throw usageError('--after, --since and --passphrase-file go with --bundle')
  }
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
      ...releasePairs(result),
      ['stored', `by ${plural(result.storedBy, 'other node')}`],
      ['link', result.uri],
    ]),
  )
}

/** Without a daemon, and without a network: all is in the data folder. */
async function signOffline(
  context: CommandContext,
  source: string,
  bundle: string,
  options: PublishOptions,
): Promise<void> {
  const { rpcUrl, rpcTokenFile, dataDir, passphraseFile, after, since } = options
  if (rpcUrl !== undefined || rpcTokenFile !== undefined) {
    throw usageError(
      'publish --bundle does not take --rpc-url and --rpc-token-file: it works without a daemon',
    )
  }
  const flags = new Map<string, readonly string[]>()
  if (dataDir !== undefined) flags.set('data-dir', [dataDir])
  if (passphraseFile !== undefined) flags.set('passphrase-file', [passphraseFile])
  const result = await context.io.signOffline(flags, {
    source: context.path(source),
    bundle: context.path(bundle),
    channel: options.channel ?? null,
    title: options.title ?? null,
    rehash: options.rehash === true,
    after: after === undefined ? null : parseRelease('--after', after),
    since: since === undefined ? null : parseRelease('--since', since),
    timeoutMs: context.timeoutMs,
    onProgress: context.progress.update,
  })
  context.progress.end()
  if (result.skipped > 0) context.note(skippedNote(result.skipped))
  context.print(result, () =>
    formatPairs([
      ...releasePairs(result),
      ['bundle', `${result.bundle}, ${formatBytes(result.bundleBytes)}`],
      ['link', result.uri],
    ]),
  )
}

async function publishBundle(
  context: CommandContext,
  file: string,
  source: string | undefined,
  options: PublishOptions,
): Promise<void> {
  const { bundle, channel, title, rehash, after, since, passphraseFile } = options
  if (
    [source, bundle, channel, title, rehash, after, since, passphraseFile].some((each) => each !== undefined)
  ) {
    throw usageError(
      'publish --from-bundle FILE takes nothing else: what it publishes was said when it was signed',
    )
  }
  const timeout = context.timeoutMs === null ? {} : { timeout: context.timeoutMs / 1000 }
  const params = { file: context.path(file), ...timeout }
  const result = await context.client.runJob('publishManifest', params, context.progress.update)
  context.progress.end()
  context.print(result, () =>
    formatPairs([
      ...releasePairs(result),
      ['stored', `by ${plural(result.storedBy, 'other node')}`],
      ['link', result.uri],
    ]),
  )
}

type ReleaseNumbers = Omit<OfflineResult, 'bundle' | 'bundleBytes' | 'skipped'>

function releasePairs(result: ReleaseNumbers): [string, string][] {
  return [
    ['release', `${result.sequence}${result.unchanged ? ', unchanged' : ''}`],
    ['content', `${plural(result.files, 'file')}, ${formatBytes(result.bytes)}`],
    ['blobs', `${result.blobs}, ${result.newBlobs} of them new; ${result.manifestBlobs} for the manifest`],
  ]
}

function parseRelease(flag: string, text: string): number {
  const number = Number(text)
  if (/^[0-9]{1,11}$/.test(text) && number < MAX_AFTER) return number
  throw usageError(`${flag} is wrong: expected the number of a release`)
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
