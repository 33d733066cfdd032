/** The thread of bench/spread-floor.ts. */
import { createHash } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { MIB } from './figure.ts'
import { BLOB_BYTES, openInPlace, type TransferWork } from './tcp-floor.ts'

const { target, work } = workerData as { readonly target: string; readonly work: TransferWork }
const file = openSync(join(target, 'assembled'), 'w')
let number = 0

parentPort?.on('message', (frame: Uint8Array) => {
  openInPlace(frame)
  const blob = frame.subarray(0, BLOB_BYTES)
  if (work !== 'wire') {
    const name = createHash('sha256').update(blob).digest('hex')
    const kept = openSync(join(target, `${name}-${number++}`), 'w')
    writeSync(kept, blob)
    closeSync(kept)
  }
  if (work === 'assembled') {
    openInPlace(blob)
    writeSync(file, blob, 0, MIB)
  }
  parentPort?.postMessage(frame, [frame.buffer as ArrayBuffer])
})
