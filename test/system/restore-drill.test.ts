/**
 * The drill of those who keep a copy of their keys: a machine is lost with all that was on it, and on a new one
 * the channels come back from each form of copy, with the same links, for readers who know nothing of it.
 */
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ChannelInfo } from '../../src/node/api.ts'
import { RpcFailure, type TestNode } from '../swarm/harness/test-node.ts'
import { Testnet } from '../swarm/harness/testnet.ts'
import { waitUntil } from '../swarm/harness/wait.ts'

const PASSPHRASE = 'a passphrase of the drill'
const KINDS = ['public', 'private', 'open'] as const
type Kind = (typeof KINDS)[number]

let net: Testnet
let reader: TestNode
/** What is not on the machine that is lost: copies of keys, and the files that are published. */
let safe = ''
/** As they were made, by kind. */
const made = new Map<Kind, ChannelInfo>()
let sequence = 0

const copyOf = (kind: Kind, form: string): string => join(safe, `${kind}.${form}`)
const sourceOf = (kind: Kind): string => join(safe, `source-${kind}.txt`)

/** Kinds are names of their channels too. */
async function publishAll(node: TestNode, text: string): Promise<void> {
  sequence++
  for (const kind of KINDS) {
    await writeFile(sourceOf(kind), text)
    const published = await node.rpc<{ sequence: number; storedBy: number }>('publish', {
      path: sourceOf(kind),
      channel: kind,
    })
    expect(published, kind).toMatchObject({ sequence, unchanged: false })
    expect(published.storedBy).toBeGreaterThanOrEqual(1)
  }
}

/** By the links that the reader was given at the beginning. */
async function readerHas(text: string): Promise<void> {
  for (const kind of KINDS) {
    const file = join(reader.path(`target-${kind}`), `source-${kind}.txt`)
    await waitUntil(
      async () => (await readFile(file, 'utf8')) === text,
      90_000,
      () => `the reader has "${text}" of the ${kind} channel\n${reader.stderrTail()}`,
    )
  }
}

/** What a link says about the channel; addresses in it are those of a machine. */
const withoutAddresses = (uri: string): string => uri.split('?')[0] as string

/** Neither what it printed nor what it logged has a secret of a copy in it. */
async function saysNoSecret(node: TestNode): Promise<void> {
  const said = `${node.stdout}${node.stderr}`.toLowerCase()
  expect(said).not.toContain(PASSPHRASE)
  for (const kind of KINDS) {
    const words = wordsOf(await readFile(copyOf(kind, 'words'), 'utf8'))
    for (let i = 0; i + 1 < words.length; i++) expect(said).not.toContain(`${words[i]} ${words[i + 1]}`)
  }
}

function wordsOf(page: string): readonly string[] {
  return [...page.matchAll(/\d+\. ([a-z]+)/g)].map((match) => match[1] as string)
}

beforeAll(async () => {
  safe = await mkdtemp(join(tmpdir(), 'megatorrent-test-'))
  await writeFile(join(safe, 'passphrase'), `${PASSPHRASE}\n`, { mode: 0o600 })
  await writeFile(join(safe, 'wrong'), `${PASSPHRASE}!\n`, { mode: 0o600 })
  net = await Testnet.start({ dhtNodes: 2, nodes: ['lost', 'reader'] })
  reader = net.node('reader')
  const lost = net.node('lost')
  for (const kind of KINDS) {
    const params = { name: kind, private: kind === 'private', open: kind === 'open' }
    made.set(kind, await lost.rpc<ChannelInfo>('createChannel', params))
  }
  await publishAll(lost, 'first')
  for (const kind of KINDS) {
    const { uri } = made.get(kind) as ChannelInfo
    await reader.rpc('addSubscription', { uri, dir: reader.path(`target-${kind}`), wait: true, timeout: 50 })
  }
  for (const kind of KINDS) {
    await lost.json(['channel', 'export', kind, copyOf(kind, 'key')])
    await lost.json(['channel', 'export', kind, copyOf(kind, 'words'), '--words'])
    const passphraseFile = join(safe, 'passphrase')
    await lost.json(['channel', 'export', kind, copyOf(kind, 'sealed'), '--passphrase-file', passphraseFile])
    await lost.rpc('removeChannel', { name: kind })
  }
  await lost.stop()
  await saysNoSecret(lost)
  await net.remove(lost)
  expect(existsSync(lost.dataDir)).toBe(false)
})

afterAll(async () => {
  await net?.dispose()
  await rm(safe, { recursive: true, force: true })
})

