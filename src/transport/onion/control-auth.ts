/**
 * Proving to Tor's control port who we are (control-spec, sections 3.5, 3.21 and 3.24).
 *
 * Whoever listens at the port names the file of the cookie. A file named by a stranger must not be
 * sent to it: SAFECOOKIE proves that both have read it and shows nothing of it. The older COOKIE sends it, so
 * only a file of the cookie's usual name is.
 *
 * @module transport/onion/control-auth
 */
import { fromHex, toHex, utf8Bytes } from '../../base/bytes.ts'
import { MegatorrentError } from '../../base/errors.ts'
import { constantTimeEqual, hmacSha256 } from '../../crypto/hash.ts'
import type { ControlReply } from './control-reply.ts'

export const COOKIE_BYTES = 32
const COOKIE_FILE_NAME = /(?:^|[/\\])control_auth_cookie$/
const SERVER_LABEL = utf8Bytes('Tor safe cookie authentication server-to-controller hash')
const CONTROLLER_LABEL = utf8Bytes('Tor safe cookie authentication controller-to-server hash')

/** What the port takes, from its answer to PROTOCOLINFO. */
export interface AuthOffer {
  readonly methods: ReadonlySet<string>
  /** Absolute; null when none is named. */
  readonly cookieFile: string | null
}

export interface AuthMeans {
  /** Null where none was given. */
  readonly password: string | null
  /** @throws when it cannot be read. */
  readonly readCookie: (path: string) => Promise<Uint8Array>
  /** 32 random bytes. */
  readonly nonce: Uint8Array
  /** Sends a command and gives its reply. @throws MegatorrentError for any but 250. */
  readonly command: (line: string) => Promise<ControlReply>
}

export function parseProtocolInfo({ lines }: ControlReply): AuthOffer {
  const auth = lines.find((line) => line.startsWith('AUTH ')) ?? ''
  const methods = /\bMETHODS=([A-Z,]+)/.exec(auth)?.[1]?.split(',') ?? []
  const quoted = /\bCOOKIEFILE="((?:[^"\\]|\\.)*)"/.exec(auth)?.[1] ?? null
  return { methods: new Set(methods), cookieFile: quoted?.replaceAll(/\\(.)/g, '$1') ?? null }
}

/** A string as the control port wants it. @throws MegatorrentError ERR_TOR_AUTH for line ends. */
export function quoteControlString(text: string): string {
  if (/[\0\r\n]/.test(text)) throw refused('a password cannot hold line ends')
  return `"${text.replaceAll(/["\\]/g, '\\$&')}"`
}

/**
 * Authenticate: with the password if there is one, else by cookie, else without.
 *
 * @throws MegatorrentError ERR_TOR_AUTH (config) when no way that Tor offers is open to us or the proof fails.
 */
export async function authenticate(offer: AuthOffer, means: AuthMeans): Promise<void> {
  const { methods, cookieFile } = offer
  const { password, command } = means
  if (password !== null) {
    if (!methods.has('HASHEDPASSWORD')) throw refused('Tor has no HashedControlPassword')
    await command(`AUTHENTICATE ${quoteControlString(password)}`)
  } else if (methods.has('SAFECOOKIE') && cookieFile !== null) {
    await safeCookie(await cookieOf(cookieFile, means), means)
  } else if (methods.has('COOKIE') && cookieFile !== null) {
    if (!COOKIE_FILE_NAME.test(cookieFile)) throw refused('it wants a file that is no control_auth_cookie')
    await command(`AUTHENTICATE ${toHex(await cookieOf(cookieFile, means))}`)
  } else if (methods.has('NULL')) {
    await command('AUTHENTICATE')
  } else {
    throw refused('Tor wants a password: give --tor-control-password-file, or set CookieAuthentication 1')
  }
}

async function cookieOf(path: string, { readCookie }: AuthMeans): Promise<Uint8Array> {
  let cookie: Uint8Array
  try {
    cookie = await readCookie(path)
  } catch {
    throw refused(`its cookie ${JSON.stringify(path)} cannot be read: join Tor's group`)
  }
  if (cookie.length !== COOKIE_BYTES) throw refused('its cookie is not 32 bytes')
  return cookie
}

async function safeCookie(cookie: Uint8Array, { nonce, command }: AuthMeans): Promise<void> {
  const { lines } = await command(`AUTHCHALLENGE SAFECOOKIE ${toHex(nonce)}`)
  const challenge = /^AUTHCHALLENGE SERVERHASH=([0-9a-f]{64}) SERVERNONCE=([0-9a-f]{64})$/i.exec(
    lines[0] ?? '',
  )
  if (challenge === null) throw refused('its challenge cannot be read')
  const [serverHash, serverNonce] = challenge
    .slice(1)
    .map((hex) => fromHex(hex.toLowerCase(), COOKIE_BYTES) as Uint8Array) as [Uint8Array, Uint8Array]
  const prove = (label: Uint8Array): Uint8Array => hmacSha256(label, cookie, nonce, serverNonce)
  if (!constantTimeEqual(serverHash, prove(SERVER_LABEL))) throw refused('it does not know the cookie itself')
  await command(`AUTHENTICATE ${toHex(prove(CONTROLLER_LABEL))}`)
}

function refused(why: string): MegatorrentError {
  return new MegatorrentError('ERR_TOR_AUTH', `cannot log in at Tor's control port: ${why}`)
}
