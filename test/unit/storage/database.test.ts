import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { utf8Bytes } from '../../../src/base/bytes.ts'
import { Database } from '../../../src/storage/database.ts'
import { openState } from '../../../src/storage/state.ts'
import { afterTest, tempFolder } from './harness.ts'

const KEY = new Uint8Array(32).fill(1)
const FIRST = 'CREATE TABLE t (a BLOB PRIMARY KEY, b INTEGER, c TEXT) STRICT'

function open(path: string, options: { key?: Uint8Array; migrations?: readonly string[] } = {}): Database {
  const database = Database.open({ path, key: options.key, migrations: options.migrations ?? [FIRST] })
  afterTest(() => database.close())
  return database
}

function thrownBy(work: () => unknown): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  return null
}

/** Every file of the folder, one after the other. */
function allBytes(folder: string): Buffer {
  return Buffer.concat(readdirSync(folder).map((name) => readFileSync(join(folder, name))))
}

describe('Database', () => {
  it('gives back the values that it was given', () => {
    const database = open(join(tempFolder(), 'db'))
    const bytes = Uint8Array.from({ length: 300 }, (_, n) => n & 255).subarray(7, 290)
    expect(database.run('INSERT INTO t VALUES (?, ?, ?)', bytes, Number.MAX_SAFE_INTEGER, 'ä\u0001b')).toBe(1)
    expect(database.get('SELECT * FROM t WHERE a = ?', bytes)).toEqual({
      a: new Uint8Array(bytes),
      b: Number.MAX_SAFE_INTEGER,
      c: 'ä\u0001b',
    })
    expect(database.get('SELECT * FROM t WHERE a = ?', utf8Bytes('none'))).toBeNull()
    database.run('INSERT INTO t VALUES (?, ?, ?)', new Uint8Array(0), -5, null)
    expect(database.all('SELECT b, c FROM t ORDER BY b')).toEqual([
      { b: -5, c: null },
      { b: Number.MAX_SAFE_INTEGER, c: 'ä\u0001b' },
    ])
    expect(database.run('DELETE FROM t')).toBe(2)
    expect(() => database.run('INSERT INTO t VALUES (?, 1, ?)', KEY, 'a\u0000b')).toThrow(RangeError)
  })

  it('waits for the disk at every commit, overwrites what is deleted, and keeps its files private', () => {
    const folder = tempFolder()
    const database = open(join(folder, 'db'))
    const pragma = (name: string) => Object.values(database.get(`PRAGMA ${name}`) ?? {})[0]
    expect(pragma('journal_mode')).toBe('wal')
    expect(pragma('synchronous')).toBe(2)
    expect(pragma('secure_delete')).toBe(1)
    expect(pragma('foreign_keys')).toBe(1)
    expect(pragma('temp_store')).toBe(2)
    database.run('INSERT INTO t VALUES (?, 1, NULL)', KEY)
    expect(readdirSync(folder).length).toBeGreaterThan(1)
    for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600)
  })

  it('leaves nothing of a deleted row in any of its files once it is closed', () => {
    const folder = tempFolder()
    const database = open(join(folder, 'db'))
    database.run('INSERT INTO t VALUES (?, 1, ?)', KEY, 'CANARY-IN-A-ROW')
    database.checkpoint()
    expect(allBytes(folder).includes('CANARY-IN-A-ROW')).toBe(true)
    database.run('DELETE FROM t')
    database.close()
    expect(allBytes(folder).includes('CANARY-IN-A-ROW')).toBe(false)
  })

  it('makes an existing file private', () => {
    const path = join(tempFolder(), 'db')
    writeFileSync(path, '')
    chmodSync(path, 0o644)
    open(path)
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it('does all of a transaction or nothing, and joins one within another', () => {
    const database = open(join(tempFolder(), 'db'))
    const insert = (n: number) => database.run('INSERT INTO t VALUES (?, ?, NULL)', Uint8Array.of(n), n)
    const count = () => database.get('SELECT count(*) AS n FROM t')?.n
    expect(
      database.transaction(() => {
        insert(1)
        database.transaction(() => insert(2))
        return 'done'
      }),
    ).toBe('done')
    expect(count()).toBe(2)
    expect(() =>
      database.transaction(() => {
        insert(3)
        database.transaction(() => insert(4))
        throw new Error('changed my mind')
      }),
    ).toThrow('changed my mind')
    expect(count()).toBe(2)
    insert(5)
    expect(count()).toBe(3)
  })

  it('refuses a transaction that would go on after it ended', () => {
    const database = open(join(tempFolder(), 'db'))
    expect(() => database.transaction(async () => database.run('DELETE FROM t'))).toThrow(TypeError)
  })

  it('comes to the newest version script by script, once each', () => {
    const path = join(tempFolder(), 'db')
    open(path, { migrations: [FIRST] }).close()
    const second = "INSERT INTO t VALUES (x'01', 1, NULL)"
    open(path, { migrations: [FIRST, second] }).close()
    const database = open(path, { migrations: [FIRST, second] })
    expect(database.all('SELECT b FROM t')).toEqual([{ b: 1 }])
    expect(database.get('PRAGMA user_version')).toEqual({ user_version: 2 })
  })

  it('stays at the old version when a script fails', () => {
    const path = join(tempFolder(), 'db')
    const broken = 'CREATE TABLE u (a); INSERT INTO nowhere VALUES (1)'
    expect(() => open(path, { migrations: [FIRST, broken] })).toThrow()
    const database = open(path, { migrations: [FIRST] })
    expect(database.get("SELECT name FROM sqlite_schema WHERE name = 'u'")).toBeNull()
  })

  it('refuses a file of a newer version', () => {
    const path = join(tempFolder(), 'db')
    open(path, { migrations: [FIRST, 'SELECT 1'] }).close()
    expect(thrownBy(() => open(path))).toMatchObject({ code: 'ERR_DATABASE_NEWER', kind: 'config' })
  })

  it('reports damage, in the header and in the middle', () => {
    const folder = tempFolder()
    const path = join(folder, 'db')
    const database = open(path)
    database.transaction(() => {
      for (let n = 0; n < 2_000; n++) {
        database.run('INSERT INTO t VALUES (?, ?, ?)', utf8Bytes(`${n}`), n, 'x'.repeat(50))
      }
    })
    database.close()
    const bytes = readFileSync(path)
    const withDamage = (name: string, from: number, to: number): string => {
      writeFileSync(join(folder, name), Buffer.from(bytes).fill(0xaa, from, to))
      return join(folder, name)
    }
    const damaged = open(withDamage('middle', 8_192, 40_000))
    expect(thrownBy(() => damaged.all('SELECT * FROM t ORDER BY a'))).toMatchObject({
      code: 'ERR_DATABASE_CORRUPT',
      kind: 'storage',
    })
    expect(thrownBy(() => open(withDamage('header', 0, 4_096)))).toMatchObject({ code: 'ERR_DATABASE_KEY' })
  })

  it('says what stands in the way of a file that it cannot open', () => {
    const folder = tempFolder()
    expect(thrownBy(() => open(join(folder, 'none', 'db')))).toMatchObject({ kind: 'storage' })
    expect(thrownBy(() => open(folder))).toMatchObject({ kind: 'storage' })
  })

  it('takes a broken rule of the tables for a bug of ours, and names no value', () => {
    const database = open(join(tempFolder(), 'db'))
    database.run('INSERT INTO t VALUES (?, 1, NULL)', KEY)
    const error = thrownBy(() => database.run('INSERT INTO t VALUES (?, 1, NULL)', KEY))
    expect(error).toMatchObject({ code: 'ERR_BUG' })
    expect(thrownBy(() => database.run('SELECT * FROM nowhere'))).toMatchObject({ code: 'ERR_DATABASE' })
  })

  it('says so when another connection keeps it locked', () => {
    const path = join(tempFolder(), 'db')
    const first = open(path)
    const second = open(path)
    second.run('PRAGMA busy_timeout = 1')
    first.transaction(() => {
      expect(thrownBy(() => second.run('DELETE FROM t'))).toMatchObject({ code: 'ERR_DATABASE_BUSY' })
    })
    second.run('DELETE FROM t')
  })

  it('refuses work after it was closed', () => {
    const database = open(join(tempFolder(), 'db'))
    database.close()
    database.close()
    for (const work of [
      () => database.run('DELETE FROM t'),
      () => database.transaction(() => 1),
      () => database.checkpoint(),
    ]) {
      expect(thrownBy(work)).toMatchObject({ code: 'ERR_STORE_CLOSED' })
    }
  })
})

describe('an encrypted database', () => {
  it('shows nothing in any of its files, and opens under its key alone', () => {
    const folder = tempFolder()
    const path = join(folder, 'db')
    const database = open(path, { key: KEY })
    database.run('INSERT INTO t VALUES (?, 1, ?)', utf8Bytes('CANARY-BYTES'), 'CANARY-TEXT')
    const look = () => {
      const bytes = allBytes(folder)
      return ['CANARY-BYTES', 'CANARY-TEXT', 'CREATE TABLE', 'SQLite format'].filter((text) =>
        bytes.includes(text),
      )
    }
    expect(look()).toEqual([])
    database.close()
    expect(look()).toEqual([])
    expect(open(path, { key: KEY }).all('SELECT c FROM t')).toEqual([{ c: 'CANARY-TEXT' }])
    expect(thrownBy(() => open(path))).toMatchObject({ code: 'ERR_DATABASE_KEY', kind: 'auth' })
    expect(thrownBy(() => open(path, { key: new Uint8Array(32) }))).toMatchObject({
      code: 'ERR_DATABASE_KEY',
    })
    expect(() => open(path, { key: new Uint8Array(31) })).toThrow(RangeError)
  })

  it('is made of a plain one when the first key comes, keeps its rows, and nothing plain is left', () => {
    const folder = tempFolder()
    const path = join(folder, 'db')
    const plain = openState(path, null)
    plain.meta.set('name', 'CANARY-NAME')
    plain.blobs.add([KEY], 5)
    plain.close()
    expect(allBytes(folder).includes('CANARY-NAME')).toBe(true)
    for (let n = 0; n < 2; n++) {
      const state = openState(path, KEY)
      expect(state.meta.get('name')).toBe('CANARY-NAME')
      expect(state.blobs.has(KEY)).toBe(true)
      state.close()
    }
    expect(allBytes(folder).includes('CANARY-NAME')).toBe(false)
    expect(readdirSync(folder).filter((name) => name.includes('encrypting'))).toEqual([])
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(thrownBy(() => openState(path, null))).toMatchObject({ code: 'ERR_DATABASE_KEY' })
  })

  it('is made anew when a crash left a half-made copy', () => {
    const folder = tempFolder()
    const path = join(folder, 'db')
    const plain = openState(path, null)
    plain.meta.set('a', 1)
    plain.close()
    writeFileSync(`${path}.encrypting`, 'CANARY of an earlier try')
    const state = openState(path, KEY)
    expect(state.meta.get('a')).toBe(1)
    expect(allBytes(folder).includes('CANARY')).toBe(false)
    state.close()
  })

  it('says that a plain file does not fit a key that came without the way to encrypt it', () => {
    const path = join(tempFolder(), 'db')
    open(path).close()
    expect(thrownBy(() => open(path, { key: KEY }))).toMatchObject({
      code: 'ERR_DATABASE_KEY',
      message: expect.stringContaining('not encrypted'),
    })
  })
})
