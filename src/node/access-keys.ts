/**
 * Access keys: who has one may read the files of one channel over HTTP, and nothing
 * else, until it is revoked. For players and other programs that cannot send a header.
 *
 * A key is 256 random bits and shown once. Its hash is looked up, so that how long a
 * look takes says nothing about any key.
 *
 * @module node/access-keys
 */
import { fromHex, toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { MegatorrentError } from '../base/errors.ts'
import { MAX_ACCESS_KEYS } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { sha256 } from '../crypto/hash.ts'
import type { AccessKeyRow, AccessKeysTable } from '../storage/tables/access-keys-table.ts'
import type { AccessKeyInfo } from './api.ts'

const KEY_BYTES = 32
const ID_BYTES = 8

export interface AccessKeysDeps {
  readonly table: AccessKeysTable
  readonly clock: Clock
  readonly random: Random
}

export class AccessKeys {
  readonly #deps: AccessKeysDeps
  /** Public key by the hash of the access key, both as hex. */
  readonly #channels = new Map<string, string>()

  constructor(deps: AccessKeysDeps) {
    this.#deps = deps
    this.#load()
  }

  /** @throws MegatorrentError ERR_USAGE when there are MAX_ACCESS_KEYS already. */
  create(publicKey: Uint8Array, label: string): AccessKeyInfo & { readonly key: string } {
    const { table, clock, random } = this.#deps
    if (this.#channels.size >= MAX_ACCESS_KEYS) {
      throw new MegatorrentError('ERR_USAGE', `there are ${MAX_ACCESS_KEYS} access keys: revoke some first`)
    }
    const key = random.bytes(KEY_BYTES)
    const row: AccessKeyRow = {
      keyId: toHex(random.bytes(ID_BYTES)),
      hash: sha256(key),
      publicKey,
      label,
      createdAt: clock.now(),
    }
    table.add(row)
    this.#load()
    return { ...infoOf(row), key: toHex(key) }
  }

  list(): AccessKeyInfo[] {
    return this.#deps.table.list().map(infoOf)
  }

  /** @returns what it was, or null when there is none of that id. */
  revoke(keyId: string): AccessKeyInfo | null {
    const { table } = this.#deps
    const row = table.list().find((each) => each.keyId === keyId)
    if (row === undefined) return null
    table.remove(keyId)
    this.#load()
    return infoOf(row)
  }

  /** The channel is not here any more: should it come again, nobody can read it who was not told so. */
  revokeChannel(publicKey: Uint8Array): void {
    if (this.#deps.table.removeChannel(publicKey) > 0) this.#load()
  }

  /** @param publicKey - hex, lower case. */
  accepts(publicKey: string, key: string): boolean {
    const bytes = fromHex(key, KEY_BYTES)
    return bytes !== null && this.#channels.get(toHex(sha256(bytes))) === publicKey
  }

  #load(): void {
    this.#channels.clear()
    for (const { hash, publicKey } of this.#deps.table.list())
      this.#channels.set(toHex(hash), toHex(publicKey))
  }
}

function infoOf({ keyId, publicKey, label, createdAt }: AccessKeyRow): AccessKeyInfo {
  return { keyId, publicKey: toHex(publicKey), label, createdAt }
}
