// Real work of a node, in rounds, on the real state and the real store; for runs that are recorded, or
// in which system calls fail. After each step that a user would be told of it writes a line of JSON to
// stdout: the facts that must hold from then on, whatever happens.
// Arguments: folder, seed, rounds, and "keep" to have the blobs of others kept beside. A step that fails with an error of ours is told of and tried again.
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { toHex } from '../../../dist/src/base/bytes.js'
import { systemClock } from '../../../dist/src/base/clock.js'
import { silentLog } from '../../../dist/src/base/log.js'
import { seededRandom, systemRandom } from '../../../dist/src/base/random.js'
import { Assembly } from '../../../dist/src/channels/assemble.js'
import { fileIdentity, selectEntries } from '../../../dist/src/channels/file-index.js'
import { systemFolderFs } from '../../../dist/src/channels/folder-fs.js'
import { HeadLog } from '../../../dist/src/channels/head-log.js'
import { ingest } from '../../../dist/src/channels/ingest.js'
import { loadManifest } from '../../../dist/src/channels/manifest-loader.js'
import { Publisher } from '../../../dist/src/channels/publisher.js'
import { WrittenLedger } from '../../../dist/src/channels/written-ledger.js'
import { seal } from '../../../dist/src/crypto/aead.js'
import { publisherKeys } from '../../../dist/src/crypto/key-schedule.js'
import { encodeDhtState } from '../../../dist/src/discovery/dht-state.js'
import { writeFileAtomic } from '../../../dist/src/storage/atomic-file.js'
import { lockDataFolder } from '../../../dist/src/storage/data-lock.js'
import { FsBlobStore } from '../../../dist/src/storage/fs-blob-store.js'
import { writeKeyExport } from '../../../dist/src/storage/key-export.js'
import { Keystore } from '../../../dist/src/storage/keystore.js'
import { MemoryBlobStore } from '../../../dist/src/storage/memory-blob-store.js'
import { openState } from '../../../dist/src/storage/state.js'
import { WorkerPool } from '../../../dist/src/storage/worker-pool.js'
import { CHUNK_BYTES } from '../../../dist/src/wire/constants.js'
import { signHead } from '../../../dist/src/wire/head.js'

const [folder, seedText, roundsText, keep] = process.argv.slice(2)
const rounds = Number(roundsText)
const random = seededRandom(Number(seedText))
const disk = join(folder, 'disk')
const data = join(disk, 'data')
const clock = systemClock
/**
 * A step that fails so often in a row will not succeed: the disk stays full. More than four kinds of
 * calls in five threads, each of which may fail once in the same step.
 */
const MAX_FAILURES = 24

function tell(fact) {
  writeSync(1, `${JSON.stringify(fact)}\n`)
}

/** Do it, or say with which error of ours it failed, and try again. Any other error ends the process. */
async function step(name, work) {
  for (let failures = 0; ; failures++) {
    try {
      return await work()
    } catch (error) {
      tell({ fact: 'failed', step: name, code: error.code ?? null, message: String(error.stack) })
      if (error.constructor.name !== 'MegatorrentError' || error.code === 'ERR_BUG') process.exit(3)
      if (failures === MAX_FAILURES) process.exit(4)
    }
  }
}

const hash = (bytes) => createHash('sha256').update(bytes).digest('hex')

// Timers of the node do not keep a process up; its listeners do, and there are none here.
const upright = setInterval(() => {}, 60_000)

// --- the start of a node

const lock = await step('lock', () => lockDataFolder(data, process.pid))
const keystore = await step('keystore', () =>
  Keystore.open({ folder: join(data, 'keys'), random: systemRandom, clock }),
)
const nodeSeed = await step('nodeSeed', () => keystore.nodeSeed())
tell({ fact: 'nodeSeed', seed: toHex(nodeSeed) })
const state = await step('state', () => openState(join(data, 'megatorrent.db'), null))
const runner = new WorkerPool({ workers: 2 })
const store = await step('store', () =>
  FsBlobStore.open({
    root: join(data, 'blobs'),
    tables: state,
    runner,
    limits: { maxBytes: Number.MAX_SAFE_INTEGER, minFreeBytes: 0 },
  }),
)
tell({ fact: 'started' })

