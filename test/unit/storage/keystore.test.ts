import {
  chmodSync,
  existsSync,
  linkSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { ManualClock } from '../../../src/base/clock.ts'
import { type Random, seededRandom, systemRandom } from '../../../src/base/random.ts'
import { SigningKey } from '../../../src/crypto/ed25519.ts'
import { Keystore } from '../../../src/storage/keystore.ts'
import { tempFolder } from './harness.ts'

/** A passphrase costs some 0.5 ms here: what is tested is not how slow scrypt is. */
const CHEAP = { logN: 8, r: 8, p: 1 }

function open(folder: string, random: Random = systemRandom): Keystore {
  return Keystore.open({ folder, random, clock: new ManualClock(1_000), scryptCost: CHEAP })
}

function thrownBy(work: () => unknown): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  return null
}

const PUBLIC = { name: 'news', private: false, open: false }
const PRIVATE = { name: 'secret-plans', private: true, open: false }

/** What of these secrets can be found in any file of the folder, as bytes, hex or base64. */
function findSecrets(folder: string, secrets: Readonly<Record<string, Uint8Array | string>>): string[] {
  const names = readdirSync(folder)
  const all = Buffer.concat([
    ...names.map((name) => readFileSync(join(folder, name))),
    Buffer.from(names.join('\n')),
  ])
  return Object.entries(secrets)
    .filter(([, secret]) => {
      const bytes = Buffer.from(secret)
      return [bytes, bytes.toString('hex'), bytes.toString('base64').slice(0, 40)].some((form) =>
        all.includes(form),
      )
    })
    .map(([name]) => name)
}

describe('a plain keystore', () => {
  it('makes channels with keys of their own and finds them again after a restart', () => {
    const folder = join(tempFolder(), 'keys')
    const first = open(folder)
    const one = first.create(PUBLIC)
    const two = first.create(PRIVATE)
    expect(toHex(one.publicKey)).toBe(toHex(new SigningKey(one.seed).publicKey))
    expect([...one.readKey].every((byte) => byte === 0)).toBe(true)
    expect([...two.readKey].some((byte) => byte !== 0)).toBe(true)
    const second = open(folder)
    expect(second.list()).toEqual([one, two])
    expect(second.get(two.publicKey)).toEqual({ ...PRIVATE, ...two, createdAt: 1_000 })
    expect(second.get(new Uint8Array(32))).toBeNull()
    expect([second.encrypted, second.locked, second.databaseKey()]).toEqual([false, false, null])
  })

  it('keeps one file for each channel, named by its key, readable by the owner alone', () => {
    const folder = join(tempFolder(), 'keys')
    const store = open(folder)
    const { publicKey } = store.create(PUBLIC)
    store.nodeSeed()
    expect(readdirSync(folder).sort()).toEqual([`${toHex(publicKey)}.key`, 'node.key'].sort())
    for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600)
    expect(statSync(folder).mode & 0o777).toBe(0o700)
  })

  it('makes the node key once', () => {
    const folder = join(tempFolder(), 'keys')
    const seed = open(folder).nodeSeed()
    expect(seed).toHaveLength(32)
    expect(open(folder).nodeSeed()).toEqual(seed)
    expect(open(folder).list()).toEqual([])
  })

  it('gives each name to one channel and removes a key for good', () => {
    const folder = join(tempFolder(), 'keys')
    const store = open(folder)
    const { publicKey } = store.create(PUBLIC)
    expect(thrownBy(() => store.create(PUBLIC))).toMatchObject({ code: 'ERR_NAME_TAKEN', kind: 'usage' })
    expect([store.remove(publicKey), store.remove(publicKey), store.get(publicKey)]).toEqual([
      true,
      false,
      null,
    ])
    expect(readdirSync(folder)).toEqual([])
    store.create(PUBLIC)
  })

  it('takes a key made elsewhere, the same one again under another name, and no other under its name', () => {
    const folder = tempFolder()
    const key = open(join(folder, 'keys')).create(PRIVATE)
    const other = open(join(folder, 'other-keys'))
    expect(other.add(key)).toEqual(key)
    expect(other.add(key)).toEqual(key)
    expect(other.add({ ...key, name: 'renamed' })).toEqual({ ...key, name: 'renamed' })
    expect(other.list()).toEqual([{ ...key, name: 'renamed' }])
    other.create(PUBLIC)
    expect(thrownBy(() => other.add({ ...key, name: PUBLIC.name }))).toMatchObject({ code: 'ERR_NAME_TAKEN' })
  })

  it('refuses the same key with another read key', () => {
    const store = open(join(tempFolder(), 'keys'))
    const key = store.create(PUBLIC)
    expect(thrownBy(() => store.add({ ...key, readKey: new Uint8Array(32).fill(1) }))).toMatchObject({
      code: 'ERR_KEY_EXISTS',
    })
  })

  it.each(['640', '604', '620', '602', '660'])('does not open with a key file of mode %s', (mode) => {
    const folder = join(tempFolder(), 'keys')
    const { publicKey } = open(folder).create(PUBLIC)
    chmodSync(join(folder, `${toHex(publicKey)}.key`), Number.parseInt(mode, 8))
    expect(thrownBy(() => open(folder))).toMatchObject({ code: 'ERR_KEY_FILE_MODE', kind: 'config' })
  })

  it.each(['720', '702', '777'])('does not open in a folder of mode %s', (mode) => {
    const folder = join(tempFolder(), 'keys')
    open(folder)
    chmodSync(folder, Number.parseInt(mode, 8))
    expect(thrownBy(() => open(folder))).toMatchObject({ code: 'ERR_DATA_DIR_MODE', kind: 'config' })
  })

  it('reports a damaged key file and shows nothing of it', () => {
    const folder = join(tempFolder(), 'keys')
    const store = open(folder)
    const { publicKey, seed } = store.create(PUBLIC)
    const path = join(folder, `${toHex(publicKey)}.key`)
    const bytes = readFileSync(path)
    bytes[60] = (bytes[60] ?? 0) ^ 1
    writeFileSync(path, bytes)
    const error = thrownBy(() => store.list())
    expect(error).toMatchObject({ code: 'ERR_KEY_FILE_FORMAT', kind: 'storage' })
    expect(String((error as Error).stack)).not.toContain(toHex(seed).slice(0, 16))
  })

  it('removes what a crash left half written', () => {
    const folder = join(tempFolder(), 'keys')
    open(folder)
    writeFileSync(join(folder, 'abc.key.0123.tmp'), 'half a key', { mode: 0o600 })
    open(folder)
    expect(readdirSync(folder)).toEqual([])
  })
})

