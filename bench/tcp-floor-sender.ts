/** The sending process of bench/tcp-floor.ts: `node tcp-floor-sender.js PORT BLOBS`. */
import { createCipheriv } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { MIB } from './figure.ts'
import { FRAME_BYTES, FRAME_KEY, FRAME_NONCE } from './tcp-floor.ts'

const PIECE_BYTES = 32_768
const [port, blobs] = process.argv.slice(2).map(Number)
const socket = connect(port as number, '127.0.0.1')
await once(socket, 'connect')
socket.setNoDelay(true)
const blob = Buffer.alloc(MIB + 16, 3)
for (let sent = 0; sent < (blobs as number); sent++) {
  // A blob read from the page cache is a copy into memory; this number makes each one different.
  blob.writeUInt32BE(sent)
  if (!socket.write(sealedFrame())) await once(socket, 'drain')
}
socket.end()

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
