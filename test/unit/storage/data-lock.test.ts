import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { chmodSync, existsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
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
})