describe('an encrypted keystore', () => {
  it('is locked until the passphrase comes, and refuses another one', async () => {
    const folder = join(tempFolder(), 'keys')
    const first = open(folder)
    await first.unlock('correct horse')
    const key = first.create(PRIVATE)
    const seed = first.nodeSeed()
    const databaseKey = first.databaseKey()

    const second = open(folder)
    expect([second.encrypted, second.locked]).toEqual([true, true])
    for (const use of [
      () => second.list(),
      () => second.get(key.publicKey),
      () => second.create(PUBLIC),
      () => second.nodeSeed(),
      () => second.databaseKey(),
      () => second.remove(key.publicKey),
      () => second.add(key),
    ]) {
      expect(thrownBy(use)).toMatchObject({ code: 'ERR_KEYSTORE_LOCKED', kind: 'auth' })
    }
    await expect(second.unlock('wrong horse')).rejects.toMatchObject({ code: 'ERR_PASSPHRASE', kind: 'auth' })
    await expect(second.unlock('')).rejects.toMatchObject({ code: 'ERR_PASSPHRASE' })
    expect(second.locked).toBe(true)
    await second.unlock('correct horse')
    expect(second.list()).toEqual([key])
    expect(second.nodeSeed()).toEqual(seed)
    expect(second.databaseKey()).toEqual(databaseKey)
    expect(databaseKey).toHaveLength(32)
    second.lock()
    expect(second.locked).toBe(true)
  })

  it('shows no key, no name and no channel in its files, not even in their names', async () => {
    const folder = join(tempFolder(), 'keys')
    const store = open(folder)
    await store.unlock('pass phrase')
    const { seed, readKey, publicKey } = store.create(PRIVATE)
    const nodeSeed = store.nodeSeed()
    const secrets = { seed, readKey, publicKey, nodeSeed, name: PRIVATE.name, passphrase: 'pass phrase' }
    expect(findSecrets(folder, secrets)).toEqual([])
    for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600)
  })

  it('is made of a plain one when a passphrase is first given, and nothing plain is left', async () => {
    const folder = join(tempFolder(), 'keys')
    const plain = open(folder)
    const keys = [plain.create(PUBLIC), plain.create(PRIVATE)]
    const nodeSeed = plain.nodeSeed()
    const secrets = { seed: keys[0]?.seed as Uint8Array, name: PRIVATE.name, nodeSeed }
    expect(findSecrets(folder, secrets)).toEqual(['seed', 'name', 'nodeSeed'])
    await plain.unlock('p')
    expect(findSecrets(folder, secrets)).toEqual([])
    expect(plain.list()).toEqual(keys)
    const again = open(folder)
    await again.unlock('p')
    expect(again.list()).toEqual(keys)
    expect(again.nodeSeed()).toEqual(nodeSeed)
  })

  it('ends a conversion that a crash cut short, whichever file it had come to', async () => {
    const folder = join(tempFolder(), 'keys')
    const plain = open(folder)
    const keys = [plain.create(PUBLIC), plain.create(PRIVATE)]
    const saved = readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))] as const)
    await plain.unlock('p')
    // As if the crash came before any plain file was removed, and then before one of them was sealed.
    for (const [name, bytes] of saved) writeFileSync(join(folder, name), bytes, { mode: 0o600 })
    const again = open(folder)
    expect(again.locked).toBe(true)
    await again.unlock('p')
    expect(again.list()).toEqual(keys)
    expect(findSecrets(folder, { name: PRIVATE.name, seed: keys[1]?.seed as Uint8Array })).toEqual([])
  })

  it('changes its passphrase without touching the keys', async () => {
    const folder = join(tempFolder(), 'keys')
    const store = open(folder)
    await store.unlock('old')
    const key = store.create(PRIVATE)
    const databaseKey = store.databaseKey()
    const files = () =>
      readdirSync(folder)
        .filter((name) => name !== 'master')
        .map((name) => readFileSync(join(folder, name)))
    const before = files()
    await expect(store.changePassphrase('wrong', 'new')).rejects.toMatchObject({ code: 'ERR_PASSPHRASE' })
    await expect(store.changePassphrase('old', '')).rejects.toMatchObject({ code: 'ERR_PASSPHRASE' })
    // A second name keeps the old master file within reach: what the old passphrase opens must be gone from it.
    const old = join(folder, '..', 'old-master')
    linkSync(join(folder, 'master'), old)
    await store.changePassphrase('old', 'new')
    expect(readFileSync(old).every((byte) => byte === 0)).toBe(true)
    expect(files()).toEqual(before)
    const again = open(folder)
    await expect(again.unlock('old')).rejects.toMatchObject({ code: 'ERR_PASSPHRASE' })
    await again.unlock('new')
    expect(again.list()).toEqual([key])
    expect(again.databaseKey()).toEqual(databaseKey)
  })

  it('has no passphrase to change while it is plain', async () => {
    await expect(open(join(tempFolder(), 'keys')).changePassphrase('a', 'b')).rejects.toMatchObject({
      code: 'ERR_PASSPHRASE',
    })
  })

  it('takes the same text typed in another way for the same passphrase', async () => {
    const folder = join(tempFolder(), 'keys')
    await open(folder).unlock('caf\u00e9')
    const again = open(folder)
    await again.unlock('cafe\u0301')
    expect(again.locked).toBe(false)
  })

  it('does not take a file of one channel for that of another', async () => {
    const folder = join(tempFolder(), 'keys')
    const store = open(folder, seededRandom(1))
    await store.unlock('p')
    const one = store.create(PUBLIC)
    const before = new Set(readdirSync(folder))
    const two = store.create(PRIVATE)
    const file = readdirSync(folder).find((name) => !before.has(name)) as string
    store.remove(one.publicKey)
    const nameOfOne = [...before].find(
      (name) => name.endsWith('.key') && !existsSync(join(folder, name)),
    ) as string
    renameSync(join(folder, file), join(folder, nameOfOne))
    expect(thrownBy(() => store.get(one.publicKey))).toMatchObject({ code: 'ERR_KEY_FILE_FORMAT' })
    expect(store.get(two.publicKey)).toBeNull()
  })

  it('refuses a master file that asks for more work than is sane, before it does any', async () => {
    const folder = join(tempFolder(), 'keys')
    await open(folder).unlock('p')
    const path = join(folder, 'master')
    const bytes = readFileSync(path)
    for (const [offset, value] of [
      [9, 30],
      [9, 0],
      [10, 0],
      [11, 200],
    ] as const) {
      const changed = Buffer.from(bytes)
      changed[offset] = value
      writeFileSync(path, changed)
      await expect(open(folder).unlock('p')).rejects.toMatchObject({ code: 'ERR_KDF_PARAMETERS' })
    }
  })
})
