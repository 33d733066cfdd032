/**
 * Floors: the same work as bare as it can be, on one thread or one a core, with
 * nothing of src.
 *
 * A speed alone says little on a machine that others use too; how much of the
 * floor of the same minute is reached says how much is ours. Nothing is dropped
 * from the page cache: what was just written is read from memory, as it is in the
 * figures that these stand beside.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { MIB } from './figure.ts'

export interface BlobWork {
  /** Hash the plaintext first, as the publishing side does. */
  readonly convergence: boolean
  /** Sync each blob before the next. */
  readonly durable: boolean
  /** Each takes every n-th blob. */
  readonly threads: number
}

/** What one thread is told (bench/floor-worker.ts). */
export interface FloorShare extends Omit<BlobWork, 'threads'> {
  readonly source: string
  readonly target: string
  readonly blobs: number
  readonly first: number
  readonly step: number
}

/** A floor: its speed, and the processor time that it took, which a busy machine changes less. */
export interface Floor {
  readonly speed: number
  readonly cpuSeconds: number
}

/** Read a file, seal, hash and write it in blobs of 1 MiB. The speed is in MB/s. */
export async function blobFloor(source: string, folder: string, work: BlobWork): Promise<Floor> {
  const target = join(folder, 'floor')
  mkdirSync(target)
  const blobs = Math.floor(statSync(source).size / MIB)
  const { threads: step, ...rest } = work
  const workers = Array.from({ length: step }, (_, first) => {
    const share: FloorShare = { source, target, blobs, first, step, ...rest }
    return new Worker(new URL('./floor-worker.js', import.meta.url), { workerData: share })
  })
  try {
    await Promise.all(workers.map((worker) => once(worker, 'message')))
    const cpu = process.cpuUsage()
    const startMs = performance.now()
    const ended = workers.map((worker) => once(worker, 'message'))
    for (const worker of workers) worker.postMessage('go')
    await Promise.all(ended)
    const speed = megabytesPerSecond(blobs * MIB, performance.now() - startMs)
    const { user, system } = process.cpuUsage(cpu)
    return { speed, cpuSeconds: (user + system) / 1e6 }
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()))
    rmSync(target, { recursive: true })
  }
}

/** Open, read, hash and close each file. @returns files a second. */
export function smallFileFloor(paths: readonly string[]): number {
  const buffer = Buffer.alloc(MIB)
  const startMs = performance.now()
  for (const path of paths) {
    const file = openSync(path, 'r')
    const count = readSync(file, buffer, 0, buffer.length, 0)
    closeSync(file)
    createHash('sha256').update(buffer.subarray(0, count)).digest()
  }
  return (paths.length * 1000) / (performance.now() - startMs)
}

/** @returns MB/s, a MB being 1,000,000 bytes. */
export function megabytesPerSecond(bytes: number, ms: number): number {
  return bytes / 1000 / ms
}

/** The mean of floors taken before and after a figure: the machine may have changed meanwhile. */
export function mean(...values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
