import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Clock, systemClock } from '../../../../src/base/clock.ts'
import { silentLog } from '../../../../src/base/log.ts'
import { OnionServices } from '../../../../src/transport/onion/onion-services.ts'
import { TorControl } from '../../../../src/transport/onion/tor-control.ts'
import { TcpTransport } from '../../../../src/transport/tcp.ts'
import { ControlPort } from '../../../swarm/harness/control-port.ts'
import { until } from '../helpers.ts'

const hasty: Clock = { ...systemClock, setTimer: (run, delayMs) => systemClock.setTimer(run, delayMs / 20) }
const OPEN_PORT = { methods: 'NULL' }

let port: ControlPort
let services: OnionServices

const service = (listenPort: number) => ({
  ...{ seed: Uint8Array.from(randomBytes(32)), port: 7117 },
  target: { host: '127.0.0.1', port: listenPort },
})

function start(endpoint = port.endpoint): OnionServices {
  return new OnionServices({
    clock: hasty,
    log: silentLog,
    open: (heard) =>
      TorControl.open({
        ...heard,
        ...{ dialer: new TcpTransport(), endpoint, clock: systemClock, password: null },
        readCookie: () => Promise.reject(new Error('none')),
        nonce: Uint8Array.from(randomBytes(32)),
      }),
  })
}

beforeEach(async () => {
  port = await ControlPort.start(OPEN_PORT)
  services = start()
})

afterEach(async () => {
  services.close()
  await port.close()
})

describe('onion services', () => {
  it('are made each with its own key and listener, and go one by one', async () => {
    const hosts = [1001, 1002].map((listenPort) => services.add(service(listenPort)))
    expect(hosts.map((host) => services.state(host))).toEqual(['wanted', 'wanted'])
    await until(() => hosts.every((host) => services.state(host) === 'made'))
    expect(new Set(hosts).size).toBe(2)
    expect([...port.onions.values()].sort()).toEqual(['127.0.0.1:1001', '127.0.0.1:1002'])
    const [first = '', second = ''] = hosts
    port.send(`650 HS_DESC UPLOADED ${second.slice(0, -6)} UNKNOWN $AB\r\n`)
    await until(() => services.state(second) === 'published')
    await services.remove(first)
    expect([...port.onions.keys()]).toEqual([second])
    expect(services.state(first)).toBeNull()
    expect(port.connections).toBe(1)
  })

  it('come back after Tor has gone, and are not said to be there meanwhile', async () => {
    const { endpoint } = port
    const host = services.add(service(1001))
    await until(() => services.state(host) === 'made')
    await port.close()
    await until(() => services.state(host) === 'wanted')
    await until(() => services.lastError !== null)
    expect(services.lastError).toMatchObject({ code: 'ERR_TOR_CONTROL' })
    port = await ControlPort.start(OPEN_PORT, endpoint.port)
    await until(() => services.state(host) === 'made')
    expect([...port.onions.keys()]).toEqual([host])
    expect(services.lastError).toBeNull()
  })

  it('that Tor still holds are made when it lets go of them', async () => {
    const wanted = service(1001)
    const other = start()
    const host = other.add(wanted)
    await until(() => other.state(host) === 'made')
    services.add(wanted)
    await until(() => port.lines.filter((line) => line.startsWith('ADD_ONION')).length >= 2)
    expect(services.state(host)).toBe('wanted')
    other.close()
    await until(() => services.state(host) === 'made')
  })

  it('that were removed before they were made are not left behind', async () => {
    const host = services.add(service(1001))
    await services.remove(host)
    const kept = services.add(service(1002))
    await until(() => services.state(kept) === 'made')
    expect([...port.onions.keys()]).toEqual([kept])
  })

  it('are ended by close, which leaves nothing', async () => {
    const host = services.add(service(1001))
    await until(() => services.state(host) === 'made')
    services.close()
    await until(() => port.connections === 0)
    expect(services.state(host)).toBeNull()
  })
})