// --- a channel of our own, and one that is followed

const channel = await step('createChannel', () => {
  const known = keystore.list().find(({ name }) => name === 'main')
  const key = known ?? keystore.create({ name: 'main', private: false, open: false })
  const { publicKey, name, createdAt } = key
  const row = { publicKey, name, private: false, open: false, createdAt }
  if (state.channels.get(publicKey) === null) {
    state.channels.add({ ...row, sequence: 0, revision: 0, publishedIngest: null })
  }
  return key
})
const ours = publisherKeys(channel.seed)
const theirs = publisherKeys(random.bytes(32))
tell({ fact: 'channel', publicKey: toHex(ours.publicKey), name: 'main' })

const heads = new HeadLog(state.releases, clock, silentLog)
const session = {
  newest: null,
  heldOf: async (manifest) =>
    Array.from({ length: manifest.blobCount }, (_, n) => n).filter((n) => store.has(manifest.blobId(n))),
  serve: () => {},
  adopt: (head) => {
    session.newest = head
  },
}
const publisher = new Publisher({
  state,
  store,
  discovery: null,
  clock,
  log: silentLog,
  addressesOf: () => [],
})

for (const [keys, name] of [
  [ours, 'ours'],
  [theirs, 'theirs'],
]) {
  await step('subscribe', () => {
    if (state.subscriptions.get(keys.publicKey) !== null) return
    state.subscriptions.add({
      publicKey: keys.publicKey,
      uri: 'megatorrent:none',
      readKey: new Uint8Array(32),
      directory: join(disk, 'files', name),
      onlyGlobs: [],
      kind: 'follow',
      state: 'resolving',
      paused: false,
      addedAt: clock.now(),
      completeSequence: 0,
      errorCode: null,
      errorMessage: null,
      title: null,
    })
  })
  tell({ fact: 'subscribed', publicKey: toHex(keys.publicKey), name })
}

/** A state in which no table has a row, for what is ingested elsewhere. */
const emptyTable = new Proxy(
  {},
  { get: (_, name) => (name === 'list' || name === 'page' ? () => [] : () => null) },
)
const nothingKnown = new Proxy({}, { get: () => emptyTable })

// --- sources: they are not part of what is recorded, and a call that fails here is no matter

function quietly(work) {
  for (;;) {
    try {
      return work()
    } catch (error) {
      if (!('syscall' in error)) throw error
    }
  }
}

/** Content of a round: some files stay, some change, come, go, or become folders. */
function makeSource(name, round) {
  const root = join(folder, 'source', name)
  const put = (path, content) =>
    quietly(() => {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), content)
    })
  if (round === 0) put('kept/for ever', `${name} stays`)
  if (round === 0) put('kept/large', random.bytes(CHUNK_BYTES + 9))
  put('changed', `round ${round} of ${name}`)
  // Most of its chunks stay: the new file begins as a copy of the old one.
  const stays = [1, 2, 3, 4].map((chunk) => Buffer.alloc(CHUNK_BYTES, `${name} ${chunk}`))
  put('folder/partly', Buffer.concat([...stays, random.bytes(CHUNK_BYTES), Buffer.from(`tail ${round}`)]))
  put('folder/large', random.bytes(CHUNK_BYTES + 10 + round))
  put(`only-${round}/in/a/folder`, `only ${round}`)
  put('empty', '')
  rmSync(join(root, `only-${round - 1}`), { recursive: true, force: true })
  rmSync(join(root, 'turns'), { recursive: true, force: true })
  if (round % 2 === 0) put('turns', 'a file')
  else put('turns/into', 'a folder')
  return root
}

