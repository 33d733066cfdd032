import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../../src/base/clock.ts'
import { SigningKey } from '../../../../src/crypto/ed25519.ts'
import {
  isCollision,
  TorControl,
  type TorControlOptions,
} from '../../../../src/transport/onion/tor-control.ts'
import { TcpTransport } from '../../../../src/transport/tcp.ts'
import { onionName } from '../../../../src/wire/onion.ts'
import { ControlPort, type ControlPortBehaviour } from '../../../swarm/harness/control-port.ts'
import { failureOf, until } from '../helpers.ts'

const COOKIE = Uint8Array.from(randomBytes(32))
const COOKIE_FILE = '/run/tor "x"/control_auth_cookie'
const SEED = Uint8Array.from(randomBytes(32))
const SERVICE = { seed: SEED, port: 7117, target: { host: '127.0.0.1', port: 4321 } }
const HOST = onionName(new SigningKey(SEED).publicKey)

let port: ControlPort
let opened: TorControl[] = []
let published: string[]
let heard: { closes: number }
/** Files that were asked for. */
let read: string[]

beforeEach(async () => {
  port = await ControlPort.start({ cookieFile: COOKIE_FILE, cookie: COOKIE })
  opened = []
  published = []
  heard = { closes: 0 }
  read = []
})

afterEach(async () => {
  for (const control of opened) control.close()
  await port.close()
})

