/** docs/INTERFACE.md has every flag, method and exit code of the code, and no other. */
import { describe, expect, it } from 'vitest'
import type { CliIo } from '../../src/cli/io.ts'
import { LATER_COMMANDS, runCli } from '../../src/cli/program.ts'
import { flagOf, LATER_SETTINGS, SETTINGS } from '../../src/config/schema.ts'
import { KIND_NUMBERS } from '../../src/rpc/schema/kinds.ts'
import { METHOD_NAMES } from '../../src/rpc/schema/methods.ts'
import { headingsOf, tableRows } from './markdown.ts'
import { readProjectFile } from './project-files.ts'

const DOCUMENT = readProjectFile('docs/INTERFACE.md')?.text ?? ''

/** First cells of the tables under one heading, with the names in code that each has. */
function namesUnder(document: string, heading: string, pattern: RegExp): readonly string[] {
  const body = headingsOf(document).find((found) => found.text === heading)?.body ?? ''
  return tableRows(body).flatMap(([cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)]
      .map((match) => pattern.exec(match[1] as string)?.[0])
      .filter((name) => name !== undefined),
  )
}

describe('docs/INTERFACE.md', () => {
  it('has every flag of serve once', () => {
    const flags = namesUnder(DOCUMENT, 'Settings of `megatorrent serve`', /^--[a-z-]+/)
    const expected = Object.values(SETTINGS).map((setting) => flagOf(setting.name))
    expect([...flags].sort()).toEqual([...expected].sort())
  })

  it('has every method once', () => {
    expect([...namesUnder(DOCUMENT, 'JSON-RPC', /^[\w.]+$/)].sort()).toEqual([...METHOD_NAMES].sort())
  })

  it('has the numbers of every kind of error', () => {
    const body = headingsOf(DOCUMENT).find((found) => found.text === 'Exit codes')?.body ?? ''
    const rows = tableRows(body)
      .slice(1)
      .filter(([kind]) => kind !== 'done')
      .map(([kind = '', exit = '', rpc = '']) => [kind, Number(exit), rpc === '' ? null : Number(rpc)])
    const expected = Object.entries(KIND_NUMBERS).map(([kind, { exit, rpc }]) => [kind, exit, rpc])
    expect(rows.sort()).toEqual(expected.sort())
  })

  it('says of what is refused that it is', () => {
    const refused = /^Refused in this version.*$/m.exec(DOCUMENT)?.[0] ?? ''
    for (const { name } of LATER_SETTINGS) {
      const companions = name.startsWith('proxy-') || name.startsWith('tor-control-')
      if (!companions) expect(refused, name).toContain(`\`${flagOf(name)}\``)
    }
  })

  it('has every command that --help lists, and none that is refused', async () => {
    let help = ''
    const write = (text: string | Uint8Array): boolean => {
      help += text
      return true
    }
    await runCli(['--help'], { stdout: { write } } as unknown as CliIo)
    const commands = [...help.slice(help.indexOf('Commands:')).matchAll(/^ {2}([a-z-]+)/gm)].map(
      (match) => match[1] as string,
    )
    expect(commands.length).toBeGreaterThan(10)
    const named = new Set(namesUnder(DOCUMENT, 'Client commands', /^[a-z-]+/))
    expect(commands.filter((command) => command !== 'serve' && !named.has(command))).toEqual([])
    expect(LATER_COMMANDS.filter((command) => named.has(command))).toEqual([])
  })

  it('is read by the name, so a row that is missing would be seen', () => {
    const cut = DOCUMENT.replace(/^\| `--max-peers N`.*\n/m, '')
    expect(cut).not.toBe(DOCUMENT)
    expect(namesUnder(cut, 'Settings of `megatorrent serve`', /^--[a-z-]+/)).not.toContain('--max-peers')
  })
})
