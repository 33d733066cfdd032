/** `publish --bundle` and `publish --from-bundle`: what is asked, of whom, and how the answer is told. */
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { MegatorrentError } from '../../../src/base/errors.ts'
import type { OfflineRequest, OfflineResult } from '../../../src/cli/io.ts'
import type { Flags } from '../../../src/config/load.ts'
import { type Daemon, run, startDaemon } from './run.ts'

const RESULT: OfflineResult = {
  ...{ uri: 'megatorrent://x', publicKey: 'ab'.repeat(32), sequence: 3, files: 2, bytes: 3_000_000 },
  ...{ blobs: 3, newBlobs: 1, manifestBlobs: 1, storedBy: 0, unchanged: false, skipped: 1 },
  ...{ bundle: '/caller/b', bundleBytes: 4_272_012 },
}

describe('publish --bundle', () => {
  const asked: { flags: Flags; request: OfflineRequest }[] = []
  const signOffline = async (flags: Flags, request: OfflineRequest): Promise<OfflineResult> => {
    asked.push({ flags, request })
    return RESULT
  }

  it('asks no daemon, and says where the release is', async () => {
    const options = [
      '--channel',
      'c',
      '--title',
      't',
      '--after',
      '3',
      '--since',
      '2',
      '--rehash',
      '--timeout',
      '9',
    ]
    const settings = ['--data-dir', 'd', '--passphrase-file', 'p']
    const result = await run(['publish', 'x', '--bundle', 'b', ...options, ...settings], { signOffline })
    expect(result.exitCode).toBe(0)
    expect(result.stdout).toContain('bundle:  /caller/b, 4.1 MiB\n')
    expect(result.stdout).toContain('release: 3\n')
    expect(result.stderr).toContain('left out: 1 symlink or special file')
    const { flags, request } = asked.pop() ?? {}
    expect(flags).toEqual(new Map(Object.entries({ 'data-dir': ['d'], 'passphrase-file': ['p'] })))
    const { onProgress: _, ...rest } = request ?? { onProgress: null }
    expect(rest).toEqual({
      ...{ source: '/caller/x', bundle: '/caller/b', channel: 'c', title: 't' },
      ...{ rehash: true, after: 3, since: 2, timeoutMs: 9_000 },
    })
  })

  it('leaves out what was not said, and answers as publish does', async () => {
    const result = await run(['publish', 'x', '--bundle', 'b', '--json'], { signOffline })
    expect(result.json()).toEqual(RESULT)
    const nothing = { channel: null, title: null, rehash: false, after: null, since: null, timeoutMs: null }
    expect(asked.pop()?.request).toMatchObject(nothing)
  })

  it('says that a daemon has the folder', async () => {
    const locked = new MegatorrentError('ERR_DATA_DIR_LOCKED', 'the folder is in use by process 7: stop it')
    const refuse = (): Promise<OfflineResult> => Promise.reject(locked)
    const { exitCode, stderr } = await run(['publish', 'x', '--bundle', 'b'], { signOffline: refuse })
    expect([exitCode, stderr]).toEqual([78, 'megatorrent: the folder is in use by process 7: stop it\n'])
  })
})

describe('publish --from-bundle', () => {
  let daemon: Daemon | null = null
  afterEach(() => daemon?.close())

  it('gives the daemon the whole path, and tells what it says', async () => {
    daemon = await startDaemon()
    const result = await daemon.run(['publish', '--from-bundle', 'b', '--timeout', '5'])
    expect([result.exitCode, result.stderr]).toEqual([0, ''])
    expect(result.stdout).toContain('stored:  by 8 other nodes\n')
    expect(daemon.node.calls.at(-1)).toEqual({
      method: 'publishManifest',
      params: { file: join(dirname(daemon.folder), 'b'), timeoutMs: 5_000 },
    })
  })
})
