/**
 * What a running node can be asked to do: the interface between the node, which
 * implements it, and the RPC methods, which call it. Types only.
 *
 * Results are plain JSON, named as the table of INTERFACE.md names them: bytes
 * and counts are integers, rates bytes a second, times integer milliseconds
 * since 1970, keys 64 hex digits, unknown is null. The RPC server has checked
 * shapes and bounds before it calls (rpc/schema.ts); what a value means is
 * checked by the node.
 *
 * Every method rejects with MegatorrentError; its kind decides the exit code.
 * Anything else that is thrown is reported to the caller as a bug, without its
 * message.
 *
 * @module node/api
 */
import type { Config } from '../config/schema.ts'
import type {
  AddSubscriptionParams,
  AddSubscriptionResult,
  GcResult,
  HostParams,
  HostResult,
  ReleasesResult,
  RemoveSubscriptionParams,
  RemoveSubscriptionResult,
  UnpublishParams,
  UnpublishResult,
  VerifyResult,
} from './api-holding.ts'
import type { BanInfo, Limits, Unbanned } from './limit-types.ts'
import type {
  IngestParams,
  IngestResult,
  PublishManifestParams,
  PublishParams,
  PublishResult,
} from './publish-types.ts'
import type { NodeInfo, NodeStatus } from './status-types.ts'
import type { CreateTokenParams, TokenInfo } from './token-types.ts'

export type * from './api-holding.ts'
export type * from './publish-types.ts'
export type * from './status-types.ts'
export type * from './token-types.ts'

/** How far long work has come. `total` is null while it is not known. */
export interface Progress {
  readonly phase: ProgressPhase
  readonly done: number
  readonly total: number | null
  readonly unit: 'bytes' | 'blobs' | 'files' | 'nodes'
}

/**
 * scanning: walking the folder. sealing: cutting, hashing and sealing. putting:
 * waiting for other nodes to confirm. resolving: looking for the newest head.
 * fetching: blobs on their way. assembling: writing files. verifying: hashing
 * what is held, or what a bundle holds. storing: taking its blobs in. writing: a
 * bundle. collecting: looking through what is held for what nothing needs.
 */
export type ProgressPhase =
  | 'scanning'
  | 'sealing'
  | 'putting'
  | 'resolving'
  | 'fetching'
  | 'assembling'
  | 'verifying'
  | 'storing'
  | 'writing'
  | 'collecting'

/** Given to every method that can take long. */
export interface CallOptions {
  /** Fires when the caller went away, cancelled, or the daemon stops: reject with ERR_ABORTED. */
  readonly signal: AbortSignal
  /** May be called as often as is convenient; it only stores the last value. */
  readonly onProgress: (progress: Progress) => void
}

export interface NodeApi {
  getStatus(): Promise<NodeStatus>

  /** NAME has been checked by the schema. ERR of kind usage when the name is taken or both flags are set. */
  createChannel(params: CreateChannelParams): Promise<ChannelInfo>
  listChannels(): Promise<readonly ChannelInfo[]>
  /** `channel`: a name or a public key. Kind not-found when there is none. */
  showChannel(params: { readonly channel: string }): Promise<ChannelInfo>
  /** Writes a 0600 file at an absolute path and refuses an existing one (kind usage). */
  exportChannel(params: ExportChannelParams): Promise<ChannelInfo>
  /** `name` null keeps the name in the file. Importing the same key again is fine. */
  importChannel(params: ImportChannelParams): Promise<ChannelInfo>
  removeChannel(params: { readonly channel: string }): Promise<ChannelInfo>

  ingest(params: IngestParams, options: CallOptions): Promise<IngestResult>
  publish(params: PublishParams, options: CallOptions): Promise<PublishResult>
  /** Publish a bundle: a release that was signed elsewhere. Nothing changes before all of it was verified. */
  publishManifest(params: PublishManifestParams, options: CallOptions): Promise<PublishResult>
  /**
   * Sign that a channel has nothing published any more. Kind not-found when there is no such channel, or
   * nothing was published. `timeoutMs` as `publish`.
   */
  unpublish(params: UnpublishParams, options: CallOptions): Promise<UnpublishResult>
  /** Known releases of a channel, newest first. Kind not-found when none is known. */
  getReleases(params: { readonly publicKey: string }): Promise<ReleasesResult>

