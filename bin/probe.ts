/**
 * `npm run probe -- KIND`: feeds outside cases to the real decoders (INTERFACE.md, "Set-up").
 *
 * One JSON document a line on stdin, one `{"ok": bool, "code": string|null}` a line on
 * stdout, in the same order. npm prints a banner of its own: use `npm run --silent`,
 * or read only the lines that begin with `{`.
 *
 * | KIND | case | what is judged |
 * |---|---|---|
 * | path | `{"path": base64}` | the bytes of one path: rules 1 to 6 of PROTOCOL_FINAL.md §4.2.3 |
 * | manifest | `{"hex": ...}` | a manifest value, zeros behind it or not: a root, with its entries if it holds them and without its parts if it lists them; or one part, alone |
 * | frame | `{"hex": ...}` | the plaintext of one small frame, and the message in it unless others follow |
 * | krpc | `{"hex": ...}` | one datagram, as the guard in front of the DHT reads it |
 * | uri | `{"hex": ...}` | a link in UTF-8 |
 *
 * A line that is no such case has `ok` false and code ERR_USAGE. Exit 0 when all
 * lines were read, 64 for an unknown KIND. Nothing is kept between lines.
 *
 * @module bin/probe
 */
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { fromHex, utf8Text } from '../src/base/bytes.ts'
import { isMegatorrentError, MegatorrentError } from '../src/base/errors.ts'
import { decodeKrpc } from '../src/discovery/krpc.ts'
import { BLOB_REF_BYTES } from '../src/wire/constants.ts'
import { checkManifestPart, ManifestReader } from '../src/wire/manifest-reader.ts'
import { MessageAssembler } from '../src/wire/message.ts'
import { checkPath } from '../src/wire/paths.ts'
import { parseLink } from '../src/wire/uri.ts'

const EXIT_USAGE = 64

type Judge = (input: Uint8Array) => void

const JUDGES: ReadonlyMap<string, Judge> = new Map([
  ['path', (input) => void checkPath(input)],
  ['manifest', judgeManifest],
  ['frame', (input) => void new MessageAssembler().push(input)],
  ['krpc', (input) => void decodeKrpc(input)],
  ['uri', judgeLink],
])

function judgeManifest(input: Uint8Array): void {
  try {
    const reader = new ManifestReader(new Uint8Array(BLOB_REF_BYTES), input)
    if (reader.partCount === 0) reader.finish()
  } catch (error) {
    // Keys that are none of a root: it may be a part.
    if (!isMegatorrentError(error, 'ERR_MANIFEST_SHAPE')) throw error
    checkManifestPart(input)
  }
}

function judgeLink(input: Uint8Array): void {
  const text = utf8Text(input)
  if (text === null) throw new MegatorrentError('ERR_LINK_SYNTAX', 'the link is not UTF-8')
  parseLink(text)
}

/** The bytes of one case. @throws MegatorrentError ERR_USAGE when the line is none. */
function parseCase(kind: string, line: string): Uint8Array {
  let parsed: unknown
  try {
    parsed = JSON.parse(line)
  } catch (cause) {
    throw new MegatorrentError('ERR_USAGE', 'the line is not JSON', { cause })
  }
  const key = kind === 'path' ? 'path' : 'hex'
  const value: unknown = typeof parsed === 'object' && parsed !== null ? Reflect.get(parsed, key) : undefined
  if (typeof value !== 'string') throw new MegatorrentError('ERR_USAGE', `the line has no text "${key}"`)
  const bytes = kind === 'path' ? fromBase64(value) : fromHex(value, value.length / 2)
  if (bytes === null) throw new MegatorrentError('ERR_USAGE', `"${key}" does not decode`)
  return bytes
}

function fromBase64(text: string): Uint8Array | null {
  return /^[A-Za-z0-9+/_-]*={0,2}$/.test(text) ? new Uint8Array(Buffer.from(text, 'base64')) : null
}

function answer(
  kind: string,
  judge: Judge,
  line: string,
): { readonly ok: boolean; readonly code: string | null } {
  try {
    judge(parseCase(kind, line))
    return { ok: true, code: null }
  } catch (error) {
    // Anything but our own error is a fault of the decoder, and shows as one.
    return { ok: false, code: isMegatorrentError(error) ? error.code : 'ERR_BUG' }
  }
}

/** Lines end at a newline and nowhere else, as JSON lines do. */
async function* readLines(input: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let pieces: Buffer[] = []
  for await (const chunk of input) {
    let start = 0
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      pieces.push(chunk.subarray(start, end))
      yield Buffer.concat(pieces).toString('utf8')
      pieces = []
      start = end + 1
    }
    if (start < chunk.length) pieces.push(chunk.subarray(start))
  }
  if (pieces.length > 0) yield Buffer.concat(pieces).toString('utf8')
}

async function main(kind: string | undefined): Promise<number> {
  const judge = kind === undefined ? undefined : JUDGES.get(kind)
  if (kind === undefined || judge === undefined) {
    process.stderr.write(`probe: expected one of ${[...JUDGES.keys()].join(', ')}\n`)
    return EXIT_USAGE
  }
  for await (const line of readLines(process.stdin)) {
    const written = process.stdout.write(`${JSON.stringify(answer(kind, judge, line))}\n`)
    if (!written) await once(process.stdout, 'drain')
  }
  return 0
}

process.exitCode = await main(process.argv[2])
