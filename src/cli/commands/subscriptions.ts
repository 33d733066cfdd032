/**
 * `subscribe`, `host`, `get`, `unsubscribe`, `subscriptions`, `releases`, `ls`.
 *
 * @module cli/commands/subscriptions
 */
import { sleep } from '../../base/clock.ts'
import { printable, printableJson } from '../../base/printable.ts'
import type { MethodResult } from '../../rpc/schema/methods.ts'
import { type CommandContext, widthOf } from '../context.ts'
import { CliError, usageError } from '../errors.ts'
import {
  formatBytes,
  formatPairs,
  formatPercent,
  formatRate,
  formatTable,
  formatTime,
  plural,
} from '../format.ts'

type Subscription = MethodResult<'getSubscriptions'>['subscriptions'][number]
type Added = Exclude<MethodResult<'addSubscription'>, { jobId: string }>

interface SubscribeOptions {
  readonly dir?: string
  readonly only?: readonly string[]
  readonly all?: boolean
  readonly wait?: boolean
}

const POLL_MS = 250

function subscribeParams(context: CommandContext, uri: string, options: SubscribeOptions) {
  if (options.all === true && options.only !== undefined)
    throw usageError('--all and --only exclude each other')
  return {
    uri,
    ...(options.dir === undefined ? {} : { dir: context.path(options.dir) }),
    ...(options.all === true ? { only: [] } : {}),
    ...(options.only === undefined ? {} : { only: [...options.only] }),
    ...(context.timeoutMs === null ? {} : { timeout: context.timeoutMs / 1000 }),
  }
}

export async function subscribe(
  context: CommandContext,
  uri: string,
  options: SubscribeOptions,
): Promise<void> {
  const params = subscribeParams(context, uri, options)
  if (options.wait !== true) {
    const added = asAdded(await context.client.call('addSubscription', { ...params, wait: false }))
    context.print(added, () => describeAdded(added))
    return
  }
  const ended = new AbortController()
  const watching = watchProgress(context, params, ended.signal)
  try {
    const added = asAdded(await context.client.call('addSubscription', { ...params, wait: true }))
    context.progress.end()
    context.print(added, () => describeAdded(added))
  } finally {
    ended.abort()
    await watching
    context.progress.end()
  }
}

export async function host(
  context: CommandContext,
  uri: string,
  options: { readonly wait?: boolean },
): Promise<void> {
  const wait = options.wait === true
  const timeout = context.timeoutMs === null ? {} : { timeout: context.timeoutMs / 1000 }
  const ended = new AbortController()
  const watching = wait ? watchProgress(context, { uri }, ended.signal) : Promise.resolve()
  try {
    const hosted = await context.client.call('host', { uri, wait, ...timeout })
    context.progress.end()
    context.print(hosted, () => describeAdded(hosted))
  } finally {
    ended.abort()
    await watching
    context.progress.end()
  }
}

export async function get(context: CommandContext, uri: string, options: SubscribeOptions): Promise<void> {
  const params = { ...subscribeParams(context, uri, options), once: true }
  const added = asAdded(await context.client.runJob('addSubscription', params, context.progress.update))
  context.progress.end()
  context.print(added, () => describeAdded(added))
}

function asAdded(result: MethodResult<'addSubscription'>): Added {
  if ('jobId' in result) throw new TypeError('"result" expected a subscription, got a job')
  return result
}

/** Show how far the subscription is while the call that waits for it is under way. */
async function watchProgress(
  context: CommandContext,
  params: { readonly uri: string },
  signal: AbortSignal,
): Promise<void> {
  const publicKey = /[0-9a-f]{64}/i.exec(params.uri)?.[0]
  while (!signal.aborted && publicKey !== undefined) {
    try {
      await sleep(context.io.clock, POLL_MS, signal)
      const { subscriptions } = await context.client.call('getSubscriptions', { publicKey }, signal)
      const [subscription] = subscriptions
      if (subscription === undefined) continue
      context.progress.update({
        phase: subscription.state,
        done: subscription.blobsDone,
        total: subscription.blobsTotal === 0 ? null : subscription.blobsTotal,
        unit: 'blobs',
        note: `${formatRate(subscription.downloadRate)}, ${plural(subscription.peers, 'peer')}`,
      })
    } catch {
      // Not listed yet, or the end: the call that waits tells what happened.
    }
  }
}

