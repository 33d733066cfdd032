/**
 * A long line in a process of its own: `node wan-relay.js PORT DELAY_MS BYTES_PER_SECOND`
 * tells on stdout where it waits, and carries each connection to PORT of loopback.
 *
 * Each direction has the rate for itself, holds what waits for the line in a queue of
 * some milliseconds, as a router does, and then delays it. A full queue stops reading,
 * so nothing is lost.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

const QUEUE_MS = 20

const [port = 0, delayMs = 0, bytesPerSecond = 0] = process.argv.slice(2).map(Number)
const server = createServer({ noDelay: true, allowHalfOpen: true }, (near) => {
  const far = connect({ host: '127.0.0.1', port, noDelay: true, allowHalfOpen: true })
  carry(near, far)
  carry(far, near)
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
process.stdout.write(`${(server.address() as AddressInfo).port}\n`)

interface Passing {
  readonly piece: Buffer | null
  readonly dueMs: number
}

function carry(from: Socket, to: Socket): void {
  const onTheWay: Passing[] = []
  let lineFreeMs = 0
  let timer: NodeJS.Timeout | null = null
  let isPaused = false

  const deliver = (): void => {
    timer = null
    const nowMs = performance.now()
    for (let first = onTheWay[0]; first !== undefined && first.dueMs <= nowMs; first = onTheWay[0]) {
      onTheWay.shift()
      if (first.piece === null) to.end()
      else to.write(first.piece)
    }
    if (isPaused && lineFreeMs - nowMs < QUEUE_MS / 2) {
      isPaused = false
      from.resume()
    }
    plan()
  }
  const plan = (): void => {
    if (timer === null && (onTheWay.length > 0 || isPaused)) timer = setTimeout(deliver, 1)
  }
  const send = (piece: Buffer | null): void => {
    const nowMs = performance.now()
    lineFreeMs = Math.max(lineFreeMs, nowMs) + ((piece?.length ?? 0) * 1000) / bytesPerSecond
    onTheWay.push({ piece, dueMs: lineFreeMs + delayMs })
    if (!isPaused && lineFreeMs - nowMs > QUEUE_MS) {
      isPaused = true
      from.pause()
    }
    plan()
  }
  from.on('data', send)
  from.on('end', () => send(null))
  from.on('error', () => to.destroy())
  from.on('close', () => clearTimeout(timer ?? undefined))
}
