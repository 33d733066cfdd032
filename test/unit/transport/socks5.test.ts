import { once } from 'node:events'
import net from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../src/base/clock.ts'
import { type Circuit, circuitCredentials } from '../../../src/transport/circuit.ts'
import { Socks5Dialer } from '../../../src/transport/socks5.ts'
import { TcpTransport } from '../../../src/transport/tcp.ts'
import type { ByteStream, Transport } from '../../../src/transport/transport.ts'
import { Recorder, transportCompliance } from '../../compliance/transport.ts'
import { Socks5Server } from '../../swarm/harness/socks5-server.ts'
import { within } from '../../swarm/harness/wait.ts'
import { failureOf, hasIpv6, until } from './helpers.ts'

const KEY = new Uint8Array(32).fill(5)
const CIRCUIT: Circuit = { purpose: 'channel', subject: 'ab'.repeat(32), day: 20_000 }
const ONION = `${'a'.repeat(56)}.onion`
const LOOPBACK = '127.0.0.1'

let proxy: Socks5Server
/** Gives back what it gets. */
let echo: net.Server
let echoPort = 0

beforeEach(async () => {
  echo = net.createServer((socket) => socket.on('error', () => {}).pipe(socket))
  echo.listen(0, LOOPBACK)
  await once(echo, 'listening')
  echoPort = (echo.address() as net.AddressInfo).port
  proxy = await Socks5Server.start(() => ({ host: LOOPBACK, port: echoPort }))
})

afterEach(async () => {
  await proxy.close()
  echo.close()
})

function dialer(server: Pick<Socks5Server, 'endpoint'> = proxy): Socks5Dialer {
  const credentials = (circuit: Circuit) => circuitCredentials(KEY, circuit)
  return new Socks5Dialer({ proxy: server.endpoint, credentials, clock: systemClock })
}

const dial = (host: string, options: { timeoutMs?: number; signal?: AbortSignal; circuit?: Circuit } = {}) =>
  dialer().dial({ host, port: 7117 }, { timeoutMs: 10_000, circuit: CIRCUIT, ...options })

async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return ((await failureOf(promise)) as { readonly code?: unknown }).code
}

/** What comes back of what is sent. */
async function echoed(stream: ByteStream, bytes: Uint8Array): Promise<Uint8Array> {
  const recorder = new Recorder(stream)
  stream.write(bytes)
  await until(() => recorder.bytes >= bytes.length)
  stream.destroy()
  return Buffer.concat(recorder.chunks)
}

transportCompliance({
  name: 'SOCKS5',
  make: async () => {
    const compliant = await Socks5Server.start()
    const far = new TcpTransport()
    const through = (server: Socks5Server): Transport => ({
      dial: (endpoint, options) => dialer(server).dial(endpoint, { circuit: CIRCUIT, ...options }),
      listen: (endpoint, onStream) => far.listen(endpoint, onStream),
    })
    const silent = await Socks5Server.start()
    silent.behaviour = { silentAfter: 'request' }
    return {
      near: through(compliant),
      far,
      hosts: [{ host: LOOPBACK, port: 0 }, ...(hasIpv6() ? [{ host: '::1', port: 0 }] : [])],
      nobody: { host: LOOPBACK, port: 1 },
      stalled: { dialer: through(silent), timeoutMs: 200 },
      until: (condition) => until(condition),
      maxInFlightBytes: 128 * 1_048_576,
      isProxied: true,
      close: async () => {
        await Promise.all([compliant.close(), silent.close()])
      },
    }
  },
})

