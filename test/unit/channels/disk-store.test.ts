/** The whole way with the store that the daemon uses, over a restart. */
import { appendFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { seededRandom, systemRandom } from '../../../src/base/random.ts'
import { Assembly } from '../../../src/channels/assemble.ts'
import { ingest } from '../../../src/channels/ingest.ts'
import type { IngestRecord } from '../../../src/channels/ingest-record.ts'
import { loadManifest } from '../../../src/channels/manifest-loader.ts'
import { WrittenLedger } from '../../../src/channels/written-ledger.ts'
import { CHUNK_BYTES } from '../../../src/wire/constants.ts'
import { InlineRunner, type OpenStore, openStore, tempFolder, writeFile } from '../storage/harness.ts'
import { PUBLIC_KEY, readTree, SECRET } from './harness.ts'

const random = seededRandom(5)

function release(
  { store, state }: OpenStore,
  source: string,
  published: string | null,
): Promise<IngestRecord> {
  const deps = { store, state, clock: systemClock, random: systemRandom, log: silentLog }
  return ingest(deps, {
    source,
    publicKey: PUBLIC_KEY,
    convergenceSecret: SECRET,
    title: '',
    publishedIngest: published,
  })
}

async function assemble({ store, state }: OpenStore, root: Uint8Array, directory: string): Promise<void> {
  const manifest = await loadManifest({ root, store, fetch: () => Promise.resolve() })
  const assembly = await Assembly.begin({
    directory,
    manifest,
    onlyGlobs: [],
    ledger: new WrittenLedger(state, PUBLIC_KEY),
    store,
    minFreeBytes: 0,
    random: systemRandom,
    log: silentLog,
  })
  for (const blob of assembly.neededBlobs()) assembly.accept(blob)
  await assembly.finish()
}

describe('with the store on disk', () => {
  it('a release that was acknowledged is there after a crash, and an update makes few blobs', async () => {
    const folder = tempFolder()
    const source = join(folder, 'source')
    mkdirSync(join(source, 'many'), { recursive: true })
    for (let n = 0; n < 200; n++) writeFile(source, `many/${n}`, random.bytes(n * 40))
    writeFile(source, 'large', random.bytes(3 * CHUNK_BYTES + 5))
    const runner = new InlineRunner()
    const before = await openStore(folder, { runner })
    const first = await release(before, source, null)
    before.crash()
    const after = await openStore(folder, { runner })
    await assemble(after, first.root, join(folder, 'target'))
    expect(readTree(join(folder, 'target'))).toEqual(readTree(source))
    appendFileSync(join(source, 'large'), 'x')
    writeFile(source, 'many/7', random.bytes(99))
    const second = await release(after, source, first.ingestId)
    expect(second.newBlobs).toBe(1)
    await assemble(after, second.root, join(folder, 'target'))
    expect(readTree(join(folder, 'target'))).toEqual(readTree(source))
  })
})