/** Ids of the blobs of a release, its manifest's included. */
async function blobsOf(from, root) {
  const parts = []
  const watched = {
    buffers: from.buffers,
    has: (id) => from.has(id),
    open: (id, key) => {
      parts.push(id.slice())
      return from.open(id, key)
    },
  }
  const manifest = await loadManifest({ root, store: watched, fetch: async () => {} })
  for (let n = 0; n < manifest.blobCount; n++) parts.push(manifest.blobId(n))
  return { manifest, ids: [...new Set(parts.map(toHex))].map((hex) => Buffer.from(hex, 'hex')) }
}

/** Says how each finished file looked when it was synced: the ledger knows files by that. */
const fs = {
  ...systemFolderFs,
  syncFile: async (path) => {
    const node = await systemFolderFs.syncFile(path)
    tell({ fact: 'synced', path, mtimeNs: node.mtimeNs, inode: node.inode })
    return node
  },
}

/** What is in place, by name: files that changed little begin as a copy. */
const inPlace = new Map()

async function assemble(name, keys, manifest, source, sequence, bring) {
  const { files } = await selectEntries(manifest, [])
  const tree = files.map((file) => ({
    path: file.path,
    identity: fileIdentity(manifest, file),
    hash: hash(readFileSync(join(source, file.path))),
  }))
  tell({ fact: 'assembling', name, sequence, tree })
  await step(`assemble ${name}`, async () => {
    const assembly = await Assembly.begin({
      directory: join(disk, 'files', name),
      manifest,
      previous: async () => inPlace.get(name) ?? null,
      onlyGlobs: [],
      ledger: new WrittenLedger(state, keys.publicKey),
      store,
      minFreeBytes: 0,
      random: systemRandom,
      log: silentLog,
      fs,
    })
    try {
      await bring(assembly)
      await assembly.finish()
    } finally {
      await assembly.close()
    }
    state.subscriptions.update(keys.publicKey, { state: 'complete', completeSequence: sequence })
  })
  tell({ fact: 'complete', name, sequence })
  inPlace.set(name, manifest)
}

async function publishRound(round) {
  const source = makeSource('ours', round)
  const record = await step('ingest', () =>
    ingest(
      { store, state, clock, random: systemRandom, log: silentLog },
      {
        source,
        publicKey: ours.publicKey,
        convergenceSecret: ours.convergenceSecret,
        title: `round ${round}`,
        publishedIngest: state.channels.get(ours.publicKey).publishedIngest,
      },
    ),
  )
  const { manifest, ids } = await step('look', () => blobsOf(store, record.root))
  tell({ fact: 'held', ids: ids.map(toHex) })
  tell({ fact: 'ingested', ingestId: record.ingestId, root: toHex(record.root) })
  const { head } = await step('publish', () =>
    publisher.release({ keys: ours, open: false, session, record, title: null }),
  )
  tell({
    fact: 'head',
    publicKey: toHex(ours.publicKey),
    sequence: head.releaseNumber,
    head: toHex(head.bytes),
  })
  await assemble('ours', ours, manifest, source, head.releaseNumber, (assembly) => {
    for (const blob of assembly.neededBlobs()) assembly.accept(blob)
  })
}

/** A blob as it comes over a line: sealed once more, under a key of that frame. */
function frameOf(sealed) {
  const key = random.bytes(32)
  const nonce = random.bytes(12)
  return { bytes: new Uint8Array(seal(key, nonce, sealed)), key, nonce }
}

