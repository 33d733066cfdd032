/**
 * Path gate: names found on the publisher's disk against the rules for paths
 * (PROTOCOL_FINAL.md §4.2.3), all at once, so that one report names them all.
 *
 * @module channels/path-gate
 */
import { utf8Text } from '../base/bytes.ts'
import { isMegatorrentError, MegatorrentError } from '../base/errors.ts'
import { PathSet } from '../wire/path-set.ts'
import { checkPath } from '../wire/paths.ts'
import { nextTurn, Pacer } from './turns.ts'

/** How many refused names an error lists. */
export const MAX_LISTED_PATHS = 20

export class PathGate {
  readonly #listed: string[] = []
  #refused = 0

  /** Names refused so far. */
  get refused(): number {
    return this.#refused
  }

  /** The text of a path that may be published, or null when it was noted as refused. */
  check(path: Uint8Array): string | null {
    return this.#try(path, () => checkPath(path))
  }

  /**
   * Note the first path that cannot stand beside the others: the same after case
   * folding, or below a file. @param paths - sorted is fastest.
   */
  async checkTogether(paths: Iterable<string>): Promise<void> {
    const set = new PathSet()
    const pacer = new Pacer()
    for (const path of paths) {
      if (pacer.due()) await nextTurn()
      const added = this.#try(path, () => {
        set.add(path)
        return true
      })
      // A set that refused a path is of no more use.
      if (added === null) return
    }
  }

  /** @throws MegatorrentError ERR_INGEST_PATHS with the first 20 names and the reason of each. */
  throwIfAny(): void {
    if (this.#refused === 0) return
    const more = this.#refused - this.#listed.length
    const tail = more > 0 ? ` and ${more} more` : ''
    throw new MegatorrentError(
      'ERR_INGEST_PATHS',
      `${this.#refused} names cannot be published, rename them: ${this.#listed.join('; ')}${tail}`,
    )
  }

  #try<T>(path: Uint8Array | string, work: () => T): T | null {
    try {
      return work()
    } catch (error) {
      if (!isMegatorrentError(error)) throw error
      this.#refused += 1
      if (this.#listed.length < MAX_LISTED_PATHS) this.#listed.push(`${quotePath(path)} (${error.message})`)
      return null
    }
  }
}

/**
 * A path for a message of one line: in quotes, with everything escaped that is not
 * a visible character, marks of writing direction included; bytes as \xNN where it
 * is not UTF-8.
 */
export function quotePath(path: Uint8Array | string): string {
  const text = typeof path === 'string' ? path : utf8Text(path)
  if (text === null) {
    const bytes = path as Uint8Array
    return `"${Array.from(bytes, quoteByte).join('')}"`
  }
  return `"${text.replace(/["\\\p{C}\p{Zl}\p{Zp}]/gu, quoteCharacter)}"`
}

function quoteByte(byte: number): string {
  if (byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c) return String.fromCharCode(byte)
  return `\\x${byte.toString(16).padStart(2, '0')}`
}

function quoteCharacter(character: string): string {
  if (character === '"' || character === '\\') return `\\${character}`
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
}
