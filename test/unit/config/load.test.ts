import { readFileSync } from 'node:fs'
import { parse as parseToml } from 'smol-toml'
import { describe, expect, it } from 'vitest'
import {
  type ConfigSources,
  findDataDir,
  formatProblem,
  type LoadResult,
  loadConfig,
} from '../../../src/config/load.ts'
import {
  type Config,
  flagOf,
  keyOf,
  LATER_SETTINGS,
  SETTING_STEMS,
  SETTINGS,
  variableOf,
} from '../../../src/config/schema.ts'
import { formatSample, formatSettings, listSettings } from '../../../src/config/show.ts'

const HOME = { HOME: '/home/u' }
const FILE = '/home/u/.local/share/megatorrent/config.toml'

interface Given {
  readonly flags?: Record<string, readonly string[] | true>
  readonly environment?: Record<string, string>
  readonly file?: string
}

function load({ flags = {}, environment = {}, file }: Given): LoadResult {
  const sources: ConfigSources = {
    flags: new Map(Object.entries(flags)),
    environment: { ...HOME, ...environment },
    file: file === undefined ? null : { path: FILE, text: file },
    callerFolder: '/caller',
  }
  return loadConfig(sources)
}

function configOf(given: Given): Config {
  const loaded = load(given)
  if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('; '))
  return loaded.config
}

function problemsOf(given: Given): readonly string[] {
  const loaded = load(given)
  return loaded.ok ? [] : loaded.problems.map(formatProblem)
}

describe('without any source', () => {
  it('the defaults are those of the contract', () => {
    expect(configOf({})).toEqual({
      dataDir: '/home/u/.local/share/megatorrent',
      listen: { host: '0.0.0.0', port: 7117 },
      rpc: { host: '127.0.0.1', port: 7118 },
      rpcHost: [],
      rpcOrigin: [],
      rpcAllowRemote: false,
      dhtPort: null,
      bootstrap: expect.objectContaining({ length: 3 }),
      noDht: false,
      dhtServer: false,
      peer: [],
      gateway: false,
      gatewayBlobs: 0,
      gatewayKeeps: false,
      useGateway: [],
      external: null,
      downloadDir: '/home/u/.local/share/megatorrent/downloads',
      maxStore: 20 * 2 ** 30,
      minFree: 2 ** 30,
      maxPeers: 200,
      uploadLimit: 0,
      downloadLimit: 0,
      proxy: null,
      proxyAuthFile: null,
      proxyNoIsolation: false,
      torControl: null,
      torControlPasswordFile: null,
      startSpread: 600_000,
      passphraseFile: null,
      logLevel: 'info',
      logFormat: 'text',
    })
  })

  it('every default is what its document says, and passes its own parser', () => {
    for (const stem of SETTING_STEMS) {
      const { defaultText, parse, fallback, isList } = SETTINGS[stem] as (typeof SETTINGS)['peer']
      if (/[<$ ]/.test(defaultText) || defaultText === 'none') continue
      const context = { callerFolder: '/', dataDir: '/d' }
      const texts = isList ? defaultText.split(',') : [defaultText]
      expect(parse(texts, context), stem).toEqual(fallback(context))
    }
  })
})

describe('the sources', () => {
  it('override one another: flag, environment, file, default', () => {
    const file = 'max_peers = 3\n'
    const environment = { MEGATORRENT_MAX_PEERS: '2' }
    const flags = { 'max-peers': ['1'] }
    expect(configOf({ flags, environment, file }).maxPeers).toBe(1)
    expect(configOf({ environment, file }).maxPeers).toBe(2)
    expect(configOf({ file }).maxPeers).toBe(3)
    expect(configOf({}).maxPeers).toBe(200)
  })

  it('tell where each value came from', () => {
    const loaded = load({
      flags: { 'max-peers': ['1'] },
      environment: { MEGATORRENT_LOG_LEVEL: 'debug' },
      file: '# a comment\nmin_free = "2GiB"\n',
    })
    if (!loaded.ok) throw new Error('expected a config')
    expect(loaded.origins.maxPeers).toEqual({ source: 'flag', place: '--max-peers' })
    expect(loaded.origins.logLevel).toEqual({ source: 'environment', place: 'MEGATORRENT_LOG_LEVEL' })
    expect(loaded.origins.minFree).toEqual({ source: 'file', place: `${FILE} line 2` })
    expect(loaded.origins.rpc).toEqual({ source: 'default', place: '' })
  })

  it('replace lists as a whole and do not mix them', () => {
    const file = 'peer = ["10.0.0.1:1", "10.0.0.2:2"]\n'
    expect(configOf({ file }).peer).toEqual(['10.0.0.1:1', '10.0.0.2:2'])
    expect(configOf({ file, environment: { MEGATORRENT_PEER: '10.0.0.3:3, 10.0.0.4:4' } }).peer).toEqual([
      '10.0.0.3:3',
      '10.0.0.4:4',
    ])
    expect(configOf({ file, flags: { peer: ['10.0.0.5:5'] } }).peer).toEqual(['10.0.0.5:5'])
  })

  it('give sizes and booleans in their own forms', () => {
    expect(configOf({ file: 'max_store = 5000000\n' }).maxStore).toBe(5_000_000)
    expect(configOf({ file: 'max_store = "5MB"\n' }).maxStore).toBe(5_000_000)
    expect(configOf({ file: 'dht_server = true\n' }).dhtServer).toBe(true)
    expect(
      configOf({ file: 'dht_server = true\n', environment: { MEGATORRENT_DHT_SERVER: 'false' } }).dhtServer,
    ).toBe(false)
    expect(configOf({ flags: { 'dht-server': true } }).dhtServer).toBe(true)
  })

  it('take relative paths from the folder of the caller', () => {
    expect(configOf({ flags: { 'download-dir': ['d'] } }).downloadDir).toBe('/caller/d')
    expect(configOf({ file: 'download_dir = "d"\n' }).downloadDir).toBe('/caller/d')
    expect(configOf({ flags: { 'data-dir': ['x'] } }).downloadDir).toBe('/caller/x/downloads')
  })

  it('leave a config that cannot be changed', () => {
    expect(Object.isFrozen(configOf({}))).toBe(true)
  })
})

