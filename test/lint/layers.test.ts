/**
 * Imports point down only, and few files touch the outside. The rules are in
 * layer-rules.ts; here they are held against the project, and against faults
 * planted to show that they would be seen.
 */
import { describe, expect, it } from 'vitest'
import { type Fault, formFaults, layerFaults, reachFaults, resolveSpecifier } from './layer-rules.ts'
import { readProjectFile, readProjectFiles } from './project-files.ts'
import { importsOf, scanText, withoutTagSlashes } from './source-text.ts'

const SOURCES = readProjectFiles(['src', 'bin'], ['.ts', '.tsx']).map((file) =>
  file.path.endsWith('.tsx') ? { ...file, text: withoutTagSlashes(file.text) } : file,
)

const show = (faults: readonly Fault[]): readonly string[] =>
  faults.map((fault) => `${fault.path}:${fault.line} ${fault.message}`)

describe('the project', () => {
  it('has sources to check', () => {
    expect(SOURCES.length).toBeGreaterThan(8)
    expect(SOURCES.some((file) => importsOf(file.text).length > 0)).toBe(true)
  })

  it('has imports that point down only', () => {
    expect(show(SOURCES.flatMap(layerFaults))).toEqual([])
  })

  it('touches the outside only in the files that the reach list names', () => {
    expect(show(SOURCES.flatMap(reachFaults))).toEqual([])
  })

  it('keeps files short, headed, kebab-case and without switched-off checks', () => {
    expect(show(SOURCES.flatMap(formFaults))).toEqual([])
  })

  it('imports only files that exist', () => {
    const missing = SOURCES.flatMap((file) =>
      importsOf(file.text)
        .filter(({ specifier }) => specifier.startsWith('.') && /\.tsx?$/.test(specifier))
        .filter(({ specifier }) => {
          const target = resolveSpecifier(file.path, specifier)
          return target === null || readProjectFile(target) === null
        })
        .map(({ specifier }) => `${file.path} imports ${specifier}`),
    )
    expect(missing).toEqual([])
  })
})

describe('planted faults of the layer rule', () => {
  const faultsOf = (path: string, text: string): number => layerFaults({ path, text }).length

  it.each([
    ['upwards', 'src/crypto/x.ts', "import { a } from '../wire/frame.ts'"],
    ['beside, level 1', 'src/crypto/x.ts', "import { a } from '../config/schema.ts'"],
    ['beside, level 3', 'src/storage/x.ts', "import { a } from '../transport/tcp.ts'"],
    ['a type from beside', 'src/discovery/x.ts', "import type { A } from '../storage/database.ts'"],
    ['a type within braces', 'src/wire/x.ts', "import { type A, b } from '../swarm/peer.ts'"],
    ['over several lines', 'src/wire/x.ts', "import {\n  a,\n  type B,\n} from '../swarm/peer.ts'"],
    ['a re-export', 'src/base/x.ts', "export * from '../crypto/hash.ts'"],
    ['a named re-export', 'src/base/x.ts', "export type { A } from '../crypto/hash.ts'"],
    ['for its effects', 'src/base/x.ts', "import '../crypto/hash.ts'"],
    ['a dynamic import', 'src/swarm/x.ts', "const m = await import('../node/node.ts')"],
    ['a type query', 'src/swarm/x.ts', "let a: import('../node/node.ts').Node"],
    ['a worker by URL', 'src/storage/x.ts', "new Worker(new URL('../channels/w.ts', import.meta.url))"],
    ['a computed import', 'src/swarm/x.ts', 'const m = await import(name)'],
    ['a computed template', 'src/swarm/x.ts', `const m = await import(\`../\${name}.ts\`)`],
    ['from a client to the node', 'src/cli/x.ts', "import { Node } from '../node/node.ts'"],
    ['from a client to the methods', 'src/cli/x.ts', "import { m } from '../rpc/methods.ts'"],
    ['from a client to crypto', 'src/qbt/x.ts', "import { h } from '../crypto/hash.ts'"],
    ['from client to client', 'src/qbt/x.ts', "import { h } from '../cli/client.ts'"],
    ['from the page to the settings', 'src/web/x.ts', "import { c } from '../config/schema.ts'"],
    ['from the page to code of the schema', 'src/web/x.ts', "import { M } from '../rpc/schema/methods.ts'"],
    ['from the page to a type of the server', 'src/web/x.ts', "import type { P } from '../rpc/page.ts'"],
    ['from the page to what needs Node', 'src/web/x.ts', "import { b } from '../base/bytes.ts'"],
    ['from the page to Node', 'src/web/x.ts', "import { b } from 'node:buffer'"],
    ['from the server to the page', 'src/rpc/x.ts', "import { s } from '../web/state.ts'"],
    ['from bin to the page', 'bin/x.ts', "import { s } from '../src/web/state.ts'"],
    ['from the schema to config', 'src/rpc/schema.ts', "import { c } from '../config/schema.ts'"],
    ['from the schema to its folder', 'src/rpc/schema.ts', "import { c } from './methods.ts'"],
    ['from src to bin', 'src/cli/x.ts', "import { m } from '../../bin/megatorrent.ts'"],
    ['from src to test', 'src/base/x.ts', "import { m } from '../../test/unit/x.ts'"],
    ['out of the project', 'src/base/x.ts', "import { m } from '../../../other/x.ts'"],
    ['by absolute path', 'src/base/x.ts', "import { m } from '/tmp/x.ts'"],
    ['in an unlisted folder', 'src/extras/x.ts', 'export {}'],
    ['at the top of src', 'src/index.ts', 'export {}'],
  ])('%s is seen', (_name, path, text) => {
    expect(faultsOf(path, text)).toBe(1)
  })

  it.each([
    ['down', 'src/swarm/x.ts', "import { a } from '../wire/frame.ts'"],
    ['within the folder', 'src/wire/x.ts', "import { a } from './bencode.ts'"],
    ['within a folder below', 'src/transport/nat/x.ts', "import { a } from '../tcp.ts'"],
    ['a client and its contract', 'src/cli/x.ts', "import type { A } from '../rpc/schema.ts'"],
    [
      'the page and types of its contract',
      'src/web/x.tsx',
      "import type { A } from '../rpc/schema/methods.ts'",
    ],
    ['the page and a pure helper', 'src/web/x.tsx', "import { f } from '../base/format.ts'"],
    ['a client and the settings', 'src/cli/x.ts', "import { A } from '../config/schema.ts'"],
    [
      'a method called import',
      'src/node/x.ts',
      'class A {\n  import(f: F) {}\n  async import(f: F) {}\n}\na.import(f)',
    ],
    ['bin and everything', 'bin/x.ts', "import { A } from '../src/node/node.ts'"],
    ['a package', 'src/crypto/x.ts', "import { ed25519 } from '@noble/curves/ed25519.js'"],
    ['in a comment', 'src/base/x.ts', "// import { a } from '../swarm/peer.ts'\nexport {}"],
    ['in a string', 'src/base/x.ts', 'const t = `\nimport { a } from "../swarm/peer.ts"\n`'],
    ['after a slash in a class', 'src/base/x.ts', "const r = /[/'\"]/\nconst s = 'import(x)'"],
  ])('%s is fine', (_name, path, text) => {
    expect(faultsOf(path, text)).toBe(0)
  })
})