export async function pause(context: CommandContext, target: string): Promise<void> {
  const paused = await context.client.call('pauseSubscription', refOf(target))
  context.print(paused, () => 'paused: nothing is fetched until "megatorrent resume"\n')
}

export async function resume(context: CommandContext, target: string): Promise<void> {
  const resumed = await context.client.call('resumeSubscription', refOf(target))
  context.print(resumed, () => describeSubscription(resumed))
}

/** A public key, or what is taken for a link. */
function refOf(target: string): { readonly publicKey: string } | { readonly uri: string } {
  return /^[0-9A-Fa-f]{64}$/.test(target) ? { publicKey: target } : { uri: target }
}

export async function unsubscribe(
  context: CommandContext,
  target: string,
  options: { readonly deleteFiles?: boolean },
): Promise<void> {
  const result = await context.client.call('removeSubscription', {
    ...refOf(target),
    deleteFiles: options.deleteFiles === true,
  })
  context.print(result, () => {
    if (result.directory === null) return 'no longer hosted\n'
    return options.deleteFiles === true
      ? `no longer followed; ${plural(result.deletedFiles, 'file')} deleted in ${printable(result.directory)}\n`
      : `no longer followed; the files stay in ${printable(result.directory)}\n`
  })
}

export async function listSubscriptions(context: CommandContext): Promise<void> {
  const { subscriptions } = await context.client.call('getSubscriptions', {})
  context.print(subscriptions, () => {
    if (subscriptions.length === 0) return 'nothing is followed yet: "megatorrent subscribe LINK"\n'
    const rows = subscriptions.map((subscription) => [
      `${subscription.title ?? '-'}${subscription.hosted ? ' (hosted)' : ''}`,
      subscription.state,
      formatPercent(subscription.blobsDone, subscription.blobsTotal),
      formatBytes(subscription.bytes),
      formatRate(subscription.downloadRate),
      String(subscription.peers),
      String(subscription.sequence),
      subscription.publicKey,
    ])
    const head = ['TITLE', 'STATE', 'DONE', 'SIZE', 'DOWN', 'PEERS', 'RELEASE', 'PUBLIC KEY']
    return formatTable(head, rows, widthOf(context.io))
  })
}

export async function showSubscription(context: CommandContext, key: string): Promise<void> {
  const { subscriptions } = await context.client.call('getSubscriptions', { publicKey: key })
  const [subscription] = subscriptions
  if (subscription === undefined) throw usageError('that key is not followed')
  context.print(subscription, () => describeSubscription(subscription))
}

