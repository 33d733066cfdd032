/**
 * Shapes of results, as the table of commands in INTERFACE.md names them.
 *
 * Bytes and counts are integers, rates bytes a second, times integer
 * milliseconds since 1970, unknown is null. What the node gives is put through
 * these before it is sent, so that no field leaves that is not listed here.
 *
 * @module rpc/schema/results
 */
import { z } from 'zod'
import { SCOPES } from './scopes.ts'

const count = z.int().nonnegative()
const key = z.string().regex(/^[0-9a-f]{64}$/)
const time = z.int()
export const mode = z.enum(['direct', 'safe', 'gateway'])

export const statusResult = z.object({
  version: z.string(),
  protocolVersion: count,
  nodeKey: key.nullable(),
  mode,
  peerAddress: z.string().nullable(),
  onionAddress: z.string().nullable(),
  peers: count,
  heldBlobs: count,
  storedBytes: count,
  dht: z.object({ enabled: z.boolean(), nodes: count, server: z.boolean() }),
  gateways: count,
  relays: count,
  gatewayBlobs: z.object({ bytes: count, quota: count }).nullable(),
  proxy: z.object({ reachable: z.boolean().nullable(), error: z.string().nullable() }).nullable(),
  onions: z.object({ wanted: count, published: count, error: z.string().nullable() }).nullable(),
  uploadRate: count,
  downloadRate: count,
  uploadedBytes: count,
  downloadedBytes: count,
  uptime: count,
})

export const channelResult = z.object({
  name: z.string(),
  publicKey: key,
  uri: z.string(),
  private: z.boolean(),
  open: z.boolean(),
  sequence: count,
  unpublished: z.boolean(),
  onionAddress: z.string().nullable(),
})
export const channelsResult = z.object({ channels: z.array(channelResult) })

/** What long work answers at once when `wait` is false. */
export const startedResult = z.object({ jobId: z.string() })

export const ingestResult = z.object({
  ingestId: z.string(),
  publicKey: key,
  files: count,
  bytes: count,
  blobs: count,
  newBlobs: count,
  skipped: count,
})

export const publishResult = z.object({
  uri: z.string(),
  publicKey: key,
  sequence: count,
  files: count,
  bytes: count,
  blobs: count,
  newBlobs: count,
  manifestBlobs: count,
  storedBy: count,
  unchanged: z.boolean(),
  skipped: count,
})

export const publishManifestResult = publishResult.omit({ skipped: true })

export const unpublishResult = z.object({
  publicKey: key,
  sequence: count,
  storedBy: count,
  unchanged: z.boolean(),
})

export const releasesResult = z.object({
  publicKey: key,
  releases: z.array(
    z.object({
      sequence: count,
      revision: count,
      rootId: key.nullable(),
      unpublished: z.boolean(),
      conflict: z.boolean(),
      signedAt: time,
      receivedAt: time,
      refreshedAt: time,
    }),
  ),
})

const subscriptionState = z.enum(['resolving', 'fetching', 'complete', 'stalled', 'paused', 'error'])

export const addSubscriptionResult = z.object({
  publicKey: key,
  uri: z.string(),
  directory: z.string(),
  state: subscriptionState,
  sequence: count,
  files: count,
  bytes: count,
})

export const hostResult = addSubscriptionResult.omit({ directory: true })

export const removeSubscriptionResult = z.object({
  publicKey: key,
  directory: z.string().nullable(),
  deletedFiles: count,
})

export const subscriptionResult = z.object({
  publicKey: key,
  uri: z.string(),
  title: z.string().nullable(),
  sequence: count,
  state: subscriptionState,
  directory: z.string().nullable(),
  hosted: z.boolean(),
  files: count,
  bytes: count,
  blobsDone: count,
  blobsTotal: count,
  downloadRate: count,
  uploadRate: count,
  peers: count,
  onionAddress: z.string().nullable(),
  signedAt: time.nullable(),
  refreshedAt: time.nullable(),
  silentSince: time.nullable(),
  conflicts: z.array(count).readonly(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
})
export const subscriptionsResult = z.object({ subscriptions: z.array(subscriptionResult) })

export const filesResult = z.object({
  publicKey: key,
  sequence: count,
  title: z.string(),
  totalFiles: count,
  totalBytes: count,
  files: z.array(z.object({ path: z.string(), size: count })),
  next: z.string().nullable(),
})

export const accessKeyResult = z.object({
  keyId: z.string(),
  publicKey: key,
  label: z.string(),
  createdAt: time,
})
export const accessKeysResult = z.object({ accessKeys: z.array(accessKeyResult) })
export const newAccessKeyResult = accessKeyResult.extend({ key: z.string() })

export const peerResult = z.object({
  nodeKey: key.nullable(),
  address: z.string().nullable(),
  direction: z.enum(['in', 'out']),
  since: time,
  bytesIn: count,
  bytesOut: count,
  state: z.string(),
})
/** `address` is that of a node that we dialled, or the host or network that one came from. */
const banResult = z.object({
  nodeKey: key.nullable(),
  address: z.string().nullable(),
  /** Null: until the user lifts it. */
  until: time.nullable(),
  reason: z.string(),
})
export const peersResult = z.object({ peers: z.array(peerResult), bans: z.array(banResult) })
export const addressResult = z.object({ address: z.string() })
export const nodeKeyResult = z.object({ nodeKey: key })
export const unbanResult = z.object({ nodeKey: key.nullable(), address: z.string().nullable() })

export const limitsResult = z.object({ uploadLimit: count, downloadLimit: count, maxPeers: count })

export const verifyResult = z.object({ checked: count, bad: count, repaired: count })

export const gcResult = z.object({ removed: count, freedBytes: count })

export const jobState = z.enum(['running', 'done', 'failed', 'cancelled'])
const progress = z.object({
  phase: z.string(),
  done: count,
  total: count.nullable(),
  unit: z.enum(['bytes', 'blobs', 'files', 'nodes']),
})
/** `error` is that of a JSON-RPC answer, `result` that of the method; each is null unless the job ended so. */
export const jobResult = z.object({
  jobId: z.string(),
  method: z.string(),
  state: jobState,
  startedAt: time,
  endedAt: time.nullable(),
  progress: progress.nullable(),
  result: z.unknown(),
  error: z
    .object({ code: z.int(), message: z.string(), data: z.record(z.string(), z.unknown()).optional() })
    .nullable(),
})
export const jobsResult = z.object({ jobs: z.array(jobResult) })
export const tokenResult = z.object({
  name: z.string(),
  scopes: z.array(z.enum(SCOPES)),
  createdAt: time,
  expiresAt: time.nullable(),
})
export const newTokenResult = tokenResult.extend({ token: z.string() })
export const tokensResult = z.object({ tokens: z.array(tokenResult) })

/** For POST /api/sign-in, which answers with a token. */
export const signInResult = z.object({ code: key, expiresAt: time })
/** What it answers. */
export const signedInResult = z.object({ token: key, expiresAt: time, scopes: z.array(z.enum(SCOPES)) })

/** An OpenRPC document; its own schema says what is in it. */
export const discoverResult = z.looseObject({ openrpc: z.string() })

export const shutdownResult = z.object({ stopping: z.literal(true) })

/** `daemon.json` and the ready line: pid and where to call, beside what the node knows of itself. */
export const daemonResult = z.object({
  pid: z.int(),
  rpcUrl: z.string(),
  peerAddress: z.string().nullable(),
  dhtPort: count.nullable(),
  nodeKey: key.nullable(),
  onionAddress: z.string().nullable(),
  mode,
  version: z.string(),
})
export type DaemonInfo = z.infer<typeof daemonResult>
