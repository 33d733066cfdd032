/** What rows take, as docs/SCALING.md says it: tables are filled and the pages counted. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { MAX_RELEASES_PER_CHANNEL } from '../../../src/base/limits.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { numberOf } from '../../../src/storage/row.ts'
import { openState, type State } from '../../../src/storage/state.ts'
import { HEAD_BYTES } from '../../../src/wire/constants.ts'
import { tableRows } from '../../lint/markdown.ts'
import { readProjectFile } from '../../lint/project-files.ts'

const ROWS = 5_000
const NOW = Date.UTC(2026, 0, 1)
const folder = mkdtempSync(join(tmpdir(), 'megatorrent-rows-'))
const random = seededRandom(1)
const publicKey = random.bytes(32)
const rows = Array.from({ length: ROWS }, (_, n) => n)

afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Bytes of the database for each row that `fill` adds. */
function bytesARow(name: string, fill: (state: State) => number): number {
  const state = openState(join(folder, `${name}.db`), null)
  const bytes = (): number =>
    numberOf(state.database.get('PRAGMA page_count') ?? {}, 'page_count') *
    numberOf(state.database.get('PRAGMA page_size') ?? {}, 'page_size')
  try {
    state.database.run('PRAGMA synchronous = OFF')
    const before = bytes()
    const count = fill(state)
    return (bytes() - before) / count
  } finally {
    state.close()
  }
}

const FILLED: Readonly<Record<string, (state: State) => number>> = {
  blobs: (state) =>
    state.blobs.add(
      rows.map(() => random.bytes(32)),
      NOW,
    ).length,
  releases: (state) => {
    for (let sequence = 1; sequence <= MAX_RELEASES_PER_CHANNEL; sequence++) {
      state.releases.upsertHead({
        ...{ publicKey, sequence, revision: 0, rootId: random.bytes(32), head: random.bytes(HEAD_BYTES) },
        ...{ signedAt: NOW, receivedAt: NOW },
      })
    }
    return MAX_RELEASES_PER_CHANNEL
  },
  slots: (state) => {
    for (const n of rows) {
      state.slots.save({
        ...{ slotKey: random.bytes(32), publicKey, day: 20_000, replica: n % 3, seq: 2 ** 43 },
        ...{ signature: random.bytes(64), head: random.bytes(HEAD_BYTES), updatedAt: NOW },
      })
    }
    return ROWS
  },
  ephemerals: (state) =>
    state.ephemerals.add(rows.map(() => ({ keyId: publicKey, ephemeral: random.bytes(32), hour: 480_000 }))),
  written_files: (state) => {
    const files = rows.map((n) => ({
      path: `packages/package-${n}/node_modules/Module/lib/Component.test.js`,
      ...{ size: 10_000, mtimeNs: '1767225600000000000', inode: '12345678', identity: random.bytes(32) },
      staged: false,
    }))
    state.writtenFiles.save(publicKey, files)
    return ROWS
  },
  anchors: (state) => {
    const address = (n: number): string => `${toHex(random.bytes(32))}@203.0.113.7:${7_000 + n}`
    for (let n = 0; n < ROWS / 4; n++) {
      state.anchors.replace(random.bytes(32), [0, 1, 2, 3].map(address))
    }
    return ROWS
  },
}

describe('a row of the table', () => {
  const said = new Map(
    tableRows(readProjectFile('docs/SCALING.md')?.text ?? '').map(([name = '', bytes = '']) => [name, bytes]),
  )

  it.each(Object.keys(FILLED))('%s takes what docs/SCALING.md says, to a tenth', (name) => {
    const bytes = bytesARow(name, FILLED[name] as (state: State) => number)
    const inDocument = Number(said.get(`\`${name}\``)?.replaceAll(',', ''))
    expect(inDocument / bytes).toBeGreaterThan(0.9)
    expect(inDocument / bytes).toBeLessThan(1.1)
  })
})
