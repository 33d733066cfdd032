/**
 * Paths of a manifest: hostile until proven otherwise, refused and never repaired
 * (PROTOCOL_FINAL.md §4.2.3).
 *
 * A path that passes `checkPath` names a file or folder below the folder of its
 * subscription on every common file system. What the rules do not name is
 * accepted: marks of writing direction, leading blanks, any script, any length of
 * the whole up to its bound. Whoever shows a path to a person escapes it.
 *
 * Rules 7 and 8 concern several paths: wire/path-set.ts.
 *
 * @module wire/paths
 */
import { Buffer } from 'node:buffer'
import { utf8Text } from '../base/bytes.ts'
import { type ErrorCode, MegatorrentError } from '../base/errors.ts'
import { MAX_PATH_BYTES, MAX_PATH_PART_BYTES } from './constants.ts'

const SLASH = 0x2f
const BACKSLASH = 0x5c
const DOT = 0x2e
const BLANK = 0x20
const COLON = 0x3a
const DELETE = 0x7f
/** U+0080 to U+009F are C2 80 to C2 9F in UTF-8. */
const C1_LEAD = 0xc2
const C1_LAST = 0x9f

/**
 * Names that Windows gives to devices in every folder, with any extension.
 * Without the u flag only ASCII letters match in both cases, as it must be.
 */
const DEVICE = /^(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])$/i
/** The longest of them, CONOUT$, in bytes; COM and a superscript take five. */
const MAX_DEVICE_BYTES = 7

/**
 * The text of a path that obeys rules 1 to 6.
 *
 * @param bytes - the path as the manifest has it; read, not kept.
 * @throws MegatorrentError, kind 'peer': ERR_PATH_EMPTY (the path or a part of it),
 *   ERR_PATH_LENGTH, ERR_PATH_UTF8, ERR_PATH_DOTS, ERR_PATH_CHARACTER, ERR_PATH_ENDING,
 *   ERR_PATH_DRIVE, ERR_PATH_DEVICE.
 *
 * Cost: O(bytes). Source: PROTOCOL_FINAL.md §4.2.3.
 */
export function checkPath(bytes: Uint8Array): string {
  if (bytes.length === 0) throw refused('ERR_PATH_EMPTY', 'the path is empty')
  if (bytes.length > MAX_PATH_BYTES) {
    throw refused('ERR_PATH_LENGTH', `the path has ${bytes.length} bytes, more than ${MAX_PATH_BYTES}`)
  }
  let ascii = true
  let start = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number
    if (byte === SLASH) {
      checkPart(bytes, start, at)
      start = at + 1
    } else if (byte < BLANK || byte === DELETE || byte === BACKSLASH) {
      throw refused('ERR_PATH_CHARACTER', 'a part holds a backslash or a control character')
    } else if (byte > DELETE) {
      ascii = false
      if (byte === C1_LEAD && isC1Tail(bytes[at + 1])) {
        throw refused('ERR_PATH_CHARACTER', 'a part holds a control character')
      }
    }
  }
  checkPart(bytes, start, bytes.length)
  if (ascii) return latin1(bytes, 0, bytes.length)
  const text = utf8Text(bytes)
  if (text === null) throw refused('ERR_PATH_UTF8', 'the path is not valid UTF-8')
  return text
}

function checkPart(bytes: Uint8Array, start: number, end: number): void {
  const length = end - start
  if (length === 0) throw refused('ERR_PATH_EMPTY', 'a part is empty')
  if (length > MAX_PATH_PART_BYTES) {
    throw refused('ERR_PATH_LENGTH', `a part has ${length} bytes, more than ${MAX_PATH_PART_BYTES}`)
  }
  const last = bytes[end - 1]
  if (last === DOT) {
    if (length === 1 || (length === 2 && bytes[start] === DOT)) {
      throw refused('ERR_PATH_DOTS', 'a part is "." or ".."')
    }
    throw refused('ERR_PATH_ENDING', 'a part ends in a dot')
  }
  if (last === BLANK) throw refused('ERR_PATH_ENDING', 'a part ends in a blank')
  if (length >= 2 && bytes[start + 1] === COLON && isLetter(bytes[start] as number)) {
    throw refused('ERR_PATH_DRIVE', 'a part starts with a letter and a colon')
  }
  if (isDevice(bytes, start, end)) throw refused('ERR_PATH_DEVICE', 'a part is the name of a device')
}

function isC1Tail(byte: number | undefined): boolean {
  return byte !== undefined && byte > DELETE && byte <= C1_LAST
}

function isLetter(byte: number): boolean {
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x7a
}

function isDevice(bytes: Uint8Array, start: number, end: number): boolean {
  // Most names do not begin with c, p, a, n or l: no text is made for them.
  const first = (bytes[start] as number) | 0x20
  if (first !== 0x63 && first !== 0x70 && first !== 0x61 && first !== 0x6e && first !== 0x6c) return false
  let stop = start
  while (stop < end && bytes[stop] !== DOT) stop++
  while (stop > start && bytes[stop - 1] === BLANK) stop--
  if (stop - start > MAX_DEVICE_BYTES) return false
  return DEVICE.test(Buffer.from(bytes.buffer, bytes.byteOffset + start, stop - start).toString('utf8'))
}

const ASCII = /^[\0-\x7f]*$/

/**
 * What two paths share that differ in case or in composition of characters only.
 *
 * NFC, the full case folding of Unicode (C and F of CaseFolding.txt, no locale),
 * NFC. The language has no case folding of its own: lower, upper, lower gives the
 * same classes, except that it would take the dotless i for an i, so that
 * character is stepped over. Checked against a table in test/unit/wire/paths.test.ts.
 *
 * Parts fold alone as they fold in the path: neither step reaches over a `/`.
 */
export function foldPath(text: string): string {
  if (ASCII.test(text)) return text.toLowerCase()
  return text
    .normalize('NFC')
    .split('\u0131')
    .map((piece) => piece.toLowerCase().toUpperCase().toLowerCase())
    .join('\u0131')
    .normalize('NFC')
}

function refused(code: ErrorCode, message: string): MegatorrentError {
  return new MegatorrentError(code, message)
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1')
}
