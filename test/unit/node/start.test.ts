/**
 * Starting and stopping a whole node in this process, without a DHT and with
 * nobody to talk to.
 */
import { chmod, mkdtemp, readdir, rm, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { type Flags, loadConfig } from '../../../src/config/load.ts'
import type { Config } from '../../../src/config/schema.ts'
import type { RunningNode } from '../../../src/node/api.ts'
import { startNode } from '../../../src/node/node.ts'

let folder: string
let running: RunningNode | null = null

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'megatorrent-node-'))
  await chmod(folder, 0o700)
})

afterEach(async () => {
  await running?.close()
  running = null
  await rm(folder, { recursive: true, force: true })
})

function config(flags: Record<string, string> = {}): Config {
  const given: [string, readonly string[] | true][] = [
    ['data-dir', [join(folder, 'data')]],
    ['listen', ['127.0.0.1:0']],
    ['rpc', ['127.0.0.1:0']],
    ['no-dht', true],
    ...Object.entries(flags).map(([name, text]): [string, readonly string[]] => [name, [text]]),
  ]
  const sources = { flags: new Map(given) satisfies Flags, environment: {}, file: null, callerFolder: folder }
  const loaded = loadConfig(sources)
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  return loaded.config
}

async function start(flags?: Record<string, string>): Promise<RunningNode> {
  running = await startNode(config(flags), { log: silentLog, clock: systemClock, random: systemRandom })
  return running
}

const CALL = { signal: new AbortController().signal, onProgress: () => {} }

describe('a node', () => {
  it('keeps its key, and stops twice as well as once', async () => {
    const first = await start()
    const { nodeKey, peerAddress } = first.info
    expect(peerAddress).toMatch(new RegExp(`^${nodeKey}@127\\.0\\.0\\.1:\\d+$`))
    await Promise.all([first.close(), first.close()])
    await first.closed
    expect((await start()).info.nodeKey).toBe(nodeKey)
  })

  it('refuses an onion as a peer in direct mode, where nothing could reach it', async () => {
    const { api } = await start()
    const address = 'vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd.onion:7117'
    await expect(api.addPeer({ address })).rejects.toMatchObject({ code: 'ERR_USAGE' })
  })

  it('does not start on a folder in use, and leaves the one that runs alone', async () => {
    const { api } = await start()
    await expect(
      startNode(config(), { log: silentLog, clock: systemClock, random: systemRandom }),
    ).rejects.toMatchObject({
      code: 'ERR_DATA_DIR_LOCKED',
      kind: 'config',
    })
    expect(await api.getStatus()).toMatchObject({ peers: 0, heldBlobs: 0 })
  })

  it('with a passphrase starts with that passphrase and with no other', async () => {
    const file = join(folder, 'passphrase')
    await expect(start({ 'passphrase-file': file })).rejects.toMatchObject({
      code: 'ERR_PASSPHRASE_FILE',
      kind: 'config',
    })
    await writeFile(file, 'correct horse\n', { mode: 0o600 })
    const { nodeKey } = (await start({ 'passphrase-file': file })).info
    await running?.close()
    await expect(start()).rejects.toMatchObject({ code: 'ERR_KEYSTORE_LOCKED' })
    await writeFile(file, 'wrong horse', { mode: 0o600 })
    await expect(start({ 'passphrase-file': file })).rejects.toMatchObject({ code: 'ERR_PASSPHRASE' })
    await writeFile(file, 'correct horse', { mode: 0o600 })
    expect((await start({ 'passphrase-file': file })).info.nodeKey).toBe(nodeKey)
  })
})

describe('publishing', () => {
  it('without anybody to confirm is durable, and says that it is pending', async () => {
    const { api } = await start()
    await api.createChannel({ name: 'a', private: false, open: false })
    const source = join(folder, 'file.txt')
    await writeFile(source, 'content')
    const params = { source: { path: source }, channel: null, title: null, timeoutMs: 100 }
    expect(await api.publish(params, CALL)).toMatchObject({
      sequence: 1,
      files: 1,
      storedBy: 0,
      pending: { code: 'ERR_NO_CARRIER' },
    })
    await running?.close()
    const again = await start()
    expect(await again.api.listChannels()).toMatchObject([{ name: 'a', sequence: 1 }])
    // The same folder again: the release that is there.
    expect(await again.api.publish(params, CALL)).toMatchObject({ sequence: 1, unchanged: true, newBlobs: 0 })
  })

  it('on a channel whose key file is gone is refused, and the rest works', async () => {
    const { api } = await start()
    await api.createChannel({ name: 'lost', private: false, open: false })
    await running?.close()
    const keys = join(folder, 'data', 'keys')
    for (const name of await readdir(keys)) if (name !== 'node.key') await unlink(join(keys, name))
    const again = await start()
    const source = join(folder, 'file.txt')
    await writeFile(source, 'content')
    const params = { source: { path: source }, channel: 'lost', title: null, timeoutMs: 100 }
    await expect(again.api.publish(params, CALL)).rejects.toMatchObject({
      code: 'ERR_KEY_MISSING',
      kind: 'config',
    })
    expect(await again.api.createChannel({ name: 'other', private: true, open: false })).toMatchObject({
      private: true,
    })
  })
})