describe('planted faults of the reach rule', () => {
  const faultsOf = (path: string, text: string): number => reachFaults({ path, text }).length

  it.each([
    ['net', 'src/swarm/x.ts', "import net from 'node:net'"],
    ['net without prefix', 'src/swarm/x.ts', "import net from 'net'"],
    ['net by type', 'src/transport/connection.ts', "import type { Socket } from 'node:net'"],
    ['net by dynamic import', 'src/transport/x.ts', "await import('node:net')"],
    ['dgram', 'src/transport/tcp.ts', "import dgram from 'node:dgram'"],
    ['dns', 'src/transport/tcp.ts', "import dns from 'node:dns'"],
    ['dns promises', 'src/transport/tcp.ts', "import dns from 'node:dns/promises'"],
    ['tls', 'src/transport/tcp.ts', "import tls from 'node:tls'"],
    ['https', 'src/rpc/server.ts', "import https from 'node:https'"],
    ['http', 'src/rpc/methods.ts', "import http from 'node:http'"],
    ['threads', 'src/crypto/x.ts', "import { Worker } from 'node:worker_threads'"],
    ['children', 'src/node/node.ts', "import { spawn } from 'node:child_process'"],
    ['socks', 'src/transport/tcp.ts', "import { SocksClient } from 'socks'"],
    ['the DHT', 'src/discovery/slots.ts', "import DHT from 'bittorrent-dht'"],
    ['below the DHT', 'src/discovery/slots.ts', "import krpc from 'k-rpc-socket'"],
    ['the database', 'src/channels/x.ts', "import Database from 'libsql'"],
    ['the database below', 'src/channels/x.ts', "import Database from 'libsql/promise'"],
    ['fastify', 'src/rpc/methods.ts', "import fastify from 'fastify'"],
    ['ws', 'src/cli/x.ts', "import { WebSocket } from 'ws'"],
    ['require by module', 'src/cli/x.ts', "import { createRequire } from 'node:module'"],
    ['the environment', 'src/config/x.ts', 'const home = process.env.HOME'],
    ['the environment, optional', 'src/config/x.ts', 'const home = process?.env'],
    ['the environment by name', 'src/config/x.ts', "const home = process['env']"],
    ['the environment by import', 'src/config/x.ts', "import { env } from 'node:process'"],
    ['exit', 'src/cli/x.ts', 'process.exit(1)'],
    ['the console', 'src/cli/x.ts', "console.log('x')"],
    ['fetch', 'src/cli/x.ts', 'const a = await fetch(url)'],
    ['fetch by its global', 'src/cli/x.ts', 'const get = globalThis.fetch'],
    ['fetch in a chain', 'src/cli/x.ts', 'const a = all.map((url) => fetch(url))'],
    ['a WebSocket', 'src/cli/x.ts', 'const a = new WebSocket(url)'],
    ['a page framework elsewhere', 'src/cli/x.ts', "import { h } from 'preact'"],
    ['markup from text', 'src/web/x.tsx', 'return <b dangerouslySetInnerHTML={{ __html: name }} />'],
    ['markup from text, by hand', 'src/web/x.ts', 'element.innerHTML = name'],
    ['eval', 'src/cli/x.ts', 'eval(text)'],
    ['chance', 'src/swarm/x.ts', 'Math.random()'],
    ['a signal out of several', 'src/swarm/x.ts', 'const any = AbortSignal.any([first, second])'],
    ['a signal that fires by itself', 'src/base/abort.ts', 'const late = AbortSignal.timeout(100)'],
    ['within a template', 'src/swarm/x.ts', `const t = \`\${process.env.HOME} and \${1}\``],
  ])('%s is seen', (_name, path, text) => {
    expect(faultsOf(path, text)).toBe(1)
  })

  it.each([
    ['net in its file', 'src/transport/tcp.ts', "import net from 'node:net'"],
    ['the environment in bin', 'bin/megatorrent.ts', 'const env = process.env'],
    ['a word in a comment', 'src/swarm/x.ts', '// process.env and console.log are for bin\nexport {}'],
    ['a word in a string', 'src/swarm/x.ts', "const text = 'process.env'"],
    ['a method called fetch', 'src/swarm/x.ts', 'await this.fetch(blob); swarm.fetch(blob); this.#fetch(b)'],
    ['a declared fetch', 'src/swarm/x.ts', 'class A {\n  fetch(blob: B): void {}\n  async fetch(b: B) {}\n}'],
    ['a signal that has fired', 'src/swarm/x.ts', 'const over = AbortSignal.abort()'],
    ['a name that ends alike', 'src/swarm/x.ts', 'prefetch(blob)'],
    ['a file that is no socket', 'src/swarm/x.ts', "import { x } from './net.ts'"],
  ])('%s is fine', (_name, path, text) => {
    expect(faultsOf(path, text)).toBe(0)
  })
})

