/**
 * Floor of a transfer that is spread over both cores: as bench/tcp-floor.ts, but
 * the receiving process only reads the socket, and a thread beside it opens each
 * frame, hashes and keeps the blob and, as asked, opens it and writes its content.
 *
 * As bare as it can be: bytes are read into one static place, a few frames go round
 * between the two threads, and nothing is checked, counted or answered.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { cpuSeconds } from '../test/swarm/harness/memory.ts'
import { MIB } from './figure.ts'
import { type Floor, megabytesPerSecond } from './floors.ts'
import { FRAME_BYTES, type TransferWork } from './tcp-floor.ts'

/** Frames that are filled or worked on at a time. */
const FRAMES = 6
const READ_BYTES = 262_144

export async function spreadFloor(folder: string, blobs: number, work: TransferWork): Promise<Floor> {
  const target = join(folder, 'floor')
  mkdirSync(target)
  const programOf = (name: string): string => fileURLToPath(new URL(`./${name}.js`, import.meta.url))
  const worker = new Worker(programOf('spread-floor-worker'), { workerData: { target, work } })
  await once(worker, 'online')
  const sender = spawn(process.execPath, [programOf('tcp-floor-sender'), 'listen', String(blobs)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const [port] = (await once(sender.stdout, 'data')) as [Buffer]
    const startMs = performance.now()
    const cpu = process.cpuUsage()
    await receive(Number(port.toString()), blobs, worker)
    const speed = megabytesPerSecond(blobs * MIB, performance.now() - startMs)
    const { user, system } = process.cpuUsage(cpu)
    const ofSender = (await cpuSeconds(sender.pid ?? 0)) ?? 0
    return { speed, cpuSeconds: (user + system) / 1e6 + ofSender }
  } finally {
    sender.kill()
    await worker.terminate()
    rmSync(target, { recursive: true })
  }
}

/** Resolves when the worker has done with the last of them. */
async function receive(port: number, count: number, worker: Worker): Promise<void> {
  const free = Array.from({ length: FRAMES }, () => new Uint8Array(FRAME_BYTES))
  let frame = free.pop() ?? null
  let filled = 0
  let done = 0
  await new Promise<void>((resolve, reject) => {
    /** Read before there was a frame for it. */
    let rest: Uint8Array = new Uint8Array(0)
    const take = (bytes: Uint8Array): void => {
      for (let at = 0; at < bytes.length; ) {
        if (frame === null) {
          rest = bytes.slice(at)
          socket.pause()
          return
        }
        const part = bytes.subarray(at, at + FRAME_BYTES - filled)
        frame.set(part, filled)
        at += part.length
        filled += part.length
        if (filled < FRAME_BYTES) return
        filled = 0
        worker.postMessage(frame, [frame.buffer as ArrayBuffer])
        frame = free.pop() ?? null
      }
    }
    const socket = connect({
      host: '127.0.0.1',
      port,
      onread: {
        buffer: new Uint8Array(READ_BYTES),
        callback: (bytesRead, place) => {
          take(place.subarray(0, bytesRead))
          return true
        },
      },
    })
    socket.on('error', reject)
    worker.on('error', reject)
    worker.on('message', (used: Uint8Array<ArrayBuffer>) => {
      if (frame === null) frame = used
      else free.push(used)
      if (++done === count) {
        socket.destroy()
        resolve()
        return
      }
      const late = rest
      rest = new Uint8Array(0)
      take(late)
      if (rest.length === 0) socket.resume()
    })
  })
}
