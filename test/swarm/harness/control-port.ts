/**
 * A control port that takes what Tor's takes, strictly, and can misbehave; for what real Tor does
 * see test/system/tor.test.ts.
 */
import { createHmac, randomBytes } from 'node:crypto'
import type net from 'node:net'
import { ed25519 } from '@noble/curves/ed25519.js'
import { onionName } from '../../../src/wire/onion.ts'
import { LoopbackServer } from './loopback-server.ts'

export interface ControlPortBehaviour {
  readonly methods?: string
  readonly cookieFile?: string
  readonly cookie?: Uint8Array
  readonly password?: string
  /** Refuses services, with the command in its words. */
  readonly echoes?: boolean
  /** Answer to a command that begins so, instead of the usual one; null is no answer. */
  readonly instead?: Readonly<Record<string, string | null>>
}

export class ControlPort {
  /** Every line that came in, keys and proofs included. */
  readonly lines: string[] = []
  /** Services by host, with the target of each. */
  readonly onions = new Map<string, string>()
  behaviour: ControlPortBehaviour
  #server!: LoopbackServer
  #challenge: { readonly proof: string } | null = null

  private constructor(behaviour: ControlPortBehaviour) {
    this.behaviour = behaviour
  }

  static async start(behaviour: ControlPortBehaviour, port = 0): Promise<ControlPort> {
    const control = new ControlPort(behaviour)
    control.#server = await LoopbackServer.listen((socket) => control.#serve(socket), port)
    return control
  }

  get endpoint(): LoopbackServer['endpoint'] {
    return this.#server.endpoint
  }

  get connections(): number {
    return this.#server.sockets.size
  }

  send(text: string): void {
    for (const socket of this.#server.sockets) socket.write(text)
  }

  /** As when Tor ends. */
  close(): Promise<void> {
    return this.#server.close()
  }

  #serve(socket: net.Socket): void {
    socket.on('end', () => socket.end())
    socket.on('close', () => this.onions.clear())
    let held = ''
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      held += text
      for (let end = held.indexOf('\r\n'); end >= 0; end = held.indexOf('\r\n')) {
        const line = held.slice(0, end)
        held = held.slice(end + 2)
        this.lines.push(line)
        const [word = ''] = line.split(' ')
        const { instead = {} } = this.behaviour
        const answer = word in instead ? (instead[word] as string | null) : this.#answer(line)
        if (answer !== null) socket.write(`${answer}\r\n`)
      }
    })
  }

  #answer(line: string): string {
    const { methods = 'COOKIE,SAFECOOKIE', cookieFile, cookie = new Uint8Array(), password } = this.behaviour
    const [word, ...rest] = line.split(' ')
    switch (word) {
      case 'PROTOCOLINFO': {
        const file =
          cookieFile === undefined ? '' : ` COOKIEFILE="${cookieFile.replaceAll(/["\\]/g, '\\$&')}"`
        return `250-PROTOCOLINFO 1\r\n250-AUTH METHODS=${methods}${file}\r\n250-VERSION Tor="0.4.9.1"\r\n250 OK`
      }
      case 'AUTHCHALLENGE': {
        const nonce = randomBytes(32)
        const mac = (label: string): string =>
          createHmac('sha256', `Tor safe cookie authentication ${label} hash`)
            .update(Buffer.concat([cookie, Buffer.from(rest[1] ?? '', 'hex'), nonce]))
            .digest('hex')
        this.#challenge = { proof: mac('controller-to-server') }
        const hash = mac('server-to-controller').toUpperCase()
        return `250 AUTHCHALLENGE SERVERHASH=${hash} SERVERNONCE=${nonce.toString('hex').toUpperCase()}`
      }
      case 'AUTHENTICATE': {
        const given = rest.join(' ')
        const good = [
          this.#challenge?.proof,
          Buffer.from(cookie).toString('hex'),
          password === undefined ? undefined : JSON.stringify(password),
          methods.includes('NULL') ? '' : undefined,
        ]
        return good.includes(given) ? '250 OK' : '515 Authentication failed: something'
      }
      case 'ADD_ONION': {
        if (this.behaviour.echoes === true) return `512 Bad arguments to ${line}`
        const [, key = ''] = /^ED25519-V3:(\S+)$/.exec(rest[0] ?? '') ?? []
        const bytes = Buffer.from(key, 'base64')
        const target = /Port=\d+,(\S+)/.exec(line)?.[1] ?? ''
        // As Tor does it: the first half is the scalar, as it is.
        const scalar = BigInt(`0x${Buffer.from(bytes.subarray(0, 32)).reverse().toString('hex')}`)
        const point = ed25519.Point.BASE.multiply(scalar % ed25519.Point.Fn.ORDER)
        const host = onionName(point.toBytes())
        if (this.onions.has(host)) return '550 Onion address collision'
        this.onions.set(host, target)
        return `250-ServiceID=${host.slice(0, -6)}\r\n250 OK`
      }
      case 'DEL_ONION':
        return this.onions.delete(`${rest[0]}.onion`) ? '250 OK' : '552 Unknown Onion Service id'
      default:
        return '250 OK'
    }
  }
}
