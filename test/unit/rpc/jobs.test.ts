import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/base/clock.ts'
import { MegatorrentError } from '../../../src/base/errors.ts'
import { MAX_KEPT_JOBS, MAX_RUNNING_JOBS } from '../../../src/base/limits.ts'
import { silentLog } from '../../../src/base/log.ts'
import { seededRandom } from '../../../src/base/random.ts'
import type { CallOptions } from '../../../src/node/api.ts'
import { toRpcError } from '../../../src/rpc/errors.ts'
import { Jobs } from '../../../src/rpc/jobs.ts'
import { endlessWork, fakeNode, KEY } from './fake-node.ts'
import { call, startTestServer, type TestServer } from './test-server.ts'

function makeJobs(): { readonly jobs: Jobs; readonly clock: ManualClock } {
  const clock = new ManualClock()
  const describeError = (error: unknown, method: string) => toRpcError(error, method, silentLog)
  return { jobs: new Jobs(clock, seededRandom(3), describeError), clock }
}

describe('a job', () => {
  it('is listed while it runs, with its progress, and after it has ended, with its result', async () => {
    const { jobs, clock } = makeJobs()
    let finish = (_value: string): void => {}
    const job = jobs.start('ingest', ({ onProgress }) => {
      onProgress({ phase: 'sealing', done: 1, total: 2, unit: 'bytes' })
      return new Promise<string>((resolve) => {
        finish = resolve
      })
    })
    await clock.advance(5)
    const startedAt = clock.now() - 5
    expect(jobs.get(job.jobId)).toMatchObject({
      method: 'ingest',
      state: 'running',
      startedAt,
      endedAt: null,
      progress: { done: 1, total: 2 },
      result: null,
      error: null,
    })
    finish('x')
    expect(await job.outcome).toBe('x')
    expect(jobs.get(job.jobId)).toMatchObject({
      state: 'done',
      endedAt: startedAt + 5,
      result: 'x',
      error: null,
    })
  })

  it('that fails keeps the error that its caller gets', async () => {
    const { jobs } = makeJobs()
    const job = jobs.start('ingest', () =>
      Promise.reject(new MegatorrentError('ERR_NOT_FOUND', 'no such folder')),
    )
    await expect(job.outcome).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
    expect(jobs.get(job.jobId)).toMatchObject({
      state: 'failed',
      error: { code: -32015, message: 'no such folder' },
    })
  })

  it('that is cancelled ends as cancelled, whatever its work throws', async () => {
    const { jobs } = makeJobs()
    const work = ({ signal }: CallOptions): Promise<never> =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('noise'))))
    const job = jobs.start('ingest', work)
    const caught = job.outcome.catch((error: unknown) => error)
    await new Promise((resolve) => setImmediate(resolve))
    expect(await jobs.cancel(job.jobId)).toMatchObject({ state: 'cancelled', error: { code: -32014 } })
    expect(await caught).toMatchObject({ kind: 'aborted' })
  })

  it('that succeeds in spite of being cancelled is done', async () => {
    const { jobs } = makeJobs()
    const work = ({ signal }: CallOptions): Promise<string> =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve('x')))
    const job = jobs.start('ingest', work)
    await new Promise((resolve) => setImmediate(resolve))
    expect(await jobs.cancel(job.jobId)).toMatchObject({ state: 'done', result: 'x' })
    expect(await job.outcome).toBe('x')
  })

  it('of an id that nobody has is null', async () => {
    const { jobs } = makeJobs()
    expect(jobs.get('x')).toBeNull()
    expect(await jobs.cancel('x')).toBeNull()
  })
})

