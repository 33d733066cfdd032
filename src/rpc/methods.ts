/**
 * From a method of the contract to a call of the node: one short function each.
 * Parameters have been validated; results are validated after.
 *
 * @module rpc/methods
 */
import { MegatorrentError } from '../base/errors.ts'
import type { CallOptions, NodeApi, PublishResult, VerifyResult } from '../node/api.ts'
import { PartialResultError } from './errors.ts'
import type { JobInfo, Jobs } from './jobs.ts'
import type { MethodName, MethodParams, MethodResult } from './schema/methods.ts'
import { openRpcDocument } from './schema/openrpc.ts'
import type { Scope } from './schema/scopes.ts'
import type { SignIns } from './sign-ins.ts'

/** What belongs to one call. */
export interface CallContext {
  /** Fires when the caller has gone or the server stops. */
  readonly signal: AbortSignal
  /** What its token is good for. */
  readonly scopes: readonly Scope[]
}

export type Handlers = {
  readonly [M in MethodName]: (params: MethodParams<M>, call: CallContext) => Promise<MethodResult<M>>
}

const toMs = (seconds: number | undefined): number | null =>
  seconds === undefined ? null : Math.round(seconds * 1000)

export interface MethodsInit {
  readonly api: NodeApi
  readonly jobs: Jobs
  readonly signIns: SignIns
  /** Called once the answer to `shutdown` is on its way. */
  readonly onShutdown: () => void
}

