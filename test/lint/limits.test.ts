/**
 * docs/LIMITS.md is the list of what others can make this implementation spend:
 * it has each constant of base/limits.ts once, with its value, and each constant
 * says its unit and its reason where it stands.
 */
import { describe, expect, it } from 'vitest'
import * as limits from '../../src/base/limits.ts'
import { tableRows } from './markdown.ts'
import { readProjectFile } from './project-files.ts'

type Values = Readonly<Record<string, unknown>>

/** Rows `| NAME | value | unit | what it bounds |` against the constants. */
function tableFaults(values: Values, manual: string): readonly string[] {
  const faults: string[] = []
  const seen = new Map<string, number>()
  for (const [name = '', value = '', unit = '', reason = ''] of tableRows(manual)) {
    const constant = name.replaceAll('`', '')
    if (!/^[A-Z][A-Z0-9_]+$/.test(constant)) continue
    seen.set(constant, (seen.get(constant) ?? 0) + 1)
    if (!(constant in values)) faults.push(`${constant} is in the manual and not in the code`)
    else if (value.replaceAll('`', '') !== textOf(values[constant])) {
      faults.push(`${constant} is ${textOf(values[constant])}, the manual says ${value}`)
    }
    if (unit === '') faults.push(`${constant} has no unit in the manual`)
    if (reason.length < 15) faults.push(`${constant} has no reason in the manual`)
  }
  // In prose: a constant, or what several begin with.
  for (const [, name = ''] of manual.matchAll(/`([A-Z][A-Z0-9]*_[A-Z0-9_]*)`/g)) {
    const exists = name.endsWith('_')
      ? Object.keys(values).some((known) => known.startsWith(name))
      : name in values
    if (!exists) faults.push(`the manual names ${name}`)
  }
  for (const name of Object.keys(values)) {
    const times = seen.get(name) ?? 0
    if (times !== 1) faults.push(`${name} has ${times} rows in the manual`)
  }
  return faults
}

function textOf(value: unknown): string {
  return typeof value === 'bigint' ? String(value) : JSON.stringify(value)
}

const UNIT_IN_NAME =
  /_(?:BYTES|MS|SECONDS|DAYS|HOURS|MINUTES|FRAMES|BITS|DEPTH|FACTOR|SHARE|RATIO|FRACTION|COUNT|PER_[A-Z_]+)(?:_|$)/
const UNIT_IN_TEXT =
  /\b(?:bytes?|[KMGT]i?B|ms|milliseconds?|seconds?|minutes?|hours?|days?|levels?|items?|files?|blobs?|peers?|connections?|sockets?|requests?|messages?|frames?|datagrams?|entries|entry|nodes?|keys?|channels?|threads?|workers?|attempts?|tries|addresses|address|names?|places?|slots?|ids?|jobs?|tokens?|values?|lines?|characters?|calls?|events?|times?|releases?|subscriptions?|queries|rows?|paths?|parts?|pieces?|windows?|heads?|ranges?|statements?|buffers?|bans?|looks?|walks?|callers?|tasks?|operations?|sources?|targets?|per|share|fraction|factor|ratio|of)\b/i

/** Constants of the source without a comment, or whose comment and name give no unit. */
function commentFaults(source: string): readonly string[] {
  const faults: string[] = []
  const lines = source.split('\n')
  for (const [index, line] of lines.entries()) {
    const name = /^export const ([A-Z0-9_]+)/.exec(line)?.[1]
    if (name === undefined) continue
    const comment = commentAbove(lines, index) + (/\/\/(.*)$/.exec(line)?.[1] ?? '')
    if (comment.trim().length < 20) faults.push(`${name} does not say its reason`)
    if (!UNIT_IN_NAME.test(name) && !UNIT_IN_TEXT.test(comment)) faults.push(`${name} does not say its unit`)
  }
  return faults
}

function commentAbove(lines: readonly string[], index: number): string {
  if (!(lines[index - 1] ?? '').trimEnd().endsWith('*/')) return ''
  const words: string[] = []
  for (let i = index - 1; i >= 0; i--) {
    const line = lines[i] as string
    words.unshift(line.replace(/^\s*(?:\/\*\*?|\*\/|\*)?\s?/, '').replace(/\*\/\s*$/, ''))
    if (line.includes('/*')) break
  }
  return words.join(' ')
}

describe('the limits', () => {
  it('stand in docs/LIMITS.md with their values', () => {
    expect(tableFaults({ ...limits }, readProjectFile('docs/LIMITS.md')?.text ?? '')).toEqual([])
  })

  it('say their unit and their reason', () => {
    expect(commentFaults(readProjectFile('src/base/limits.ts')?.text ?? '')).toEqual([])
  })
})

describe('planted faults', () => {
  const values = { MAX_PEERS: 200 }
  const sound =
    '| name | value | unit | bounds |\n|---|---|---|---|\n| `MAX_PEERS` | 200 | peers | sockets and memory held |\n'

  it('a sound table has none', () => {
    expect(tableFaults(values, sound)).toEqual([])
  })

  it.each([
    ['a constant without a row', ''],
    ['two rows', sound + sound],
    ['another value', sound.replace('200', '201')],
    ['no unit', sound.replace('peers', '')],
    ['no reason', sound.replace('sockets and memory held', '')],
    ['a constant that is only named', `${sound}See \`MAX_GONE\`.\n`],
    ['a family that is only named', `${sound}See the \`GONE_\` rows.\n`],
    ['a row without a constant', `${sound}| MAX_GONE | 1 | peers | sockets and memory held |\n`],
  ])('%s is seen', (_name, manual) => {
    expect(tableFaults(values, manual).length).toBeGreaterThan(0)
  })

  it.each([
    ['no comment', 'export const MAX_THINGS = 3\n', 2],
    ['a comment that says nothing', '/** Limit. */\nexport const MAX_PEERS = 3\n', 2],
    ['no unit', '/** Whoever wants more has to wait a little while. */\nexport const MAX_THINGS = 3\n', 1],
    ['the comment of another', '/** Sockets, peers and all that. */\n\nexport const MAX_THINGS = 3\n', 2],
  ])('%s is seen', (_name, source, faults) => {
    expect(commentFaults(source)).toHaveLength(faults)
  })

  it('a constant with unit and reason is fine', () => {
    const source = '/** Peers at once. More would only cost\n * memory. */\nexport const MAX_PEERS = 3\n'
    expect(commentFaults(source)).toEqual([])
  })
})
