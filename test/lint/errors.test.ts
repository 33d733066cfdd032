/**
 * The table of errors and its manual say the same, and no code is dead: each
 * is thrown somewhere and asked for by some test.
 */
import { describe, expect, it } from 'vitest'
import { ERROR_CODES } from '../../src/base/errors.ts'
import { headingsOf } from './markdown.ts'
import { type ProjectFile, readProjectFile, readProjectFiles } from './project-files.ts'
import { scanText } from './source-text.ts'

const CODE = /^ERR_[A-Z0-9]+(?:_[A-Z0-9]+)*$/

/** Headings of the manual against the table: one for each code, with its kind, a cause and a remedy. */
function manualFaults(codes: Readonly<Record<string, string>>, manual: string): readonly string[] {
  const faults: string[] = []
  const seen = new Map<string, number>()
  for (const heading of headingsOf(manual)) {
    const code = heading.text.replaceAll('`', '')
    if (!code.startsWith('ERR_')) continue
    seen.set(code, (seen.get(code) ?? 0) + 1)
    const kind = codes[code]
    if (kind === undefined) {
      faults.push(`${code} is in the manual and not in the table`)
      continue
    }
    if (!new RegExp(`^- Kind: ${kind}\\b`, 'm').test(heading.body))
      faults.push(`${code} lacks "Kind: ${kind}"`)
    for (const [part, least] of [
      ['Cause', 14],
      ['Remedy', 3],
    ] as const) {
      if (!new RegExp(`^- ${part}: \\S.{${least},}`, 'm').test(heading.body))
        faults.push(`${code} lacks its ${part}`)
    }
  }
  for (const code of Object.keys(codes)) {
    if (!CODE.test(code)) faults.push(`${code} is not written as ERR_NAME`)
    const times = seen.get(code) ?? 0
    if (times !== 1) faults.push(`${code} has ${times} headings in the manual`)
  }
  return faults
}

/** Codes that no source names in code, or no test names at all. */
function deadCodes(
  codes: readonly string[],
  sources: readonly ProjectFile[],
  tests: readonly ProjectFile[],
): readonly string[] {
  const thrown = sources
    .filter((file) => file.path !== 'src/base/errors.ts')
    .map((file) => scanText(file.text).withoutComments)
    .join('\n')
  const asked = tests
    .filter((file) => !file.path.startsWith('test/lint/'))
    .map((file) => scanText(file.text).withoutComments)
    .join('\n')
  const names = (text: string, code: string): boolean => new RegExp(`['"\`]${code}['"\`]`).test(text)
  return codes.flatMap((code) => [
    ...(names(thrown, code) ? [] : [`${code} is thrown nowhere`]),
    ...(new RegExp(`\\b${code}\\b`).test(asked) ? [] : [`${code} is provoked by no test`]),
  ])
}

/** Codes that a source names and the table does not have: a typo that a cast would hide. */
function unknownCodes(codes: readonly string[], sources: readonly ProjectFile[]): readonly string[] {
  const known = new Set(codes)
  return sources.flatMap((file) =>
    [...scanText(file.text).withoutComments.matchAll(/['"`](ERR_[A-Z0-9_]+)['"`]/g)]
      .map((match) => match[1] as string)
      .filter((code) => !known.has(code) && !FOREIGN.test(code))
      .map((code) => `${file.path} names ${code}`),
  )
}

// Codes of Node and of libraries, which our sources read and do not throw.
const FOREIGN =
  /^ERR_(?:SOCKET_|STREAM_|HTTP_|INVALID_|CRYPTO_|OSSL_|WORKER_|MODULE_|PARSE_ARGS_|UNKNOWN_|IPC_|FS_)/

describe('the table of errors', () => {
  const sources = readProjectFiles(['src', 'bin'], ['.ts'])
  const tests = readProjectFiles(['test'], ['.ts'])
  const codes = Object.keys(ERROR_CODES)

  it('has one heading for each code in docs/ERRORS.md, with kind, cause and remedy', () => {
    expect(manualFaults(ERROR_CODES, readProjectFile('docs/ERRORS.md')?.text ?? '')).toEqual([])
  })

  it('has no code that is never thrown, or that no test provokes', () => {
    expect(deadCodes(codes, sources, tests)).toEqual([])
  })

  it('has every code that a source names', () => {
    expect(unknownCodes(codes, sources)).toEqual([])
  })
})

describe('planted faults', () => {
  const codes = { ERR_FRAME_SIZE: 'peer' }
  const sound =
    '### ERR_FRAME_SIZE\n\n- Kind: peer\n- Cause: a frame had a wrong length\n- Remedy: none, it is cut off\n'

  it('a sound manual has none', () => {
    expect(manualFaults(codes, sound)).toEqual([])
  })

  it.each([
    ['a code without a heading', ''],
    ['two headings of one code', sound + sound],
    ['a heading without a code', `${sound}### ERR_GONE\n`],
    ['another kind', sound.replace('peer', 'network')],
    ['no remedy', sound.replace('Remedy', 'Advice')],
    ['an empty cause', sound.replace('a frame had a wrong length', '')],
    ['a heading in a code block', `\`\`\`\n${sound}\`\`\`\n`],
  ])('%s is seen', (_name, manual) => {
    expect(manualFaults(codes, manual).length).toBeGreaterThan(0)
  })

  const source = { path: 'src/wire/x.ts', text: "throw new MegatorrentError('ERR_FRAME_SIZE', 'x')" }
  const test = { path: 'test/unit/wire/x.test.ts', text: "expect(code).toBe('ERR_FRAME_SIZE')" }

  it('a code that only a comment names is dead', () => {
    const commented = { ...source, text: `// ${source.text}` }
    expect(deadCodes(['ERR_FRAME_SIZE'], [source], [test])).toEqual([])
    expect(deadCodes(['ERR_FRAME_SIZE'], [commented], [test])).toHaveLength(1)
    expect(deadCodes(['ERR_FRAME_SIZE'], [source], [])).toHaveLength(1)
  })

  it('the table itself and the lint tests do not count as use', () => {
    const table = { ...source, path: 'src/base/errors.ts' }
    const lint = { ...test, path: 'test/lint/errors.test.ts' }
    expect(deadCodes(['ERR_FRAME_SIZE'], [table], [lint])).toHaveLength(2)
  })

  it('a code that the table does not have is seen, one of Node is not', () => {
    expect(unknownCodes([], [source])).toHaveLength(1)
    expect(unknownCodes([], [{ ...source, text: "if (code === 'ERR_STREAM_DESTROYED') return" }])).toEqual([])
  })
})