export function createHandlers({ api, jobs, signIns, onShutdown }: MethodsInit): Handlers {
  /** Run as a job; answer with its result, or with its id at once. */
  async function runLong<T>(
    method: MethodName,
    wait: boolean,
    call: CallContext,
    work: (options: CallOptions) => Promise<T>,
  ): Promise<T | { readonly jobId: string }> {
    const job = jobs.start(method, work)
    if (!wait) {
      job.outcome.catch(() => {}) // it is kept in the list of jobs
      return { jobId: job.jobId }
    }
    const onGone = (): void => job.cancel('the caller went away')
    if (call.signal.aborted) onGone()
    call.signal.addEventListener('abort', onGone, { once: true })
    try {
      return await job.outcome
    } finally {
      call.signal.removeEventListener('abort', onGone)
    }
  }

  return {
    getStatus: () => api.getStatus(),

    createChannel: (params) => api.createChannel(params),
    listChannels: async ({ name }) => ({
      channels:
        name === undefined ? [...(await api.listChannels())] : [await api.showChannel({ channel: name })],
    }),
    exportChannel: ({ name, file, words, passphraseFile }) =>
      api.exportChannel({ channel: name, file, words, passphraseFile: passphraseFile ?? null }),
    importChannel: ({ file, name, passphraseFile }) =>
      api.importChannel({ file, name: name ?? null, passphraseFile: passphraseFile ?? null }),
    removeChannel: ({ name }) => api.removeChannel({ channel: name }),

    ingest: ({ path, channel, rehash, wait }, call) =>
      runLong('ingest', wait, call, (options) =>
        api.ingest({ path, channel: channel ?? null, rehash }, options),
      ),
    publish: ({ path, ingestId, channel, title, rehash, timeout, wait }, call) =>
      runLong('publish', wait, call, async (options) => {
        const source = path === undefined ? { ingestId: ingestId ?? '' } : { path }
        const timeoutMs = toMs(timeout)
        const params = { source, channel: channel ?? null, title: title ?? null, rehash, timeoutMs }
        return confirmed(await api.publish(params, options))
      }),

    publishManifest: ({ file, timeout, wait }, call) =>
      runLong('publishManifest', wait, call, async (options) => {
        const params = { file, timeoutMs: toMs(timeout) }
        const { skipped: _none, ...result } = await api.publishManifest(params, options)
        return confirmed(result)
      }),

    unpublish: ({ channel, timeout, wait }, call) =>
      runLong('unpublish', wait, call, async (options) =>
        confirmed(await api.unpublish({ channel, timeoutMs: toMs(timeout) }, options)),
      ),
    getReleases: async (params) => {
      const { publicKey, releases } = await api.getReleases(params)
      return { publicKey, releases: [...releases] }
    },

    host: ({ uri, wait, timeout }, call) =>
      api.host({ uri, wait, timeoutMs: toMs(timeout) }, { signal: call.signal, onProgress: () => {} }),
    addSubscription: async ({ uri, dir, only, wait, once, timeout }, call) => {
      const params = { uri, dir: dir ?? null, only: only ?? null, once, timeoutMs: toMs(timeout) }
      if (once || wait === true) {
        return runLong('addSubscription', wait ?? once, call, (options) =>
          api.addSubscription({ ...params, wait: true }, options),
        )
      }
      return api.addSubscription({ ...params, wait: false }, { signal: call.signal, onProgress: () => {} })
    },
    removeSubscription: ({ uri, publicKey, deleteFiles }) =>
      api.removeSubscription({ subscription: publicKey ?? uri ?? '', deleteFiles }),
    pauseSubscription: ({ uri, publicKey }) =>
      api.pauseSubscription({ subscription: publicKey ?? uri ?? '' }),
    resumeSubscription: ({ uri, publicKey }) =>
      api.resumeSubscription({ subscription: publicKey ?? uri ?? '' }),
    getSubscriptions: async ({ publicKey }) => {
      const all = await api.getSubscriptions()
      if (publicKey === undefined) return { subscriptions: [...all] }
      const subscriptions = all.filter((subscription) => subscription.publicKey === publicKey)
      if (subscriptions.length === 0) throw new MegatorrentError('ERR_NOT_FOUND', 'that key is not followed')
      return { subscriptions }
    },
    listFiles: async ({ uri, after, limit, timeout }, call) => {
      const params = { uri, after: after ?? null, limit, timeoutMs: toMs(timeout) }
      const found = await api.listFiles(params, { signal: call.signal, onProgress: () => {} })
      return { ...found, files: [...found.files] }
    },

    createAccessKey: (params) => api.createAccessKey(params),
    listAccessKeys: async () => ({ accessKeys: [...(await api.listAccessKeys())] }),
    revokeAccessKey: (params) => api.revokeAccessKey(params),

    createToken: ({ name, scopes, expiresIn }) =>
      api.createToken({ name, scopes, expiresInMs: toMs(expiresIn) }),
    listTokens: async () => ({ tokens: [...(await api.listTokens())] }),
    revokeToken: (params) => api.revokeToken(params),

    createSignIn: async () => signIns.createCode(),

    getPeers: async () => ({ peers: [...(await api.getPeers())], bans: [...(await api.getBans())] }),
    addPeer: (params) => api.addPeer(params),
    banPeer: (params) => api.banPeer(params),
    unbanPeer: ({ nodeKey, address }) =>
      api.unbanPeer({ nodeKey: nodeKey ?? null, address: address ?? null }),
    getLimits: () => api.getLimits(),
    setLimits: ({ uploadLimit, downloadLimit, maxPeers }) =>
      api.setLimits({
        ...(uploadLimit === undefined ? {} : { uploadLimit }),
        ...(downloadLimit === undefined ? {} : { downloadLimit }),
        ...(maxPeers === undefined ? {} : { maxPeers }),
      }),

    getJobs: async ({ jobId }) => ({
      jobs: jobId === undefined ? jobs.list().map(copyJob) : [copyJob(foundJob(jobs.get(jobId)))],
    }),
    cancelJob: async ({ jobId }) => copyJob(foundJob(await jobs.cancel(jobId))),
    verify: ({ wait }, call) =>
      runLong('verify', wait, call, async (options) => repaired(await api.verify(options))),
    gc: ({ wait }, call) => runLong('gc', wait, call, (options) => api.gc(options)),
    shutdown: async () => {
      onShutdown()
      return { stopping: true }
    },
    'rpc.discover': async () => ({ ...openRpcDocument() }),
  }
}

/** A release that nobody confirmed yet is an error that carries its sequence. */
function confirmed<T extends Pick<PublishResult, 'pending'>>({ pending, ...result }: T): Omit<T, 'pending'> {
  if (pending === null) return result
  throw new PartialResultError(pending.code, pending.message, result)
}

/** What stays damaged is an error that carries the numbers. */
function repaired(result: VerifyResult): VerifyResult {
  const left = result.bad - result.repaired
  if (left === 0) return result
  const message = `${left} of ${result.checked} blobs stay damaged and were removed: no connected peer has them, so verify again when there are others`
  throw new PartialResultError('ERR_UNREPAIRED', message, { ...result })
}

function foundJob(job: JobInfo | null): JobInfo {
  if (job !== null) return job
  throw new MegatorrentError('ERR_NOT_FOUND', 'there is no such job, or none any more')
}

function copyJob(job: JobInfo): MethodResult<'cancelJob'> {
  const { error } = job
  if (error === null) return { ...job, error: null }
  const { data, code, message } = error
  return { ...job, error: data === undefined ? { code, message } : { code, message, data: { ...data } } }
}