  /**
   * Follow a link, or fetch it once. For a channel that is followed already, `only` says which files are
   * wanted from now on; with `once` it must be what is followed.
   *
   * With `wait` it resolves when the newest release known at that moment is
   * complete; when `timeoutMs` passes first it rejects with kind not-found (no
   * release was found), unfinished (partly there) or timeout (otherwise).
   * Without `wait` it resolves as soon as the subscription is durable. When
   * `options.signal` fires the subscription stays, unless `once` is set.
   */
  addSubscription(params: AddSubscriptionParams, options: CallOptions): Promise<AddSubscriptionResult>
  /**
   * Keep a channel alive without reading it: head and blobs are held and served. One that is followed already
   * stays so. With `wait` as `addSubscription`. Ends with `removeSubscription`.
   */
  host(params: HostParams, options: CallOptions): Promise<HostResult>
  /** `subscription`: a link or a public key. Kind not-found when there is none. */
  removeSubscription(params: RemoveSubscriptionParams): Promise<RemoveSubscriptionResult>
  /** Fetch nothing of it until it is resumed, over restarts too. `subscription` and kinds as above; twice is fine. */
  pauseSubscription(params: { readonly subscription: string }): Promise<SubscriptionInfo>
  resumeSubscription(params: { readonly subscription: string }): Promise<SubscriptionInfo>
  getSubscriptions(): Promise<readonly SubscriptionInfo[]>
  /**
   * Files of the newest release of a link, or of a channel that is held or
   * followed (public key), in manifest order. Kind not-found when no release is
   * found in `timeoutMs` (null: no limit).
   */
  listFiles(params: ListFilesParams, options: CallOptions): Promise<ListFilesResult>

  /**
   * A file of the newest release of a channel that is followed or ours, here or not: its bytes come as
   * they are read. Kind not-found when there is no such channel, release or file; timeout when the list
   * of files does not come.
   */
  openFile(params: OpenFileParams): Promise<ReleaseFile>
  /** What lies directly in a folder of such a release. Kinds as `openFile`. */
  listFolder(params: ListFolderParams): Promise<ListFolderResult>
  /** A key that reads the files of one channel over HTTP; shown this once. Kind not-found as `openFile`. */
  createAccessKey(params: CreateAccessKeyParams): Promise<AccessKeyInfo & { readonly key: string }>
  listAccessKeys(): Promise<readonly AccessKeyInfo[]>
  /** Kind not-found when there is none of that id. What is being read with it goes on to its end. */
  revokeAccessKey(params: { readonly keyId: string }): Promise<AccessKeyInfo>
  /** Does this key open the files of that channel? For the check before a request: at once. */
  isAccessKey(publicKey: string, key: string): boolean

  /** The token is shown this once. Kind usage when the name is taken or there are too many. */
  createToken(params: CreateTokenParams): Promise<TokenInfo & { readonly token: string }>
  listTokens(): Promise<readonly TokenInfo[]>
  /** Kind not-found when there is none of that name. What it began goes on to its end. */
  revokeToken(params: { readonly name: string }): Promise<TokenInfo>
  /** What a token is good for now, or null. For the check before a request: at once. */
  findToken(token: string): TokenInfo | null

  getPeers(): Promise<readonly PeerInfo[]>
  /** Stay connected to ADDRESS until the daemon stops. Kind usage when it cannot be parsed. */
  addPeer(params: { readonly address: string }): Promise<{ readonly address: string }>
  /** `nodeKey`: 64 hex digits, lower case. Banning twice is fine. */
  banPeer(params: { readonly nodeKey: string }): Promise<{ readonly nodeKey: string }>
  /** One of both is given. Kind not-found when that is not banned. */
  unbanPeer(params: Unbanned): Promise<Unbanned>
  getBans(): Promise<readonly BanInfo[]>

  getLimits(): Promise<Limits>
  /** Those that are named, at once; kept over restarts. */
  setLimits(change: Partial<Limits>): Promise<Limits>

  /** Hash all held blobs, fetch bad ones again. Resolves also when some could not be repaired. */
  verify(options: CallOptions): Promise<VerifyResult>
  /** Remove the blobs that nothing needs. */
  gc(options: CallOptions): Promise<GcResult>
}

export interface CreateChannelParams {
  readonly name: string
  readonly private: boolean
  readonly open: boolean
}

export interface ExportChannelParams {
  /** A name or a public key. */
  readonly channel: string
  readonly file: string
  /** For paper, not as bytes. */
  readonly words: boolean
  /** File with a passphrase to seal the key under, or null. Not with `words`. */
  readonly passphraseFile: string | null
}