/** A new machine that has taken the channels in publishes, and is lost again. */
async function drill(
  form: string,
  take: (node: TestNode, kind: Kind) => Promise<ChannelInfo>,
): Promise<void> {
  const node = await net.add({ name: `new-${form}` })
  await net.dhtIsUp()
  expect(await channelsOf(node)).toEqual([])
  for (const kind of KINDS) {
    const { uri, ...before } = made.get(kind) as ChannelInfo
    const taken = await take(node, kind)
    expect(taken).toMatchObject({
      publicKey: before.publicKey,
      name: kind,
      private: before.private,
      open: before.open,
    })
    expect(withoutAddresses(taken.uri)).toBe(withoutAddresses(uri))
  }
  await publishAll(node, `from ${form}`)
  await readerHas(`from ${form}`)
  await node.stop()
  await saysNoSecret(node)
  await net.remove(node)
}

/** All but their numbers: those of what came back before rise as soon as the node hears of them. */
async function channelsOf(node: TestNode): Promise<readonly Omit<ChannelInfo, 'sequence'>[]> {
  const { channels } = await node.rpc<{ channels: ChannelInfo[] }>('listChannels')
  return channels.map(({ sequence: _, ...rest }) => rest)
}

/** By RPC, as most here: a command line is a process more. */
async function refuses(
  node: TestNode,
  params: { readonly file: string; readonly name?: string; readonly passphraseFile?: string },
  code: string,
): Promise<void> {
  const failure = await node.rpc('importChannel', params).catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(RpcFailure)
  expect(failure).toMatchObject({ code })
}

// Six processes begin here one after the other: the limit is for machines that have other things to do.
describe('channels whose machine is lost', { timeout: 300_000 }, () => {
  it('have copies for their user alone, of three forms', async () => {
    for (const kind of KINDS) {
      for (const form of ['key', 'words', 'sealed']) {
        expect((await stat(copyOf(kind, form))).mode & 0o777).toBe(0o600)
      }
      const page = await readFile(copyOf(kind, 'words'), 'utf8')
      expect(wordsOf(page)).toHaveLength(kind === 'private' ? 48 : 24)
      expect(page).toContain(`kind: ${kind}\n`)
    }
    await readerHas('first')
  })

  it('come back from key files', async () => {
    await drill('key', (node, kind) => node.json<ChannelInfo>(['channel', 'import', copyOf(kind, 'key')]))
  })

  it('come back from paper, typed in as people do, once what was typed is right', async () => {
    await drill('words', async (node, kind) => {
      const typed = node.path(`typed-${kind}`)
      const type = (text: string): Promise<void> => writeFile(typed, text, { mode: 0o600 })
      const words = wordsOf(await readFile(copyOf(kind, 'words'), 'utf8'))
      const before = await channelsOf(node)
      // One letter, one word too few, and no name.
      await type(words.map((word, i) => (i === 6 ? `${word}x` : word)).join(' '))
      await refuses(node, { file: typed, name: kind }, 'ERR_KEY_WORDS')
      await type(words.slice(1).join(' '))
      await refuses(node, { file: typed, name: kind }, 'ERR_KEY_WORDS')
      const lines = words.map((word, i) => `${(i % 24) + 1}. ${word.toUpperCase()}`)
      await type(`# from the safe\r\n${kind === 'open' ? 'Kind: open\r\n' : ''}${lines.join('\r\n')}\r\n`)
      await refuses(node, { file: typed }, 'ERR_USAGE')
      expect(await channelsOf(node)).toEqual(before)
      return node.json<ChannelInfo>(['channel', 'import', typed, '--name', kind])
    })
  })

  it('come back from sealed files, for who has the passphrase', async () => {
    await drill('sealed', async (node, kind) => {
      const copy = copyOf(kind, 'sealed')
      const before = await channelsOf(node)
      await refuses(node, { file: copy }, 'ERR_PASSPHRASE')
      await refuses(node, { file: copy, passphraseFile: join(safe, 'wrong') }, 'ERR_PASSPHRASE')
      await refuses(node, { file: copy, passphraseFile: join(safe, 'none') }, 'ERR_PASSPHRASE_FILE')
      const damaged = node.path(`damaged-${kind}`)
      const bytes = await readFile(copy)
      bytes[100] = (bytes[100] as number) ^ 1
      await writeFile(damaged, bytes, { mode: 0o600 })
      const passphraseFile = join(safe, 'passphrase')
      await refuses(node, { file: damaged, passphraseFile }, 'ERR_KEY_FILE_FORMAT')
      expect(await channelsOf(node)).toEqual(before)
      return node.json<ChannelInfo>(['channel', 'import', copy, '--passphrase-file', passphraseFile])
    })
  })

  it('have not been replaced: each release went on with the next number, and none contradicts another', async () => {
    const { subscriptions } = await reader.rpc<{
      subscriptions: { publicKey: string; sequence: number; conflicts: number[] }[]
    }>('getSubscriptions')
    expect(subscriptions.map(({ sequence: seen, conflicts }) => [seen, conflicts])).toEqual(
      KINDS.map(() => [4, []]),
    )
    await net.stop()
  })
})
