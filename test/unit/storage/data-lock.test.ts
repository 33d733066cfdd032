import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { chmodSync, chownSync, existsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { type Log, silentLog } from '../../../src/base/log.ts'
import { lockDataFolder } from '../../../src/storage/data-lock.ts'
import { afterTest, tempFolder } from './harness.ts'

const CHILD = fileURLToPath(new URL('./children/hold-lock.mjs', import.meta.url))

interface Holder {
  readonly child: ChildProcessWithoutNullStreams
  readonly exited: Promise<void>
  line(): Promise<string>
}

function startHolder(folder: string): Holder {
  const child = spawn(process.execPath, [CHILD, folder])
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  afterTest(async () => {
    child.kill('SIGKILL')
    await exited
  })
  return { child, exited, line: async () => String((await lines.next()).value) }
}

/** A log, and the warnings in it. */
function keptLog(): { readonly log: Log; readonly warnings: string[] } {
  const warnings: string[] = []
  return { log: { ...silentLog, warn: (message) => void warnings.push(message) }, warnings }
}

describe('the lock on the data folder', () => {
  it('refuses a second one and names the process that has it', () => {
    const folder = tempFolder()
    const lock = lockDataFolder(folder, 12_345)
    for (let n = 0; n < 3; n++) {
      expect(() => lockDataFolder(folder, 1)).toThrow(
        expect.objectContaining({
          code: 'ERR_DATA_DIR_LOCKED',
          kind: 'config',
          message: expect.stringContaining('12345'),
        }),
      )
    }
    lock.release()
    lock.release()
    expect(existsSync(join(folder, 'lock.pid'))).toBe(false)
    lockDataFolder(folder, 1).release()
  })

  it('holds between processes, in both directions', async () => {
    const folder = tempFolder()
    const holder = startHolder(folder)
    expect(await holder.line()).toBe('locked')
    expect(() => lockDataFolder(folder, process.pid)).toThrow(
      expect.objectContaining({
        code: 'ERR_DATA_DIR_LOCKED',
        message: expect.stringContaining(String(holder.child.pid)),
      }),
    )
    holder.child.stdin.end()
    expect(await holder.line()).toBe('released')
    await holder.exited

    const lock = lockDataFolder(folder, process.pid)
    // A second try in this process must not open the file and so drop our lock on it.
    expect(() => lockDataFolder(folder, process.pid)).toThrow()
    expect(await startHolder(folder).line()).toMatch(/^ERR_DATA_DIR_LOCKED /)
    lock.release()
  })

  it('ends with a process that is killed, without any cleaning up', async () => {
    const folder = tempFolder()
    const holder = startHolder(folder)
    expect(await holder.line()).toBe('locked')
    holder.child.kill('SIGKILL')
    await holder.exited
    expect(existsSync(join(folder, 'lock.pid'))).toBe(true)
    lockDataFolder(folder, process.pid).release()
  })

  it('does without the number when the file that has it makes no sense', () => {
    const folder = tempFolder()
    const lock = lockDataFolder(folder, 1)
    writeFileSync(join(folder, 'lock.pid'), 'rm -rf /')
    expect(() => lockDataFolder(folder, 1)).toThrow(/in use by another process/)
    lock.release()
  })

  it('makes the folder with mode 0700 and refuses one that others can write to', () => {
    const folder = join(tempFolder(), 'a', 'b')
    lockDataFolder(folder, 1).release()
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    expect(statSync(join(folder, 'lock.db')).mode & 0o777).toBe(0o600)
    chmodSync(folder, 0o770)
    expect(() => lockDataFolder(folder, 1)).toThrow(
      expect.objectContaining({ code: 'ERR_DATA_DIR_MODE', kind: 'config' }),
    )
  })

  it('closes a folder that others can look into, and says so once', () => {
    const folder = tempFolder()
    for (const mode of [0o755, 0o711, 0o750]) {
      chmodSync(folder, mode)
      const { log, warnings } = keptLog()
      for (let start = 0; start < 2; start++) lockDataFolder(folder, 1, log).release()
      expect(statSync(folder).mode & 0o777).toBe(0o700)
      expect(warnings).toEqual([expect.stringContaining('700')])
    }
  })

  it('changes nothing of a folder in use, whoever comes second', () => {
    const folder = tempFolder()
    const lock = lockDataFolder(folder, 1)
    chmodSync(folder, 0o755)
    expect(() => lockDataFolder(folder, 2)).toThrow()
    expect(statSync(folder).mode & 0o777).toBe(0o755)
    lock.release()
  })

  it.skipIf(process.getuid?.() !== 0)("leaves another user's folder as it is, and says so", () => {
    const folder = tempFolder()
    chmodSync(folder, 0o755)
    chownSync(folder, 1, 1)
    const { log, warnings } = keptLog()
    lockDataFolder(folder, 1, log).release()
    expect(statSync(folder).mode & 0o777).toBe(0o755)
    expect(warnings).toEqual([expect.stringContaining('another user')])
  })
})
