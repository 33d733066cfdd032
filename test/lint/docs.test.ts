/**
 * Documents: links lead somewhere, every document is led to, and nothing names
 * the machine that it was written on.
 */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { resolveSpecifier } from './layer-rules.ts'
import { anchorOf, headingsOf, linksOf } from './markdown.ts'
import { PROJECT_ROOT, type ProjectFile, readProjectFile, readProjectFiles } from './project-files.ts'
import { scanText } from './source-text.ts'

/** Places where a document is not looked for by its readers. */
const NOT_DOCUMENTS = /^test\//

/** Links of one document whose file or heading is not there. `exists` is asked for paths from the root. */
function linkFaults(
  file: ProjectFile,
  exists: (path: string) => boolean,
  read: (path: string) => string | null,
): readonly string[] {
  const faults: string[] = []
  for (const link of linksOf(file.text)) {
    if (/^[a-z][a-z0-9+.-]*:/i.test(link)) continue
    const [target = '', anchor] = link.split('#')
    const path = target === '' ? file.path : resolveSpecifier(file.path, decodeURIComponent(target))
    if (path === null || !exists(path)) {
      faults.push(`${file.path} links to ${link}, which is not there`)
    } else if (anchor !== undefined && path.endsWith('.md')) {
      const anchors = headingsOf(read(path) ?? '').map((heading) => anchorOf(heading.text))
      if (!anchors.includes(anchor)) faults.push(`${file.path} links to ${link}, which has no such heading`)
    }
  }
  return faults
}

/** Files of the project that a document names in code and that are not there. Patterns with `*` or `<` are not names. */
function namedFileFaults(file: ProjectFile, exists: (path: string) => boolean): readonly string[] {
  return [...file.text.matchAll(/`((?:src|test|docs|bench|bin|examples|\.ci)\/[\w./-]+\.\w+)`/g)]
    .map((match) => match[1] as string)
    .filter((path) => !exists(path))
    .map((path) => `${file.path} names ${path}, which is not there`)
}

// Names of documents, and of plans that have no place in the project.
const PLANS_OR_DOCUMENTS =
  /\b((?:docs\/)?[A-Z][A-Z_]+\.md|(?:DESIGN|THREATS|STYLE|RATIONALE|TESTBED|PACKAGES)\b)/g

/** Documents that a source names, such as LIMITS.md, and that neither the root nor docs has. */
function namedDocumentFaults(file: ProjectFile, exists: (path: string) => boolean): readonly string[] {
  // A folder may have a document of its own; its tests name it as well.
  const area = /^test\/(?:unit\/|property\/)([a-z]+)/.exec(file.path)?.[1]
  return [...scanText(file.text).commentsOnly.matchAll(PLANS_OR_DOCUMENTS)]
    .map((match) => match[1] as string)
    .filter(
      (path) => ![path, `docs/${path}`, `${dirname(file.path)}/${path}`, `src/${area}/${path}`].some(exists),
    )
    .map((path) => `${file.path} names ${path}, which is not there`)
}

// Spelled in pieces, so that this file does not find itself.
const MACHINE_PATHS = new RegExp(
  `(?<![\\w.~$}-])/(?:${['wo' + 'rk', 'ro' + 'ot', 'ho' + 'me/\\w{3,}', 'Us' + 'ers/\\w+', 'tmp/br' + 'ief'].join('|')})(?=[/\\s'"\`)]|$)`,
  'm',
)
const WAYS_OF_WORKING = new RegExp(
  ['\\b[Ii]ssue ' + '#?\\d', '\\bissues ' + 'show\\b', '\\.\\./sha' + 'red/(?!vectors)'].join('|'),
)

/** What a file says of the machine or the way it was made, which no reader needs. */
function traceFaults(file: ProjectFile): readonly string[] {
  return [MACHINE_PATHS, WAYS_OF_WORKING]
    .map((pattern) => pattern.exec(file.text))
    .filter((match) => match !== null)
    .map((match) => {
      const line = file.text.slice(0, match.index).split('\n').length
      return `${file.path}:${line} says "${match[0].trim()}"`
    })
}

