/** The process of bench/wan-relay.ts, and plain TCP through it: the floor of a transfer over a long line. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { MIB } from './figure.ts'
import { megabytesPerSecond } from './floors.ts'

export interface LineOptions {
  /** ms in each direction. */
  readonly delayMs: number
  readonly bytesPerSecond: number
}

export class Line {
  readonly port: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
  }

  /** To a port of loopback. */
  static async open(port: number, { delayMs, bytesPerSecond }: LineOptions): Promise<Line> {
    const program = fileURLToPath(new URL('./wan-relay.js', import.meta.url))
    const child = spawn(process.execPath, [program, ...[port, delayMs, bytesPerSecond].map(String)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [text] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer]
    return new Line(child, Number(text.toString()))
  }

  close(): void {
    this.#child.kill()
  }
}

/** Bytes from a server to who asks for them, over such a line. @returns MB/s, the way of the question included. */
export async function plainOverLine(bytes: number, options: LineOptions): Promise<number> {
  const piece = Buffer.alloc(MIB)
  const server = createServer({ noDelay: true }, (socket) => {
    socket.once('data', () => {
      let left = bytes
      const send = (): void => {
        while (left > 0) {
          left -= piece.length
          if (!socket.write(piece)) return void socket.once('drain', send)
        }
        socket.end()
      }
      send()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const line = await Line.open(typeof address === 'object' ? (address?.port ?? 0) : 0, options)
  try {
    const startMs = performance.now()
    const socket = connect({ host: '127.0.0.1', port: line.port, noDelay: true })
    socket.write('?')
    let received = 0
    for await (const part of socket) received += (part as Buffer).length
    if (received < bytes) throw new Error(`only ${received} bytes came over the line`)
    return megabytesPerSecond(bytes, performance.now() - startMs)
  } finally {
    line.close()
    server.close()
  }
}
