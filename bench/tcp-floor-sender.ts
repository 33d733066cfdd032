/**
 * The sending process of the floors of a transfer: `node tcp-floor-sender.js PORT BLOBS` dials, and
 * with `listen` in the place of a port it tells on stdout where it waits.
 */
import { createCipheriv } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { MIB } from './figure.ts'
import { FRAME_BYTES, FRAME_KEY, FRAME_NONCE } from './tcp-floor.ts'

const PIECE_BYTES = 32_768
const [port = '', count] = process.argv.slice(2)
const blobs = Number(count)
const socket = port === 'listen' ? await accepted() : await dialled(Number(port))
socket.setNoDelay(true)
const blob = Buffer.alloc(MIB + 16, 3)
for (let sent = 0; sent < blobs; sent++) {
  // A blob read from the page cache is a copy into memory; this number makes each one different.
  blob.writeUInt32BE(sent)
  if (!socket.write(sealedFrame())) await once(socket, 'drain')
}
socket.end()

async function dialled(to: number): Promise<Socket> {
  const dialling = connect(to, '127.0.0.1')
  await once(dialling, 'connect')
  return dialling
}

async function accepted(): Promise<Socket> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  process.stdout.write(String((server.address() as AddressInfo).port))
  const [first] = (await once(server, 'connection')) as [Socket]
  server.close()
  return first
}

function sealedFrame(): Buffer {
  const frame = Buffer.allocUnsafeSlow(FRAME_BYTES)
  const cipher = createCipheriv('chacha20-poly1305', FRAME_KEY, FRAME_NONCE, { authTagLength: 16 })
  for (let at = 0; at < blob.length; at += PIECE_BYTES) {
    frame.set(cipher.update(blob.subarray(at, at + PIECE_BYTES)), at)
  }
  cipher.final()
  frame.set(cipher.getAuthTag(), blob.length)
  return frame
}
