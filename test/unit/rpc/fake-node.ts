/** A NodeApi that answers from constants and records what it was asked. */
import { MegatorrentError } from '../../../src/base/errors.ts'
import type {
  CallOptions,
  ChannelInfo,
  NodeApi,
  PublishResult,
  ReleaseFile,
  SubscriptionInfo,
  TokenInfo,
} from '../../../src/node/api.ts'

export const KEY = 'ab'.repeat(32)

export const CHANNEL: ChannelInfo = {
  name: 'news',
  publicKey: KEY,
  uri: `megatorrent://${KEY}`,
  private: false,
  open: false,
  sequence: 3,
  unpublished: false,
  onionAddress: null,
}

export const SUBSCRIPTION: SubscriptionInfo = {
  publicKey: KEY,
  uri: `megatorrent://${KEY}`,
  title: 'News',
  sequence: 3,
  state: 'fetching',
  directory: '/downloads/news',
  hosted: false,
  files: 4,
  bytes: 5_000_000,
  blobsDone: 2,
  blobsTotal: 5,
  downloadRate: 100_000,
  uploadRate: 0,
  peers: 2,
  onionAddress: null,
  signedAt: 1_800_000_000_000,
  refreshedAt: null,
  silentSince: null,
  conflicts: [],
  error: null,
}

export const FILE_KEY = 'f1'.repeat(32)

export const ACCESS_KEY = {
  keyId: '0a'.repeat(8),
  publicKey: KEY,
  label: 'player',
  createdAt: 1_800_000_000_000,
}

/** A thousand bytes, in pieces of a hundred. */
export const FILE_BYTES = Buffer.from(Array.from({ length: 1000 }, (_, index) => index & 255))

export const FILE: ReleaseFile = {
  path: 'a/one.txt',
  size: FILE_BYTES.length,
  sequence: 3,
  contentId: '0123456789abcdef0123456789abcdef',
  read: async function* (start, end) {
    for (let at = start; at < end; at += 100) yield FILE_BYTES.subarray(at, Math.min(at + 100, end))
  },
}

export const READ_TOKEN = '0e'.repeat(32)
const READ_INFO: TokenInfo = { name: 'reader', scopes: ['read'], createdAt: 1, expiresAt: null }

export interface FakeNode {
  readonly api: NodeApi
  readonly calls: { readonly method: string; readonly params: unknown }[]
}

const PUBLISHED: PublishResult = {
  uri: CHANNEL.uri,
  publicKey: KEY,
  sequence: 4,
  files: 4,
  bytes: 5_000_000,
  blobs: 5,
  newBlobs: 1,
  manifestBlobs: 1,
  storedBy: 8,
  unchanged: false,
  skipped: 0,
  pending: null,
}

