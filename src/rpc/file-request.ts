/**
 * What a request below `/files/` asks for: the target, the range and the conditions,
 * as RFC 9110 has them. Pure.
 *
 *     /files/<public key>/<path>    a file of the newest release
 *     /files/<public key>/          what lies in its top folder; `.../sub/` in another
 *
 * Each part of the path is percent-decoded once, into UTF-8, and the result is a name
 * in a manifest: nothing is normalised, and `..` is a name that no manifest has.
 *
 * @module rpc/file-request
 */
import { utf8Text } from '../base/bytes.ts'

export const FILES_PREFIX = '/files/'

export interface FileTarget {
  /** 64 hex digits, lower case. */
  readonly publicKey: string
  /** Of a file; of a folder without the slash at its end, '' for the top. */
  readonly path: string
  readonly kind: 'file' | 'folder'
  /** `?key=`, as it was given. */
  readonly key: string | null
  /** `?after=` of a folder: the name to go on after. */
  readonly after: string | null
}

const TARGET = /^\/files\/([0-9A-Fa-f]{64})\/([^?#]*)(?:\?([^?#]*))?$/

/** @returns null for what is no target of a file: nothing is here. */
export function parseFileTarget(target: string): FileTarget | null {
  const [, publicKey = '', encoded = '', query = ''] = TARGET.exec(target) ?? []
  if (publicKey === '') return null
  const kind = encoded === '' || encoded.endsWith('/') ? 'folder' : 'file'
  const text = decodePercent(kind === 'folder' ? encoded.replace(/\/$/, '') : encoded)
  const params = parseQuery(query)
  if (text === null || params === null || (params.after !== null && kind === 'file')) return null
  return { publicKey: publicKey.toLowerCase(), path: text, kind, ...params }
}

/** `key` and `after`, each once at most; null for anything else. */
function parseQuery(query: string): { readonly key: string | null; readonly after: string | null } | null {
  const found: { key: string | null; after: string | null } = { key: null, after: null }
  for (const part of query === '' ? [] : query.split('&')) {
    const [, name = '', value = ''] = /^(key|after)=([^=]*)$/.exec(part) ?? []
    const text = decodePercent(value)
    if ((name !== 'key' && name !== 'after') || text === null || found[name] !== null) return null
    found[name] = text
  }
  return found
}

/** Printable ASCII with `%XX`, as UTF-8; null where it is none. */
export function decodePercent(text: string): string | null {
  if (!/^(?:[!-$&-~]|%[0-9A-Fa-f]{2})*$/.test(text)) return null
  if (!text.includes('%')) return text
  return utf8Text(
    Buffer.from(
      text.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
      'latin1',
    ),
  )
}

/** The bytes [start, end) of a file. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** Players ask up to the largest number of their language: what a number here rounds lies behind every file. */
const RANGE = /^bytes[ \t]*=[ \t]*(\d{0,30})[ \t]*-[ \t]*(\d{0,30})[ \t]*$/i

/**
 * What a Range header asks of a file of `size` bytes.
 *
 * @returns 'all' where there is none, or one that a server may ignore (another unit, several ranges,
 *   not well formed); 'unsatisfiable' for one that lies outside of the file.
 */
export function parseRange(header: string | undefined, size: number): ByteRange | 'all' | 'unsatisfiable' {
  const match = header === undefined ? null : RANGE.exec(header)
  if (match === null) return 'all'
  const [, first = '', last = ''] = match
  if (first === '') {
    if (last === '') return 'all'
    const length = Math.min(Number(last), size)
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size }
  }
  const start = Number(first)
  if (last !== '' && Number(last) < start) return 'all'
  if (start >= size) return 'unsatisfiable'
  return { start, end: last === '' ? size : Math.min(Number(last) + 1, size) }
}

/** Does `If-Range` allow the range? A date never does: we give none. */
export function allowsRange(ifRange: string | undefined, etag: string): boolean {
  return ifRange === undefined || ifRange.trim() === etag
}

/** Does `If-None-Match` say that the client has it already? */
export function isKnownToClient(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  if (ifNoneMatch.trim() === '*') return true
  return ifNoneMatch.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag)
}

/** A name to save it under, for old and new clients (RFC 6266): never shown by us, never run. */
export function contentDisposition(path: string): string {
  const name = path.split('/').at(-1) ?? ''
  const plain = name.replace(/[^ !#$&+\-.0-9;=@A-Z^_`a-z{}~()[\],]/g, '_')
  const encoded = [...Buffer.from(name, 'utf8')]
    .map((byte) => {
      const character = String.fromCharCode(byte)
      return /[A-Za-z0-9!#$&+.^_`|~-]/.test(character)
        ? character
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
    })
    .join('')
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`
}
