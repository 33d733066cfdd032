/**
 * PROTOCOL_FINAL.md and the code cannot disagree on constants, labels and
 * sections: this test reads both.
 */
import { describe, expect, it } from 'vitest'
import { DOMAINS } from '../../src/crypto/domains.ts'
import * as constants from '../../src/wire/constants.ts'
import { headingsOf, tableRows } from './markdown.ts'
import { type ProjectFile, readProjectFile, readProjectFiles } from './project-files.ts'
import { scanText } from './source-text.ts'

const DOCUMENT = readProjectFile('PROTOCOL_FINAL.md')?.text ?? ''

/** Numbers of the sections that the document has, such as `4.2.3`. */
function sectionNumbers(document: string): ReadonlySet<string> {
  return new Set(
    headingsOf(document)
      .map((heading) => /^(\d+(?:\.\d+)*)\.?\s/.exec(heading.text)?.[1])
      .filter((number) => number !== undefined),
  )
}

/** Body of one section, without its subsections. */
function sectionBody(document: string, number: string): string {
  const found = headingsOf(document).find(
    (heading) => heading.text.startsWith(`${number} `) || heading.text.startsWith(`${number}. `),
  )
  return found?.body ?? ''
}

/** The table of §2 against the exported constants, by name and value. */
function constantFaults(document: string, exported: Readonly<Record<string, unknown>>): readonly string[] {
  const faults: string[] = []
  const sections = sectionNumbers(document)
  const rows = new Map<string, string>()
  for (const [name = '', value = '', , section = ''] of tableRows(sectionBody(document, '2'))) {
    if (!/^[A-Z][A-Z0-9_]+$/.test(name)) continue
    if (rows.has(name)) faults.push(`${name} stands twice in the document`)
    rows.set(name, value)
    if (!sections.has(section)) faults.push(`${name} cites section ${section}, which is not there`)
  }
  for (const [name, value] of Object.entries(exported)) {
    if (!rows.has(name)) faults.push(`${name} is not in the document`)
    else if (rows.get(name) !== String(value)) {
      faults.push(`${name} is ${String(value)}, the document says ${rows.get(name)}`)
    }
  }
  for (const name of rows.keys()) if (!(name in exported)) faults.push(`${name} is not in the code`)
  return faults
}