describe('all jobs', () => {
  it('are bounded in number while they run and after', async () => {
    const { jobs } = makeJobs()
    const running = Array.from({ length: MAX_RUNNING_JOBS }, () => jobs.start('ingest', endlessWorkOf()))
    for (const job of running) job.outcome.catch(() => {})
    expect(() => jobs.start('ingest', async () => 1)).toThrow(
      expect.objectContaining({ code: 'ERR_TOO_MANY_JOBS', kind: 'usage' }),
    )
    await jobs.cancel(running[0]?.jobId ?? '')
    for (let i = 0; i < MAX_KEPT_JOBS + 10; i++) await jobs.start('verify', async () => i).outcome
    const ended = jobs.list().filter((job) => job.state !== 'running')
    expect(ended).toHaveLength(MAX_KEPT_JOBS)
    expect(ended.at(-1)).toMatchObject({ result: MAX_KEPT_JOBS + 9 })
  })

  it('are cancelled at the end, and none begins after', async () => {
    const { jobs } = makeJobs()
    const job = jobs.start('ingest', endlessWorkOf())
    job.outcome.catch(() => {})
    await jobs.close()
    expect(jobs.get(job.jobId)?.state).toBe('cancelled')
    expect(() => jobs.start('ingest', async () => 1)).toThrow(expect.objectContaining({ kind: 'aborted' }))
  })
})

function endlessWorkOf(): (options: CallOptions) => Promise<never> {
  const { run } = endlessWork()
  return (options) => run(null, options)
}

describe('over RPC', () => {
  let server: TestServer
  const work = endlessWork()
  beforeAll(async () => {
    server = await startTestServer(
      fakeNode({
        ingest: work.run,
        publish: async () => ({
          uri: `megatorrent://${KEY}`,
          publicKey: KEY,
          sequence: 9,
          files: 1,
          bytes: 1,
          blobs: 1,
          newBlobs: 1,
          manifestBlobs: 1,
          storedBy: 0,
          unchanged: false,
          skipped: 0,
          pending: { code: 'ERR_TIMEOUT', message: 'nobody confirmed within 60 s' },
        }),
      }).api,
    )
  })
  afterAll(() => server.close())

  it('long work answers with a job at once when it is not waited for', async () => {
    const { result } = await call(server.port, 'ingest', { path: '/x', wait: false })
    const jobId = result?.jobId
    expect(jobId).toMatch(/^[0-9a-f]{16}$/)
    await work.begun
    const listed = await call(server.port, 'getJobs', { jobId })
    expect(listed.result).toMatchObject({
      jobs: [{ jobId, method: 'ingest', state: 'running', result: null, error: null }],
    })
    const cancelled = await call(server.port, 'cancelJob', { jobId })
    expect(cancelled.result).toMatchObject({ jobId, state: 'cancelled', error: { code: -32014 } })
  })

  it('a release that nobody confirmed is an error with the rest of the result', async () => {
    const { status, error } = await call(server.port, 'publish', { path: '/x' })
    expect(status).toBe(200)
    expect(error).toMatchObject({
      code: -32016,
      message: 'nobody confirmed within 60 s',
      data: { code: 'ERR_TIMEOUT', kind: 'timeout', result: { sequence: 9, storedBy: 0 } },
    })
    expect(error?.data?.result).not.toHaveProperty('pending')
  })

  it('getting something once answers when it is there, or with a job', async () => {
    const uri = `megatorrent://${KEY}`
    const waited = await call(server.port, 'addSubscription', { uri, once: true })
    expect(waited.result).toMatchObject({ state: 'complete', sequence: 3 })
    const started = await call(server.port, 'addSubscription', { uri, once: true, wait: false })
    expect(started.result).toHaveProperty('jobId')
    const followed = await call(server.port, 'addSubscription', { uri })
    expect(followed.result).toMatchObject({
      state: 'resolving',
      publicKey: KEY,
      directory: expect.any(String),
    })
  })

  it('a job that does not exist is not found', async () => {
    expect((await call(server.port, 'getJobs', { jobId: 'x' })).error?.code).toBe(-32015)
    expect((await call(server.port, 'cancelJob', { jobId: 'x' })).error?.code).toBe(-32015)
  })
})