export async function listReleases(context: CommandContext, target: string): Promise<void> {
  const publicKey = /^\s*(?:megatorrent:\/\/)?([0-9a-f]{64})(?=$|[\s:/?#])/i.exec(target)?.[1]
  if (publicKey === undefined) throw usageError('expected a public key of 64 hex digits, or a link')
  const { releases } = await context.client.call('getReleases', { publicKey })
  context.print(releases, () => {
    const rows = releases.map((release) => [
      `${release.sequence}.${release.revision}`,
      formatTime(release.signedAt),
      formatTime(release.receivedAt),
      formatTime(release.refreshedAt),
      remarkOf(release),
      release.rootId ?? '-',
    ])
    const head = ['RELEASE', 'SIGNED AT', 'CAME AT', 'LAST SEEN AT', 'REMARK', 'ROOT']
    return formatTable(head, rows, widthOf(context.io))
  })
}

function remarkOf(release: MethodResult<'getReleases'>['releases'][number]): string {
  if (release.conflict) return 'contradicts another'
  return release.unpublished ? 'unpublished' : '-'
}

function describeAdded(added: Omit<Added, 'directory'> & { readonly directory?: string }): string {
  const content: [string, string][] =
    added.sequence === 0
      ? []
      : [
          ['release', String(added.sequence)],
          ['content', `${plural(added.files, 'file')}, ${formatBytes(added.bytes)}`],
        ]
  return formatPairs([
    ['state', added.state],
    ...content,
    ...(added.directory === undefined ? [] : [['directory', added.directory] as const]),
    ['key', added.publicKey],
  ])
}

function describeSubscription(subscription: Subscription): string {
  const { blobsDone, blobsTotal, error } = subscription
  return formatPairs([
    ['title', subscription.title ?? '-'],
    [
      'state',
      error === null ? subscription.state : `${subscription.state}: ${error.message} (${error.code})`,
    ],
    ['release', subscription.sequence === 0 ? 'none found yet' : String(subscription.sequence)],
    ['content', `${plural(subscription.files, 'file')}, ${formatBytes(subscription.bytes)}`],
    ['blobs', `${blobsDone} of ${blobsTotal} (${formatPercent(blobsDone, blobsTotal)})`],
    ['rates', `${formatRate(subscription.downloadRate)} down, ${formatRate(subscription.uploadRate)} up`],
    ['peers', String(subscription.peers)],
    ['signed at', formatTime(subscription.signedAt)],
    ['last seen at', formatTime(subscription.refreshedAt)],
    ...describeSilence(subscription.silentSince),
    ...describeConflicts(subscription.conflicts),
    ['directory', subscription.directory ?? 'none: it is hosted'],
    ['key', subscription.publicKey],
    ...(subscription.onionAddress === null ? [] : [['onion', subscription.onionAddress] as const]),
    ['link', subscription.uri],
  ])
}

/** Slots go on being found while nobody signs anything new: then a reader may not know of what was published since. */
function describeSilence(since: number | null): [string, string][] {
  if (since === null) return []
  const what = `not refreshed since ${formatTime(since)}: the publisher may be gone`
  return [['WARNING', `${what}, and newer releases may not have come here`]]
}

/** What a reader has to know of its publisher: there may be someone else with the key. */
function describeConflicts(numbers: readonly number[]): [string, string][] {
  if (numbers.length === 0) return []
  const what = `signed more than once, with different content: ${numbers.map((number) => `release ${number}`).join(', ')}`
  return [['CONFLICT', `${what}. The first that was seen is kept; ask the publisher which is right`]]
}

/**
 * All files, page by page, so that a release of a million does not stand in memory twice. A JSON document is
 * printed when all of it is known: an error has to be one of its own.
 */
export async function listFiles(context: CommandContext, uri: string): Promise<void> {
  const timeout = context.timeoutMs === null ? {} : { timeout: context.timeoutMs / 1000 }
  const pages: string[] = []
  let after: string | null = null
  let sequence: number | null = null
  do {
    const page: MethodResult<'listFiles'> = await context.client.call('listFiles', {
      uri,
      ...(after === null ? {} : { after }),
      ...timeout,
    })
    if (sequence !== null && page.sequence !== sequence) {
      const message = 'a new release came while its files were listed: ask again'
      throw new CliError({ code: 'ERR_RPC_ANSWER', kind: 'unfinished', message })
    }
    sequence = page.sequence
    if (!context.isJson) for (const file of page.files) context.io.stdout.write(fileLine(file))
    else if (page.files.length > 0) pages.push(page.files.map(printableJson).join(','))
    after = page.next
  } while (after !== null)
  if (!context.isJson) return
  const { stdout } = context.io
  stdout.write('[')
  for (const [number, page] of pages.entries()) stdout.write(number === 0 ? page : `,${page}`)
  stdout.write(']\n')
}

function fileLine({ path, size }: { readonly path: string; readonly size: number }): string {
  return `${formatBytes(size).padStart(10)}  ${printable(path)}\n`
}
