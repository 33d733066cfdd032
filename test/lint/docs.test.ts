/**
 * Documents: links lead somewhere, every document is led to, and nothing names
 * the machine that it was written on.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { resolveSpecifier } from './layer-rules.ts'
import { anchorOf, headingsOf, linksOf } from './markdown.ts'
import { PROJECT_ROOT, type ProjectFile, readProjectFile, readProjectFiles } from './project-files.ts'

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

// Spelled in pieces, so that this file does not find itself.
const MACHINE_PATHS = new RegExp(
  `(?<![\\w.~$}-])/(?:${['wo' + 'rk', 'ro' + 'ot', 'ho' + 'me/\\w+', 'Us' + 'ers/\\w+', 'tmp/br' + 'ief'].join('|')})(?=[/\\s'"\`)]|$)`,
  'm',
)
const WAYS_OF_WORKING = new RegExp(
  ['\\bissue ' + '#?\\d', '\\bissues ' + 'show\\b', '\\bHAND' + 'OVER\\b', '\\.\\./sha' + 'red/[A-Z]'].join(
    '|',
  ),
  'i',
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
  const documents = [
    ...readProjectFiles(['docs', 'src', 'test', 'bench', 'examples', 'qbittorrent-plugin'], ['.md']),
    ...['README', 'ARCHITECTURE', 'PROTOCOL_FINAL', 'CONTRIBUTING', 'CHANGELOG', 'SECURITY', 'HANDOFF']
      .map((name) => readProjectFile(`${name}.md`))
      .filter((file) => file !== null),
  ]

  it('link to what is there', () => {
    const exists = (path: string): boolean => existsSync(join(PROJECT_ROOT, path))
    const read = (path: string): string | null => readProjectFile(path)?.text ?? null
    expect(documents.length).toBeGreaterThan(5)
    expect(documents.flatMap((file) => linkFaults(file, exists, read))).toEqual([])
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

  it('a machine path is seen, and one of an example is not', () => {
    const traces = (text: string): number => traceFaults({ path: 'x.md', text }).length
    expect(traces(`see /wo${'rk'}/main`)).toBe(1)
    expect(traces(`in '/ro${'ot'}'`)).toBe(1)
    expect(traces(`fixed in issue ${'#'}7`)).toBe(1)
    expect(traces('/worker.ts, ./work/x, ~/work/x, /srv/files')).toBe(0)
  })
})