/** Replace single methods by what a test needs. */
export function fakeNode(changes: Partial<NodeApi> = {}): FakeNode {
  const calls: { readonly method: string; readonly params: unknown }[] = []
  const note = (method: string, params: unknown = null): void => void calls.push({ method, params })
  const base: NodeApi = {
    getStatus: async () => ({
      version: '0.1.0',
      protocolVersion: 1,
      nodeKey: KEY,
      mode: 'direct',
      peerAddress: `${KEY}@127.0.0.1:7117`,
      onionAddress: null,
      peers: 2,
      heldBlobs: 10,
      storedBytes: 10_485_920,
      dht: { enabled: true, nodes: 12, server: false },
      gateways: 0,
      relays: 0,
      gatewayBlobs: null,
      proxy: null,
      onions: null,
      uploadRate: 1000,
      downloadRate: 2000,
      uploadedBytes: 30_000,
      downloadedBytes: 40_000,
      uptime: 61,
    }),
    createChannel: async (params) => ({ ...CHANNEL, ...params, sequence: 0 }),
    listChannels: async () => [CHANNEL],
    showChannel: async ({ channel }) => {
      if (channel !== CHANNEL.name && channel !== KEY)
        throw new MegatorrentError('ERR_NOT_FOUND', 'no such channel')
      return CHANNEL
    },
    exportChannel: async () => CHANNEL,
    importChannel: async () => CHANNEL,
    removeChannel: async () => CHANNEL,
    ingest: async () => ({
      ingestId: 'i1',
      publicKey: KEY,
      files: 4,
      bytes: 5_000_000,
      blobs: 5,
      newBlobs: 5,
      skipped: 0,
    }),
    publish: async () => PUBLISHED,
    publishManifest: async (params) => {
      note('publishManifest', params)
      return { ...PUBLISHED, newBlobs: 5 }
    },
    unpublish: async () => ({ publicKey: KEY, sequence: 5, storedBy: 8, unchanged: false, pending: null }),
    getReleases: async () => ({
      publicKey: KEY,
      releases: [
        {
          sequence: 3,
          revision: 0,
          rootId: KEY,
          unpublished: false,
          conflict: false,
          signedAt: 1_800_000_000_000,
          receivedAt: 1_800_000_000_000,
          refreshedAt: 1_800_000_000_000,
        },
      ],
    }),
    host: async ({ wait }) => ({
      publicKey: KEY,
      uri: CHANNEL.uri,
      state: wait ? 'complete' : 'resolving',
      sequence: 0,
      files: 0,
      bytes: 0,
    }),
    addSubscription: async ({ wait }) => ({
      publicKey: KEY,
      uri: CHANNEL.uri,
      directory: '/downloads/news',
      state: wait ? 'complete' : 'resolving',
      sequence: wait ? 3 : 0,
      files: wait ? 4 : 0,
      bytes: wait ? 5_000_000 : 0,
    }),
    removeSubscription: async () => ({ publicKey: KEY, directory: SUBSCRIPTION.directory, deletedFiles: 0 }),
    pauseSubscription: async () => ({ ...SUBSCRIPTION, state: 'paused' }),
    resumeSubscription: async () => SUBSCRIPTION,
    getSubscriptions: async () => [SUBSCRIPTION],
    listFiles: async () => ({
      publicKey: KEY,
      sequence: 3,
      title: 'News',
      totalFiles: 2,
      totalBytes: 30,
      files: [
        { path: 'a/one.txt', size: 10 },
        { path: 'two.txt', size: 20 },
      ],
      next: null,
    }),
    openFile: async ({ path }) => {
      if (path !== FILE.path) throw new MegatorrentError('ERR_NOT_FOUND', 'no such file')
      return FILE
    },
    listFolder: async ({ publicKey, folder }) => ({
      publicKey,
      sequence: 3,
      title: 'News',
      folder,
      children: [{ name: 'one.txt', kind: 'file', size: 10 }],
      next: null,
    }),
    createAccessKey: async (params) => ({ ...ACCESS_KEY, ...params, key: FILE_KEY }),
    listAccessKeys: async () => [ACCESS_KEY],
    revokeAccessKey: async () => ACCESS_KEY,
    isAccessKey: (publicKey, key) => publicKey === KEY && key === FILE_KEY,
    createToken: async ({ name, scopes }) => ({
      name,
      scopes: [...scopes],
      createdAt: 1,
      expiresAt: null,
      token: READ_TOKEN,
    }),
    listTokens: async () => [READ_INFO],
    revokeToken: async () => READ_INFO,
    findToken: (token) => (token === READ_TOKEN ? READ_INFO : null),
    getPeers: async () => [
      {
        nodeKey: KEY,
        address: '127.0.0.1:7117',
        direction: 'out',
        since: 1_800_000_000_000,
        bytesIn: 10,
        bytesOut: 20,
        state: 'connected',
      },
    ],
    addPeer: async (params) => params,
    banPeer: async (params) => params,
    unbanPeer: async (params) => params,
    getBans: async () => [
      { nodeKey: 'ab'.repeat(32), address: null, until: null, reason: 'banned by the user' },
      { nodeKey: null, address: '192.0.2.7', until: 1_800_000_000_000, reason: 'false blob' },
    ],
    getLimits: async () => ({ uploadLimit: 0, downloadLimit: 1000, maxPeers: 200 }),
    setLimits: async (change) => ({ uploadLimit: 0, downloadLimit: 1000, maxPeers: 200, ...change }),
    verify: async () => ({ checked: 10, bad: 0, repaired: 0 }),
    gc: async () => ({ removed: 3, freedBytes: 3_145_776 }),
  }
  const merged: Readonly<Record<string, unknown>> = { ...base, ...changes }
  const api = Object.fromEntries(
    Object.entries(merged).map(([method, implementation]) => [
      method,
      // Those that answer at once.
      method === 'isAccessKey' || method === 'findToken'
        ? implementation
        : async (params: unknown, options: CallOptions) => {
            note(method, params)
            return (implementation as (params: unknown, options: CallOptions) => Promise<unknown>)(
              params,
              options,
            )
          },
    ]),
  )
  return { api: api as unknown as NodeApi, calls }
}

/** Work that never ends by itself, and a promise of its having begun. */
export function endlessWork(): {
  readonly begun: Promise<void>
  readonly run: (params: unknown, options: CallOptions) => Promise<never>
  readonly aborted: Promise<void>
} {
  let onBegun = (): void => {}
  let onAborted = (): void => {}
  const begun = new Promise<void>((resolve) => {
    onBegun = resolve
  })
  const aborted = new Promise<void>((resolve) => {
    onAborted = resolve
  })
  const run = (_params: unknown, { signal }: CallOptions): Promise<never> =>
    new Promise((_resolve, reject) => {
      onBegun()
      signal.addEventListener('abort', () => {
        onAborted()
        reject(signal.reason)
      })
    })
  return { begun, run, aborted }
}