/** Labels of the document against those of crypto/domains.ts, both ways. */
function labelFaults(document: string, labels: readonly string[]): readonly string[] {
  const inDocument = new Set<string>()
  for (const match of document.matchAll(/[`'](megatorrent\/\d+(?: [a-z0-9 ]+)?)[`']/g)) {
    inDocument.add(match[1] as string)
  }
  const inCode = new Set(labels)
  return [
    ...(inCode.size === labels.length ? [] : ['two domains share one label']),
    ...[...inCode]
      .filter((label) => !inDocument.has(label))
      .map((label) => `"${label}" is not in the document`),
    ...[...inDocument].filter((label) => !inCode.has(label)).map((label) => `"${label}" is not in the code`),
  ]
}

/** Labels spelled outside of the one file that may. */
function strayLabels(sources: readonly ProjectFile[]): readonly string[] {
  return sources
    .filter((file) => file.path !== 'src/crypto/domains.ts')
    .filter((file) => /['"`]megatorrent\/\d/.test(scanText(file.text).withoutComments))
    .map((file) => `${file.path} spells a label itself`)
}

/** `§x.y` in comments whose section the document does not have. Sections of other documents are not ours. */
function citationFaults(document: string, sources: readonly ProjectFile[]): readonly string[] {
  const sections = sectionNumbers(document)
  return sources.flatMap((file) => {
    const comments = scanText(file.text).commentsOnly
    return [...comments.matchAll(/§\s?(\d+(?:\.\d+)*)/g)]
      .filter(
        (match) => !OF_ANOTHER_DOCUMENT.test(comments.slice(Math.max(0, match.index - 40), match.index)),
      )
      .filter((match) => !sections.has(match[1] as string))
      .map((match) => `${file.path} cites §${match[1]}`)
  })
}

const OF_ANOTHER_DOCUMENT = /(?:RFC|BEP|NIP|FIPS|Noise[a-z ]*|xchacha-\d+)\s?\d*,?\s+$/i

/** Labels that stand in the table of the key schedule. */
function scheduleLabels(document: string): readonly string[] {
  return tableRows(sectionBody(document, '3.2'))
    .map((row) => /^`(.+)`$/.exec(row[2] ?? '')?.[1])
    .filter((label) => label !== undefined)
}

describe('the document', () => {
  const sources = readProjectFiles(['src', 'bin'], ['.ts'])

  it('has the constants of wire/constants.ts, by name and value', () => {
    expect(constantFaults(DOCUMENT, { ...constants })).toEqual([])
  })

  it('has sizes that follow from each other', () => {
    const c = constants
    expect(c.BLOB_BYTES).toBe(c.CHUNK_BYTES + c.AEAD_TAG_BYTES)
    expect(c.BLOB_FRAME_BYTES).toBe(c.BLOB_BYTES + c.AEAD_TAG_BYTES)
    expect(c.SMALL_FRAME_PLAIN_BYTES).toBe(c.SMALL_FRAME_BYTES - c.AEAD_TAG_BYTES)
    expect(c.FRAME_BODY_BYTES).toBe(c.SMALL_FRAME_PLAIN_BYTES - c.FRAME_HEADER_BYTES)
    expect(c.SLOT_VALUE_BYTES).toBe(24 + c.HEAD_BYTES + c.AEAD_TAG_BYTES)
    expect(c.HANDSHAKE_MESSAGE_1_BYTES).toBe(32 + c.HANDSHAKE_PAYLOAD_1_BYTES + 16)
    expect(c.HANDSHAKE_MESSAGE_2_BYTES).toBe(32 + 48 + c.HANDSHAKE_PAYLOAD_2_BYTES + 16)
    expect(c.HANDSHAKE_MESSAGE_3_BYTES).toBe(48 + c.HANDSHAKE_PAYLOAD_3_BYTES + 16)
    expect(56 + c.HELLO_PLACES * c.HELLO_PLACE_BYTES).toBeLessThanOrEqual(c.FRAME_BODY_BYTES)
    expect(1 + c.MAX_PEERS_ADDRESSES * c.ADDRESS_BYTES).toBeLessThanOrEqual(c.FRAME_BODY_BYTES)
    const announce = 1 + c.MAX_ANNOUNCE_STATEMENTS * (1 + c.ONION_STATEMENT_BYTES)
    expect(announce).toBeLessThanOrEqual(c.FRAME_BODY_BYTES)
    expect(announce + 1 + c.ONION_STATEMENT_BYTES).toBeGreaterThan(c.FRAME_BODY_BYTES)
    // An item with a sealed head fits into one frame, and the length before a value of BEP 44 is what is left.
    expect(c.PUBLISH_NONCE_BYTES + 122 + c.SLOT_VALUE_BYTES).toBeLessThanOrEqual(c.FRAME_BODY_BYTES)
    expect(c.MAX_PUBLISH_VALUE_BYTES + '996:'.length).toBe(1000)
    expect((c.MAX_RELEASE_NUMBER + 1) * c.REVISIONS_PER_RELEASE).toBe(2 ** 52)
    expect(2 ** 52 + 2 ** c.SEQ_OFFSET_BITS).toBeLessThan(Number.MAX_SAFE_INTEGER)
  })

  it('has the labels of crypto/domains.ts, and no other', () => {
    expect(labelFaults(DOCUMENT, Object.values(DOMAINS))).toEqual([])
    expect(strayLabels(sources)).toEqual([])
  })

  it('has the labels of every derived secret in the table of the key schedule', () => {
    const elsewhere: ReadonlySet<string> = new Set([
      DOMAINS.helloTag,
      DOMAINS.channelHandle,
      DOMAINS.head,
      DOMAINS.nodeCertificate,
      DOMAINS.onionStatement,
      DOMAINS.onionStatementWork,
      DOMAINS.publishWork,
      DOMAINS.publishPuzzle,
      DOMAINS.keepWork,
      DOMAINS.prologue,
    ])
    const expected = Object.values(DOMAINS).filter((label) => !elsewhere.has(label))
    expect([...scheduleLabels(DOCUMENT)].sort()).toEqual([...expected].sort())
  })

  it('has every section that a source cites', () => {
    expect(citationFaults(DOCUMENT, sources)).toEqual([])
    const tests = readProjectFiles(['test'], ['.ts']).filter((file) => !file.path.startsWith('test/lint/'))
    expect(citationFaults(DOCUMENT, tests)).toEqual([])
  })

  it('has every section that it cites itself', () => {
    const sections = sectionNumbers(DOCUMENT)
    const cited = [...DOCUMENT.matchAll(/§(\d+(?:\.\d+)*)/g)].map((match) => match[1] as string)
    expect(cited.length).toBeGreaterThan(10)
    expect(cited.filter((number) => !sections.has(number))).toEqual([])
  })
})

describe('planted faults', () => {
  const document = [
    '## 2. Constants',
    '| constant | value | unit | section |',
    '|---|---|---|---|',
    '| DAY_MS | 86400000 | ms | 3.2 |',
    '## 3. Keys',
    '### 3.2 Key schedule',
    '| secret | construction | label |',
    '|---|---|---|',
    '| topic | HKDF(a \\|\\| b) | `megatorrent/1 topic` |',
    "Signed over 'megatorrent/1 head'.",
  ].join('\n')

  it('sound input has none', () => {
    expect(constantFaults(document, { DAY_MS: 86_400_000 })).toEqual([])
    expect(labelFaults(document, ['megatorrent/1 topic', 'megatorrent/1 head'])).toEqual([])
    expect(scheduleLabels(document)).toEqual(['megatorrent/1 topic'])
  })

  it.each([
    ['another value', document, { DAY_MS: 1 }],
    ['a constant that the document lacks', document, { DAY_MS: 86_400_000, OTHER: 1 }],
    ['a constant that the code lacks', document, {}],
    ['a section that is not there', document.replace('| 3.2 |', '| 9.9 |'), { DAY_MS: 86_400_000 }],
  ])('%s is seen', (_name, text, exported) => {
    expect(constantFaults(text, exported)).toHaveLength(1)
  })

  it('labels missing on either side, shared or spelled elsewhere are seen', () => {
    expect(labelFaults(document, ['megatorrent/1 topic'])).toHaveLength(1)
    expect(
      labelFaults(document, ['megatorrent/1 topic', 'megatorrent/1 head', 'megatorrent/1 x']),
    ).toHaveLength(1)
    const shared = ['megatorrent/1 topic', 'megatorrent/1 topic', 'megatorrent/1 head']
    expect(labelFaults(document, shared)).toHaveLength(1)
    expect(strayLabels([{ path: 'src/wire/x.ts', text: "hash('megatorrent/1 topic')" }])).toHaveLength(1)
    expect(strayLabels([{ path: 'src/wire/x.ts', text: "// 'megatorrent/1 topic'" }])).toEqual([])
  })

  it('a citation of a missing section is seen, one of an RFC is not', () => {
    const cite = (text: string): number => citationFaults(document, [{ path: 'src/x.ts', text }]).length
    expect(cite('/** Source: §3.2. */')).toBe(0)
    expect(cite('/** Source: §4.7. */')).toBe(1)
    expect(cite('/** Source: PROTOCOL_FINAL.md §4.7 */')).toBe(1)
    expect(cite('/** Source: RFC 8439 §2.8. */')).toBe(0)
  })
})
