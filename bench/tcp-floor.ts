/**
 * Floor of a transfer: blobs from a process to this one over loopback TCP, one
 * thread each. The other side (bench/tcp-floor-sender.ts) seals each blob as one
 * frame; this one opens it and, as asked, hashes it, keeps it, opens the blob and
 * writes its content to a file.
 */
import { spawn } from 'node:child_process'
import { createDecipheriv, createHash } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cpuSeconds } from '../test/swarm/harness/memory.ts'
import { MIB } from './figure.ts'
import { type Floor, megabytesPerSecond } from './floors.ts'

export const FRAME_KEY: Buffer = Buffer.alloc(32, 9)
export const FRAME_NONCE: Buffer = Buffer.alloc(12)
export const BLOB_BYTES: number = MIB + 16
export const FRAME_BYTES: number = BLOB_BYTES + 16
const PIECE_BYTES = 32_768

/** wire: frames are opened. kept: and hashed and written. assembled: and the blob is opened and its content written. */
export type TransferWork = 'wire' | 'kept' | 'assembled'

/** Send `blobs` blobs of 1 MiB. The speed is in MB/s of content, the processor time that of both sides. */
export async function transferFloor(folder: string, blobs: number, work: TransferWork): Promise<Floor> {
  const target = join(folder, 'floor')
  mkdirSync(target)
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const program = fileURLToPath(new URL('./tcp-floor-sender.js', import.meta.url))
  const sender = spawn(process.execPath, [program, String(port), String(blobs)], { stdio: 'inherit' })
  const file = openSync(join(target, 'assembled'), 'w')
  try {
    const [socket] = (await once(server, 'connection')) as [Socket]
    const startMs = performance.now()
    const cpu = process.cpuUsage()
    await receive(socket, blobs, (frame, number) => {
      const blob = frame.subarray(0, BLOB_BYTES)
      openInPlace(frame)
      if (work === 'wire') return
      const name = createHash('sha256').update(blob).digest('hex')
      const kept = openSync(join(target, `${name}-${number}`), 'w')
      writeSync(kept, blob)
      closeSync(kept)
      if (work === 'kept') return
      openInPlace(blob)
      writeSync(file, blob, 0, MIB)
    })
    const speed = megabytesPerSecond(blobs * MIB, performance.now() - startMs)
    const { user, system } = process.cpuUsage(cpu)
    const ofSender = (await cpuSeconds(sender.pid ?? 0)) ?? 0
    socket.destroy()
    return { speed, cpuSeconds: (user + system) / 1e6 + ofSender }
  } finally {
    closeSync(file)
    server.close()
    sender.kill()
    rmSync(target, { recursive: true })
  }
}

/** Frames one after the other in one piece of memory. */
async function receive(
  socket: Socket,
  count: number,
  onFrame: (frame: Buffer, number: number) => void,
): Promise<void> {
  const frame = Buffer.alloc(FRAME_BYTES)
  let filled = 0
  let number = 0
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the sender of the floor ended too soon')))
    socket.on('data', (part: Buffer) => {
      for (let at = 0; at < part.length; ) {
        const taken = part.copy(frame, filled, at, at + FRAME_BYTES - filled)
        at += taken
        filled += taken
        if (filled < FRAME_BYTES) return
        filled = 0
        onFrame(frame, number++)
        if (number === count) resolve()
      }
    })
  })
  socket.removeAllListeners()
  socket.on('error', () => {}) // nobody needs it any more
}

/** Both layers have the same key and nonce here; whether tags are right is not what is measured. */
export function openInPlace(sealed: Uint8Array): void {
  const length = sealed.length - 16
  const decipher = createDecipheriv('chacha20-poly1305', FRAME_KEY, FRAME_NONCE, { authTagLength: 16 })
  for (let at = 0; at < length; at += PIECE_BYTES) {
    sealed.set(decipher.update(sealed.subarray(at, Math.min(at + PIECE_BYTES, length))), at)
  }
}
