/**
 * One thing, one word: names that docs/GLOSSARY.md rules out do not appear in the code.
 */
import { describe, expect, it } from 'vitest'
import { headingsOf, tableRows } from './markdown.ts'
import { type ProjectFile, readProjectFile, readProjectFiles } from './project-files.ts'
import { scanText } from './source-text.ts'

/** Names of the table under "Names that are not used", each with what to say instead. */
function forbiddenNames(glossary: string): ReadonlyMap<string, string> {
  const section = headingsOf(glossary).find((heading) => heading.text === 'Names that are not used')
  const names = new Map<string, string>()
  for (const [not = '', say = ''] of tableRows(section?.body ?? '')) {
    for (const match of not.matchAll(/`([A-Za-z]+)`/g)) names.set(match[1] as string, say)
  }
  return names
}

/**
 * Identifiers that are a forbidden name or contain it as whole words:
 * `privateKey` is found in `channelPrivateKey` and `PRIVATE_KEY`, not in `privateKeyless`.
 */
function nameFaults(
  forbidden: ReadonlyMap<string, string>,
  sources: readonly ProjectFile[],
): readonly string[] {
  const wanted = [...forbidden].map(([name, say]) => ({ name, say, words: wordsOf(name).join(' ') }))
  const faults = new Set<string>()
  for (const file of sources) {
    const ours = scanText(file.text).codeOnly.replace(NAMES_OF_NODE, '')
    for (const [identifier] of ours.matchAll(/[A-Za-z_$][\w$]*/g)) {
      const words = ` ${wordsOf(identifier).join(' ')} `
      for (const { name, say, words: part } of wanted) {
        if (words.includes(` ${part} `) || words.includes(` ${part}s `)) {
          faults.add(`${file.path}: ${identifier} (${name}: say ${say})`)
        }
      }
    }
  }
  return [...faults]
}

// What node:crypto calls its own functions and options.
const NAMES_OF_NODE =
  /\bcreatePrivateKey\b|\bdiffieHellman\s*\(\{[^}]*\}|\bgenerateKeyPairSync\([^)]*\)\.privateKey\b/g

function wordsOf(identifier: string): readonly string[] {
  return identifier
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1 $2')
    .split(/[\s_$]+/)
    .filter((word) => word !== '')
    .map((word) => word.toLowerCase())
}

describe('the glossary', () => {
  it('rules out names that the code then does not have', () => {
    const forbidden = forbiddenNames(readProjectFile('docs/GLOSSARY.md')?.text ?? '')
    expect(forbidden.size).toBeGreaterThan(4)
    expect(nameFaults(forbidden, readProjectFiles(['src', 'bin'], ['.ts']))).toEqual([])
  })
})

describe('planted faults', () => {
  const glossary =
    '## Names that are not used\n\n| not | say |\n|---|---|\n| `privateKey`, `seckey` | `secretKey` |\n'
  const faultsOf = (text: string): number =>
    nameFaults(forbiddenNames(glossary), [{ path: 'src/x.ts', text }]).length

  it.each([
    ['the name itself', 'const privateKey = 1'],
    ['within a longer name', 'const channelPrivateKey = 1'],
    ['as a constant', 'const PRIVATE_KEY = 1'],
    ['in the plural', 'const privateKeys = []'],
    ['as a property', 'key.privateKey()'],
    ['its other spelling', 'const seckey = 1'],
  ])('%s is seen', (_name, text) => {
    expect(faultsOf(text)).toBe(1)
  })

  it.each([
    ['as Node calls it', 'diffieHellman({ privateKey: key, publicKey: createPrivateKey(b) })'],
    ['in a comment', '// privateKey'],
    ['in a string', "type: 'privateKey'"],
    ['its parts apart', 'const privateChannel = key'],
  ])('%s is fine', (_name, text) => {
    expect(faultsOf(text)).toBe(0)
  })
})
