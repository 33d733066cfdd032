import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { ManualClock } from '../../../src/base/clock.ts'
import { WORKER_IDLE_MS } from '../../../src/base/limits.ts'
import { seal } from '../../../src/crypto/aead.ts'
import { sha256 } from '../../../src/crypto/hash.ts'
import { WorkerPool, type WorkerPoolOptions, workerEntry } from '../../../src/storage/worker-pool.ts'
import { BLOB_BYTES } from '../../../src/wire/constants.ts'
import { afterTest, makeBlob, openStore, tempFolder } from './harness.ts'

function makePool(options: WorkerPoolOptions): WorkerPool {
  const pool = new WorkerPool(options)
  afterTest(() => pool.close())
  return pool
}

/** A pool whose workers run this text instead of ours. */
function poolOf(script: string, options: WorkerPoolOptions = {}): WorkerPool {
  const path = join(tempFolder(), 'worker.mjs')
  writeFileSync(path, `import { parentPort as port, threadId } from 'node:worker_threads'\n${script}`)
  return makePool({ ...options, entry: pathToFileURL(path) })
}

const hash = (pool: WorkerPool) => pool.run('hash', { pieces: [] })
const ANSWER = 'port.postMessage({ id: request.id, ok: true, output: new Uint8Array([threadId]) })'

describe('workerEntry', () => {
  it('finds the compiled worker beside a compiled pool and from a source, or says what is missing', () => {
    const folder = tempFolder()
    const compiled = join(folder, 'dist', 'src', 'storage')
    const urlOf = (...parts: string[]): string => pathToFileURL(join(folder, ...parts)).href
    const fromSource = urlOf('src', 'storage', 'worker-pool.ts')
    const fromCompiled = pathToFileURL(join(compiled, 'worker-pool.js')).href
    for (const url of [fromSource, fromCompiled]) {
      expect(() => workerEntry(url)).toThrow(
        expect.objectContaining({
          code: 'ERR_WORKER_MISSING',
          message: expect.stringContaining('npm run build'),
        }),
      )
    }
    mkdirSync(compiled, { recursive: true })
    writeFileSync(join(compiled, 'worker.js'), '')
    const expected = pathToFileURL(join(compiled, 'worker.js')).href
    expect([workerEntry(fromSource).href, workerEntry(fromCompiled).href]).toEqual([expected, expected])
  })
})

