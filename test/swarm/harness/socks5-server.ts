/**
 * A SOCKS5 proxy that writes down what it is asked: real, strict, and able to misbehave.
 *
 * Names go nowhere but to where the test says: it resolves nothing.
 */
import { once } from 'node:events'
import net from 'node:net'
import { LoopbackServer } from './loopback-server.ts'

export interface SocksRequest {
  /** Null when the client was not asked. */
  readonly user: string | null
  readonly password: string | null
  readonly addressType: 'ipv4' | 'name' | 'ipv6'
  readonly host: string
  readonly port: number
}

export interface Socks5Behaviour {
  /** Method chosen of those offered; 0xff refuses. Default: user name and password. */
  readonly method?: number
  /** Packets that the answer to the greeting comes in: 1 or 2. */
  readonly greetingParts?: number
  /** Are these credentials good? Default: all are. */
  readonly accepts?: (user: string, password: string) => boolean
  /** Reply code instead of a connection. */
  readonly replies?: number
  /** Say nothing after: the greeting, the credentials, the request. */
  readonly silentAfter?: 'greeting' | 'credentials' | 'request'
  /** Close the connection there instead. */
  readonly closesAfter?: 'greeting' | 'credentials' | 'request'
  /** Bytes sent instead of the first answer. */
  readonly junk?: Uint8Array
  /** Bytes that follow the answer in the same write. */
  readonly early?: Uint8Array
}

const USER_PASSWORD = 2

/** Where a request leads; null: as it says. */
export type Route = (request: SocksRequest) => { readonly host: string; readonly port: number } | null

export class Socks5Server {
  readonly requests: SocksRequest[] = []
  /** Methods offered, of each connection. */
  readonly offered: number[][] = []
  behaviour: Socks5Behaviour = {}
  #server!: LoopbackServer
  readonly #route: Route

  private constructor(route: Route) {
    this.#route = route
  }

  static async start(route: Route = () => null, port = 0, host = '127.0.0.1'): Promise<Socks5Server> {
    const proxy = new Socks5Server(route)
    proxy.#server = await LoopbackServer.listen(
      (socket) => {
        proxy.#serve(socket).catch(() => socket.destroy())
      },
      port,
      host,
    )
    return proxy
  }

  get endpoint(): LoopbackServer['endpoint'] {
    return this.#server.endpoint
  }

  /** Connections to it and from it that are open. */
  get connections(): number {
    return this.#server.sockets.size
  }

  close(): Promise<void> {
    return this.#server.close()
  }

  async #serve(socket: net.Socket): Promise<void> {
    const { method = USER_PASSWORD, accepts = () => true, replies, junk, early } = this.behaviour
    const onEnd = (): void => void socket.destroy()
    socket.on('end', onEnd)
    const read = reader(socket)
    const [version, count] = (await read(2)) as unknown as [number, number]
    if (version !== 5) throw new Error('not SOCKS5')
    this.offered.push([...(await read(count))])
    if (junk !== undefined) socket.write(junk)
    if (await this.#stops(socket, 'greeting')) return
    if (junk === undefined) await answerGreeting(socket, method, this.behaviour.greetingParts ?? 1)
    let credentials: { user: string; password: string } | null = null
    if (method === USER_PASSWORD) {
      const [, length] = (await read(2)) as unknown as [number, number]
      const user = (await read(length)).toString()
      const password = (await read((await read(1))[0] ?? 0)).toString()
      credentials = { user, password }
      if (await this.#stops(socket, 'credentials')) return
      const isGood = accepts(user, password)
      socket.write(Uint8Array.of(1, isGood ? 0 : 1))
      if (!isGood) return void socket.end()
    }
    const request = { ...(await readDestination(read)), user: null, password: null, ...credentials }
    this.requests.push(request)
    if (await this.#stops(socket, 'request')) return
    if (replies !== undefined) return void socket.end(Uint8Array.of(5, replies, 0, 1, 0, 0, 0, 0, 0, 0))
    const target = net.connect({ ...(this.#route(request) ?? request), allowHalfOpen: true })
    this.#server.track(target)
    const failed = new Promise<true>((resolve) => target.once('error', () => resolve(true)))
    if ((await Promise.race([once(target, 'connect'), failed])) === true) {
      return void socket.end(Uint8Array.of(5, 5, 0, 1, 0, 0, 0, 0, 0, 0))
    }
    const answer = Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 9])
    socket.write(early === undefined ? answer : Buffer.concat([answer, early]))
    socket.removeListener('end', onEnd)
    const rest = read.rest()
    if (rest.length > 0) target.write(rest)
    socket.pipe(target)
    target.pipe(socket)
    socket.on('close', () => target.destroy())
    target.on('close', () => socket.destroy())
  }

  async #stops(socket: net.Socket, at: Socks5Behaviour['silentAfter']): Promise<boolean> {
    if (this.behaviour.closesAfter === at) socket.destroy()
    return this.behaviour.closesAfter === at || this.behaviour.silentAfter === at
  }
}

async function answerGreeting(socket: net.Socket, method: number, parts: number): Promise<void> {
  socket.setNoDelay(true)
  if (parts === 1) return void socket.write(Uint8Array.of(5, method))
  socket.write(Uint8Array.of(5))
  await new Promise((resolve) => setTimeout(resolve, 20)) // so that they are two packets
  socket.write(Uint8Array.of(method))
}

interface Reader {
  (count: number): Promise<Buffer>
  /** What came beyond; afterwards the socket is its caller's. */
  rest(): Buffer
}

function reader(socket: net.Socket): Reader {
  let held = Buffer.alloc(0)
  let wake = (): void => {}
  const onData = (bytes: Buffer): void => {
    held = Buffer.concat([held, bytes])
    wake()
  }
  socket.on('data', onData)
  socket.once('close', () => wake())
  const read = async (count: number): Promise<Buffer> => {
    while (held.length < count) {
      if (socket.destroyed) throw new Error('the client has gone')
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    const taken = held.subarray(0, count)
    held = held.subarray(count)
    return taken
  }
  const rest = (): Buffer => {
    socket.removeListener('data', onData)
    return held
  }
  return Object.assign(read, { rest })
}

async function readDestination(read: Reader): Promise<Pick<SocksRequest, 'addressType' | 'host' | 'port'>> {
  const [version, command, , type] = (await read(4)) as unknown as [number, number, number, number]
  if (version !== 5 || command !== 1) throw new Error('no CONNECT')
  const addressType = type === 1 ? 'ipv4' : type === 3 ? 'name' : 'ipv6'
  const bytes = await read(type === 1 ? 4 : type === 3 ? ((await read(1))[0] ?? 0) : 16)
  const host =
    type === 1
      ? bytes.join('.')
      : type === 3
        ? bytes.toString()
        : (bytes.toString('hex').match(/.{4}/g) ?? [])
            .map((group) => Number.parseInt(group, 16).toString(16))
            .join(':')
  return { addressType, host, port: (await read(2)).readUInt16BE() }
}
