/** What safe mode rules out, and what follows from it. */
import { describe, expect, it } from 'vitest'
import { formatProblem, type LoadResult, loadConfig } from '../../../src/config/load.ts'

const ONION = `${'a'.repeat(56)}.onion:7117`
const KEY = 'ab'.repeat(32)
const PROXY = 'proxy=socks5://127.0.0.1:9050'

function load(flags: readonly string[], file?: string): LoadResult {
  const given = new Map<string, readonly string[] | true>()
  for (const text of flags) {
    const [, name = '', value] = /^([^=]+)(?:=(.*))?$/.exec(text) ?? []
    given.set(name, value === undefined ? true : [value])
  }
  return loadConfig({
    flags: given,
    environment: { HOME: '/home/u' },
    file: file === undefined ? null : { path: '/c.toml', text: file },
    callerFolder: '/caller',
  })
}

function problemsOf(flags: readonly string[], file?: string): readonly string[] {
  const loaded = load(flags, file)
  return loaded.ok ? [] : loaded.problems.map(formatProblem)
}

describe('safe mode', () => {
  it('has no DHT and is on loopback, and says that this follows from the proxy', () => {
    const loaded = load([PROXY])
    if (!loaded.ok) throw new Error('refused')
    const { config, origins } = loaded
    expect(config).toMatchObject({
      noDht: true,
      dhtServer: false,
      listen: { host: '127.0.0.1' },
      proxy: { host: '127.0.0.1', port: 9050 },
    })
    for (const stem of ['noDht', 'listen'] as const) {
      expect(origins[stem]).toEqual({ source: 'implied', place: 'proxy' })
    }
  })

  it.each([
    [[PROXY, 'listen=127.0.0.1:0']],
    [[PROXY, 'listen=[::1]:7117']],
    [[PROXY, 'no-dht']],
    [[PROXY, 'rpc=[::1]:0']],
    [[PROXY, 'rpc=localhost:7118']],
    [[PROXY, `peer=${ONION}`]],
    [[PROXY, `peer=${KEY}@10.0.0.1:7117`]],
    [[PROXY, `peer=${KEY}@example.org:7117`]],
    [[PROXY, 'tor-control=127.0.0.1:9051']],
    [[PROXY, 'tor-control=[::1]:9051', 'tor-control-password-file=/p']],
    [[PROXY, 'proxy-auth-file=/a', 'proxy-no-isolation']],
    [['proxy=socks5://localhost:9050']],
    [['proxy=socks5://[::1]:9050']],
  ])('takes %j', (flags) => {
    expect(problemsOf(flags)).toEqual([])
  })

  it.each([
    ['a port of the DHT', ['dht-port=1'], /^dht_port .*show your address/],
    ['its first nodes', ['bootstrap=10.0.0.1:1'], /^bootstrap .*show your address/],
    ['no first nodes, which makes one', ['bootstrap=none'], /^bootstrap .*show your address/],
    ['answers to others', ['dht-server'], /^dht_server .*show your address/],
    ['an address to announce', ['external=8.8.8.8:1'], /^external .*announces/],
    ['a listener for all', ['listen=0.0.0.0:7117'], /^listen .*past the proxy/],
    ['a listener for all, IPv6', ['listen=[::]:7117'], /^listen .*past the proxy/],
    ['a listener for its network', ['listen=192.168.1.2:7117'], /^listen .*past the proxy/],
    ['RPC for others', ['rpc=0.0.0.0:7118'], /^rpc .*other machines/],
    ['RPC for others, as was allowed', ['rpc=192.168.1.2:1', 'rpc-allow-remote'], /^rpc .*other machines/],
    ['a clear peer without its key', ['peer=8.8.8.8:7117'], /^peer .*NODEKEY@/],
    ['a named peer without its key', ['peer=example.org:7117'], /^peer .*NODEKEY@/],
    ['one user for all', ['proxy-auth-file=/a'], /^proxy_auth_file .*--proxy-no-isolation/],
    [
      'a password for nothing',
      ['tor-control-password-file=/p'],
      /^tor_control_password_file .*--tor-control/,
    ],
    ['a control port elsewhere', ['tor-control=192.168.1.2:9051'], /^tor_control .*in clear/],
  ])('refuses %s', (_, flags, expected) => {
    expect(problemsOf([PROXY, ...flags])).toEqual([expect.stringMatching(expected)])
  })

  it('refuses what is in the file as well, and all at once', () => {
    const file = 'no_dht = false\nlisten = "0.0.0.0:1"\ndht_server = true\nexternal = "8.8.8.8:1"\n'
    const problems = problemsOf([PROXY], file)
    expect(problems).toHaveLength(4)
    expect(problems.every((problem) => problem.includes('/c.toml'))).toBe(true)
  })

  it('takes what is switched off already', () => {
    expect(problemsOf([PROXY], 'no_dht = true\ndht_server = false\n')).toEqual([])
  })

  it.each([
    ['a name to be resolved', 'socks5://proxy.example:9050'],
    ['a user and password for all to read', 'socks5://me:secret@127.0.0.1:9050'],
    ['another protocol', 'http://127.0.0.1:9050'],
    ['names resolved here', 'socks5h://127.0.0.1:9050'],
    ['SOCKS4', 'socks4://127.0.0.1:9050'],
    ['no port', 'socks5://127.0.0.1'],
    ['port 0', 'socks5://127.0.0.1:0'],
    ['everywhere', 'socks5://0.0.0.0:9050'],
  ])('takes no proxy with %s', (_, proxy) => {
    const [problem] = problemsOf([`proxy=${proxy}`])
    expect(problem).toMatch(/^proxy /)
    expect(problem).not.toContain('secret')
  })
})

describe('without a proxy', () => {
  it.each(['proxy-auth-file=/a', 'proxy-no-isolation', 'tor-control=127.0.0.1:9051'])(
    '%s is refused, not passed over',
    (flag) => {
      expect(problemsOf([flag])).toEqual([expect.stringContaining('add --proxy')])
    },
  )

  it.each([
    [['gateway', 'tor-control=127.0.0.1:9051']],
    [['gateway', 'tor-control=[::1]:9051', 'tor-control-password-file=/p']],
  ])('a gateway takes %j', (flags) => {
    expect(problemsOf(flags)).toEqual([])
  })

  it.each([
    [
      'a password for nothing',
      ['tor-control-password-file=/p'],
      /^tor_control_password_file .*--tor-control/,
    ],
    ['a control port elsewhere', ['tor-control=192.168.1.2:9051'], /^tor_control .*in clear/],
    ['an onion to ask', ['tor-control=127.0.0.1:9051', `peer=${ONION}`], /^peer .*only a proxy/],
  ])('a gateway refuses %s', (_, flags, expected) => {
    expect(problemsOf(['gateway', ...flags])).toEqual([expect.stringMatching(expected)])
  })

  it.each([
    ['room for blobs of others', ['gateway-blobs=1GiB'], /^gateway_blobs .*--gateway/],
    [
      'more room than there is',
      ['gateway', 'gateway-blobs=2GiB', 'max-store=1GiB'],
      /^gateway_blobs .*--max-store/,
    ],
    ['blobs kept by nobody', ['no-dht', 'gateway-keeps'], /^gateway_keeps .*--use-gateway/],
  ])('refuses %s', (_, flags, expected) => {
    expect(problemsOf(flags)).toEqual([expect.stringMatching(expected)])
  })

  it('nothing of safe mode follows', () => {
    expect(load([])).toMatchObject({ ok: true, config: { noDht: false, listen: { host: '0.0.0.0' } } })
  })
})
