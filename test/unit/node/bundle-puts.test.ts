/**
 * What becomes of a bundle that was taken: its slots are put until somebody has them, over restarts too, and no
 * longer than the channel is hosted.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { silentLog } from '../../../src/base/log.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { writeBundle } from '../../../src/channels/bundle-writer.ts'
import { Collector } from '../../../src/channels/collector.ts'
import { DiskClaims } from '../../../src/channels/disk-claims.ts'
import { loadManifest } from '../../../src/channels/manifest-loader.ts'
import { ChannelSessions } from '../../../src/channels/session.ts'
import type { Config } from '../../../src/config/schema.ts'
import type { PublishResult } from '../../../src/node/api.ts'
import { BundlesApi, isPublishedHere } from '../../../src/node/bundles-api.ts'
import { linkTo } from '../../../src/node/own-addresses.ts'
import { SubscriptionsApi } from '../../../src/node/subscriptions-api.ts'
import { decodeHead } from '../../../src/wire/head.ts'
import { ChannelNet, type ChannelNode, keysOf } from '../channels/channel-node.ts'
import { watch } from './reader-rig.ts'

const KEYS = keysOf(1)
const PUBLIC_KEY = toHex(KEYS.publicKey)
const CALL = { signal: new AbortController().signal, onProgress: () => {} }

let net: ChannelNet
let signer: ChannelNode
let node: ChannelNode
let subscriptions: SubscriptionsApi
let bundles: BundlesApi
/** Channels whose release is given to gateways, or null of them. */
let keeping: (string | null)[]
let bundle: string

beforeEach(async () => {
  net = new ChannelNet()
  signer = await net.node()
  node = await net.node()
  keeping = []
  open()
  bundle = await sign('first')
})

afterEach(async () => {
  await close()
  net.close()
})

/** The parts of a node that a bundle touches, as after a start. */
function open(): void {
  const { state, store, heads, slotSets, runner, discovery, clock, sim } = node
  const sessions = new ChannelSessions({
    ...{ joinSwarm: sim.joinSwarm, heads, slotSets, store, discovery, log: silentLog },
    onServed: (publicKey) => keeping.push(toHex(publicKey)),
  })
  const collector = new Collector({ state, store, clock, log: silentLog })
  const dataDir = join(node.folder, 'data')
  const config = { dataDir, downloadDir: join(node.folder, 'downloads'), minFree: 0 } as Config
  subscriptions = new SubscriptionsApi({
    ...{ config, state, store, sessions, heads, collector, claims: new DiskClaims(), clock },
    random: systemRandom,
    log: silentLog,
    isPublishedHere: (publicKey) => isPublishedHere(state, publicKey),
    onRemoved: (publicKey) => bundles.forget(publicKey),
  })
  bundles = new BundlesApi({
    ...{ state, store, runner, heads, slotSets, discovery, collector, subscriptions, clock },
    ownSessionOf: () => null,
    linkTo: (publicKey, readKey) => linkTo(publicKey, readKey, () => []),
    canPut: true,
    stopKeeping: () => keeping.push(null),
    log: silentLog,
  })
  subscriptions.start()
  bundles.start()
}

async function close(): Promise<void> {
  await bundles.close()
  await subscriptions.close()
}

/** A release of the signer with that text, as a bundle. */
async function sign(text: string): Promise<string> {
  const source = join(signer.folder, 'source')
  mkdirSync(source, { recursive: true })
  writeFileSync(join(source, 'a.txt'), text)
  if (signer.state.channels.get(KEYS.publicKey) === null) signer.addChannel(KEYS)
  const session = signer.sessions.acquire(KEYS)
  const record = await signer.ingest(KEYS, source)
  const { head } = await signer.publisher.release({ keys: KEYS, open: false, session, record, title: null })
  signer.signer = KEYS
  const slotSet = await signer.slotSets.signNow(KEYS.publicKey, head, CALL.signal)
  const manifest = await loadManifest({ root: head.root, store: signer.store, fetch: async () => {} })
  const file = join(signer.folder, `${text}.bundle`)
  const { store } = signer
  await writeBundle(
    file,
    { keys: KEYS, open: false, head, slotSet, manifest, without: null },
    { store, random: systemRandom },
    CALL.signal,
  )
  return file
}

