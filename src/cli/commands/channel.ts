/**
 * `channel create, list, show, export, import, remove`.
 *
 * @module cli/commands/channel
 */
import type { MethodResult } from '../../rpc/schema/methods.ts'
import { type CommandContext, widthOf } from '../context.ts'
import { usageError } from '../errors.ts'
import { formatPairs, formatTable } from '../format.ts'

type Channel = MethodResult<'createChannel'>

export async function createChannel(
  context: CommandContext,
  name: string,
  options: { readonly private?: boolean; readonly open?: boolean },
): Promise<void> {
  const isPrivate = options.private === true
  const isOpen = options.open === true
  if (isPrivate && isOpen) throw usageError('--private and --open exclude each other: choose one')
  const channel = await context.client.call('createChannel', { name, private: isPrivate, open: isOpen })
  context.print(channel, () => describeChannel(channel))
}

export async function listChannels(context: CommandContext): Promise<void> {
  const { channels } = await context.client.call('listChannels', {})
  context.print(channels, () => {
    if (channels.length === 0) return 'no channels yet: make one with "megatorrent channel create NAME"\n'
    const rows = channels.map((channel) => [
      channel.name,
      kindOf(channel),
      String(channel.sequence),
      channel.publicKey,
    ])
    return formatTable(['NAME', 'KIND', 'RELEASE', 'PUBLIC KEY'], rows, widthOf(context.io))
  })
}

export async function showChannel(context: CommandContext, name: string): Promise<void> {
  const { channels } = await context.client.call('listChannels', { name })
  const [channel] = channels
  if (channel === undefined) throw usageError('there is no such channel')
  context.print(channel, () => describeChannel(channel))
}

export async function exportChannel(
  context: CommandContext,
  name: string,
  file: string,
  options: { readonly words?: boolean; readonly passphraseFile?: string },
): Promise<void> {
  const words = options.words === true
  const sealing = passphraseOf(context, options)
  if (words && sealing.passphraseFile !== undefined) {
    throw usageError('words are under no passphrase: choose either --words or --passphrase-file')
  }
  const path = context.path(file)
  const channel = await context.client.call('exportChannel', { name, file: path, words, ...sealing })
  context.print(channel, () => {
    const what = `key of ${channel.name} written to ${path}`
    if (words)
      return `${what} as words, and who has them can publish: copy them to paper, then remove the file\n`
    if (sealing.passphraseFile === undefined) return `${what}: who has it can publish\n`
    return `${what}, sealed: who has it and the passphrase can publish, and nobody without the passphrase\n`
  })
}

export async function importChannel(
  context: CommandContext,
  file: string,
  options: { readonly name?: string; readonly passphraseFile?: string },
): Promise<void> {
  const name = options.name === undefined ? {} : { name: options.name }
  const sealed = passphraseOf(context, options)
  const channel = await context.client.call('importChannel', { file: context.path(file), ...name, ...sealed })
  context.print(channel, () => describeChannel(channel))
}

/** The daemon reads that file, as it does the one with the key: a passphrase is in no call. */
function passphraseOf(
  context: CommandContext,
  { passphraseFile }: { readonly passphraseFile?: string },
): { readonly passphraseFile?: string } {
  return passphraseFile === undefined ? {} : { passphraseFile: context.path(passphraseFile) }
}

export async function removeChannel(
  context: CommandContext,
  name: string,
  options: { readonly yes?: boolean },
): Promise<void> {
  if (options.yes !== true) {
    throw usageError('without its key nobody can publish there again: export it first, then add --yes')
  }
  const channel = await context.client.call('removeChannel', { name })
  context.print(channel, () => `channel ${channel.name} removed\n`)
}

function kindOf(channel: Channel): string {
  if (channel.private) return 'private'
  return channel.open ? 'open' : 'public'
}

function describeChannel(channel: Channel): string {
  return formatPairs([
    ['name', channel.name],
    ['kind', kindOf(channel)],
    ['release', channel.sequence === 0 ? 'none yet' : String(channel.sequence)],
    ['key', channel.publicKey],
    ...(channel.onionAddress === null ? [] : [['onion', channel.onionAddress] as const]),
    ['link', channel.uri],
  ])
}