describe('the data folder', () => {
  const find = (flags: Record<string, string[]>, environment: Record<string, string>) =>
    findDataDir({ flags: new Map(Object.entries(flags)), environment, callerFolder: '/caller' })

  it('is that of the flag, of the variable, of XDG, of the home folder, in this order', () => {
    const all = { MEGATORRENT_DATA_DIR: '/env', XDG_DATA_HOME: '/xdg', HOME: '/home/u' }
    expect(find({ 'data-dir': ['/flag'] }, all)).toMatchObject({ dataDir: '/flag' })
    expect(find({}, all)).toMatchObject({ dataDir: '/env' })
    expect(find({}, { ...all, MEGATORRENT_DATA_DIR: undefined as unknown as string })).toMatchObject({
      dataDir: '/xdg/megatorrent',
    })
    expect(find({}, HOME)).toMatchObject({ dataDir: '/home/u/.local/share/megatorrent' })
  })

  it('ignores a relative XDG_DATA_HOME', () => {
    expect(find({}, { XDG_DATA_HOME: 'x', ...HOME })).toMatchObject({
      dataDir: '/home/u/.local/share/megatorrent',
    })
  })

  it('is a problem when nothing says where', () => {
    expect(find({}, {})).toHaveProperty('problem')
    expect(find({ 'data-dir': [''] }, HOME)).toHaveProperty('problem')
  })

  it('cannot be set in the file that lies in it', () => {
    expect(problemsOf({ file: 'data_dir = "/x"\n' })).toEqual([
      expect.stringContaining('data_dir cannot be set in the file'),
    ])
  })
})

describe('problems', () => {
  it('come all at once, each with its key and its place, and none with the value', () => {
    const problems = problemsOf({
      flags: { 'max-peers': ['canary'], 'max-store': ['canary'] },
      environment: { MEGATORRENT_LOG_LEVEL: 'canary', MEGATORRENT_CANARY: '1' },
      file: 'min_free = true\nunknown_key = 1\n\ndownload_dir = 5\n',
    })
    expect(problems).toEqual([
      `min_free is wrong: expected a string such as "20GiB", or an integer (${FILE} line 1)`,
      `unknown_key is not a setting; \`megatorrent config show\` lists them (${FILE} line 2)`,
      `download_dir is wrong: expected a TOML string (${FILE} line 4)`,
      'MEGATORRENT_CANARY is not a setting; `megatorrent config show` lists them (environment)',
      expect.stringContaining('(--max-store)'),
      'max_peers is wrong: expected an integer from 1 to 10000 (--max-peers)',
      'log_level is wrong: expected one of debug, info, warn, error (MEGATORRENT_LOG_LEVEL)',
    ])
    expect(problems.join()).not.toContain('canary')
  })

  it.each([
    ['a float for an integer', 'max_peers = 1.0'],
    ['a string for an integer', 'max_peers = "10"'],
    ['a string for a boolean', 'dht_server = "true"'],
    ['a string for a list', 'peer = "10.0.0.1:1"'],
    ['numbers in a list', 'peer = [1]'],
    ['a date', 'log_level = 2026-01-01'],
    ['a table', '[log_level]\nx = 1'],
    ['a dotted key', 'log_level.x = 1'],
    ['an integer that no double holds', 'max_store = 99999999999999999999'],
    ['a key twice', 'max_peers = 1\nmax_peers = 2'],
    ['no TOML', 'max_peers: 1'],
    ['an unfinished string', 'log_level = "info'],
    ['an empty value', 'max_peers ='],
    ['__proto__', '__proto__ = 1'],
    ['constructor', 'constructor = 1'],
    ['a key in other letters', 'Max_Peers = 1'],
    ['a key with hyphens', 'max-peers = 1'],
  ])('%s in the file is one', (_name, file) => {
    expect(problemsOf({ file })).toHaveLength(1)
  })

  it('name the line where the file breaks off', () => {
    expect(problemsOf({ file: 'max_peers = 1\nmin_free = \n' })[0]).toContain(`${FILE} line 2`)
  })

  it('are empty variables, too: an empty one is not an unset one', () => {
    expect(problemsOf({ environment: { MEGATORRENT_MAX_PEERS: '' } })).toHaveLength(1)
    expect(problemsOf({ environment: { MEGATORRENT_PEER: '' } })).toHaveLength(1)
    expect(problemsOf({ environment: { MEGATORRENT_PEER: '10.0.0.1:1,' } })).toHaveLength(1)
  })

  it('leave other variables alone', () => {
    expect(problemsOf({ environment: { MEGATORRENTX: '1', megatorrent_x: '1', PATH: '/bin' } })).toEqual([])
  })

  it('print keys of a file without what would act on a terminal', () => {
    const [problem] = problemsOf({ file: '"\\u001b[31mkey" = 1\n' })
    expect(problem).not.toContain('\u001b')
  })
})