async function downloadRound(round, before) {
  const source = makeSource('theirs', round)
  const abroad = new MemoryBlobStore()
  const record = await ingest(
    {
      store: abroad,
      state: nothingKnown,
      clock,
      random,
      log: silentLog,
    },
    {
      source,
      publicKey: theirs.publicKey,
      convergenceSecret: theirs.convergenceSecret,
      title: `round ${round}`,
      publishedIngest: null,
    },
  )
  const head = signHead(
    {
      releaseNumber: round + 1,
      revision: 0,
      signedAt: clock.now(),
      root: record.root,
      previousHash: null,
      successorKey: null,
      addresses: [],
    },
    theirs.signingKey,
  )
  await step('accept', () => heads.accept(theirs.publicKey, head.bytes, 'peer'))
  tell({ fact: 'head', publicKey: toHex(theirs.publicKey), sequence: round + 1, head: toHex(head.bytes) })
  const { manifest, ids } = await blobsOf(abroad, record.root)
  const take = async (id) => frameOf((await abroad.read(id)).slice())
  if (keep === 'keep') {
    quietly(() => mkdirSync(join(folder, 'abroad'), { recursive: true }))
    for (const id of ids) writeFileSync(join(folder, 'abroad', toHex(id)), await abroad.read(id))
  }
  // The manifest's own blobs come first, in its order as in time.
  for (let n = 0; n < manifest.manifestBlobCount; n++) {
    const id = manifest.blobId(n)
    await step('put', async () => void (await store.put(id, await take(id))))
    tell({ fact: 'held', ids: [toHex(id)] })
  }
  await assemble('theirs', theirs, manifest, source, round + 1, async (assembly) => {
    await Promise.all(
      assembly.neededBlobs().map(async (blob) => {
        const id = manifest.blobId(blob)
        if (store.has(id)) return assembly.accept(blob)
        // What fails here ends the assembly, as it does in a node: the next one begins anew.
        const lease = await assembly.placementOf(blob)
        const place = lease?.placement ?? null
        try {
          const put = async () => store.put(id, await take(id), { place })
          const { placeError } = await step('put', put)
          if (placeError === null && place !== null) assembly.markWritten(blob)
          else assembly.accept(blob)
        } finally {
          lease?.release()
        }
        tell({ fact: 'held', ids: [toHex(id)] })
      }),
    )
  })
  const now = new Set(ids.map(toHex))
  const garbage = before.filter((id) => !now.has(toHex(id)))
  if (garbage.length > 0) {
    tell({ fact: 'deleting', ids: garbage.map(toHex) })
    await step('delete', () => store.delete(garbage))
  }
  return ids
}

function keysRound(round) {
  const name = `channel ${round}`
  return step('key', () => {
    const known = keystore.list()
    if (!known.some((key) => key.name === name)) keystore.create({ name, private: true, open: false })
    const { publicKey, readKey } = keystore.list().find((key) => key.name === name)
    tell({ fact: 'channel', publicKey: toHex(publicKey), name, readKey: toHex(readKey) })
    const old = known.find((key) => key.name === `channel ${round - 1}`)
    if (old === undefined) return
    tell({ fact: 'removingChannel', publicKey: toHex(old.publicKey) })
    keystore.remove(old.publicKey)
    tell({ fact: 'channelGone', publicKey: toHex(old.publicKey) })
  })
}

/** Without its key this channel would be nobody's: a user keeps it elsewhere too. */
function exportRound(round) {
  const path = join(disk, `exported ${round}`)
  return step('export', async () => {
    await writeKeyExport(keystore.get(ours.publicKey), { kind: 'plain' }, path, systemRandom)
    tell({ fact: 'exported', path: `exported ${round}`, hash: hash(readFileSync(path)) })
  })
}

function dhtRound(round) {
  const nodes = Array.from({ length: 100 }, (_, n) => ({ host: `192.0.2.${n}`, port: 1000 + round }))
  const text = encodeDhtState(nodes)
  tell({ fact: 'writingDht', text })
  return step('dht', () => {
    writeFileAtomic(join(data, 'dht_state.json'), Buffer.from(text))
    tell({ fact: 'dht', text })
  })
}

let before = []
for (let round = 0; round < rounds; round++) {
  await keysRound(round)
  await exportRound(round)
  await publishRound(round)
  await dhtRound(round)
  before = await downloadRound(round, before)
}
tell({ fact: 'finished' })
await step('close', () => store.close())
await step('close', () => runner.close())
await step('close', () => state.close())
await step('close', () => lock.release())
tell({ fact: 'closed' })
clearInterval(upright)