async function open(
  behaviour: ControlPortBehaviour = {},
  change: Partial<TorControlOptions> = {},
): Promise<TorControl> {
  port.behaviour = { cookieFile: COOKIE_FILE, cookie: COOKIE, ...behaviour }
  const ears = heard // of this test
  const control = await TorControl.open({
    dialer: new TcpTransport(),
    endpoint: change.endpoint ?? port.endpoint,
    clock: systemClock,
    password: null,
    readCookie: async (path) => {
      read.push(path)
      return COOKIE
    },
    nonce: Uint8Array.from(randomBytes(32)),
    onPublished: (host) => published.push(host),
    onClosed: () => ears.closes++,
    ...change,
  })
  opened.push(control)
  return control
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

describe('logging in', () => {
  it('proves the cookie without showing it, where Tor knows how', async () => {
    await open()
    expect(read).toEqual([COOKIE_FILE])
    expect(port.lines.join('\n').toLowerCase()).not.toContain(hex(COOKIE))
  })

  it('sends the cookie where it must, and no other file', async () => {
    await open({ methods: 'COOKIE' })
    expect(port.lines[1]).toBe(`AUTHENTICATE ${hex(COOKIE)}`)
    const before = port.lines.length
    // A file of 32 bytes that is no cookie: the key of a node, say.
    const failure = failureOf(open({ methods: 'COOKIE', cookieFile: '/home/me/keys/node.key' }))
    expect(await failure).toMatchObject({ code: 'ERR_TOR_AUTH' })
    expect(port.lines.slice(before)).toEqual(['PROTOCOLINFO 1'])
    expect(read).not.toContain('/home/me/keys/node.key')
  })

  it('takes a password of any characters, and none is needed where none is wanted', async () => {
    await open({ methods: 'HASHEDPASSWORD', password: 'a "b" \\c' }, { password: 'a "b" \\c' })
    await open({ methods: 'NULL' })
    expect(opened).toHaveLength(2)
  })

  it.each([
    ['the password is wrong', { methods: 'HASHEDPASSWORD', password: 'x' }, { password: 'hunter2' }],
    ['Tor has no password', {}, { password: 'hunter2' }],
    ['Tor wants one', { methods: 'HASHEDPASSWORD' }, {}],
    ['the password has a line end', { methods: 'HASHEDPASSWORD' }, { password: 'a\r\nGETINFO version' }],
    ['the cookie is another', { cookie: new Uint8Array(32) }, {}],
    ['the cookie is short', {}, { readCookie: async () => COOKIE.subarray(1) }],
    ['the cookie cannot be read', {}, { readCookie: () => Promise.reject(new Error('EACCES')) }],
    ['the challenge is none', { instead: { AUTHCHALLENGE: '250 OK' } }, {}],
    ['the proof is refused', { instead: { AUTHENTICATE: '515 no' } }, {}],
  ] as const)('fails when %s, with no secret in the words', async (_, behaviour, change) => {
    const error = await failureOf(open(behaviour, change))
    expect(error).toMatchObject({ code: 'ERR_TOR_AUTH' })
    expect(String(error)).not.toMatch(/hunter2|GETINFO/)
    await until(() => port.connections === 0)
    expect(heard.closes).toBe(0)
  })

  it('fails when nobody is there, when it is no control port, and when it ends', async () => {
    const { endpoint } = port
    expect(await failureOf(open({ instead: { PROTOCOLINFO: 'HTTP/1.1 400' } }))).toMatchObject({
      code: 'ERR_TOR_CONTROL',
    })
    await port.close()
    expect(await failureOf(open({}, { endpoint }))).toMatchObject({ code: 'ERR_TOR_CONTROL' })
    port = await ControlPort.start({})
    const controller = new AbortController()
    const opening = open({ instead: { PROTOCOLINFO: null } }, { signal: controller.signal })
    await until(() => port.lines.length === 1)
    controller.abort()
    expect(await failureOf(opening)).toMatchObject({ code: 'ERR_ABORTED' })
  })

  it('does not wait for ever', async () => {
    const hasty = { ...systemClock, setTimer: (run: () => void) => systemClock.setTimer(run, 50) }
    const opening = open({ instead: { PROTOCOLINFO: null } }, { clock: hasty })
    expect(await failureOf(opening)).toMatchObject({ code: 'ERR_TIMEOUT' })
  })
})

describe('an onion service', () => {
  it('is made with the key of the seed, is told when others can find it, and goes', async () => {
    const control = await open()
    expect(await control.addOnion(SERVICE)).toBe(HOST)
    expect(port.onions).toEqual(new Map([[HOST, '127.0.0.1:4321']]))
    port.send(`650 HS_DESC UPLOADED ${HOST.slice(0, -6)} UNKNOWN $AB~r0 x\r\n`)
    port.send('650 HS_DESC REQUESTED other NO_AUTH x\r\n')
    await until(() => published.length > 0)
    expect(published).toEqual([HOST])
    await control.removeOnion(HOST)
    expect(port.onions.size).toBe(0)
  })

  it('is brought to a listener on IPv6 by an address that nobody can take for another', async () => {
    const control = await open()
    await control.addOnion({ ...SERVICE, target: { host: '::1', port: 4321 } })
    expect(port.onions).toEqual(new Map([[HOST, '[::1]:4321']]))
  })

  it('that is there already is a collision; any other refusal is not', async () => {
    const control = await open()
    await control.addOnion(SERVICE)
    const again = await failureOf(control.addOnion(SERVICE))
    expect(again).toMatchObject({ code: 'ERR_TOR_CONTROL' })
    expect(isCollision(again)).toBe(true)
    expect(isCollision(await failureOf(control.removeOnion('b.onion')))).toBe(false)
  })

  it('of another key than ours ends the connection', async () => {
    const other = 'b'.repeat(56)
    const control = await open({ instead: { ADD_ONION: `250-ServiceID=${other}\r\n250 OK` } })
    expect(await failureOf(control.addOnion(SERVICE))).toMatchObject({ code: 'ERR_TOR_CONTROL' })
    await until(() => heard.closes === 1)
  })

  it('shows its key to the control port alone, also when that repeats it', async () => {
    const control = await open({ echoes: true })
    const error = await failureOf(control.addOnion(SERVICE))
    const sent = port.lines.at(-1)?.split(/[ :]/)[2] ?? ''
    expect(Buffer.from(sent, 'base64')).toHaveLength(64)
    expect(JSON.stringify([error, String(error)])).not.toContain(sent)
  })

  it('ends with its connection, and whoever waits hears of it', async () => {
    const control = await open({ instead: { ADD_ONION: null } })
    const adding = failureOf(control.addOnion(SERVICE))
    await until(() => port.lines.some((line) => line.startsWith('ADD_ONION')))
    await port.close()
    expect(await adding).toMatchObject({ code: 'ERR_TOR_CONTROL' })
    expect(heard.closes).toBe(1)
    expect(await failureOf(control.addOnion(SERVICE))).toMatchObject({ code: 'ERR_TOR_CONTROL' })
  })
})