describe('a dial through SOCKS5', () => {
  it.each([
    [ONION, 'name'],
    ['no-such-name.example', 'name'],
    ['192.0.2.7', 'ipv4'],
    ['2001:db8::7', 'ipv6'],
  ] as const)('hands %s over as it is, a %s, and carries bytes both ways', async (host, addressType) => {
    const stream = await dial(host)
    expect(stream.remote).toEqual({ host, port: 7117 })
    const bytes = Uint8Array.from({ length: 200_000 }, (_, n) => n)
    expect(Buffer.compare(await echoed(stream, bytes), bytes)).toBe(0)
    const [request] = proxy.requests
    expect(request).toMatchObject({ addressType, port: 7117 })
    if (addressType === 'ipv6') expect(net.isIPv6(request?.host ?? '')).toBe(true)
    else expect(request?.host).toBe(host)
  })

  it('shows credentials that no other purpose, subject or day shares, and always the same for one', async () => {
    const circuits: Circuit[] = [
      CIRCUIT,
      { ...CIRCUIT, purpose: 'gateway' },
      { ...CIRCUIT, purpose: 'slot' },
      { ...CIRCUIT, subject: 'cd'.repeat(32) },
      { ...CIRCUIT, day: 20_001 },
      CIRCUIT,
    ]
    for (const circuit of circuits) (await dial(ONION, { circuit })).destroy()
    const shown = proxy.requests.map(({ user, password }) => `${user}:${password}`)
    expect(new Set(shown).size).toBe(circuits.length - 1)
    expect(shown[0]).toBe(shown.at(-1))
    for (const { user, password } of proxy.requests) {
      expect(`${user} ${password}`).toMatch(/^[0-9a-f]{32} [0-9a-f]{32}$/)
      expect(CIRCUIT.subject).not.toContain(user)
    }
    expect(circuitCredentials(new Uint8Array(32).fill(6), CIRCUIT).user).not.toBe(proxy.requests[0]?.user)
  })

  it('is refused without saying what it is for', async () => {
    const bare = dialer().dial({ host: ONION, port: 1 }, { timeoutMs: 1000 })
    expect(await failureOf(bare)).toBeInstanceOf(TypeError)
    expect(proxy.offered).toEqual([])
  })

  it('loses nothing that comes with the answer of the proxy', async () => {
    proxy.behaviour = { early: Buffer.from('early') }
    const stream = await dial(ONION)
    expect(Buffer.from(await echoed(stream, Buffer.from(' and late'))).toString()).toMatch(/^early/)
  })

  it.each([
    ['refuses all methods', { method: 0xff }, 'ERR_PROXY_REFUSED'],
    ['asks for no user name', { method: 0 }, 'ERR_PROXY_REFUSED'],
    ['does not know the user', { accepts: () => false }, 'ERR_PROXY_REFUSED'],
    ['wants another method', { method: 3 }, 'ERR_PROXY_REFUSED'],
    ['speaks HTTP', { junk: Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n') }, 'ERR_PROXY_DOWN'],
    ['closes at the greeting', { closesAfter: 'greeting' }, 'ERR_PROXY_DOWN'],
    ['closes at the credentials', { closesAfter: 'credentials' }, 'ERR_PROXY_DOWN'],
    ['closes at the request', { closesAfter: 'request' }, 'ERR_PROXY_DOWN'],
    ['finds no host', { replies: 4 }, 'ERR_DIAL_FAILED'],
    ['is refused there', { replies: 5 }, 'ERR_DIAL_FAILED'],
    ['has an error that nobody knows', { replies: 0xf3 }, 'ERR_DIAL_FAILED'],
  ] as const)('fails when the proxy %s, and leaves no connection', async (_, behaviour, code) => {
    proxy.behaviour = behaviour
    const error = await failureOf(dial(ONION))
    expect(error).toMatchObject({ code })
    const { user, password } = circuitCredentials(KEY, CIRCUIT)
    const text = JSON.stringify([error, String(error), (error as Error).cause])
    expect(text).not.toContain(user)
    expect(text).not.toContain(password)
    await until(() => proxy.connections === 0)
  })

  it.each([1, 2])(
    'tells a proxy that would not keep circuits apart nothing (its answer in %i parts)',
    async (parts) => {
      proxy.behaviour = { method: 0, greetingParts: parts }
      expect(await codeOf(dial(ONION))).toBe('ERR_PROXY_REFUSED')
      await until(() => proxy.connections === 0)
      expect(proxy.offered).toHaveLength(1)
      expect(proxy.requests).toEqual([])
    },
  )

  it('says that there is no proxy, and tries nothing else', async () => {
    const { endpoint } = proxy
    await proxy.close()
    const late = dialer({ endpoint }).dial(
      { host: LOOPBACK, port: echoPort },
      { timeoutMs: 5000, circuit: CIRCUIT },
    )
    expect(await codeOf(late)).toBe('ERR_PROXY_DOWN')
  })

  it.each([
    ['greeting', 'ERR_PROXY_DOWN'],
    ['credentials', 'ERR_PROXY_DOWN'],
    ['request', 'ERR_TIMEOUT'],
  ] as const)(
    'ends in time, and when it is called off, where the proxy is silent after the %s: %s',
    async (silentAfter, code) => {
      proxy.behaviour = { silentAfter }
      expect(await codeOf(dial(ONION, { timeoutMs: 150 }))).toBe(code)
      const controller = new AbortController()
      const dialling = dial(ONION, { signal: controller.signal })
      await until(() => proxy.offered.length === 2)
      controller.abort()
      expect(await codeOf(within(dialling, 5000, 'the dial ends'))).toBe('ERR_ABORTED')
      await until(() => proxy.connections === 0)
    },
  )

  it('resolves no name of the proxy either', async () => {
    const named = { endpoint: { host: 'localhost', port: proxy.endpoint.port } }
    const dialled = dialer(named).dial({ host: ONION, port: 1 }, { timeoutMs: 1000, circuit: CIRCUIT })
    expect(await failureOf(dialled)).toBeInstanceOf(TypeError)
  })
})