export interface ImportChannelParams {
  readonly file: string
  readonly name: string | null
  /** File with the passphrase that the key is sealed under, or null. */
  readonly passphraseFile: string | null
}

export interface ChannelInfo {
  readonly name: string
  readonly publicKey: string
  /** The link, with the read key of a private channel. */
  readonly uri: string
  readonly private: boolean
  readonly open: boolean
  /** Number of the newest release, 0 for none. */
  readonly sequence: number
  /** The newest of it says that there is nothing published any more. */
  readonly unpublished: boolean
  /** The onion under which this node serves the channel, or null. */
  readonly onionAddress: string | null
}

export type SubscriptionState = 'resolving' | 'fetching' | 'complete' | 'stalled' | 'paused' | 'error'

export interface SubscriptionInfo {
  readonly publicKey: string
  readonly uri: string
  readonly title: string | null
  readonly sequence: number
  readonly state: SubscriptionState
  /** Null for a hosted channel. */
  readonly directory: string | null
  /** Kept alive without reading it. */
  readonly hosted: boolean
  readonly files: number
  readonly bytes: number
  readonly blobsDone: number
  readonly blobsTotal: number
  readonly downloadRate: number
  readonly uploadRate: number
  readonly peers: number
  /** The onion under which this node serves the channel, or null. */
  readonly onionAddress: string | null
  readonly signedAt: number | null
  /** When the newest release was last seen, anywhere: which does not show that its publisher is there. */
  readonly refreshedAt: number | null
  /** Since when nothing shows that the publisher is there, once that is long; null otherwise. */
  readonly silentSince: number | null
  /** Release numbers under which the publisher has signed more than one release; newest first. */
  readonly conflicts: readonly number[]
  readonly error: { readonly code: string; readonly message: string } | null
}

export interface ListFilesParams {
  /** A link or a public key. */
  readonly uri: string
  /** Path after which to go on, null: from the first. */
  readonly after: string | null
  /** At most so many files. */
  readonly limit: number
  readonly timeoutMs: number | null
}

export interface ListFilesResult {
  readonly publicKey: string
  readonly sequence: number
  readonly title: string
  /** Of the whole release. */
  readonly totalFiles: number
  readonly totalBytes: number
  readonly files: readonly { readonly path: string; readonly size: number }[]
  /** What to give as `after` for the rest, null at the end. */
  readonly next: string | null
}

export interface OpenFileParams {
  /** 64 hex digits, lower case. */
  readonly publicKey: string
  /** As the manifest has it. */
  readonly path: string
}

export interface ReleaseFile {
  readonly path: string
  readonly size: number
  readonly sequence: number
  /** The same for the same bytes, whatever release they are in; letters and digits. */
  readonly contentId: string
  /**
   * The bytes [start, end). Each piece is the reader's until it asks for the next one. Stopping, or the
   * signal, stops what is fetched for it.
   */
  read(start: number, end: number, signal: AbortSignal): AsyncIterable<Uint8Array>
}

export interface ListFolderParams {
  /** 64 hex digits, lower case. */
  readonly publicKey: string
  /** '' for the top, else without a slash at the end. */
  readonly folder: string
  /** A name to go on after; null: from the first. */
  readonly after: string | null
  readonly limit: number
}

export interface ListFolderResult {
  readonly publicKey: string
  readonly sequence: number
  readonly title: string
  readonly folder: string
  readonly children: readonly {
    readonly name: string
    readonly kind: 'file' | 'folder'
    /** Bytes; 0 for a folder. */
    readonly size: number
  }[]
  /** What to give as `after` for the rest, null at the end. */
  readonly next: string | null
}

export interface CreateAccessKeyParams {
  /** 64 hex digits, lower case. */
  readonly publicKey: string
  readonly label: string
}

export interface AccessKeyInfo {
  /** Names it; no secret. */
  readonly keyId: string
  readonly publicKey: string
  readonly label: string
  readonly createdAt: number
}

export interface PeerInfo {
  readonly nodeKey: string | null
  readonly address: string | null
  readonly direction: 'in' | 'out'
  readonly since: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly state: string
}

/** What `startNode` resolves with. */
export interface RunningNode {
  readonly api: NodeApi
  readonly info: NodeInfo
  /** The settings were read again: those that can change while it runs do. @returns their names. */
  reload(config: Config): readonly string[]
  /** Stop cleanly and release every handle. Idempotent; never rejects. */
  close(): Promise<void>
  /** Resolves after `close`; rejects when the node cannot go on (data folder gone, for example). */
  readonly closed: Promise<void>
}