/** To its end, while time passes. */
async function publish(file = bundle, timeoutMs: number | null = null): Promise<PublishResult> {
  const ending = watch(bundles.publish({ file, timeoutMs }, CALL))
  await net.until(() => ending.result !== null || ending.code !== null)
  if (ending.result === null) throw new Error(`it ended with ${ending.code}`)
  return ending.result
}

const published = (): number[] => node.discovery.published.map(({ releaseNumber }) => releaseNumber)
const pending = (): number[] => node.state.pendingPuts.list().map(({ sequence }) => sequence)

describe('a bundle that was taken', () => {
  it('is put at once, and is done with when somebody has it', async () => {
    expect(await publish()).toMatchObject({ storedBy: 8, pending: null, sequence: 1 })
    expect(published()).toEqual([1])
    expect(pending()).toEqual([])
    expect(keeping).toContain(PUBLIC_KEY)
    const held = node.slotSets.get(
      KEYS.publicKey,
      node.discovery.published[0] ?? decodeHead(new Uint8Array(0)),
    )
    expect(held?.days).toBeGreaterThan(0)
    expect(await publish(await sign('second'))).toMatchObject({ sequence: 2, unchanged: false })
    expect(published()).toEqual([1, 2])
  })

  it('that nobody has confirmed in time is put on, also after a restart', async () => {
    node.discovery.onPublish = async () => 0
    expect(await publish(bundle, 5_000)).toMatchObject({ storedBy: 0, pending: { code: 'ERR_TIMEOUT' } })
    expect(pending()).toEqual([1])
    const tries = published().length
    await net.until(() => published().length > tries)
    await close()
    const before = published().length
    node.discovery.onPublish = async () => 3
    open()
    await net.until(() => pending().length === 0)
    expect(published().length).toBeGreaterThan(before)
    expect(keeping.at(-1)).toBe(PUBLIC_KEY)
  })

  it('is not put any more when its channel is not hosted, and its mark is gone', async () => {
    node.discovery.onPublish = async () => 0
    await publish(bundle, 1_000)
    expect(isPublishedHere(node.state, KEYS.publicKey)).toBe(true)
    await subscriptions.remove({ subscription: PUBLIC_KEY, deleteFiles: true })
    expect(isPublishedHere(node.state, KEYS.publicKey)).toBe(false)
    expect(pending()).toEqual([])
    expect(keeping.at(-1)).toBeNull()
    expect(node.store.count).toBe(0)
    await close()
    open()
    const tries = published().length
    await net.clock.advance(600_000)
    expect(published()).toHaveLength(tries)
  })

  it('is nothing that the database keeps when the disk takes no blob', async () => {
    node.store.setLimits({ maxBytes: 1_000_000, minFreeBytes: 0 })
    const ending = watch(bundles.publish({ file: bundle, timeoutMs: null }, CALL))
    await net.until(() => ending.code !== null)
    expect(ending.code).toBe('ERR_STORE_FULL')
    expect([node.heads.newest(KEYS.publicKey), subscriptions.list(), pending()]).toEqual([null, [], []])
    expect(node.store.count).toBe(0)
  })

  it('is followed on with its files by who followed the channel before', async () => {
    const uri = linkTo(KEYS.publicKey, null, () => [])
    const call = {
      uri,
      dir: join(node.folder, 'files'),
      only: null,
      wait: false,
      once: false,
      timeoutMs: null,
    }
    await subscriptions.add(call, CALL)
    await publish()
    await net.until(() => subscriptions.list()[0]?.state === 'complete')
    expect(subscriptions.list()).toMatchObject([{ hosted: false, sequence: 1 }])
  })

  it('of a channel that is being fetched once waits for that', async () => {
    const uri = linkTo(KEYS.publicKey, null, () => [])
    const call = { uri, dir: join(node.folder, 'files'), only: null, wait: true, once: true, timeoutMs: null }
    const getting = watch(subscriptions.add(call, CALL))
    const ending = watch(bundles.publish({ file: bundle, timeoutMs: null }, CALL))
    await net.until(() => ending.code !== null)
    expect(ending.code).toBe('ERR_SUBSCRIPTION_DIR')
    expect(getting.result).toBeNull()
  })
})