describe('WorkerPool', () => {
  it('starts threads when there is work and no more than it may', async () => {
    const pool = makePool({ workers: 2 })
    expect(pool.threads).toBe(0)
    await hash(pool)
    expect(pool.threads).toBe(1)
    await Promise.all(Array.from({ length: 50 }, () => hash(pool)))
    expect(pool.threads).toBe(2)
  })

  it('ends its threads when there was no work for a while, and starts them again', async () => {
    const clock = new ManualClock()
    const pool = makePool({ workers: 2, clock })
    await Promise.all(Array.from({ length: 10 }, () => hash(pool)))
    await clock.advance(WORKER_IDLE_MS - 1)
    expect(pool.threads).toBe(2)
    await hash(pool)
    await clock.advance(WORKER_IDLE_MS - 1)
    expect(pool.threads).toBe(2)
    await clock.advance(1)
    expect([pool.threads, clock.pendingTimers]).toEqual([0, 0])
    expect(await hash(pool)).toHaveLength(0)
    expect(pool.threads).toBe(1)
    await pool.close()
    expect(clock.pendingTimers).toBe(0)
  })

  it('works as many tasks as there are, far beyond its queue', async () => {
    const folder = tempFolder()
    writeFileSync(join(folder, 'x'), 'x')
    const pool = makePool({ workers: 2 })
    const pieces = [{ path: join(folder, 'x'), fileOffset: 0, length: 1 }]
    const results = await Promise.all(Array.from({ length: 500 }, () => pool.run('hash', { pieces })))
    expect(new Set(results.map(toHex))).toEqual(new Set([toHex(sha256(Uint8Array.of(120)))]))
  })

  it('hands memory over both ways instead of copying it, and uses it again', async () => {
    const { store } = await openStore(tempFolder(), { runner: makePool({ workers: 1 }) })
    const blob = makeBlob(1)
    const key = new Uint8Array(32)
    const nonce = new Uint8Array(12)
    const frame = { bytes: seal(key, nonce, blob.sealed), key, nonce }
    await store.put(blob.id, frame)
    expect(frame.bytes.byteLength).toBe(0)
    expect(store.buffers.idle).toBe(1)
    const first = (await store.read(blob.id)) as Uint8Array
    expect([first.length, store.buffers.idle]).toEqual([BLOB_BYTES, 0])
    store.buffers.give(first)
    expect(store.buffers.idle).toBe(1)
    const chunk = (await store.open(blob.id, blob.key)) as Uint8Array
    expect([chunk.length, store.buffers.idle]).toEqual([BLOB_BYTES - 16, 0])
    store.buffers.give(chunk)
    expect(store.buffers.idle).toBe(1)
  })

  it('rejects the tasks of a thread that ends, and replaces it', async () => {
    // The first thread dies over its first task; later ones work.
    const marker = join(tempFolder(), 'died')
    const pool = poolOf(
      `import { existsSync, writeFileSync } from 'node:fs'
       port.on('message', (request) => {
         if (!existsSync(${JSON.stringify(marker)})) {
           writeFileSync(${JSON.stringify(marker)}, '')
           throw new Error('worker is broken')
         }
         ${ANSWER}
       })`,
      { workers: 1 },
    )
    const results = await Promise.allSettled([hash(pool), hash(pool), hash(pool)])
    for (const result of results) {
      expect(result).toMatchObject({
        status: 'rejected',
        reason: { code: 'ERR_WORKER_CRASHED', message: expect.stringContaining('worker is broken') },
      })
    }
    expect(await hash(pool)).toHaveLength(1)
    expect(pool.threads).toBe(1)
  })

  it('rejects when a thread leaves without a word or cannot start', async () => {
    await expect(hash(poolOf('port.on("message", () => process.exit(0))'))).rejects.toMatchObject({
      code: 'ERR_WORKER_CRASHED',
    })
    await expect(hash(poolOf('throw new Error("no start")'))).rejects.toMatchObject({
      code: 'ERR_WORKER_CRASHED',
    })
    const missing = makePool({ entry: pathToFileURL(join(tempFolder(), 'none.mjs')) })
    await expect(hash(missing)).rejects.toMatchObject({ code: 'ERR_WORKER_CRASHED' })
  })

  it('ends a thread that uses too much memory and not the process', async () => {
    const pool = poolOf(
      'const all = []; port.on("message", () => { for (;;) all.push(new Array(1e5).fill({})) })',
    )
    await expect(hash(pool)).rejects.toMatchObject({ code: 'ERR_WORKER_CRASHED' })
  })

  it('keeps the process and its environment from the threads', async () => {
    const pool = poolOf(
      'port.on("message", (request) => port.postMessage({ id: request.id, ok: true, output: Object.keys(process.env).join() }))',
    )
    expect(await hash(pool)).toBe('')
  })

  it('when it is closed, lets running tasks end, refuses waiting ones, and leaves no thread', async () => {
    const pool = poolOf(`port.on('message', (request) => setTimeout(() => { ${ANSWER} }, 20))`, {
      workers: 1,
    })
    const tasks = Array.from({ length: 100 }, () => hash(pool))
    const settled = Promise.allSettled(tasks)
    await tasks[0]
    await pool.close()
    await pool.close()
    const results = await settled
    const done = results.filter(({ status }) => status === 'fulfilled').length
    expect(done).toBeGreaterThanOrEqual(1)
    expect(done).toBeLessThan(100)
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'ERR_STORE_CLOSED' })
    }
    expect(pool.threads).toBe(0)
    await expect(hash(pool)).rejects.toMatchObject({ code: 'ERR_STORE_CLOSED' })
  })

  it('lets urgent work go before what waits', async () => {
    const order: string[] = []
    const pool = poolOf(`port.on('message', (request) => setTimeout(() => { ${ANSWER} }, 2))`, { workers: 1 })
    const normal = Array.from({ length: 60 }, async (_, n) => {
      await hash(pool)
      order.push(`normal ${n}`)
    })
    await Promise.resolve()
    await pool.run('hash', { pieces: [] }, { urgent: true })
    expect(order.length).toBeLessThan(30)
    await Promise.all(normal)
  })

  it('reports memory that cannot be handed over as an error of the caller', async () => {
    const pool = makePool({ workers: 1 })
    const sealed = new Uint8Array(BLOB_BYTES)
    structuredClone(sealed, { transfer: [sealed.buffer] })
    const detached = {
      root: '/none',
      id: new Uint8Array(32),
      sealed,
      frameKey: null,
      place: null,
      mayWrite: false,
    }
    await expect(pool.run('put', detached)).rejects.toThrow()
    expect(await hash(pool)).toHaveLength(0)
  })
})
