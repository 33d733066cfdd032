/**
 * A recording: the calls of a process that did real work (work.mjs), and the facts that it told
 * while it did.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BLOB_BYTES } from '../../../src/wire/constants.ts'
import { DiskModel, type Inode, wholeContent } from './disk-model.ts'
import { type Call, parseTrace } from './trace.ts'

export const WORK = fileURLToPath(new URL('work.mjs', import.meta.url))

const ENCRYPT = fileURLToPath(new URL('encrypt.mjs', import.meta.url))

/** Every call that changes a file, a name, or makes one durable. */
const CALLS = [
  ...[
    'openat',
    'close',
    'dup',
    'write',
    'pwrite64',
    'writev',
    'pwritev',
    'pwritev2',
    'ftruncate',
    'fallocate',
  ],
  ...['rename', 'renameat', 'renameat2', 'link', 'linkat', 'unlink', 'unlinkat', 'mkdir', 'mkdirat', 'rmdir'],
  ...['fsync', 'fdatasync', 'copy_file_range', 'sendfile'],
].join(',')
/** No string is longer: a blob, a file of a release. */
const MAX_STRING = 8_000_000

export interface TreeFile {
  readonly path: string
  readonly identity: string
  readonly hash: string
}

/** What the process said: each holds from then on. Fields by kind; see work.mjs. */
export interface Fact {
  readonly fact: string
  readonly name: string
  readonly publicKey: string
  readonly readKey?: string
  readonly seed: string
  readonly ids: readonly string[]
  readonly sequence: number
  readonly head: string
  readonly root: string
  readonly ingestId: string
  readonly tree: readonly TreeFile[]
  readonly path: string
  readonly hash: string
  readonly mtimeNs: string
  readonly inode: string
  readonly text: string
  readonly step: string
  readonly code: string | null
  readonly message: string
}

export interface Recording {
  readonly folder: string
  readonly calls: readonly Call[]
  readonly facts: readonly { readonly fact: Fact; readonly end: number }[]
  /** By hex of their ids: every blob that was ever written. */
  readonly blobs: ReadonlyMap<string, Buffer>
  /** How many of the calls wrote past the page cache. */
  readonly directWrites: number
}

/** In memory where there is such a disk: a folder for what is made and thrown away by the thousand. */
export function workFolder(): string {
  return newFolder(process.env.POWER_FOLDER ?? (existsSync('/dev/shm') ? '/dev/shm' : tmpdir()))
}

/**
 * On a real disk: a disk in memory takes direct writes from anywhere, or none, so the calls would not be
 * those of a user's. POWER_FOLDER names another place where this one is in memory.
 */
function recordingFolder(): string {
  return newFolder(process.env.POWER_FOLDER ?? tmpdir())
}

function newFolder(parent: string): string {
  return mkdtempSync(join(parent, 'megatorrent-power-'))
}

export interface Ended {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
  readonly facts: readonly Fact[]
  readonly stderr: string
}

/** Run work.mjs, under strace with these arguments if there are any. It writes to a file: a pipe may be full. */
export async function runWork(
  folder: string,
  options: {
    readonly seed: number
    readonly rounds: number
    readonly strace: readonly string[] | null
    /** What runs, if it is not work.mjs. */
    readonly script?: string
    /** Keep the blobs that come from others in the folder `abroad`. */
    readonly keepsBlobs?: boolean
  },
): Promise<Ended> {
  mkdirSync(join(folder, 'disk'), { recursive: true })
  const told = join(folder, 'facts')
  const output = openSync(told, 'w')
  const keep = options.keepsBlobs === true ? ['keep'] : []
  const work = [
    process.execPath,
    options.script ?? WORK,
    folder,
    String(options.seed),
    String(options.rounds),
    ...keep,
  ]
  const [program = '', ...args] = options.strace === null ? work : ['strace', ...options.strace, ...work]
  // libuv without io_uring, whose calls nobody could see.
  const env = { PATH: process.env.PATH, UV_USE_IO_URING: '0', UV_THREADPOOL_SIZE: '4' }
  const child = spawn(program, args, { stdio: ['ignore', output, 'pipe'], env })
  closeSync(output)
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const [exitCode, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, by) => resolve([code, by]))
  })
  return { exitCode, signal, stderr, facts: factsOf(readFileSync(told, 'utf8')) }
}

/** A line that was cut in two was not told to anyone. */
export function factsOf(text: string): Fact[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Fact)
}

/** A recording that was kept: its folder, with the file `trace`. */
export function loadRecording(folder: string): Recording {
  return readRecording(folder, readFileSync(join(folder, 'trace')))
}

/**
 * Record a run, and after it one that encrypts what is there if that is wanted. The caller removes
 * `folder`, in which nothing but the recording is left.
 */
export async function record(seed: number, rounds: number, isEncrypted = false): Promise<Recording> {
  const folder = recordingFolder()
  for (const script of isEncrypted ? [WORK, ENCRYPT] : [WORK]) {
    // Appended: one recording of several processes.
    const output = ['-A', '-o', join(folder, 'trace')]
    const strace = [
      '-f',
      '-xx',
      '-s',
      String(MAX_STRING),
      '-e',
      'signal=none',
      '-e',
      `trace=${CALLS}`,
      ...output,
    ]
    const ended = await runWork(folder, { seed, rounds, strace, script })
    const last = ended.facts.at(-1)
    if (ended.exitCode !== 0 || last?.fact !== 'closed') {
      const why = last?.message ?? ended.stderr
      throw new Error(`the work ended with ${ended.exitCode} after "${last?.fact}": ${why}`)
    }
  }
  for (const name of ['disk', 'source', 'facts']) rmSync(join(folder, name), { recursive: true, force: true })
  return loadRecording(folder)
}

function readRecording(folder: string, trace: Buffer): Recording {
  const calls = parseTrace(trace)
  const facts = calls
    .filter(({ name, args }) => name === 'write' && args[0] === '1')
    .map(({ args, end }) => ({ fact: JSON.parse((args[1] as Buffer).toString('utf8')) as Fact, end }))
  const blobs = new Map<string, Buffer>()
  const model = new DiskModel(join(folder, 'disk'))
  for (const call of calls) {
    model.apply(call)
    const target = call.name === 'rename' ? String(call.args[1]) : ''
    const id = /\/blobs\/..\/([0-9a-f]{64})$/.exec(target)?.[1]
    if (id === undefined) continue
    const inode = model.find(target.slice(join(folder, 'disk').length)) as Inode
    const content = wholeContent(inode)
    if (content.length === BLOB_BYTES && sha256(content) === id) blobs.set(id, content)
  }
  return { folder, calls, facts, blobs, directWrites: model.directWrites }
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
