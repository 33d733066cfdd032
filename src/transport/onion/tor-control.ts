/**
 * One connection to Tor's control port, and the onion services that live as long as it does.
 *
 * Commands are answered in order. Private keys go over it in clear, as Tor has it, so it belongs on
 * this machine; nothing that is sent here is ever logged or put into an error.
 *
 * @module transport/onion/tor-control
 */
import type { Clock } from '../../base/clock.ts'
import { errorMessage, isMegatorrentError, MegatorrentError } from '../../base/errors.ts'
import { CONTROL_COMMAND_TIMEOUT_MS } from '../../base/limits.ts'
import { SigningKey } from '../../crypto/ed25519.ts'
import { onionSecretKey } from '../../crypto/onion-key.ts'
import { wipe } from '../../crypto/wipe.ts'
import { onionName } from '../../wire/onion.ts'
import type { ByteStream, Dialer, Endpoint } from '../transport.ts'
import { type AuthMeans, authenticate, parseProtocolInfo } from './control-auth.ts'
import { ControlReader, type ControlReply, isEvent } from './control-reply.ts'

const OK = 250
/** Of Tor, for an onion that somebody has already: us, before a connection broke. */
const COLLISION = 'Onion address collision'
const HAS_IT = 'has that onion already'

export interface TorControlOptions extends Pick<AuthMeans, 'password' | 'readCookie' | 'nonce'> {
  readonly dialer: Dialer
  readonly endpoint: Endpoint
  readonly clock: Clock
  readonly signal?: AbortSignal
  /** An onion's descriptor was taken by a directory: others can find it now. @param host - `<56>.onion`. */
  readonly onPublished: (host: string) => void
  /** It ended, and all onion services with it. Called once, unless `open` failed. */
  readonly onClosed: () => void
}

export interface OnionService {
  /** 32 bytes; read, not kept. */
  readonly seed: Uint8Array
  /** The port that others dial. */
  readonly port: number
  /** Where Tor connects to: a listener of ours on loopback. */
  readonly target: Endpoint
}

interface Waiting {
  readonly resolve: (reply: ControlReply) => void
  readonly reject: (error: Error) => void
}

export class TorControl {
  readonly #stream: ByteStream
  readonly #clock: Clock
  readonly #reader = new ControlReader()
  readonly #waiting: Waiting[] = []
  readonly #onPublished: TorControlOptions['onPublished']
  #onClosed: () => void = () => {}
  #isClosed = false

  private constructor(stream: ByteStream, options: TorControlOptions) {
    this.#stream = stream
    this.#clock = options.clock
    this.#onPublished = options.onPublished
    stream.start({
      onData: (bytes) => this.#receive(bytes),
      onDrain: () => {},
      onClose: () => this.#end(),
    })
  }

  /**
   * Connect and log in.
   *
   * @throws MegatorrentError ERR_TOR_CONTROL (network), ERR_TOR_AUTH (config), ERR_TIMEOUT, ERR_ABORTED.
   */
  static async open(options: TorControlOptions): Promise<TorControl> {
    const control = new TorControl(await connect(options), options)
    const onAbort = (): void => control.close()
    options.signal?.addEventListener('abort', onAbort, { once: true })
    try {
      const command = (line: string): Promise<ControlReply> => control.#command(line)
      await authenticate(parseProtocolInfo(await command('PROTOCOLINFO 1')), {
        ...options,
        command: (line) => (line.startsWith('AUTH') ? control.#login(line) : command(line)),
      })
      await command('SETEVENTS HS_DESC')
      control.#onClosed = options.onClosed
      return control
    } catch (error) {
      control.close()
      if (options.signal?.aborted) throw new MegatorrentError('ERR_ABORTED', 'logging in was called off')
      throw error
    } finally {
      options.signal?.removeEventListener('abort', onAbort)
    }
  }

  /**
   * Make an onion service. It ends with this connection, or by `removeOnion`.
   *
   * @returns its host, `<56 characters>.onion`.
   * @throws MegatorrentError ERR_TOR_CONTROL; `isCollision` tells whether Tor still has it from before.
   */
  async addOnion({ seed, port, target }: OnionService): Promise<string> {
    const host = onionName(new SigningKey(seed).publicKey)
    const key = onionSecretKey(seed)
    const text = Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('base64')
    wipe(key)
    // Without brackets Tor takes `::1:4321` for an address as well as for one with a port.
    const at = target.host.includes(':') ? `[${target.host}]` : target.host
    const { lines } = await this.#command(
      `ADD_ONION ED25519-V3:${text} Flags=DiscardPK Port=${port},${at}:${target.port}`,
    )
    const name = lines.find((line) => line.startsWith('ServiceID='))?.slice('ServiceID='.length)
    if (`${name}.onion` === host) return host
    // Tor takes keys that nobody could prove without a word.
    this.close()
    throw failed('made another onion than that of our key')
  }

