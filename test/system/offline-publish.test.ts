/**
 * The key of a channel stays in a data folder that never has a network: releases are signed there by the command
 * line alone, carried as files, and published by a daemon that has no key. Real processes on a DHT of their own.
 */
import { spawnSync } from 'node:child_process'
import { copyFile, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import { publisherKeys } from '../../src/crypto/key-schedule.ts'
import { Keystore } from '../../src/storage/keystore.ts'
import { CHUNK_BYTES } from '../../src/wire/constants.ts'
import { peakRssBytes, rssBytes } from '../swarm/harness/memory.ts'
import { type CommandResult, runProgram, scrubbedEnvironment, TestNode } from '../swarm/harness/test-node.ts'
import { Testnet } from '../swarm/harness/testnet.ts'
import { appendBytes, BIG_FILE, compareTrees, makeTree, writeSeededFile } from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'

const LIMIT_MS = 90_000
const MIB = 1_048_576
/** Much more than a daemon has in memory. */
const LARGE_BYTES = 400 * MIB

interface Signed {
  readonly uri: string
  readonly publicKey: string
  readonly sequence: number
  readonly files: number
  readonly blobs: number
  readonly newBlobs: number
  readonly storedBy: number
  readonly unchanged: boolean
}

let net: Testnet
let signer: TestNode
let source: string
/** A process in it has no network at all, not even loopback. Empty where that takes rights that we have not. */
let alone: readonly string[] = []

beforeAll(async () => {
  net = await Testnet.start({ dhtNodes: 3, nodes: ['carrier', 'reader'] })
  signer = await TestNode.create({ name: 'signer', args: ['--no-dht'] })
  source = signer.path('source')
  await makeTree(source, { seed: 3, smallFiles: 20, bigBytes: 3_000_000, awkward: false })
  // The keys are made with a daemon that reaches nobody; after that none runs there any more.
  await signer.begin()
  for (const args of [[], ['--private'], ['--open']]) {
    await signer.json(['channel', 'create', `main${args.join('')}`, ...args])
  }
  const refused = await signer.cli([
    'publish',
    source,
    '--channel',
    'main',
    '--bundle',
    signer.path('b'),
    '--json',
  ])
  expect([refused.exitCode, refused.stdout]).toEqual([78, expect.stringContaining('ERR_DATA_DIR_LOCKED')])
  await signer.stop()
  const wrapper = ['unshare', '--user', '--map-root-user', '--net']
  if (spawnSync(wrapper[0] as string, [...wrapper.slice(1), 'true']).status === 0) alone = wrapper
  else process.stdout.write('  unshare --net does not work here: the signer may see a network\n')
})

afterAll(async () => {
  await net?.stop()
  await signer?.dispose()
})

function runAlone(args: readonly string[]): Promise<CommandResult> {
  const options = { cwd: signer.path('.'), env: scrubbedEnvironment(signer.path('.')), wrapper: alone }
  return runProgram([...args, '--data-dir', signer.dataDir, '--json'], options)
}

/** Sign a release without a network. @returns what was said, and the file as the carrier has it. */
async function sign(
  channel: string,
  name: string,
  ...more: readonly string[]
): Promise<Signed & { readonly file: string }> {
  const bundle = signer.path(name)
  const command = ['publish', source, '--channel', channel, '--bundle', bundle, ...more]
  const { exitCode, stdout, stderr } = await runAlone(command)
  if (exitCode !== 0) throw new Error(`signing ended with ${exitCode}: ${stdout}${stderr}`)
  const file = net.node('carrier').path(name)
  await copyFile(bundle, file) // what is carried is the file, and nothing else
  return { ...(JSON.parse(stdout) as Signed), file }
}

function publish(file: string, expected = 0): Promise<Signed> {
  return net.node('carrier').json<Signed>(['publish', '--from-bundle', file], expected)
}

async function isComplete(node: TestNode, publicKey: string, sequence: number): Promise<boolean> {
  const { subscriptions } = await node.rpc<{ subscriptions: { sequence: number; state: string }[] }>(
    'getSubscriptions',
    { publicKey },
  )
  return subscriptions[0]?.state === 'complete' && subscriptions[0].sequence === sequence
}

/** Files below a folder that have any of these bytes in them. */
async function filesWith(folder: string, secrets: readonly Uint8Array[]): Promise<string[]> {
  const needles = secrets.flatMap((secret) => {
    const bytes = Buffer.from(secret)
    return [bytes, Buffer.from(bytes.toString('hex')), Buffer.from(bytes.toString('base64'))]
  })
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const found: string[] = []
  for (const entry of entries) {
    if (!entry.isFile()) continue
    const bytes = await readFile(join(entry.parentPath, entry.name))
    if (needles.some((needle) => bytes.includes(needle))) found.push(entry.name)
  }
  return found
}

describe('a channel whose key has no network', () => {
  it('is published from a bundle, found through the DHT, and read byte for byte; then updated', async () => {
    const [carrier, reader] = [net.node('carrier'), net.node('reader')]
    const first = await sign('main', 'first.bundle')
    expect(first).toMatchObject({ sequence: 1, files: 21, storedBy: 0, unchanged: false })
    const { sequence, files, blobs, publicKey } = first
    const published = await publish(first.file)
    expect(published).toMatchObject({ sequence, files, blobs, newBlobs: blobs, publicKey, unchanged: false })
    expect(published.storedBy).toBeGreaterThan(0)
    expect(Object.keys(published)).not.toContain('skipped')

    // The link of the signer names nobody: what it leads to was found in the slots.
    const dir = reader.path('files')
    await reader.json(['subscribe', first.uri, '--dir', dir, '--wait', '--timeout', '80'], 0, LIMIT_MS)
    expect(await compareTrees(source, dir)).toEqual([])

    await appendBytes(join(source, BIG_FILE), Buffer.from('one line more'))
    const second = await sign('main', 'second.bundle', '--since', '1')
    expect(second.sequence).toBe(2)
    expect(second.newBlobs).toBeLessThanOrEqual(2)
    expect((await stat(second.file)).size).toBeLessThan(first.blobs * CHUNK_BYTES)
    expect(await publish(second.file)).toMatchObject({ sequence: 2, newBlobs: second.newBlobs })
    await waitUntil(() => isComplete(reader, publicKey, 2), LIMIT_MS, 'the reader has the second release')
    expect(await compareTrees(source, dir)).toEqual([])

    // Never back, and nothing new twice.
    expect(await publish(first.file, 5)).toMatchObject({ error: { code: 'ERR_BUNDLE_OLDER' } })
    expect(await publish(second.file)).toMatchObject({ sequence: 2, unchanged: true, newBlobs: 0 })
    expect(await sign('main', 'again.bundle')).toMatchObject({ sequence: 2, unchanged: true })

    // What is hosted stays so: a newcomer gets it from a carrier that was started anew.
    await carrier.restart()
    expect(await carrier.json(['subscriptions'])).toMatchObject([{ publicKey, hosted: true, sequence: 2 }])
    await reader.json(['unsubscribe', publicKey, '--delete-files'])
    const anew = reader.path('anew')
    await reader.json(['get', second.uri, '--dir', anew, '--timeout', '80'], 0, LIMIT_MS)
    expect(await compareTrees(source, anew)).toEqual([])
  })

  it.each(['main--private', 'main--open'])('may be %s', async (channel) => {
    const reader = net.node('reader')
    const signed = await sign(channel, `${channel}.bundle`)
    expect((await publish(signed.file)).storedBy).toBeGreaterThan(0)
    const dir = reader.path(channel)
    await reader.json(['get', signed.uri, '--dir', dir, '--timeout', '80'], 0, LIMIT_MS)
    expect(await compareTrees(source, dir)).toEqual([])
  })

  it('may have any size: memory does not grow with it', async () => {
    const carrier = net.node('carrier')
    await writeSeededFile(join(source, 'large.bin'), LARGE_BYTES, 9)
    const { file, blobs } = await sign('main', 'large.bundle')
    expect(blobs).toBeGreaterThan(LARGE_BYTES / CHUNK_BYTES)
    const before = (await rssBytes(carrier.pid)) ?? 0
    expect((await publish(file)).newBlobs).toBeGreaterThanOrEqual(LARGE_BYTES / CHUNK_BYTES)
    const grown = ((await peakRssBytes(carrier.pid)) ?? 0) - before
    process.stdout.write(
      `  a bundle of ${LARGE_BYTES / MIB} MiB took ${Math.round(grown / MIB)} MiB of memory\n`,
    )
    expect(grown).toBeLessThan(LARGE_BYTES / 2)
  })

  it('leaves no key anywhere else', async () => {
    const keystore = Keystore.open({
      folder: join(signer.dataDir, 'keys'),
      random: systemRandom,
      clock: systemClock,
    })
    const keys = keystore.list()
    expect(keys).toHaveLength(3)
    const secrets = keys.flatMap(({ seed, readKey }) => [
      seed,
      publisherKeys(seed, readKey).convergenceSecret,
    ])
    // The control: where they are they are found.
    expect(await filesWith(join(signer.dataDir, 'keys'), secrets)).toHaveLength(3)
    for (const node of net.nodes) expect(await filesWith(node.path('.'), secrets)).toEqual([])
    const { channels } = await net.node('carrier').rpc<{ channels: unknown[] }>('listChannels')
    expect(channels).toEqual([])
  })
})
