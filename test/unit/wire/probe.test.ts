import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../../src/base/random.ts'
import { readOwnVectors } from '../../reference/shared-vectors.ts'

const PROJECT = resolve(import.meta.dirname, '../../..')
const PROBE = resolve(PROJECT, 'dist/bin/probe.js')

interface Answer {
  readonly ok: boolean
  readonly code: string | null
}

/** Run the probe as a child process. `input` may be cut anywhere: it is fed in pieces. */
function probe(
  kind: string,
  input: string,
  pieceBytes = 65_536,
): Promise<{ exit: number | null; answers: Answer[]; stderr: string }> {
  return new Promise((resolveRun, reject) => {
    const child = spawn(process.execPath, [PROBE, kind])
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (data) => (stdout += String(data)))
    child.stderr.on('data', (data) => (stderr += String(data)))
    child.on('error', reject)
    child.stdin.on('error', () => {}) // an unknown kind ends without reading
    child.on('close', (exit) => {
      const answers = stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Answer)
      resolveRun({ exit, answers, stderr })
    })
    const bytes = Buffer.from(input)
    for (let at = 0; at < bytes.length; at += pieceBytes)
      child.stdin.write(bytes.subarray(at, at + pieceBytes))
    child.stdin.end()
  })
}

const lines = (values: readonly unknown[]): string =>
  values.map((value) => `${JSON.stringify(value)}\n`).join('')
const accepted: Answer = { ok: true, code: null }
const refused = (code: string): Answer => ({ ok: false, code })

describe.skipIf(!existsSync(PROBE))('the probe (from dist: npm run build)', () => {
  it('judges paths as the decoder does', async () => {
    const vectors = readOwnVectors<{ valid: { path: string }[]; invalid: { path: string; code: string }[] }>(
      'paths.json',
    )
    const cases = [...vectors.valid, ...vectors.invalid]
    const { exit, answers } = await probe('path', lines(cases.map(({ path }) => ({ path }))))
    expect(exit).toBe(0)
    expect(answers).toEqual([
      ...vectors.valid.map(() => accepted),
      ...vectors.invalid.map(({ code }) => refused(code)),
    ])
  })

  it('judges frames, and the message in them', async () => {
    const vectors = readOwnVectors<{
      valid: { name: string; plain: string }[]
      invalid: { plain: string; code: string }[]
    }>('frames.json')
    const { exit, answers } = await probe(
      'frame',
      lines([...vectors.invalid, ...vectors.valid].map(({ plain }) => ({ hex: plain }))),
    )
    expect(exit).toBe(0)
    expect(answers.slice(0, vectors.invalid.length)).toEqual(vectors.invalid.map(({ code }) => refused(code)))
    // "full body" is an ERROR with more bytes than it needs, "unknown type" a request to be refused politely.
    expect(answers.slice(vectors.invalid.length)).toEqual(vectors.valid.map(() => accepted))
  })

  it('judges manifests: a root without its parts, or a part alone', async () => {
    interface Vector {
      root: string
      parts: string[]
      code?: string
      length?: number
    }
    const vectors = readOwnVectors<{ valid: Vector[]; invalid: Vector[] }>('manifests.json')
    const whole = vectors.valid.flatMap(({ root, parts }) => [root, ...parts, `${root}${'00'.repeat(500)}`])
    const inline = vectors.invalid.filter(({ parts, length }) => parts.length === 0 && length === undefined)
    const { exit, answers } = await probe(
      'manifest',
      lines([...whole, ...inline.map(({ root }) => root)].map((hex) => ({ hex }))),
    )
    expect(exit).toBe(0)
    expect(answers.slice(0, whole.length)).toEqual(whole.map(() => accepted))
    expect(
      answers.slice(whole.length).every(({ ok, code }) => !ok && code !== null && code !== 'ERR_BUG'),
    ).toBe(true)
  })

  it('judges links', async () => {
    const read = (name: string): string[] =>
      readFileSync(resolve(PROJECT, 'test/vectors', name), 'utf8')
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#'))
    const hexOf = (quoted = ''): { hex: string } => ({
      hex: Buffer.from(JSON.parse(quoted) as string).toString('hex'),
    })
    const valid = read('uri-valid.txt').map((line) => line.split('\t'))
    const invalid = read('uri-invalid.txt').map((line) => line.split('\t'))
    const { exit, answers } = await probe(
      'uri',
      lines([
        ...valid.map(([given]) => hexOf(given)),
        ...invalid.map(([, text]) => hexOf(text)),
        { hex: 'ff' },
      ]),
    )
    expect(exit).toBe(0)
    expect(answers).toEqual([
      ...valid.map(() => accepted),
      ...invalid.map(([code = '']) => refused(code)),
      refused('ERR_LINK_SYNTAX'),
    ])
  })

  it('judges datagrams of the DHT', async () => {
    const ping = Buffer.from('d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe').toString('hex')
    const { exit, answers } = await probe(
      'krpc',
      lines([{ hex: ping }, { hex: '' }, { hex: ping.slice(2) }, { hex: `${ping}00` }]),
    )
    expect(exit).toBe(0)
    expect(answers[0]).toEqual(accepted)
    expect(answers.slice(1).every(({ ok, code }) => !ok && code !== null && code !== 'ERR_BUG')).toBe(true)
  })

  it('answers each line once, whatever it is, and wherever the input is cut', async () => {
    const odd = [
      '',
      '{',
      'null',
      '[]',
      '5',
      '"x"',
      '{}',
      '{"path":5}',
      '{"path":"*"}',
      '{"path":"YQ==","more":1}',
      '{"path":"YQ"}',
      `${'['.repeat(100_000)}`,
      '\u2028',
      '{"__proto__":{"path":"YQ=="}}',
      '\xff',
    ]
    const expected = odd.map((line) =>
      /"path":"YQ/.test(line) && !line.includes('proto') ? accepted : refused('ERR_USAGE'),
    )
    for (const end of ['\n', '']) {
      const { exit, answers } = await probe('path', odd.join('\n') + end, end === '' ? 1 : 1000)
      expect(exit).toBe(0)
      expect(answers).toEqual(expected)
    }
    expect(await probe('path', '')).toMatchObject({ exit: 0, answers: [] })
  })

  it('never shows a fault of its own: a thousand random inputs to each decoder', async () => {
    const random = seededRandom(77)
    for (const kind of ['manifest', 'frame', 'krpc', 'uri', 'path']) {
      const inputs = Array.from({ length: 1000 }, (_, i) => {
        const bytes = Buffer.from(random.bytes(i % 3 === 0 ? 1008 : i % 64))
        return kind === 'path' ? { path: bytes.toString('base64') } : { hex: bytes.toString('hex') }
      })
      const { exit, answers } = await probe(kind, lines(inputs))
      expect(exit).toBe(0)
      expect(answers.length).toBe(1000)
      expect(answers.filter(({ code }) => code === 'ERR_BUG')).toEqual([])
    }
  })

  it('refuses an unknown kind with exit 64 and names the kinds', async () => {
    for (const kind of ['', 'paths', '__proto__']) {
      const { exit, answers, stderr } = await probe(kind, '{}\n')
      expect([exit, answers]).toEqual([64, []])
      expect(stderr).toContain('path, manifest, frame, krpc, uri')
    }
  })
})
