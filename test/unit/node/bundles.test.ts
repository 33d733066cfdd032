/**
 * A release that is signed in one data folder, without a network, and published from another that never had the
 * key: whole nodes in this process, and every kind of bundle that is not what it should be.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../../src/base/bytes.ts'
import { type Clock, systemClock } from '../../../src/base/clock.ts'
import { isMegatorrentError } from '../../../src/base/errors.ts'
import { silentLog } from '../../../src/base/log.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { type Flags, loadConfig } from '../../../src/config/load.ts'
import type { Config } from '../../../src/config/schema.ts'
import { publisherKeys } from '../../../src/crypto/key-schedule.ts'
import type { PublishResult, RunningNode } from '../../../src/node/api.ts'
import { startNode } from '../../../src/node/node.ts'
import { type OfflineReleaseResult, signOffline } from '../../../src/node/offline-release.ts'
import { Keystore } from '../../../src/storage/keystore.ts'
import {
  type DecodedBundleStart,
  decodeBundleStart,
  encodeBundleStart,
  recordOffset,
} from '../../../src/wire/bundle.ts'
import { BUNDLE_RECORD_BYTES, DAY_MS, HEAD_SIGNED_BYTES } from '../../../src/wire/constants.ts'
import { headHash, signHead, verifyHead } from '../../../src/wire/head.ts'

/** Of a set of slots: 400 take seconds. */
const DAYS = 5
const TUNING = { slotSetDays: DAYS }
const CALL = { signal: new AbortController().signal, onProgress: () => {} }
/** What signs works on in whole hours. */
const HOUR_MS = 3_600_000

let root: string
let source: string
/** Of the machine that signs. */
let signer: Config
/** Three channels of it, by name. */
const publicKeys = new Map<string, string>()
/** A release of each, signed once: each takes a second of slots. */
const bundles = new Map<string, OfflineReleaseResult>()
const nodes: RunningNode[] = []
let made = 0

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'megatorrent-bundles-'))
  source = join(root, 'source')
  mkdirSync(source)
  writeFileSync(join(source, 'small.txt'), 'a small file')
  writeFileSync(join(source, 'large.bin'), Buffer.alloc(2_500_000, 'content that is not all the same '))
  signer = configOf('signer')
  const node = await start('signer')
  for (const name of ['main', 'secret', 'open']) {
    const channel = { name, private: name === 'secret', open: name === 'open' }
    publicKeys.set(name, (await node.api.createChannel(channel)).publicKey)
  }
  await closeNodes()
  for (const name of publicKeys.keys()) bundles.set(name, await sign(name))
})

afterEach(() => closeNodes())

afterAll(() => rmSync(root, { recursive: true, force: true }))

async function closeNodes(): Promise<void> {
  await Promise.all(nodes.splice(0).map((node) => node.close()))
}

function configOf(name: string): Config {
  const flags = new Map<string, readonly string[] | true>([
    ['data-dir', [join(root, name)]],
    ['listen', ['127.0.0.1:0']],
    ['no-dht', true],
  ]) satisfies Flags
  const loaded = loadConfig({ flags, environment: {}, file: null, callerFolder: root })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  return loaded.config
}

async function start(name = `node-${made++}`, clock: Clock = systemClock): Promise<RunningNode> {
  const node = await startNode(configOf(name), {
    log: silentLog,
    clock,
    random: systemRandom,
    tuning: TUNING,
  })
  nodes.push(node)
  return node
}

function sign(
  channel: string,
  change: Partial<Parameters<typeof signOffline>[1]> = {},
): Promise<OfflineReleaseResult> {
  const params = {
    source,
    channel,
    title: null,
    rehash: false,
    after: null,
    since: null,
    bundle: join(root, `${made++}.bundle`),
  }
  const deps = { clock: systemClock, random: systemRandom, log: silentLog, slotSetDays: DAYS, ...CALL }
  return signOffline(signer, { ...params, ...change }, deps)
}

function bundleOf(channel: string): OfflineReleaseResult {
  return bundles.get(channel) as OfflineReleaseResult
}

