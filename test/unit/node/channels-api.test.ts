/** Channels of this node as its API has them: keys, publishing, and what ends with a channel. */
import { mkdirSync, readdirSync, readFileSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { silentLog } from '../../../src/base/log.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { Publisher } from '../../../src/channels/publisher.ts'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import type { CallOptions } from '../../../src/node/api.ts'
import { ChannelsApi } from '../../../src/node/channels-api.ts'
import { linkTo } from '../../../src/node/own-addresses.ts'
import { Keystore } from '../../../src/storage/keystore.ts'
import type { SwarmChannel } from '../../../src/swarm/channel.ts'
import type { Address } from '../../../src/wire/address.ts'
import { type Head, signHead, verifyHead } from '../../../src/wire/head.ts'
import { onionName } from '../../../src/wire/onion.ts'
import { parseLink } from '../../../src/wire/uri.ts'
import { ChannelNet, type ChannelNode } from '../channels/channel-node.ts'

const OPTIONS: CallOptions = { signal: new AbortController().signal, onProgress: () => {} }

describe('channels of a node', () => {
  let net: ChannelNet
  let node: ChannelNode
  let api: ChannelsApi
  let source: string

  beforeEach(async () => {
    net = new ChannelNet()
    node = await net.node()
    api = newApi()
    api.start()
    source = join(node.folder, 'source')
    mkdirSync(source)
    writeFileSync(join(source, 'a.txt'), 'content')
  })

  afterEach(async () => {
    await api.close()
    net.close()
  })

  function newApi(
    canPut = true,
    { publisher, sessions } = node as Pick<ChannelNode, 'publisher' | 'sessions'>,
  ) {
    const { state, store, clock } = node
    return new ChannelsApi({
      state,
      store,
      keystore: Keystore.open({ folder: join(node.folder, 'keys'), random: systemRandom, clock }),
      sessions,
      publisher,
      dataDir: join(node.folder, 'data'),
      linkTo: (publicKey, readKey) => linkTo(publicKey, readKey, () => [node.sim.address]),
      canPut,
      clock,
      statedClock: clock,
      random: systemRandom,
      log: silentLog,
    })
  }

  const publish = (channel: string | null = null, timeoutMs: number | null = null) =>
    api.publish({ source: { path: source }, channel, title: null, timeoutMs }, OPTIONS)

  it('are kept fresh for as long as they are ours', async () => {
    const keeping = vi.spyOn(node.publisher, 'keepFresh')
    const { name } = await api.create({ name: 'main', private: false, open: false })
    expect(keeping).toHaveBeenCalledTimes(1)
    const signal = keeping.mock.calls[0]?.[3]
    expect(signal?.aborted).toBe(false)
    api.remove(name)
    expect(signal?.aborted).toBe(true)
  })

  it('are made with a link that leads here, and are followed at once', async () => {
    const info = await api.create({ name: 'main', private: false, open: true })
    expect(info).toMatchObject({ name: 'main', private: false, open: true, sequence: 0 })
    const link = parseLink(info.uri)
    expect(toHex(link.publicKey)).toBe(info.publicKey)
    expect(link.peers).toHaveLength(1)
    expect(link.readKey).toBe(null)
    expect(node.discovery.last.open).toBe(true)
    const secret = await api.create({ name: 'secret', private: true, open: false })
    expect(parseLink(secret.uri).readKey).toHaveLength(32)
  })

  it('cannot be open and private, nor have a name twice', async () => {
    await expect(api.create({ name: 'x', private: true, open: true })).rejects.toMatchObject({
      code: 'ERR_USAGE',
    })
    await api.create({ name: 'x', private: false, open: false })
    await expect(api.create({ name: 'x', private: false, open: false })).rejects.toMatchObject({
      code: 'ERR_NAME_TAKEN',
    })
    expect(api.list()).toHaveLength(1)
  })

  it('are named where there are several, and need not be where there is one', async () => {
    await expect(publish()).rejects.toMatchObject({ code: 'ERR_USAGE' })
    const { publicKey } = await api.create({ name: 'a', private: false, open: false })
    expect((await publish()).sequence).toBe(1)
    await api.create({ name: 'b', private: false, open: false })
    await expect(publish()).rejects.toMatchObject({ code: 'ERR_USAGE' })
    expect((await publish('b')).sequence).toBe(1)
    expect((await publish(publicKey)).unchanged).toBe(true)
    await expect(publish('c')).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
  })

  it('keep the ingest that is published, however often the folder is published unchanged, and no other', async () => {
    const { publicKey } = await api.create({ name: 'main', private: false, open: false })
    await publish()
    const key = Buffer.from(publicKey, 'hex')
    const ingestOf = (): string => node.state.channels.get(key)?.publishedIngest ?? ''
    const first = ingestOf()
    for (let i = 0; i < 2; i++) {
      // A time that changed has it read again.
      utimesSync(join(source, 'a.txt'), i + 1, i + 1)
      for (let j = 0; j < 2; j++) expect(await publish()).toMatchObject({ sequence: 1, unchanged: true })
      expect(ingestOf()).toBe(first)
      expect(node.state.ingests.get(first)).not.toBeNull()
      expect(node.state.ingests.list(key)).toHaveLength(1)
    }
  })

  it('publish as their contract says: confirmed, unchanged, and pending where nobody confirms', async () => {
    await api.create({ name: 'main', private: false, open: false })
    expect(await publish()).toMatchObject({
      sequence: 1,
      files: 1,
      storedBy: 8,
      unchanged: false,
      pending: null,
    })
    expect(await publish()).toMatchObject({ sequence: 1, storedBy: 8, unchanged: true })
    writeFileSync(join(source, 'a.txt'), 'other')
    node.discovery.onPublish = async () => 0
    let result: Awaited<ReturnType<typeof publish>> | null = null
    void publish(null, 1).then((done) => {
      result = done
    })
    await net.until(() => result !== null)
    expect(result).toMatchObject({ sequence: 2, storedBy: 0, pending: { code: 'ERR_TIMEOUT' } })
    // It goes on in the background until somebody confirms.
    node.discovery.onPublish = async () => 3
    await net.until(() => node.state.pendingPuts.list().length === 0)
  })

  it('say so where there is nobody to put to, and the release is there all the same', async () => {
    await api.close()
    api = newApi(false)
    await api.create({ name: 'main', private: false, open: false })
    expect(await publish()).toMatchObject({ sequence: 1, storedBy: 0, pending: { code: 'ERR_NO_CARRIER' } })
    expect(api.show('main').sequence).toBe(1)
  })

  it('go on after a restart where they stopped: puts that nobody confirmed', async () => {
    await api.create({ name: 'main', private: false, open: false })
    node.discovery.onPublish = async () => 0
    let isPending = false
    void publish(null, 1).then(() => {
      isPending = true
    })
    await net.until(() => isPending)
    await api.close()
    node.sessions.closeAll()
    expect(node.state.pendingPuts.list()).toHaveLength(1)
    const before = node.discovery.published.length
    node.discovery.onPublish = async () => 8
    api = newApi()
    api.start()
    await net.until(() => node.state.pendingPuts.list().length === 0)
    expect(node.discovery.published.length).toBe(before + 1)
    expect(api.show('main').sequence).toBe(1)
  })

  it('are served after a restart, though their newest head is signed again meanwhile', async () => {
    const { publicKey } = await api.create({ name: 'main', private: false, open: false })
    const keys = api.keysOf(Buffer.from(publicKey, 'hex'))
    let isPublished = false
    void publish().then(() => {
      isPublished = true
    })
    await net.until(() => isPublished)
    await api.close()
    node.sessions.closeAll()
    api = newApi(true, { publisher: node.publisher, sessions: node.newSessions() })
    api.start()
    const session = api.sessionOf(publicKey)
    const newest = session?.newest ?? null
    if (keys === null || session === null || newest === null) throw new Error('no release')
    session.accept(signHead({ ...newest, revision: 1 }, keys.signingKey).bytes, 'peer')
    await net.until(() => session.served !== null)
    expect(session.newest?.revision).toBe(1)
  })

  it('that are removed leave nothing behind that acts', async () => {
    const { publicKey } = await api.create({ name: 'main', private: false, open: false })
    node.discovery.onPublish = async () => 0
    let isPending = false
    void publish(null, 1).then(() => {
      isPending = true
    })
    await net.until(() => isPending)
    api.remove('main')
    const puts = node.discovery.published.length
    await net.clock.advance(60_000)
    expect(node.discovery.published.length).toBe(puts)
    expect(node.discovery.last.isStopped).toBe(true)
    expect(node.state.pendingPuts.list()).toEqual([])
    expect(() => api.show(publicKey)).toThrow(expect.objectContaining({ code: 'ERR_NOT_FOUND' }))
  })

  it('that are followed besides go on without their key when they are removed', async () => {
    const joins = vi.spyOn(node.sim.swarm, 'join')
    const { publicKey } = await api.create({ name: 'main', private: false, open: false })
    const keys = api.keysOf(Buffer.from(publicKey, 'hex'))
    if (keys === null) throw new Error('no keys')
    const session = node.sessions.acquire(keys)
    const channel: SwarmChannel = joins.mock.results[0]?.value
    expect(channel.isOurs).toBe(true)
    api.remove('main')
    expect(channel.isOurs).toBe(false)
    expect(api.keysOf(keys.publicKey)).toBe(null)
    expect(node.discovery.follows.map(({ isStopped }) => isStopped)).toEqual([true, false])
    node.sessions.release(session)
    expect(node.discovery.last.isStopped).toBe(true)
  })

  it('name no clear address any more after a start in safe mode, whatever a head of direct mode said', async () => {
    const { publicKey } = await api.create({ name: 'main', private: false, open: false })
    const { state, store, discovery, clock, log } = node
    const common = { state, store, discovery, clock, log }
    const clear: Address = { kind: 'ipv4', host: '8.8.8.8', port: 7117 }
    const onion: Address = {
      kind: 'onion',
      host: onionName(new SigningKey(new Uint8Array(32)).publicKey),
      port: 7117,
    }
    await api.close()
    node.sessions.closeAll()
    const direct = {
      publisher: new Publisher({ ...common, addressesOf: () => [clear] }),
      sessions: node.newSessions(),
    }
    api = newApi(true, direct)
    api.start()
    await publish()
    const before = node.heads.newest(Buffer.from(publicKey, 'hex'))
    expect(before?.addresses).toEqual([clear])

    const start = async (): Promise<Head | null> => {
      await api.close()
      node.sessions.closeAll()
      const hidesAddresses = true
      const sessions = node.newSessions()
      const publisher = new Publisher({ ...common, hidesAddresses, addressesOf: () => [onion] })
      api = newApi(false, { publisher, sessions })
      api.start()
      return api.sessionOf(publicKey)?.newest ?? null
    }
    direct.sessions.closeAll()
    const after = await start()
    expect(after).toMatchObject({
      releaseNumber: 1,
      revision: 1,
      addresses: [onion],
      signedAt: before?.signedAt,
    })
    expect(after?.root).toEqual(before?.root)
    expect(verifyHead(after?.bytes as Uint8Array, Buffer.from(publicKey, 'hex')).revision).toBe(1)
    expect(node.heads.newest(Buffer.from(publicKey, 'hex'))?.addresses).toEqual([onion])
    expect(await start()).toMatchObject({ revision: 1 })
    expect(state.channels.byName('main')).toMatchObject({ sequence: 1, revision: 1 }) // it is still refreshed
    // What is published next goes on from there, and an unchanged folder is still unchanged.
    expect(await publish()).toMatchObject({ sequence: 1, unchanged: true })
    writeFileSync(join(source, 'a.txt'), 'other')
    expect(await publish()).toMatchObject({ sequence: 2 })
  })

  /** Another machine, which has never seen a release. */
  async function otherMachine(): Promise<{ readonly node: ChannelNode; readonly api: ChannelsApi }> {
    const other = await net.node()
    const { state, store, clock, sessions, publisher } = other
    const api = new ChannelsApi({
      state,
      store,
      keystore: Keystore.open({ folder: join(other.folder, 'keys'), random: systemRandom, clock }),
      sessions,
      publisher,
      dataDir: join(other.folder, 'data'),
      linkTo: (publicKey, readKey) => linkTo(publicKey, readKey, () => []),
      canPut: true,
      clock,
      statedClock: clock,
      random: systemRandom,
      log: silentLog,
    })
    api.start()
    return { node: other, api }
  }

  const FILE = { words: false, passphraseFile: null } as const

  it('come and go as files: an import looks for newer releases before it signs', async () => {
    const { publicKey } = await api.create({ name: 'main', private: false, open: false })
    await publish()
    const file = join(node.folder, 'exported')
    await expect(
      api.export({ ...FILE, channel: 'main', file: join(node.folder, 'missing', 'exported') }),
    ).rejects.toMatchObject({ code: 'ERR_USAGE', message: expect.stringContaining('no folder') })
    await api.export({ ...FILE, channel: 'main', file })
    const head = node.heads.newest(Buffer.from(publicKey, 'hex'))
    if (head === null) throw new Error('no head')
    const { node: other, api: imported } = await otherMachine()
    expect(await imported.import({ file, name: 'again', passphraseFile: null })).toMatchObject({
      name: 'again',
      publicKey,
      sequence: 0,
    })
    expect(await imported.import({ file, name: null, passphraseFile: null })).toMatchObject({ name: 'again' })
    other.discovery.onLook = async ({ hooks }) => hooks.onHead(head.bytes)
    const result = await imported.publish(
      { source: { path: source }, channel: null, title: null, timeoutMs: null },
      OPTIONS,
    )
    expect(result.sequence).toBe(2)
    await imported.close()
  })

  it('come back with the same link from words and from a sealed file, of every kind', async () => {
    const passphraseFile = join(node.folder, 'passphrase')
    writeFileSync(passphraseFile, 'correct horse\n')
    const kinds = [
      { name: 'public', private: false, open: false },
      { name: 'private', private: true, open: false },
      { name: 'open', private: false, open: true },
    ]
    const made = await Promise.all(kinds.map((kind) => api.create(kind)))
    for (const how of [
      { words: true, passphraseFile: null },
      { words: false, passphraseFile },
    ]) {
      const { api: imported } = await otherMachine()
      for (const { name } of kinds) {
        const file = join(node.folder, `${name}-${how.words}`)
        await api.export({ ...how, channel: name, file })
        await imported.import({ file, name: null, passphraseFile: how.passphraseFile })
      }
      const plain = ({ name, publicKey, uri, private: isPrivate, open }: (typeof made)[number]) => {
        const { readKey } = parseLink(uri)
        return { name, publicKey, readKey, isPrivate, open }
      }
      const byKey = (a: { publicKey: string }, b: { publicKey: string }): number =>
        a.publicKey < b.publicKey ? -1 : 1
      expect(imported.list().map(plain).sort(byKey)).toEqual(made.map(plain).sort(byKey))
      await imported.close()
    }
  })

  it('change nothing when the passphrase is wrong, is in no file, or belongs to words', async () => {
    const { publicKey } = await api.create({ name: 'main', private: false, open: false })
    const [right, wrong] = [join(node.folder, 'right'), join(node.folder, 'wrong')]
    writeFileSync(right, 'correct horse')
    writeFileSync(wrong, 'correct horse \n')
    const file = join(node.folder, 'sealed')
    await api.export({ channel: 'main', file, words: false, passphraseFile: right })
    const { node: other, api: imported } = await otherMachine()
    for (const [passphraseFile, code] of [
      [wrong, 'ERR_PASSPHRASE'],
      [null, 'ERR_PASSPHRASE'],
      [join(node.folder, 'none'), 'ERR_PASSPHRASE_FILE'],
    ] as const) {
      await expect(imported.import({ file, name: null, passphraseFile })).rejects.toMatchObject({ code })
    }
    expect([imported.list(), readdirSync(join(other.folder, 'keys'))]).toEqual([[], []])
    await imported.import({ file, name: null, passphraseFile: right })
    expect(imported.show('main').publicKey).toBe(publicKey)
    const both = { channel: 'main', file: join(node.folder, 'both'), words: true, passphraseFile: right }
    await expect(api.export(both)).rejects.toMatchObject({ code: 'ERR_USAGE' })
    await imported.close()
  })

  it('need a name when words have none, and one that is free and that a channel can have', async () => {
    await api.create({ name: 'main', private: false, open: false })
    const file = join(node.folder, 'words')
    await api.export({ channel: 'main', file, words: true, passphraseFile: null })
    const page = readFileSync(file, 'utf8')
    const typed = (text: string): void => writeFileSync(file, text)
    const { node: other, api: imported } = await otherMachine()
    await imported.create({ name: 'taken', private: false, open: false })
    const take = (name: string | null) => imported.import({ file, name, passphraseFile: null })
    for (const [text, name, code] of [
      [page.replace(/^name: .*$/m, ''), null, 'ERR_USAGE'],
      [page.replace(/^name: .*$/m, `name: ${'ab'.repeat(32)}`), null, 'ERR_USAGE'],
      [page.replace(/^name: .*$/m, 'name: a name'), null, 'ERR_USAGE'],
      [page, 'taken', 'ERR_NAME_TAKEN'],
    ] as const) {
      typed(text)
      await expect(take(name)).rejects.toMatchObject({ code })
    }
    expect(readdirSync(join(other.folder, 'keys'))).toHaveLength(1)
    typed(page.replace(/^name: .*$/m, ''))
    expect(await take('words')).toMatchObject({ name: 'words' })
    // It is here: what it is called is known.
    expect(await take(null)).toMatchObject({ name: 'words' })
    await imported.close()
  })

  it('whose key was lost can be published again once it is back', async () => {
    await api.create({ name: 'main', private: false, open: false })
    await publish()
    const file = join(node.folder, 'exported')
    await api.export({ ...FILE, channel: 'main', file })
    await api.close()
    node.sessions.closeAll()
    const keys = join(node.folder, 'keys')
    for (const name of readdirSync(keys)) unlinkSync(join(keys, name))
    api = newApi(true, { publisher: node.publisher, sessions: node.newSessions() })
    api.start()
    await expect(publish()).rejects.toMatchObject({ code: 'ERR_KEY_MISSING' })
    await expect(
      api.export({ ...FILE, channel: 'main', file: join(node.folder, 'again') }),
    ).rejects.toMatchObject({ code: 'ERR_KEY_MISSING' })
    await api.import({ file, name: null, passphraseFile: null })
    writeFileSync(join(source, 'a.txt'), 'other')
    expect(await publish()).toMatchObject({ sequence: 2 })
  })
})
