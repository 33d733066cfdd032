/**
 * package.json: versions are pinned, nothing runs when it is installed, and each
 * dependency has its reason in docs/adr/0002-dependencies.md.
 */
import { describe, expect, it } from 'vitest'
import { type ProjectFile, readProjectFile, readProjectFiles } from './project-files.ts'
import { importsOf, withoutTagSlashes } from './source-text.ts'

interface Package {
  readonly version: string
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
  readonly overrides: Readonly<Record<string, string>>
}

interface Locked {
  readonly version?: string
  readonly license?: string
  readonly integrity?: string
  readonly hasInstallScript?: boolean
  readonly dev?: boolean
  readonly optional?: boolean
}

const read = (path: string): string => readProjectFile(path)?.text ?? ''
const PACKAGE = JSON.parse(read('package.json')) as Package
const LOCK = (JSON.parse(read('package-lock.json')) as { packages: Record<string, Locked> }).packages
const ADR = read('docs/adr/0002-dependencies.md')

const FREE_LICENCES =
  /^(?:MIT|ISC|0BSD|BSD-[23]-Clause|Apache-2\.0|BlueOak-1\.0\.0|CC0-1\.0|Unlicense|\(.*\bMIT\b.*\))$/

/** Names whose version is a range. */
function unpinned(dependencies: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(dependencies)
    .filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))
    .map(([name]) => name)
}

/** Names of the packages that files import. */
function importedBy(files: readonly ProjectFile[]): readonly string[] {
  const imported = new Set<string>()
  for (const file of files) {
    for (const { specifier } of importsOf(withoutTagSlashes(file.text))) {
      if (specifier.startsWith('.') || specifier.startsWith('node:')) continue
      const parts = specifier.split('/')
      imported.add(specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] as string))
    }
  }
  return [...imported].sort()
}

/** Packages of the lockfile that break a rule of the decision. */
function lockFaults(packages: Readonly<Record<string, Locked>>): readonly string[] {
  return Object.entries(packages).flatMap(([path, locked]) => {
    if (path === '') return []
    const faults: string[] = []
    if (locked.hasInstallScript === true) faults.push(`${path} runs a script when it is installed`)
    // The linter's binaries for other systems are named so that "npm ci" is content, whoever's registry
    // it asks; their hashes are not known to every one. Nothing of them runs in the product.
    const isForeignTool = locked.dev === true && locked.optional === true && path.includes('@biomejs/cli-')
    if (!isForeignTool && !locked.integrity?.startsWith('sha512-'))
      faults.push(`${path} is not pinned by hash`)
    if (locked.dev !== true && !FREE_LICENCES.test(locked.license ?? '')) {
      faults.push(`${path} has the licence ${locked.license}`)
    }
    return faults
  })
}

describe('package.json', () => {
  it('pins every direct dependency to one version', () => {
    expect(unpinned({ ...PACKAGE.dependencies, ...PACKAGE.devDependencies, ...PACKAGE.overrides })).toEqual(
      [],
    )
  })

  it('has no package below it that runs a script, has no hash, or a licence that binds', () => {
    expect(Object.keys(LOCK).length).toBeGreaterThan(50)
    expect(lockFaults(LOCK)).toEqual([])
  })

  it('has a reason for each dependency in the decision, and there for no other', () => {
    const rows = [...ADR.matchAll(/^\| (`[^|]+`) \|/gm)].flatMap((match) =>
      [...(match[1] as string).matchAll(/`([^`]+)`/g)].map((name) => name[1] as string),
    )
    expect(rows.sort()).toEqual(Object.keys(PACKAGE.dependencies).sort())
  })

  it('has every package that sources import, and no other', () => {
    const files = readProjectFiles(['src', 'bin'], ['.ts']).filter(({ path }) => !path.startsWith('src/web/'))
    expect(importedBy(files)).toEqual(Object.keys(PACKAGE.dependencies).sort())
  })

  it('has what the web page imports for development alone, since the built page has it inside', () => {
    const imported = importedBy(readProjectFiles(['src/web'], ['.ts', '.tsx']))
    expect(imported).toEqual(['preact', 'qrcode'])
    expect(Object.keys(PACKAGE.devDependencies)).toEqual(expect.arrayContaining([...imported]))
  })

  it('has the version that the program prints', () => {
    for (const file of readProjectFiles(['src'], ['version.ts'])) {
      expect(file.text, file.path).toContain(`VERSION = '${PACKAGE.version}'`)
    }
    expect(read('CHANGELOG.md')).toContain(`## ${PACKAGE.version}`)
  })
})

describe('planted faults', () => {
  it('a range, a script, a missing hash and a licence that binds are seen', () => {
    expect(unpinned({ a: '^1.0.0', b: '1.x', c: 'latest', d: '1.2.3', e: 'github:x/y' })).toEqual([
      'a',
      'b',
      'c',
      'e',
    ])
    const sound = { version: '1.0.0', license: 'MIT', integrity: 'sha512-x' }
    expect(lockFaults({ '': {}, a: sound })).toEqual([])
    expect(lockFaults({ a: { ...sound, hasInstallScript: true } })).toHaveLength(1)
    expect(lockFaults({ a: { version: '1.0.0', license: 'MIT' } })).toHaveLength(1)
    expect(lockFaults({ a: { version: '1.0.0', license: 'MIT', optional: true } })).toHaveLength(1)
    expect(lockFaults({ a: { ...sound, license: 'AGPL-3.0' } })).toHaveLength(1)
    expect(lockFaults({ a: { version: '1.0.0', integrity: 'sha512-x' } })).toHaveLength(1)
  })
})