function publish(node: RunningNode, file: string): Promise<PublishResult> {
  return node.api.publishManifest({ file, timeoutMs: null }, CALL)
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return 'taken'
  } catch (error) {
    return isMegatorrentError(error) ? error.code : String(error)
  }
}

/** Everything that a bundle could have changed. */
async function traces({ api }: RunningNode, channel: string): Promise<unknown> {
  const publicKey = publicKeys.get(channel) as string
  const { heldBlobs } = await api.getStatus()
  const releases = await api
    .getReleases({ publicKey })
    .catch((error: unknown) => codeOf(Promise.reject(error)))
  const all = await api.getSubscriptions()
  const subscriptions = all.map(({ uri, sequence, hosted, conflicts }) => ({
    uri,
    sequence,
    hosted,
    conflicts,
  }))
  return { heldBlobs, releases, subscriptions }
}

const NO_TRACES = { heldBlobs: 0, releases: 'ERR_RELEASE_NOT_FOUND', subscriptions: [] }

describe('a release signed without a network', () => {
  it('is published by a node without the key, which hosts it from then on', async () => {
    const { bundle, sequence, files, bytes, blobs, manifestBlobs } = bundleOf('main')
    const node = await start()
    const result = await publish(node, bundle)
    expect(result).toMatchObject({
      ...{ sequence, files, bytes, blobs, manifestBlobs, newBlobs: blobs },
      ...{ publicKey: publicKeys.get('main'), unchanged: false, storedBy: 0 },
      pending: { code: 'ERR_NO_CARRIER' },
    })
    expect(sequence).toBe(1)
    expect((await node.api.getStatus()).heldBlobs).toBe(blobs + manifestBlobs)
    const [hosted] = await node.api.getSubscriptions()
    expect(hosted).toMatchObject({ publicKey: publicKeys.get('main'), hosted: true, sequence: 1 })
    expect(await node.api.listChannels()).toEqual([])
    // Again: nothing new, and no fault.
    expect(await publish(node, bundle)).toMatchObject({ unchanged: true, newBlobs: 0, sequence: 1 })
  })

  it.each(['main', 'secret', 'open'])('is read byte for byte by who has the link: %s', async (channel) => {
    const node = await start()
    const { uri } = await publish(node, bundleOf(channel).bundle)
    const reader = await start()
    const dir = join(root, `files-${made++}`)
    const wants = { uri, dir, only: [], wait: true, once: false, timeoutMs: 30_000 }
    expect(await reader.api.addSubscription(wants, CALL)).toMatchObject({ state: 'complete', sequence: 1 })
    for (const name of readdirSync(source)) {
      expect(readFileSync(join(dir, name)).equals(readFileSync(join(source, name)))).toBe(true)
    }
  })

  it('may be published by a node that has the key, too', async () => {
    const { bundle } = bundleOf('open')
    const node = await start('signer')
    expect(await publish(node, bundle)).toMatchObject({ sequence: 1, unchanged: true, newBlobs: 0 })
    expect(await node.api.getSubscriptions()).toEqual([])
    expect((await node.api.showChannel({ channel: 'open' })).sequence).toBe(1)
  })

  it('goes on with the next number, tied to the one before', async () => {
    const { bundle } = bundleOf('main')
    const before = startOf(bundle)
    expect(await sign('main')).toMatchObject({ sequence: 1, unchanged: true })
    const again = startOf((await sign('main', { title: 'other' })).bundle)
    const publicKey = fromHex(publicKeys.get('main') as string, 32) as Uint8Array
    const head = verifyHead(again.set.head, publicKey)
    expect(head).toMatchObject({ releaseNumber: 2, addresses: [] })
    expect(head.previousHash).toEqual(headHash(before.set.head))
    expect(head.signedAt % HOUR_MS).toBe(0)
  })

  it('may leave out what an earlier release has: all of it where nothing is new', async () => {
    const node = await start()
    const newcomer = await start()
    const first = bundleOf('open')
    await publish(node, first.bundle)
    const again = await sign('open', { since: 1 })
    expect(again).toMatchObject({ sequence: 1, unchanged: true })
    expect(startOf(again.bundle)).toMatchObject({ blobs: 0, bytes: again.bundleBytes })
    expect(await publish(node, again.bundle)).toMatchObject({ unchanged: true, newBlobs: 0 })
    const titled = await sign('open', { since: 1, title: 'with a title' })
    expect(startOf(titled.bundle).blobs).toBe(1) // the manifest
    expect(await codeOf(publish(newcomer, titled.bundle))).toBe('ERR_BUNDLE_CONTENT')
    expect(await publish(node, titled.bundle)).toMatchObject({ sequence: 2, newBlobs: 0, blobs: first.blobs })
    expect(await codeOf(sign('open', { since: 9 }))).toBe('ERR_RELEASE_NOT_FOUND')
  })

  it('has no seed in it, and a file for its owner alone', async () => {
    const keystore = Keystore.open({
      folder: join(root, 'signer', 'keys'),
      random: systemRandom,
      clock: systemClock,
    })
    for (const channel of publicKeys.keys()) {
      const { bundle, bundleBytes } = bundleOf(channel)
      const bytes = readFileSync(bundle)
      expect(bytes.length).toBe(bundleBytes)
      expect(statSync(bundle).mode & 0o777).toBe(0o600)
      const { seed, readKey } =
        keystore.get(fromHex(publicKeys.get(channel) as string, 32) as Uint8Array) ?? {}
      if (seed === undefined || readKey === undefined) throw new Error('no key')
      const { convergenceSecret } = publisherKeys(seed, readKey)
      for (const secret of [seed, convergenceSecret]) expect(bytes.includes(Buffer.from(secret))).toBe(false)
      // The control: what has to be in it is found in this way.
      expect(bytes.includes(Buffer.from(readKey))).toBe(true)
    }
  })

  it('asks for a place before a number is given', async () => {
    expect(await codeOf(sign('main', { bundle: bundleOf('main').bundle }))).toBe('ERR_FILE_EXISTS')
    expect(await codeOf(sign('main', { bundle: join(root, 'nowhere', 'x') }))).toBe('ERR_USAGE')
    expect(await codeOf(sign('main', { bundle: join(source, 'x') }))).toBe('ERR_USAGE')
    expect(await codeOf(sign('nobody'))).toBe('ERR_NOT_FOUND')
    expect(await codeOf(sign('open', { channel: null }))).toBe('ERR_USAGE')
    await start('signer')
    expect(await codeOf(sign('main'))).toBe('ERR_DATA_DIR_LOCKED')
  })

  it('of an imported key needs to be told which number the others have', async () => {
    const node = await start('signer')
    const file = join(root, 'open.key')
    await node.api.exportChannel({ channel: 'open', file, words: false, passphraseFile: null })
    await closeNodes()
    const other = await start('importer')
    await other.api.importChannel({ file, name: null, passphraseFile: null })
    await closeNodes()
    const signHere = (after: number | null, title: string): Promise<OfflineReleaseResult> => {
      const bundle = join(root, `${made++}.bundle`)
      const params = { source, channel: 'open', title, rehash: false, after, since: null, bundle }
      const deps = { clock: systemClock, random: systemRandom, log: silentLog, slotSetDays: DAYS, ...CALL }
      return signOffline(configOf('importer'), params, deps)
    }
    expect(await codeOf(signHere(null, 'a'))).toBe('ERR_USAGE')
    expect(await signHere(6, 'a')).toMatchObject({ sequence: 7 })
    expect(await signHere(null, 'b')).toMatchObject({ sequence: 8 })
  })
})