describe('what is not in this version', () => {
  it.each(LATER_SETTINGS.map(({ name, argument }) => [name, argument]))(
    '%s is refused from every source',
    (name, argument) => {
      const place = String(name)
      const expected = expect.stringContaining('is not in this version yet')
      expect(problemsOf({ flags: { [place]: argument === null ? true : ['x'] } })).toEqual([expected])
      expect(problemsOf({ environment: { [variableOf(place)]: '' } })).toEqual([expected])
      expect(problemsOf({ file: `${keyOf(place)} = false\n` })).toEqual([expected])
    },
  )

  it('has no name in common with what is', () => {
    const landed = SETTING_STEMS.map((stem) => SETTINGS[stem].name)
    expect(LATER_SETTINGS.filter(({ name }) => landed.includes(name))).toEqual([])
  })
})

describe('combinations', () => {
  const flagsOf = (...names: string[]): Given => {
    const flags: Record<string, readonly string[] | true> = {}
    for (const text of names) {
      const [name = '', value] = text.split('=')
      flags[name] = value === undefined ? true : [value]
    }
    return { flags }
  }

  it.each([['rpc=0.0.0.0:7118'], ['rpc=192.168.1.2:7118'], ['rpc=[::]:7118']])(
    'RPC on %s needs permission',
    (flag) => {
      expect(problemsOf(flagsOf(flag))).toEqual([expect.stringContaining('--rpc-allow-remote')])
      expect(problemsOf(flagsOf(flag, 'rpc-allow-remote'))).toEqual([])
    },
  )

  it.each(['dht-port=1', 'bootstrap=none', 'bootstrap=10.0.0.1:1', 'dht-server', 'gateway'])(
    'no DHT excludes %s',
    (flag) => {
      expect(problemsOf(flagsOf('no-dht', flag))).toEqual([expect.stringContaining('--no-dht')])
      expect(problemsOf({ ...flagsOf(flag), file: 'no_dht = true\n' })).toHaveLength(1)
    },
  )

  it('no DHT alone is fine', () => {
    expect(configOf(flagsOf('no-dht'))).toMatchObject({ noDht: true, dhtServer: false })
  })

  it('a gateway is one with a DHT, and whoever uses gateways has none', () => {
    expect(configOf(flagsOf('gateway'))).toMatchObject({ gateway: true, noDht: false })
    const uses = 'use-gateway=127.0.0.1:7117'
    expect(configOf(flagsOf('no-dht', uses))).toMatchObject({ useGateway: ['127.0.0.1:7117'] })
    expect(problemsOf(flagsOf(uses))).toEqual([expect.stringMatching(/^use_gateway .*--no-dht/)])
    expect(problemsOf(flagsOf('gateway', uses))).toHaveLength(1)
    const onion = `use-gateway=${'a'.repeat(56)}.onion:7117`
    expect(problemsOf(flagsOf('no-dht', onion))).toEqual([expect.stringContaining('use_gateway')])
    const safe = 'proxy=socks5://127.0.0.1:9050'
    expect(problemsOf(flagsOf(safe, 'gateway'))).toEqual([expect.stringContaining('gateway')])
    expect(problemsOf(flagsOf(safe, uses))).toEqual([expect.stringMatching(/^use_gateway .*node key/)])
    const pinned = `use-gateway=${'ab'.repeat(31)}00@127.0.0.1:7117`
    expect(problemsOf(flagsOf(safe, pinned))).toEqual([])
  })

  it('a first node answers others', () => {
    const loaded = load(flagsOf('bootstrap=none'))
    expect(loaded).toMatchObject({ ok: true, config: { bootstrap: [], dhtServer: true } })
    expect(loaded.ok && loaded.origins.dhtServer).toEqual({ source: 'implied', place: 'bootstrap none' })
    expect(problemsOf({ ...flagsOf('bootstrap=none'), file: 'dht_server = false\n' })).toHaveLength(1)
  })

  it('none stands alone', () => {
    expect(problemsOf({ flags: { bootstrap: ['none', '10.0.0.1:1'] } })).toHaveLength(1)
  })

  it('one port cannot serve peers and RPC', () => {
    expect(problemsOf(flagsOf('rpc=127.0.0.1:7117'))).toEqual([expect.stringMatching(/^rpc .*\(--rpc\)$/)])
    expect(problemsOf(flagsOf('listen=127.0.0.1:7118'))).toEqual([
      expect.stringMatching(/^listen .*\(--listen\)$/),
    ])
    expect(problemsOf(flagsOf('rpc=127.0.0.1:0', 'listen=127.0.0.1:0'))).toEqual([])
    expect(problemsOf(flagsOf('rpc=127.0.0.1:5', 'listen=127.0.0.2:5'))).toEqual([])
  })

  it('onions cannot be reached without a proxy', () => {
    expect(problemsOf(flagsOf(`peer=${'a'.repeat(56)}.onion:1`))).toEqual([expect.stringContaining('proxy')])
  })

  it('the DHT needs IPv4', () => {
    expect(problemsOf(flagsOf('listen=[::1]:7117'))).toHaveLength(1)
    expect(problemsOf(flagsOf('listen=[::1]:7117', 'no-dht'))).toEqual([])
  })

  it('files of others do not land among our own', () => {
    for (const folder of ['/d', '/d/keys', '/d/blobs/x']) {
      expect(problemsOf(flagsOf('data-dir=/d', `download-dir=${folder}`)), folder).toHaveLength(1)
    }
    for (const folder of ['/d/downloads', '/', '/d/keysX', '/e']) {
      expect(problemsOf(flagsOf('data-dir=/d', `download-dir=${folder}`)), folder).toEqual([])
    }
  })

  it('are told all at once', () => {
    expect(problemsOf(flagsOf('rpc=0.0.0.0:7117', 'no-dht', 'dht-server', 'dht-port=1'))).toHaveLength(4)
  })
})

