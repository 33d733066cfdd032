/**
 * Real Tor, on a network of its own: our onion services are found under the name of our key, the
 * proxy carries bytes to onions and to clear addresses, streams that must not be linked are on circuits of
 * their own, and services come back when Tor does.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import net from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { SigningKey } from '../../src/crypto/ed25519.ts'
import { type Circuit, circuitCredentials } from '../../src/transport/circuit.ts'
import { OnionServices } from '../../src/transport/onion/onion-services.ts'
import { TorControl, type TorControlOptions } from '../../src/transport/onion/tor-control.ts'
import { Socks5Dialer } from '../../src/transport/socks5.ts'
import { TcpTransport } from '../../src/transport/tcp.ts'
import type { ByteStream } from '../../src/transport/transport.ts'
import { onionName } from '../../src/wire/onion.ts'
import { Recorder } from '../compliance/transport.ts'
import { waitUntil } from '../swarm/harness/wait.ts'
import { CONTROL_PASSWORD, hasTor, type TorClient, TorNet } from './tor-net.ts'

const HAS_TOR = hasTor()
const LOOPBACK = '127.0.0.1'
const LONG_MS = 120_000
const KEY = Uint8Array.from(randomBytes(32))
const circuit = (subject: string, change: Partial<Circuit> = {}): Circuit => ({
  ...{ purpose: 'channel', subject, day: 20_000 },
  ...change,
})

let tor: TorNet
let server: TorClient
let client: TorClient
let echo: net.Server
let echoPort = 0

function openControl(
  at: TorClient,
  heard: Partial<Pick<TorControlOptions, 'onPublished' | 'onClosed' | 'signal'>> = {},
  password: string | null = null,
): Promise<TorControl> {
  return TorControl.open({
    ...{ dialer: new TcpTransport(), endpoint: at.control, clock: systemClock, password },
    readCookie: (path) => readFile(path),
    nonce: Uint8Array.from(randomBytes(32)),
    onPublished: () => {},
    onClosed: () => {},
    ...heard,
  })
}

const newServices = (): OnionServices =>
  new OnionServices({ clock: systemClock, log: silentLog, open: (heard) => openControl(server, heard) })

function dialer(): Socks5Dialer {
  const credentials = (of: Circuit) => circuitCredentials(KEY, of)
  return new Socks5Dialer({ proxy: client.socks, credentials, clock: systemClock })
}

/** Dial until it works: a descriptor takes a moment to be found. */
function reach(host: string, port: number, of: Circuit): Promise<ByteStream> {
  const dial = (): Promise<ByteStream> => dialer().dial({ host, port }, { timeoutMs: 30_000, circuit: of })
  return waitUntil(dial, LONG_MS, `${host} is reached`)
}

async function echoes(stream: ByteStream, bytes = Uint8Array.from(randomBytes(100_000))): Promise<void> {
  const recorder = new Recorder(stream)
  stream.write(bytes)
  await waitUntil(() => recorder.bytes >= bytes.length, LONG_MS, 'all comes back')
  expect(Buffer.compare(Buffer.concat(recorder.chunks), bytes)).toBe(0)
}

/** User names of the circuits that have streams on them now, by circuit. */
async function circuitsInUse(at: TorClient): Promise<Map<string, Set<string>>> {
  const socket = net.connect(at.control)
  socket.setEncoding('latin1')
  let text = ''
  socket.on('data', (chunk: string) => {
    text += chunk
  })
  socket.write(
    `AUTHENTICATE ${JSON.stringify(CONTROL_PASSWORD)}\r\nGETINFO stream-status circuit-status\r\nQUIT\r\n`,
  )
  await once(socket, 'close')
  const userOf = new Map(
    [...text.matchAll(/^(\d+) BUILT .*?SOCKS_USERNAME="(\w+)"/gm)].map(([, id = '', user = '']) => [
      id,
      user,
    ]),
  )
  const users = new Map<string, Set<string>>()
  for (const [, id = ''] of text.matchAll(/\b\d+ SUCCEEDED (\d+) /g)) {
    users.set(id, (users.get(id) ?? new Set()).add(userOf.get(id) ?? 'none'))
  }
  return users
}

describe.skipIf(!HAS_TOR)('real Tor (needs tor)', () => {
  beforeAll(async () => {
    echo = net.createServer((socket) => socket.on('error', () => {}).pipe(socket))
    echo.listen(0, LOOPBACK)
    await once(echo, 'listening')
    echoPort = (echo.address() as net.AddressInfo).port
    tor = await TorNet.start(2)
    ;[server, client] = tor.clients as [TorClient, TorClient]
  })

  afterAll(async () => {
    echo?.close()
    await tor?.dispose()
  })

  it('lets us in by its cookie and by a password, and by no other', async () => {
    for (const password of [null, CONTROL_PASSWORD]) (await openControl(server, {}, password)).close()
    await expect(openControl(server, {}, 'wrong')).rejects.toMatchObject({ code: 'ERR_TOR_AUTH' })
  })

  it('serves an onion of our key, which others reach through their proxy, until it is removed', async () => {
    const services = newServices()
    const seed = Uint8Array.from(randomBytes(32))
    const host = services.add({ seed, port: 7117, target: { host: LOOPBACK, port: echoPort } })
    expect(host).toBe(onionName(new SigningKey(seed).publicKey))
    await waitUntil(() => services.state(host) === 'published', LONG_MS, 'the onion is published')
    const stream = await reach(host, 7117, circuit('a'))
    expect(stream.remote).toEqual({ host, port: 7117 })
    await echoes(stream)
    stream.destroy()
    await services.remove(host)
    // Tor knows at once, or looks for another descriptor for longer than we wait.
    const refused = dialer().dial({ host, port: 7117 }, { timeoutMs: 20_000, circuit: circuit('b') })
    await expect(refused).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_(?:DIAL_FAILED|TIMEOUT)$/),
    })
    services.close()
  })

  it('gives each purpose, subject and day circuits of its own', async () => {
    const circuits = [
      circuit('a'),
      circuit('b'),
      circuit('a', { purpose: 'slot' }),
      circuit('a', { day: 20_001 }),
      circuit('a'),
    ]
    const streams: ByteStream[] = []
    for (const of of circuits) {
      const stream = await reach(LOOPBACK, echoPort, of)
      streams.push(stream)
      await echoes(stream)
    }
    const inUse = await circuitsInUse(client)
    const expected = new Set(circuits.map((of) => circuitCredentials(KEY, of).user))
    expect(expected.size).toBe(4)
    // No circuit has two users. One user may have more than one circuit: that is Tor's to decide.
    expect([...inUse.values()].filter((users) => users.size > 1)).toEqual([])
    const users = new Set([...inUse.values()].flatMap((names) => [...names]))
    expect([...expected].filter((user) => !users.has(user))).toEqual([])
    for (const stream of streams) stream.destroy()
  })

  it('that ends takes the services with it, and they are back when it is', async () => {
    const services = newServices()
    const seed = Uint8Array.from(randomBytes(32))
    const host = services.add({ seed, port: 7117, target: { host: LOOPBACK, port: echoPort } })
    await waitUntil(() => services.state(host) === 'published', LONG_MS, 'the onion is published')
    await server.stop()
    await waitUntil(() => services.state(host) === 'wanted', LONG_MS, 'the onion is missed')
    await server.start()
    await waitUntil(() => services.state(host) === 'published', LONG_MS, 'the onion is back')
    const stream = await reach(host, 7117, circuit('c'))
    await echoes(stream)
    stream.destroy()
    services.close()
  })
})
