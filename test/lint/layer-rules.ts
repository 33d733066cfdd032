/**
 * The layer table and the reach list of the design, as data, and the pure
 * functions that hold files against them. ARCHITECTURE.md and docs/adr/0001 say why.
 */
import type { ProjectFile } from './project-files.ts'
import { importsOf, scanText } from './source-text.ts'

/** Level of every folder of src. Imports go to a lower level or stay in the folder. */
export const LEVELS: Readonly<Record<string, number>> = {
  base: 0,
  crypto: 1,
  config: 1,
  wire: 2,
  transport: 3,
  storage: 3,
  discovery: 3,
  swarm: 4,
  channels: 5,
  messaging: 5,
  mesh: 5,
  node: 6,
  rpc: 7,
  cli: 8,
  qbt: 8,
  web: 8,
}

/** `bin` composes and may see everything; nothing sees it. */
const BIN_LEVEL = 9

/** Clients of the RPC: what they may see besides their own folder. */
const CLIENT_FOLDERS: ReadonlySet<string> = new Set(['cli', 'qbt', 'web'])
const CLIENTS_SEE = /^src\/(?:base|config)\/|^src\/rpc\/schema(?:\.ts$|\/)/

/** The page runs in a browser: of the schema it takes types, of base what needs no Node. */
const WEB_SEES = /^src\/base\/(?:format|printable)\.ts$/

/** The contract: imports base alone, so that any client can read it. */
const SCHEMA = /^src\/rpc\/schema(?:\.ts$|\/)/

export interface Fault {
  readonly path: string
  readonly line: number
  readonly message: string
}

/** `crypto` for `src/crypto/x.ts`, `bin` for `bin/x.ts`; null for what is in no layer. */
function folderOf(path: string): string | null {
  const parts = path.split('/')
  if (parts[0] === 'bin') return 'bin'
  return parts[0] === 'src' && parts.length > 2 ? (parts[1] as string) : null
}

function levelOf(folder: string): number | undefined {
  return folder === 'bin' ? BIN_LEVEL : LEVELS[folder]
}

/** Path of what a relative specifier names, from the project's root, or null if it leaves the project. */
export function resolveSpecifier(fromPath: string, specifier: string): string | null {
  const parts = fromPath.split('/').slice(0, -1)
  for (const part of specifier.split('/')) {
    if (part === '..') {
      if (parts.pop() === undefined) return null
    } else if (part !== '.') parts.push(part)
  }
  return parts.join('/')
}

/** Faults of the layer rule in one file. */
export function layerFaults(file: ProjectFile): readonly Fault[] {
  const faults: Fault[] = []
  const from = folderOf(file.path)
  const fromLevel = from === null ? undefined : levelOf(from)
  if (from === null || fromLevel === undefined) {
    return [{ path: file.path, line: 1, message: 'is in no folder of the layer table' }]
  }
  for (const { specifier, line, isType } of importsOf(file.text)) {
    const fault = (message: string): void => void faults.push({ path: file.path, line, message })
    if (from === 'web' && specifier.startsWith('node:')) fault(`the page imports "${specifier}"`)
    if (specifier === '*computed*' || specifier.includes('${')) {
      fault('imports what it computes: nobody can check that')
      continue
    }
    if (!specifier.startsWith('.')) {
      if (specifier.startsWith('/') || specifier.startsWith('file:') || specifier.startsWith('#')) {
        fault(`imports "${specifier}": only packages and relative paths`)
      }
      continue
    }
    const target = resolveSpecifier(file.path, specifier)
    const to = target === null ? null : folderOf(target)
    const toLevel = to === null ? undefined : levelOf(to)
    if (target === null || to === null || toLevel === undefined) {
      fault(`imports "${specifier}", which is in no folder of the layer table`)
    } else if (from === to) {
      if (SCHEMA.test(file.path) && !SCHEMA.test(target)) fault(`the schema imports ${target}: base alone`)
    } else if (SCHEMA.test(file.path) && to !== 'base') {
      fault(`the schema imports ${target}: base alone`)
    } else if (to === 'web') {
      fault(`${from} imports ${target}: the page is built and served, nothing imports it`)
    } else if (from === 'web') {
      const isSeen = WEB_SEES.test(target) || (isType && SCHEMA.test(target))
      if (!isSeen) fault(`the page imports ${target}: it sees types of rpc/schema and pure helpers of base`)
    } else if (CLIENT_FOLDERS.has(from)) {
      if (!CLIENTS_SEE.test(target)) {
        fault(`${from} imports ${target}: it sees base, config and rpc/schema`)
      }
    } else if (toLevel === fromLevel) {
      fault(`${from} imports ${target}, which is beside it`)
    } else if (toLevel > fromLevel) {
      fault(`${from} imports ${target}, which is above it`)
    }
  }
  return faults
}