describe('one name in all its places', () => {
  it.each(SETTING_STEMS)('%s', (stem) => {
    const { name } = SETTINGS[stem]
    const words = name.split('-')
    const camel = words
      .map((word, i) => (i === 0 ? word : `${word[0]?.toUpperCase()}${word.slice(1)}`))
      .join('')
    expect(camel).toBe(stem)
    expect(flagOf(name)).toBe(`--${words.join('-')}`)
    expect(variableOf(name)).toBe(`MEGATORRENT_${words.join('_').toUpperCase()}`)
    expect(keyOf(name)).toBe(words.join('_'))
    if (SETTINGS[stem].isInFile) expect(formatSample()).toContain(`\n#${keyOf(name)} = `)
  })
})

describe('config.sample.toml', () => {
  const sample = readFileSync('config.sample.toml', 'utf8')

  it('is what the schema says', () => {
    expect(sample).toBe(formatSample())
  })

  it('is all comments as it stands', () => {
    expect(parseToml(sample)).toEqual({})
    expect(configOf({ file: sample })).toEqual(configOf({}))
  })

  it('with the comments off has every key, in the right type', () => {
    const table = parseToml(sample.replace(/^#(?=[a-z_]+ =)/gm, ''))
    const keys = SETTING_STEMS.filter((stem) => SETTINGS[stem].isInFile).map((stem) =>
      keyOf(SETTINGS[stem].name),
    )
    expect(Object.keys(table)).toEqual(keys)
  })
})

describe('config show', () => {
  it('prints a file that gives the same settings again', () => {
    const first = load({ flags: { peer: ['10.0.0.1:1'], 'max-store': ['5MB'], bootstrap: ['10.0.0.2:2'] } })
    if (!first.ok) throw new Error('expected a config')
    const text = formatSettings(listSettings(first.config, first.origins), true)
    expect(configOf({ file: text })).toEqual(first.config)
    expect(text).toContain('peer = ["10.0.0.1:1"]  # flag: --peer')
    expect(text).toContain('log_level = "info"  # default')
  })
})