describe('the documents', () => {
  const exists = (path: string): boolean => existsSync(join(PROJECT_ROOT, path))
  const documents = [
    ...readProjectFiles(['docs', 'src', 'test', 'bench', 'examples', 'qbittorrent-plugin'], ['.md']),
    ...['README', 'ARCHITECTURE', 'PROTOCOL_FINAL', 'CONTRIBUTING', 'CHANGELOG', 'SECURITY', 'HANDOFF']
      .map((name) => readProjectFile(`${name}.md`))
      .filter((file) => file !== null),
  ]

  it('link to what is there', () => {
    const read = (path: string): string | null => readProjectFile(path)?.text ?? null
    expect(documents.length).toBeGreaterThan(5)
    expect(documents.flatMap((file) => linkFaults(file, exists, read))).toEqual([])
    expect(documents.flatMap((file) => namedFileFaults(file, exists))).toEqual([])
  })

  it('are there when a source names one', () => {
    const sources = readProjectFiles(['src', 'bin', 'test'], ['.ts'])
    expect(sources.flatMap((file) => namedDocumentFaults(file, exists))).toEqual([])
  })

  it('can each be reached from the README', () => {
    const byPath = new Map(documents.map((file) => [file.path, file]))
    const reached = new Set(['README.md'])
    for (const path of reached) {
      for (const link of linksOf(byPath.get(path)?.text ?? '')) {
        const target = resolveSpecifier(path, link.split('#')[0] as string)
        if (target !== null && byPath.has(target)) reached.add(target)
        // A link to a folder leads to what is in it.
        for (const other of byPath.keys()) {
          if (target !== null && other.startsWith(`${target.replace(/\/$/, '')}/`)) reached.add(other)
        }
      }
    }
    expect([...byPath.keys()].filter((path) => !reached.has(path) && !NOT_DOCUMENTS.test(path))).toEqual([])
  })

  it('and the sources name neither a machine nor a way of working', () => {
    const all = [
      ...documents,
      ...readProjectFiles(['src', 'bin', 'test', 'bench', 'examples'], ['.ts', '.mjs', '.py', '.json']),
      ...readProjectFiles(
        ['.ci', 'Dockerfile', 'docker-compose.yml', 'package.json'],
        ['run', 'file', '.yml', '.json'],
      ),
    ]
    expect(all.flatMap(traceFaults)).toEqual([])
  })
})

describe('planted faults', () => {
  const page = '# A title, with `code`\n'
  const faultsOf = (text: string): number =>
    linkFaults(
      { path: 'docs/x.md', text },
      (path) => path === 'docs/y.md' || path === 'README.md',
      () => page,
    ).length

  it.each([
    ['a file that is not there', '[a](z.md)'],
    ['a path that leaves the project', '[a](../../z.md)'],
    ['a heading that is not there', '[a](y.md#b-title)'],
    ['a reference', '[a]: ../z.md'],
  ])('%s is seen', (_name, text) => {
    expect(faultsOf(text)).toBe(1)
  })

  it.each([
    ['a file', '[a](y.md) [b](../README.md)'],
    ['a heading', '[a](y.md#a-title-with-code)'],
    ['the world', '[a](https://example.org/z.md)'],
    ['an example in code', '`[a](z.md)`'],
  ])('%s is fine', (_name, text) => {
    expect(faultsOf(text)).toBe(0)
  })

  it('a file or a document that is only named is looked for', () => {
    const named = (text: string): number =>
      namedFileFaults({ path: 'x.md', text }, (path) => path === 'src/base/bytes.ts').length
    expect(named('`src/base/bytes.ts`, `test/unit/*.test.ts`')).toBe(0)
    expect(named('`src/base/gone.ts`')).toBe(1)
    const cited = (text: string): number =>
      namedDocumentFaults({ path: 'x.ts', text }, (path) => path === 'docs/LIMITS.md').length
    expect(cited('// see LIMITS.md and docs/LIMITS.md')).toBe(0)
    expect(cited('// see PLANS.md')).toBe(1)
    expect(cited('// (THREATS: floods)')).toBe(1)
  })

  it('a machine path is seen, and one of an example is not', () => {
    const traces = (text: string): number => traceFaults({ path: 'x.md', text }).length
    expect(traces(`see /wo${'rk'}/main`)).toBe(1)
    expect(traces(`in '/ro${'ot'}'`)).toBe(1)
    expect(traces(`fixed in issue ${'#'}7`)).toBe(1)
    expect(traces('/worker.ts, ./work/x, ~/work/x, /srv/files')).toBe(0)
  })
})