describe('planted faults of form', () => {
  const header = '/** What this is. */\n'
  const faultsOf = (path: string, text: string): number => formFaults({ path, text }).length

  it.each([
    ['a long file', 'src/base/x.ts', header + 'export {}\n'.repeat(400)],
    ['no header', 'src/base/x.ts', 'export {}\n'],
    ['a check switched off', 'src/base/x.ts', `${header}// biome-ignore lint: because\n`],
    ['a compiler check switched off', 'src/base/x.ts', `${header}// @ts-expect-error because\n`],
    ['a name in camel case', 'src/base/camelCase.ts', header],
    ['an import without ending', 'src/base/x.ts', `${header}import { a } from './bytes'\n`],
    ['an import of built code', 'src/base/x.ts', `${header}import { a } from './bytes.js'\n`],
  ])('%s is seen', (_name, path, text) => {
    expect(faultsOf(path, text)).toBe(1)
  })

  it('a sound file has none', () => {
    expect(faultsOf('src/base/a-name.ts', `${header}import { a } from './bytes.ts'\n`)).toBe(0)
  })
})

describe('the scanner', () => {
  it('keeps the length and the lines of what it scans', () => {
    for (const file of SOURCES) {
      const { codeOnly, withoutComments, commentsOnly } = scanText(file.text)
      for (const view of [codeOnly, withoutComments, commentsOnly]) {
        expect(view.length, file.path).toBe(file.text.length)
        expect(view.split('\n').length, file.path).toBe(file.text.split('\n').length)
      }
    }
  })

  it('tells divisions from regular expressions', () => {
    const text = 'const a = b / c // d\nconst e = /[/"]\\//g\nconst f = (g) / 2 /* h */'
    const { commentsOnly, codeOnly } = scanText(text)
    expect(commentsOnly.match(/\S+/g)).toEqual(['//', 'd', '/*', 'h', '*/'])
    expect(codeOnly).toContain('(g) / 2')
  })

  it('follows templates into their substitutions and out again', () => {
    const { codeOnly } = scanText(`const a = \`x \${ b({ c: \`\${d}\` }) } y\` + e`)
    for (const name of ['b', 'c', 'd', 'e']) expect(codeOnly).toMatch(new RegExp(`\\b${name}\\b`))
    for (const name of ['x', 'y']) expect(codeOnly).not.toMatch(new RegExp(`\\b${name}\\b`))
  })
})