  /** @param host - as `addOnion` gave it. Streams that are open go on. */
  async removeOnion(host: string): Promise<void> {
    await this.#command(`DEL_ONION ${host.replace(/\.onion$/, '')}`)
  }

  close(): void {
    this.#stream.destroy()
  }

  async #login(line: string): Promise<ControlReply> {
    try {
      return await this.#command(line)
    } catch (error) {
      if (!isMegatorrentError(error, 'ERR_TOR_CONTROL') || this.#isClosed) throw error
      const text = "Tor's control port refuses the password or cookie: correct it, or restart Tor"
      throw new MegatorrentError('ERR_TOR_AUTH', text)
    }
  }

  #command(line: string): Promise<ControlReply> {
    if (this.#isClosed) return Promise.reject(failed('ended'))
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(() => {
        reject(new MegatorrentError('ERR_TIMEOUT', "Tor's control port does not answer"))
        this.close()
      }, CONTROL_COMMAND_TIMEOUT_MS)
      this.#waiting.push({
        resolve: (reply) => {
          timer.cancel()
          if (reply.code === OK) resolve(reply)
          // Not in its words: they may repeat the command, which may be secret.
          else if (reply.lines.includes(COLLISION)) reject(failed(HAS_IT))
          else reject(failed(`refused a command (${reply.code})`))
        },
        reject: (error) => {
          timer.cancel()
          reject(error)
        },
      })
      this.#stream.write(Buffer.from(`${line}\r\n`, 'latin1'))
    })
  }

  #receive(bytes: Uint8Array): void {
    try {
      for (const reply of this.#reader.push(bytes)) {
        if (isEvent(reply)) this.#event(reply)
        else this.#waiting.shift()?.resolve(reply)
      }
    } catch (error) {
      for (const waiting of this.#waiting.splice(0)) waiting.reject(error as Error)
      this.close()
    }
  }

  #event({ lines }: ControlReply): void {
    const name = /^HS_DESC UPLOADED ([a-z2-7]{56}) /.exec(lines[0] ?? '')?.[1]
    if (name !== undefined) this.#onPublished(`${name}.onion`)
  }

  #end(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const waiting of this.#waiting.splice(0)) waiting.reject(failed('ended'))
    this.#onClosed()
  }
}

/** Does Tor still hold the service of a connection that has just ended? It lets go of it soon. */
export function isCollision(error: unknown): boolean {
  return isMegatorrentError(error, 'ERR_TOR_CONTROL') && error.message.endsWith(HAS_IT)
}

async function connect({ dialer, endpoint, signal }: TorControlOptions): Promise<ByteStream> {
  const timeoutMs = CONTROL_COMMAND_TIMEOUT_MS
  try {
    return await dialer.dial(endpoint, { timeoutMs, ...(signal === undefined ? {} : { signal }) })
  } catch (error) {
    if (!isMegatorrentError(error, 'ERR_DIAL_FAILED')) throw error
    throw failed(`cannot be reached (${errorMessage(error)}): start Tor with a ControlPort`)
  }
}

function failed(how: string): MegatorrentError {
  return new MegatorrentError('ERR_TOR_CONTROL', `Tor's control port ${how}`)
}