interface ReachRule {
  readonly what: string
  /** Module names; a name ending in `/` stands for all below it. */
  readonly modules: readonly string[]
  readonly allowed: readonly RegExp[]
}

/**
 * Which files may touch the outside. A module that is not listed is free; one
 * that is listed is for the files named and no other.
 */
export const REACH: readonly ReachRule[] = [
  { what: 'TCP sockets', modules: ['net'], allowed: [/^src\/transport\/tcp\.ts$/] },
  {
    what: 'UDP sockets',
    modules: ['dgram'],
    allowed: [/^src\/discovery\/(?:dht\/)?[a-z-]*guard[a-z-]*\.ts$/, /^src\/transport\/nat\/udp\.ts$/],
  },
  // One file resolves names; safe mode does not load it.
  { what: 'name resolution', modules: ['dns', 'dns/promises'], allowed: [/^src\/transport\/resolver\.ts$/] },
  { what: 'TLS', modules: ['tls', 'https', 'http2'], allowed: [] },
  {
    what: 'HTTP',
    modules: ['http'],
    allowed: [
      /^src\/rpc\/(?:guarded-server|server|event-streams)\.ts$/,
      /^src\/cli\/[a-z-]*client[a-z-]*\.ts$/,
      /^src\/qbt\/[a-z-]*proxy[a-z-]*\.ts$/,
    ],
  },
  {
    what: 'threads',
    modules: ['worker_threads'],
    allowed: [/^src\/storage\/(?:[a-z-]+\/)?[a-z-]*(?:pool|worker)[a-z-]*\.ts$/],
  },
  {
    what: 'child processes',
    modules: ['child_process', 'cluster'],
    allowed: [/^src\/node\/(?:hooks|[a-z-]*notify)\.ts$/, /^src\/cli\/(?:[a-z-]+\/)?demo[a-z-]*\.ts$/],
  },
  {
    what: 'code made at run time or from outside',
    modules: ['module', 'inspector', 'repl', 'wasi', 'trace_events'],
    allowed: [],
  },
  // To have the engine collect what ciphers leave behind: one constant flag and the function that it shows.
  {
    what: 'the engine',
    modules: ['v8', 'vm'],
    allowed: [/^src\/crypto\/scratch\.ts$/, /^src\/node\/heap-growth\.ts$/],
  },
  { what: 'SOCKS', modules: ['socks'], allowed: [/^src\/transport\/socks5\.ts$/] },
  {
    what: 'the DHT library',
    modules: ['bittorrent-dht', 'k-rpc', 'k-rpc-socket'],
    allowed: [/^src\/discovery\/(?:dht\/)?[a-z-]*(?:mainline|adapter)[a-z-]*\.ts$/],
  },
  { what: 'the database library', modules: ['libsql', 'libsql/'], allowed: [/^src\/storage\/database\.ts$/] },
  { what: 'the HTTP front', modules: ['fastify', '@fastify/'], allowed: [/^src\/rpc\/server\.ts$/] },
  { what: 'metrics', modules: ['prom-client'], allowed: [/^src\/rpc\/metrics\.ts$/] },
  { what: 'WebSockets', modules: ['ws'], allowed: [/^src\/rpc\/event-streams\.ts$/] },
  {
    what: 'the memory-hard hash',
    modules: ['hash-wasm', 'hash-wasm/'],
    allowed: [/^src\/crypto\/argon2id\.ts$/],
  },
  { what: 'word lists', modules: ['@scure/'], allowed: [/^src\/crypto\/seed-words\.ts$/] },
  { what: 'RPC dispatch', modules: ['jayson', 'jayson/'], allowed: [/^src\/rpc\//] },
  { what: 'the page', modules: ['preact', 'preact/', 'qrcode'], allowed: [/^src\/web\//] },
  { what: 'the log library', modules: ['pino', 'pino/'], allowed: [/^src\/node\/log\.ts$/] },
  {
    what: 'the command line',
    modules: ['commander', 'cli-progress', 'cli-table3'],
    allowed: [/^src\/cli\//, /^bin\//],
  },
]

interface WordRule {
  readonly what: string
  readonly pattern: RegExp
  readonly allowed: readonly RegExp[]
}

/** The same for what needs no import. Patterns are held against code without comments and strings. */
export const WORDS: readonly WordRule[] = [
  { what: 'the environment', pattern: /\bprocess\s*(?:\?\.|\.)\s*env\b/g, allowed: [/^bin\//] },
  { what: 'the end of the process', pattern: /\bprocess\s*\.\s*(?:exit|abort|kill)\b/g, allowed: [/^bin\//] },
  { what: 'the console', pattern: /\bconsole\s*\.\s*\w+/g, allowed: [/^bin\//] },
  { what: 'process by computed name', pattern: /\b(?:process|globalThis)\s*\[/g, allowed: [] },
  // fetch, WebSocket and their like would go past the dialers, and so past the proxy.
  {
    what: "the platform's own network calls",
    // A method of that name is declared at the start of a line, and called after a dot.
    pattern:
      /(?:\b(?:await|return|void|yield)|=>|[=(,?:[!&|])\s*fetch\s*\(|\bglobalThis\s*\.\s*fetch\b|\bnew\s+(?:XMLHttpRequest|WebSocket|EventSource)\b/g,
    // The page has the browser's, to where it came from and nowhere else: its policy says so.
    allowed: [/^src\/web\/(?:app\.tsx|feed\.ts|rpc\.ts)$/],
  },
  {
    what: 'markup made from text',
    pattern:
      /\b(?:dangerouslySetInnerHTML|innerHTML|outerHTML|insertAdjacentHTML|srcdoc)\b|\bdocument\s*\.\s*write/g,
    allowed: [],
  },
  { what: 'eval', pattern: /(?<![.\w])(?:eval|Function)\s*\(/g, allowed: [] },
  {
    what: 'signals that leak or are lost: base/abort.ts',
    pattern: /\bAbortSignal\s*\.\s*(?:any|timeout)\b/g,
    allowed: [],
  },
  { what: 'chance that is not passed in', pattern: /\bMath\s*\.\s*random\b/g, allowed: [] },
]

/** Faults of the reach rule in one file. */
export function reachFaults(file: ProjectFile): readonly Fault[] {
  const faults: Fault[] = []
  const isAllowed = (allowed: readonly RegExp[]): boolean => allowed.some((rule) => rule.test(file.path))
  for (const { specifier, line } of importsOf(file.text)) {
    const name = specifier.replace(/^node:/, '')
    for (const rule of REACH) {
      const hit = rule.modules.some((module) =>
        module.endsWith('/') ? name.startsWith(module) : name === module,
      )
      if (hit && !isAllowed(rule.allowed)) {
        faults.push({ path: file.path, line, message: `reaches ${rule.what} by importing "${specifier}"` })
      }
    }
  }
  const { codeOnly, withoutComments } = scanText(file.text)
  for (const rule of WORDS) {
    if (isAllowed(rule.allowed)) continue
    for (const match of codeOnly.matchAll(rule.pattern)) {
      const line = codeOnly.slice(0, match.index).split('\n').length
      faults.push({ path: file.path, line, message: `reaches ${rule.what}: ${match[0].trim()}` })
    }
  }
  const fromProcess = /\bimport\s*\{([^}]*)\}\s*from\s*['"](?:node:)?process['"]/g
  for (const match of withoutComments.matchAll(fromProcess)) {
    if (/\b(?:env|exit|abort|kill)\b/.test(match[1] as string) && !file.path.startsWith('bin/')) {
      const line = withoutComments.slice(0, match.index).split('\n').length
      faults.push({ path: file.path, line, message: 'takes env, exit, abort or kill out of node:process' })
    }
  }
  return faults
}

/** Faults of the rules of form that a compiler does not know, in one file of src or bin. */
export function formFaults(file: ProjectFile): readonly Fault[] {
  const faults: Fault[] = []
  const fault = (line: number, message: string): void => void faults.push({ path: file.path, line, message })
  const { commentsOnly } = scanText(file.text)
  const lines = file.text.split('\n').length - 1
  if (lines > MAX_SOURCE_LINES && !TABLES.test(file.path))
    fault(lines, `has ${lines} lines, more than ${MAX_SOURCE_LINES}`)
  if (!/^(?:#![^\n]*\n)?\s*\/\*\*/.test(file.text)) fault(1, 'does not begin with a header comment')
  for (const match of commentsOnly.matchAll(/biome-ignore|@ts-(?:ignore|expect-error|nocheck)/g)) {
    const line = commentsOnly.slice(0, match.index).split('\n').length
    fault(line, `switches a check off: ${match[0]}`)
  }
  const name = file.path.split('/').at(-1) as string
  if (!/^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.d)?\.tsx?$/.test(name)) fault(1, 'has a name that is not kebab-case')
  for (const { specifier, line } of importsOf(file.text)) {
    if (specifier.startsWith('.') && !/\.(?:tsx?|json)$/.test(specifier)) {
      fault(line, `imports "${specifier}" without its .ts ending`)
    }
  }
  return faults
}

/** One table each, which grows with everything else. */
const TABLES = /^src\/base\/(?:limits|errors)\.ts$/

/** Longer than this, a file holds more than one idea. */
export const MAX_SOURCE_LINES = 400
