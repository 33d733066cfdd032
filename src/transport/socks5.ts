/**
 * Connections through a SOCKS5 proxy (RFC 1928, RFC 1929), the only importer of `socks`.
 *
 * Names and onions go to the proxy as they are: nothing is resolved here. Each dial says what it is
 * for, and shows the proxy credentials that no other purpose shares; a proxy that does not ask for them
 * would put all on one circuit, so it is not used. There is no other way out: what fails here has failed.
 *
 * The library offers "no authentication" beside the user name and cannot be told not to. So we read the answer of
 * the proxy before it does, and end the connection there if the proxy took that: it never hears where to.
 *
 * @module transport/socks5
 */
import { SocksClient } from 'socks'
import type { Clock } from '../base/clock.ts'
import { errorMessage, isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import type { Circuit, ProxyCredentials } from './circuit.ts'
import { connectSocket, streamOfSocket } from './tcp.ts'
import type { ByteStream, Dialer, DialOptions, Endpoint } from './transport.ts'

type Socket = Awaited<ReturnType<typeof connectSocket>>

/** RFC 1928, section 3: of the answer to the greeting, the version and the method that the proxy chose. */
const VERSION = 5
const NO_AUTHENTICATION = 0
const CHOICE_BYTES = 2
/** RFC 1929: of the answer to user name and password. */
const VERDICT_BYTES = 2
/** The library's own deadline, ms after ours: ours follows the clock that was passed in. */
const SLACK_MS = 1_000

export interface Socks5Options {
  /** Where the proxy listens: an IP literal. */
  readonly proxy: Endpoint
  /** Null for a proxy that asks for none: all connections then share what circuits it makes. */
  readonly credentials: (circuit: Circuit) => ProxyCredentials | null
  readonly clock: Clock
}

export class Socks5Dialer implements Dialer {
  readonly #options: Socks5Options

  constructor(options: Socks5Options) {
    this.#options = options
  }

  /**
   * @param endpoint - an IP literal, an onion or a name: the proxy's to resolve.
   * @throws MegatorrentError ERR_PROXY_DOWN (network): no proxy, or none that answers or speaks SOCKS5;
   *   ERR_PROXY_REFUSED (config): it does not take our credentials; ERR_DIAL_FAILED (network): it found no way;
   *   ERR_TIMEOUT: it looks for one; ERR_ABORTED. TypeError without a circuit.
   */
  async dial(endpoint: Endpoint, options: DialOptions): Promise<ByteStream> {
    const { proxy, credentials, clock } = this.#options
    const { circuit, timeoutMs, signal } = options
    if (circuit === undefined) throw new TypeError('"circuit" expected: what is this connection for?')
    const deadlineMs = clock.monotonicMs() + timeoutMs
    const socket = await this.#reachProxy(options)
    const shown = credentials(circuit)
    // Our own view of time and of who calls it off; the library sees a socket that closes.
    let early: MegatorrentError | null = null
    const end = (error: MegatorrentError): void => {
      early ??= error
      socket.destroy()
    }
    const onAbort = (): void => end(new MegatorrentError('ERR_ABORTED', 'connecting was called off'))
    let heardBytes = 0
    const hear = (bytes: Buffer): void => {
      heardBytes += bytes.length
    }
    socket.on('data', hear)
    // Up to the request it answers by itself: who is silent there hangs, wherever the connection should lead.
    const isAsked = (): boolean => heardBytes >= CHOICE_BYTES + (shown === null ? 0 : VERDICT_BYTES)
    const leftMs = Math.max(0, deadlineMs - clock.monotonicMs())
    const timer = clock.setTimer(() => end(isAsked() ? timedOut() : down('does not answer')), leftMs)
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      await negotiate(
        socket,
        new SocksClient({
          proxy: {
            ...{ host: proxy.host, port: proxy.port, type: 5 },
            ...(shown === null ? {} : { userId: shown.user, password: shown.password }),
          },
          command: 'connect',
          destination: { host: endpoint.host, port: endpoint.port },
          timeout: leftMs + SLACK_MS,
        }),
        shown !== null,
      )
      if (early !== null) throw early
      return streamOfSocket(socket, endpoint)
    } catch (error) {
      socket.destroy()
      throw early ?? error
    } finally {
      timer.cancel()
      socket.removeListener('data', hear)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  async #reachProxy(options: DialOptions): Promise<Socket> {
    const { proxy, clock } = this.#options
    try {
      return await connectSocket(clock, proxy, options)
    } catch (error) {
      if (isMegatorrentError(error, 'ERR_TIMEOUT')) throw down('does not answer')
      if (!isMegatorrentError(error, 'ERR_DIAL_FAILED')) throw error
      const text = `the proxy cannot be reached: start it, or correct "proxy" (${errorMessage(error.cause)})`
      throw new MegatorrentError('ERR_PROXY_DOWN', text)
    }
  }
}

/**
 * Resolves with the socket paused, and nothing lost that came after the proxy's answer.
 *
 * @param isShown - credentials are: a proxy that does without them hears nothing more.
 */
function negotiate(socket: Socket, client: SocksClient, isShown: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.on('error', () => {}) // the library stops listening before we begin
    const choice: number[] = []
    // Before the library hears the same bytes: what it writes to a socket that is destroyed goes nowhere.
    const look = (bytes: Buffer): void => {
      choice.push(...bytes.subarray(0, CHOICE_BYTES - choice.length))
      if (choice.length < CHOICE_BYTES) return
      socket.removeListener('data', look)
      if (choice[0] !== VERSION || choice[1] !== NO_AUTHENTICATION || !isShown) return
      socket.destroy()
      reject(refused('asks for no user name'))
    }
    socket.on('data', look)
    // The socket may be half open, which the library does not know.
    const onEnd = (): void => void socket.destroy()
    socket.once('end', onEnd)
    client.once('error', (error: Error) => reject(failureOf(error, choice[0] === VERSION)))
    client.once('established', () => {
      const early: Buffer[] = []
      const keep = (bytes: Buffer): void => void early.push(bytes)
      socket.on('data', keep)
      // The library hands out what it read beyond the answer, and resumes the socket, in a turn of its own.
      setImmediate(() => {
        socket.pause()
        socket.removeListener('data', keep)
        socket.removeListener('end', onEnd)
        if (early.length > 0) socket.unshift(Buffer.concat(early))
        if (socket.destroyed) reject(down('ended the connection'))
        else resolve()
      })
    })
    client.connect(socket)
  })
}

/** In our words. The library's error holds the credentials, so it is not passed on. */
function failureOf(error: Error, speaksSocks: boolean): MegatorrentError {
  const rejected = /rejected connection - (\w+)/.exec(error.message)?.[1]
  if (rejected !== undefined) {
    return new MegatorrentError('ERR_DIAL_FAILED', `connecting failed: the proxy says ${rejected}`)
  }
  if (/authentication/i.test(error.message)) {
    return refused('does not take user names of ours')
  }
  return down(speaksSocks ? 'ended the connection' : 'does not speak SOCKS5')
}

function timedOut(): MegatorrentError {
  return new MegatorrentError('ERR_TIMEOUT', 'the proxy took too long')
}

function down(how: string): MegatorrentError {
  return new MegatorrentError('ERR_PROXY_DOWN', `the proxy ${how}: is it Tor's SocksPort?`)
}

function refused(how: string): MegatorrentError {
  const text = `the proxy ${how}, so circuits would be shared: use Tor's SocksPort without PreferSOCKSNoAuth`
  return new MegatorrentError('ERR_PROXY_REFUSED', text)
}