function startOf(file: string): DecodedBundleStart {
  const bytes = readFileSync(file)
  return decodeBundleStart(bytes, bytes.length)
}

/** Changes bytes, or gives others. */
type Forgery = (bytes: Buffer) => Buffer | undefined

describe('a bundle that is not what it should be', () => {
  /** A copy with changed bytes. */
  function forged(channel: string, change: Forgery): string {
    const bytes = readFileSync(bundleOf(channel).bundle)
    const file = join(root, `${made++}.forged`)
    writeFileSync(file, change(bytes) ?? bytes)
    return file
  }

  const flip =
    (offset: number): Forgery =>
    (bytes) => {
      bytes[offset] = (bytes[offset] ?? 0) ^ 1
      return bytes
    }
  const SET = 141
  const HEAD = SET + 7
  const SIGNATURES = HEAD + 568
  const RECORDS = SIGNATURES + DAYS * 192

  const FORGERIES: readonly [string, string, Forgery | null][] = [
    ['no such file', 'ERR_NOT_FOUND', null],
    ['an empty file', 'ERR_BUNDLE_FORMAT', () => Buffer.alloc(0)],
    ['another magic', 'ERR_BUNDLE_FORMAT', flip(3)],
    ['another version', 'ERR_BUNDLE_FORMAT', flip(8)],
    ['another key', 'ERR_BUNDLE_', flip(10)],
    ['another read key', 'ERR_BUNDLE_CONTENT', flip(60)],
    ['an open signature that is none', 'ERR_BUNDLE_CONTENT', flip(80)],
    ['another number of blobs', 'ERR_BUNDLE_FORMAT', flip(140)],
    ['a set of another version', 'ERR_BUNDLE_FORMAT', flip(SET)],
    ['a set of other days', 'ERR_BUNDLE_CONTENT', flip(SET + 4)],
    ['a set of more days', 'ERR_BUNDLE_FORMAT', flip(SET + 6)],
    ['a head that was changed', 'ERR_BUNDLE_CONTENT', flip(HEAD + 8)],
    ['a head whose signature was changed', 'ERR_BUNDLE_CONTENT', flip(HEAD + HEAD_SIGNED_BYTES)],
    ['padding of a head that is not zero', 'ERR_BUNDLE_CONTENT', flip(HEAD + 560)],
    ['a signature of a slot', 'ERR_BUNDLE_CONTENT', flip(SIGNATURES + 100)],
    ['the last signature of a slot', 'ERR_BUNDLE_CONTENT', flip(RECORDS - 70)],
    ['the id of the manifest', 'ERR_BUNDLE_CONTENT', flip(RECORDS + 5)],
    ['the manifest', 'ERR_BUNDLE_CONTENT', flip(RECORDS + 1000)],
    [
      'the id of the last blob',
      'ERR_BUNDLE_CONTENT',
      (bytes: Buffer) => flip(bytes.length - BUNDLE_RECORD_BYTES)(bytes),
    ],
    ['the last byte', 'ERR_BUNDLE_CONTENT', (bytes: Buffer) => flip(bytes.length - 1)(bytes)],
    [
      'a file that is cut off in its start',
      'ERR_BUNDLE_FORMAT',
      (bytes: Buffer) => bytes.subarray(0, SIGNATURES + 9),
    ],
    ['a file that is cut off in a blob', 'ERR_BUNDLE_FORMAT', (bytes: Buffer) => bytes.subarray(0, -1)],
    ['bytes behind the end', 'ERR_BUNDLE_FORMAT', (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(1)])],
    ['two blobs in each other’s place', 'ERR_BUNDLE_CONTENT', swapLast],
    ['a blob twice', 'ERR_BUNDLE_CONTENT', repeatLast],
    ['a blob less', 'ERR_BUNDLE_CONTENT', dropLast],
  ]

  it.each(FORGERIES)('changes nothing: %s', async (_name, code, change) => {
    const node = await shared()
    const file = change === null ? join(root, 'no such file') : forged('secret', change)
    expect(await codeOf(publish(node, file))).toMatch(new RegExp(`^${code}`))
    expect(await traces(node, 'secret')).toEqual(NO_TRACES)
    if (change !== null) rmSync(file)
  })

  /** One node for all of them: nothing that any of them is may show in it. */
  let sharing: Promise<RunningNode> | null = null
  function shared(): Promise<RunningNode> {
    sharing ??= startNode(configOf('shared'), {
      log: silentLog,
      clock: systemClock,
      random: systemRandom,
      tuning: TUNING,
    })
    return sharing
  }
  afterAll(async () => (await sharing)?.close())

  function swapLast(bytes: Buffer): Buffer {
    const [a, b] = [
      bytes.subarray(-2 * BUNDLE_RECORD_BYTES, -BUNDLE_RECORD_BYTES),
      bytes.subarray(-BUNDLE_RECORD_BYTES),
    ]
    return Buffer.concat([bytes.subarray(0, -2 * BUNDLE_RECORD_BYTES), b, a])
  }

  function repeatLast(bytes: Buffer): Buffer {
    const more = Buffer.concat([bytes, bytes.subarray(-BUNDLE_RECORD_BYTES)])
    more.writeUInt32BE(bytes.readUInt32BE(137) + 1, 137)
    return more
  }

  function dropLast(bytes: Buffer): Buffer {
    const less = Buffer.from(bytes.subarray(0, -BUNDLE_RECORD_BYTES))
    less.writeUInt32BE(bytes.readUInt32BE(137) - 1, 137)
    return less
  }

  it('may leave out what is held, and has nothing else in its place', async () => {
    const node = await start()
    await publish(node, bundleOf('secret').bundle)
    const left = forged('secret', dropLast)
    expect(await publish(node, left)).toMatchObject({ unchanged: true, newBlobs: 0 })
    const twice = forged('secret', (bytes) => repeatLast(dropLast(bytes)))
    await expect(publish(node, twice)).rejects.toMatchObject({
      code: 'ERR_BUNDLE_CONTENT',
      message: expect.stringContaining('not of its release'),
    })
  })

  it('is of the head of another channel', async () => {
    const other = startOf(bundleOf('main').bundle)
    const file = forged('secret', (bytes) => {
      Buffer.from(other.set.head).copy(bytes, HEAD)
    })
    expect(await codeOf(publish(await shared(), file))).toBe('ERR_BUNDLE_CONTENT')
  })

  it('is older than what is known, or contradicts it', async () => {
    const node = await start()
    const second = await sign('secret', { title: 'the second' })
    expect(await publish(node, second.bundle)).toMatchObject({ sequence: 2, unchanged: false })
    const known = await traces(node, 'secret')
    expect(await codeOf(publish(node, bundleOf('secret').bundle))).toBe('ERR_BUNDLE_OLDER')
    // Another root under the number that is known, by somebody who has the key too.
    const keystore = Keystore.open({
      folder: join(root, 'signer', 'keys'),
      random: systemRandom,
      clock: systemClock,
    })
    const key = keystore.get(fromHex(publicKeys.get('secret') as string, 32) as Uint8Array)
    if (key === null) throw new Error('no key')
    const { signingKey } = publisherKeys(key.seed, key.readKey)
    const file = forged('secret', (bytes) => {
      const { set } = startOf(bundleOf('secret').bundle)
      const { bytes: head } = signHead(
        { ...verifyHead(set.head, key.publicKey), releaseNumber: 2 },
        signingKey,
      )
      Buffer.from(head).copy(bytes, HEAD)
    })
    expect(await codeOf(publish(node, file))).toBe('ERR_BUNDLE_CONFLICT')
    expect(await traces(node, 'secret')).toEqual(known)
  })

  it('is of days that are over, or have not come', async () => {
    for (const days of [-2, DAYS + 1]) {
      const shifted: Clock = { ...systemClock, now: () => systemClock.now() + days * DAY_MS }
      const node = await start(undefined, shifted)
      expect(await codeOf(publish(node, bundleOf('main').bundle))).toBe('ERR_BUNDLE_DAYS')
      expect(await traces(node, 'main')).toEqual(NO_TRACES)
    }
  })

  it('says that it has more blobs than it has, and is read no further than its start', async () => {
    const { slotSet, ...start } = startOf(bundleOf('main').bundle)
    const file = join(root, `${made++}.forged`)
    writeFileSync(file, encodeBundleStart({ ...start, slotSet, blobs: 2 ** 32 - 1 }))
    expect(await codeOf(publish(await shared(), file))).toBe('ERR_BUNDLE_FORMAT')
    expect(recordOffset(startOf(bundleOf('main').bundle), 1)).toBe(RECORDS + BUNDLE_RECORD_BYTES)
    expect(toHex(start.publicKey)).toBe(publicKeys.get('main'))
  })
})
