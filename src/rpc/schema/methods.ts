/**
 * The methods of the JSON-RPC interface: name, parameters, result.
 *
 * This table is the contract: the server validates by it, the command line takes
 * its types from it, documents are made from it. It imports base alone.
 * Parameters are named; one that is not listed here is refused (-32602).
 *
 * @module rpc/schema/methods
 */
import { z } from 'zod'
import {
  absolutePath,
  address,
  channelName,
  channelRef,
  globs,
  jobId,
  keyId,
  label,
  MAX_MAX_PEERS,
  MAX_PATH_CHARACTERS,
  nothing,
  publicKey,
  rate,
  subscriptionRef,
  timeout,
  title,
  uri,
} from './parameters.ts'
import * as results from './results.ts'
import { SCOPES, type Scope } from './scopes.ts'

/** Files of a release in one answer: some 10 MB of JSON. */
export const MAX_LISTED_FILES = 100_000

interface MethodRow {
  /** What a token needs to call it. */
  readonly scope: Scope
  readonly doc: string
  readonly params: z.ZodType
  readonly result: z.ZodType
}

export const METHODS = {
  getStatus: {
    scope: 'read',
    doc: 'What this node is and does.',
    params: nothing,
    result: results.statusResult,
  },

  createChannel: {
    scope: 'publish',
    doc: 'Make a new channel key.',
    params: z
      .strictObject({
        name: channelName,
        private: z.boolean().default(false),
        open: z.boolean().default(false),
      })
      .refine((params) => !(params.private && params.open), 'private and open exclude each other'),
    result: results.channelResult,
  },
  listChannels: {
    scope: 'read',
    doc: 'All channels whose keys are held, or the one that is named.',
    params: z.strictObject({ name: channelRef.optional() }),
    result: results.channelsResult,
  },
  exportChannel: {
    scope: 'admin',
    doc: 'Write a channel key to a new file: plain, as words for paper, or sealed under the passphrase in another file.',
    params: z
      .strictObject({
        name: channelRef,
        file: absolutePath,
        words: z.boolean().default(false),
        passphraseFile: absolutePath.optional(),
      })
      .refine(
        (params) => !(params.words && params.passphraseFile !== undefined),
        'words are under no passphrase: words and passphraseFile exclude each other',
      ),
    result: results.channelResult,
  },
  importChannel: {
    scope: 'admin',
    doc: 'Take a channel key from a file of any form that exportChannel writes. Words without a name need one.',
    params: z.strictObject({
      file: absolutePath,
      name: channelName.optional(),
      passphraseFile: absolutePath.optional(),
    }),
    result: results.channelResult,
  },
  removeChannel: {
    scope: 'admin',
    doc: 'Forget a channel key for good.',
    params: z.strictObject({ name: channelRef }),
    result: results.channelResult,
  },

  ingest: {
    scope: 'publish',
    doc: 'Cut and seal a file or folder, publish nothing.',
    params: z.strictObject({
      path: absolutePath,
      channel: channelRef.optional(),
      rehash: z.boolean().default(false),
      wait: z.boolean().default(true),
    }),
    result: z.union([results.ingestResult, results.startedResult]),
  },
  publish: {
    scope: 'publish',
    doc: 'Ingest if needed, sign a release, put it where readers look.',
    params: z
      .strictObject({
        path: absolutePath.optional(),
        ingestId: z.string().min(1).max(128).optional(),
        channel: channelRef.optional(),
        title: title.optional(),
        rehash: z.boolean().default(false),
        timeout: timeout.optional(),
        wait: z.boolean().default(true),
      })
      .refine(
        (params) => (params.path === undefined) !== (params.ingestId === undefined),
        'expected either path or ingestId',
      ),
    result: z.union([results.publishResult, results.startedResult]),
  },
  publishManifest: {
    scope: 'publish',
    doc: 'Publish a release that was signed elsewhere, from its bundle: verify all of it, take it in, host it, put it.',
    params: z.strictObject({
      file: absolutePath,
      timeout: timeout.optional(),
      wait: z.boolean().default(true),
    }),
    result: z.union([results.publishManifestResult, results.startedResult]),
  },

  unpublish: {
    scope: 'publish',
    doc: 'Sign that a channel has nothing published any more, and put that where readers look.',
    params: z.strictObject({
      channel: channelRef,
      timeout: timeout.optional(),
      wait: z.boolean().default(true),
    }),
    result: z.union([results.unpublishResult, results.startedResult]),
  },
  getReleases: {
    scope: 'read',
    doc: 'Known releases of a channel, newest first.',
    params: z.strictObject({ publicKey }),
    result: results.releasesResult,
  },

  host: {
    scope: 'subscribe',
    doc: 'Keep a channel alive without reading it. Ends with removeSubscription.',
    params: z.strictObject({
      uri,
      /** Answer when the newest release is held whole. */
      wait: z.boolean().default(false),
      timeout: timeout.optional(),
    }),
    result: results.hostResult,
  },
  addSubscription: {
    scope: 'subscribe',
    doc: 'Follow a link, or other files of one that is followed. With `once` files stay, no subscription does.',
    params: z.strictObject({
      uri,
      dir: absolutePath.optional(),
      /** Empty: all files. Left out: as it is followed, else all files. */
      only: globs.optional(),
      /** Answer when the newest release is complete. What `once` does unless it is false: then a job. */
      wait: z.boolean().optional(),
      once: z.boolean().default(false),
      timeout: timeout.optional(),
    }),
    result: z.union([results.addSubscriptionResult, results.startedResult]),
  },
  removeSubscription: {
    scope: 'subscribe',
    doc: 'Stop following.',
    params: z
      .strictObject({
        uri: uri.optional(),
        publicKey: publicKey.optional(),
        deleteFiles: z.boolean().default(false),
      })
      .refine(
        (params) => (params.uri === undefined) !== (params.publicKey === undefined),
        'expected either uri or publicKey',
      ),
    result: results.removeSubscriptionResult,
  },
  pauseSubscription: {
    scope: 'subscribe',
    doc: 'Fetch nothing of it until it is resumed; what is held is still given to others.',
    params: subscriptionRef,
    result: results.subscriptionResult,
  },
  resumeSubscription: {
    scope: 'subscribe',
    doc: 'Go on with what was paused.',
    params: subscriptionRef,
    result: results.subscriptionResult,
  },
  getSubscriptions: {
    scope: 'read',
    doc: 'All subscriptions, or the one of that channel.',
    params: z.strictObject({ publicKey: publicKey.optional() }),
    result: results.subscriptionsResult,
  },
  listFiles: {
    scope: 'subscribe',
    doc: 'Files of the newest release.',
    params: z.strictObject({
      uri,
      after: z.string().max(MAX_PATH_CHARACTERS).optional(),
      limit: z.int().min(1).max(MAX_LISTED_FILES).default(MAX_LISTED_FILES),
      timeout: timeout.optional(),
    }),
    result: results.filesResult,
  },

  createAccessKey: {
    scope: 'admin',
    doc: 'A key that reads the files of one channel over HTTP, and nothing else.',
    params: z.strictObject({ publicKey, label: label.default('') }),
    result: results.newAccessKeyResult,
  },
  listAccessKeys: {
    scope: 'admin',
    doc: 'Access keys, without what is secret.',
    params: nothing,
    result: results.accessKeysResult,
  },
  revokeAccessKey: {
    scope: 'admin',
    doc: 'Make an access key worthless.',
    params: z.strictObject({ keyId }),
    result: results.accessKeyResult,
  },

  createToken: {
    scope: 'admin',
    doc: 'A token for a program, with no more rights than it needs; shown this once.',
    params: z.strictObject({
      name: channelName,
      scopes: z.array(z.enum(SCOPES)).min(1).max(SCOPES.length),
      /** Seconds from now; left out: until it is revoked. */
      expiresIn: timeout.optional(),
    }),
    result: results.newTokenResult,
  },
  listTokens: {
    scope: 'admin',
    doc: 'Named tokens, without what is secret; those that have expired too, until they are revoked.',
    params: nothing,
    result: results.tokensResult,
  },
  revokeToken: {
    scope: 'admin',
    doc: 'Make a token worthless.',
    params: z.strictObject({ name: channelName }),
    result: results.tokenResult,
  },

  createSignIn: {
    scope: 'admin',
    doc: 'A code that signs a web page in: good once, for a minute.',
    params: nothing,
    result: results.signInResult,
  },

  getPeers: {
    scope: 'read',
    doc: 'Peers connected or being connected to.',
    params: nothing,
    result: results.peersResult,
  },
  addPeer: {
    scope: 'admin',
    doc: 'Stay connected to a peer until the daemon stops.',
    params: z.strictObject({ address }),
    result: results.addressResult,
  },
  banPeer: {
    scope: 'admin',
    doc: 'Refuse a node key.',
    params: z.strictObject({ nodeKey: publicKey }),
    result: results.nodeKeyResult,
  },
  unbanPeer: {
    scope: 'admin',
    doc: 'Accept a banned node again: by its key, or by an address as getPeers shows it.',
    params: z
      .strictObject({ nodeKey: publicKey.optional(), address: address.optional() })
      .refine(
        (params) => (params.nodeKey === undefined) !== (params.address === undefined),
        'expected either nodeKey or address',
      ),
    result: results.unbanResult,
  },

  getLimits: {
    scope: 'read',
    doc: 'Rates of peer traffic in bytes a second (0 is unlimited) and most connections.',
    params: nothing,
    result: results.limitsResult,
  },
  setLimits: {
    scope: 'admin',
    doc: 'Change those that are named, at once and over restarts.',
    params: z.strictObject({
      uploadLimit: rate.optional(),
      downloadLimit: rate.optional(),
      maxPeers: z.int().min(1).max(MAX_MAX_PEERS).optional(),
    }),
    result: results.limitsResult,
  },

  getJobs: {
    scope: 'read',
    doc: 'Long work that runs or has ended lately, or the one with that id.',
    params: z.strictObject({ jobId: jobId.optional() }),
    result: results.jobsResult,
  },
  cancelJob: {
    scope: 'admin',
    doc: 'Stop a job; one that has ended stays as it is.',
    params: z.strictObject({ jobId }),
    result: results.jobResult,
  },
  verify: {
    scope: 'admin',
    doc: 'Hash all held blobs, fetch bad ones again.',
    params: z.strictObject({ wait: z.boolean().default(true) }),
    result: z.union([results.verifyResult, results.startedResult]),
  },
  gc: {
    scope: 'admin',
    doc: 'Remove the blobs that nothing needs.',
    params: z.strictObject({ wait: z.boolean().default(true) }),
    result: z.union([results.gcResult, results.startedResult]),
  },
  shutdown: {
    scope: 'admin',
    doc: 'Stop the daemon cleanly.',
    params: nothing,
    result: results.shutdownResult,
  },
  'rpc.discover': {
    scope: 'read',
    doc: 'This interface as an OpenRPC document.',
    params: nothing,
    result: results.discoverResult,
  },
} as const satisfies Record<string, MethodRow>

export type MethodName = keyof typeof METHODS

export const METHOD_NAMES = Object.keys(METHODS) as readonly MethodName[]

/** What a caller may send: fields with defaults are optional. */
export type CallParams<M extends MethodName> = z.input<(typeof METHODS)[M]['params']>
/** What a method receives. */
export type MethodParams<M extends MethodName> = z.output<(typeof METHODS)[M]['params']>
export type MethodResult<M extends MethodName> = z.output<(typeof METHODS)[M]['result']>
