/** A publisher and a reader on a network in memory; what is asked of the publisher is counted. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { toHex } from '../../../src/base/bytes.ts'
import { isMegatorrentError } from '../../../src/base/errors.ts'
import { silentLog } from '../../../src/base/log.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { Collector } from '../../../src/channels/collector.ts'
import { DiskClaims } from '../../../src/channels/disk-claims.ts'
import { loadManifest } from '../../../src/channels/manifest-loader.ts'
import type { Config } from '../../../src/config/schema.ts'
import type { AddSubscriptionParams, AddSubscriptionResult } from '../../../src/node/api.ts'
import { FilesApi } from '../../../src/node/files-api.ts'
import { SubscriptionsApi } from '../../../src/node/subscriptions-api.ts'
import type { Manifest } from '../../../src/wire/manifest.ts'
import { formatLink } from '../../../src/wire/uri.ts'
import { ChannelNet, type ChannelNode, keysOf } from '../channels/channel-node.ts'

export const KEYS = keysOf(1)
export const PUBLIC_KEY = toHex(KEYS.publicKey)
export const MIB = 1_048_576

/** How a call ended. */
export interface Ending<T> {
  result: T | null
  code: string | null
}

export function watch<T>(call: Promise<T>): Ending<T> {
  const ending: Ending<T> = { result: null, code: null }
  call.then(
    (result) => {
      ending.result = result
    },
    (error: unknown) => {
      ending.code = isMegatorrentError(error) ? error.code : String(error)
    },
  )
  return ending
}

/** Bytes that differ from place to place and from file to file. */
export function content(bytes: number, seed: number): Buffer {
  const out = Buffer.alloc(bytes)
  for (let at = 0; at + 4 <= bytes; at += 4) out.writeUInt32LE((at * 2_654_435_761 + seed * 40_503) >>> 0, at)
  return out
}

export class ReaderRig {
  readonly net = new ChannelNet()
  readonly publisher: ChannelNode
  readonly reader: ChannelNode
  readonly link: string
  readonly api: SubscriptionsApi
  readonly files: FilesApi
  /** Ids of blobs that were asked of the publisher, as hex, in the order of asking. */
  readonly asked: string[] = []
  /** What the publisher waits for before it gives a blob. */
  beforeGiving: (id: string) => Promise<void> = async () => {}

  private constructor(net: ChannelNet, publisher: ChannelNode, reader: ChannelNode) {
    this.net = net
    this.publisher = publisher
    this.reader = reader
    publisher.addChannel(KEYS)
    const { read } = publisher.store
    publisher.store.read = async (id) => {
      const name = toHex(id)
      this.asked.push(name)
      await this.beforeGiving(name)
      return read.call(publisher.store, id)
    }
    this.link = formatLink({
      publicKey: KEYS.publicKey,
      readKey: null,
      peers: [publisher.sim.address],
      gateways: [],
    })
    const { state, store, sessions, heads, clock } = reader
    this.api = new SubscriptionsApi({
      config: { downloadDir: join(reader.folder, 'downloads'), minFree: 0 } as Config,
      state,
      store,
      sessions,
      heads,
      collector: new Collector({ state, store, clock, log: silentLog }),
      claims: new DiskClaims(),
      clock,
      random: systemRandom,
      log: silentLog,
    })
    this.api.start()
    this.files = new FilesApi({ sessionOf: (key) => this.api.sessionOf(key), clock })
  }

  static async open(): Promise<ReaderRig> {
    const net = new ChannelNet()
    return new ReaderRig(net, await net.node(), await net.node())
  }

  get target(): string {
    return join(this.reader.folder, 'downloads', PUBLIC_KEY)
  }

  write(path: string, bytes: string | Uint8Array): void {
    const whole = join(this.publisher.folder, 'source', path)
    mkdirSync(dirname(whole), { recursive: true })
    writeFileSync(whole, bytes)
  }

  /** Publish what was written. @returns its manifest. */
  async publish(): Promise<Manifest> {
    const { publisher } = this
    const session = publisher.sessions.acquire(KEYS)
    const record = await publisher.ingest(KEYS, join(publisher.folder, 'source'))
    const request = { keys: KEYS, open: false, session, record, title: null }
    const { head } = await publisher.publisher.release(request)
    return loadManifest({ root: head.root, store: publisher.store, fetch: async () => {} })
  }

  add(change: Partial<AddSubscriptionParams> = {}): Ending<AddSubscriptionResult> {
    const params = {
      uri: this.link,
      dir: null,
      only: null,
      wait: true,
      once: false,
      timeoutMs: null,
      ...change,
    }
    return watch(this.api.add(params, { signal: new AbortController().signal, onProgress: () => {} }))
  }

  /** The same, to its end. */
  async added(change: Partial<AddSubscriptionParams> = {}): Promise<AddSubscriptionResult> {
    const ending = this.add(change)
    await this.net.until(() => ending.result !== null || ending.code !== null)
    if (ending.result === null) throw new Error(`it ended with ${ending.code}`)
    return ending.result
  }

  async close(): Promise<void> {
    await this.api.close()
    this.net.close()
  }
}

/** Blobs that hold bytes of these files, as hex; those of the manifest are not among them. */
export function blobsOf(manifest: Manifest, ...paths: string[]): Set<string> {
  const ids = new Set<string>()
  for (const path of paths) {
    for (const { blob } of manifest.spans(manifest.indexOf(path))) ids.add(toHex(manifest.blobId(blob)))
  }
  return ids
}

export function manifestBlobsOf(manifest: Manifest): Set<string> {
  const numbers = Array.from({ length: manifest.manifestBlobCount }, (_, number) => number)
  return new Set(numbers.map((number) => toHex(manifest.blobId(number))))
}
