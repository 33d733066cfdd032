/**
 * As a unit of systemd: the files are right, and the daemon tells when it is ready and
 * when it stops. There is no systemd here to run it: its own checker reads the units, and
 * a socket of the kind that it listens on hears the daemon.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PROGRAM, PROJECT_ROOT, scrubbedEnvironment } from '../swarm/harness/test-node.ts'

const has = (program: string): boolean => spawnSync('which', [program]).status === 0
const HAS_SYSTEMD = ['systemd-analyze', 'systemd-notify', 'python3'].every(has)
const UNITS = join(PROJECT_ROOT, 'packaging/systemd')

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'megatorrent-systemd-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

describe.skipIf(!HAS_SYSTEMD)('units (need systemd and python3)', () => {
  it.each(['megatorrent.service', 'megatorrent-user.service'])('%s has no fault', (name) => {
    const checked = spawnSync('systemd-analyze', ['verify', '--man=no', join(UNITS, name)], {
      encoding: 'utf8',
    })
    expect([checked.stderr, checked.status]).toEqual(['', 0])
  })

  it('a fault in one would be told', () => {
    const broken = join(folder, 'broken.service')
    copyFileSync(join(UNITS, 'megatorrent.service'), broken)
    chmodSync(broken, 0o600)
    execFileSync('sed', ['-i', 's/^Type=notify/Type=notifies/', broken])
    const checked = spawnSync('systemd-analyze', ['verify', '--man=no', broken], { encoding: 'utf8' })
    expect(checked.stderr).toContain('service type')
  })

  it('the system service is exposed to little', () => {
    const args = ['security', '--offline=true', '--no-pager', join(UNITS, 'megatorrent.service')]
    const { stdout } = spawnSync('systemd-analyze', args, { encoding: 'utf8' })
    const level = Number(/Overall exposure level for \S+ ([0-9.]+)/.exec(stdout)?.[1])
    expect(level).toBeLessThanOrEqual(3)
  })
})

/** Prints each datagram as a line of JSON, after one that says that it listens. */
const LISTENER = `
import json, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print(json.dumps("listening"), flush=True)
while True:
    text, fds, _, _ = socket.recv_fds(s, 4096, 4)
    for fd in fds:
        import os
        os.close(fd)
    print(json.dumps(text.decode()), flush=True)
`

describe.skipIf(!HAS_SYSTEMD)('the daemon under systemd', () => {
  it('tells when it is ready and when it stops', async () => {
    const socket = join(folder, 'notify')
    const data = join(folder, 'data')
    mkdirSync(data, { mode: 0o700 })
    const listener = spawn('python3', ['-c', LISTENER, socket], { stdio: ['ignore', 'pipe', 'inherit'] })
    const lines = createInterface({ input: listener.stdout })[Symbol.asyncIterator]()
    const next = async (): Promise<string> => JSON.parse((await lines.next()).value)
    try {
      expect(await next()).toBe('listening')
      const flags = ['--data-dir', data, '--listen', '127.0.0.1:0', '--rpc', '127.0.0.1:0', '--no-dht']
      const daemon = spawn(process.execPath, [PROGRAM, 'serve', ...flags], {
        env: { ...scrubbedEnvironment(folder), NOTIFY_SOCKET: socket },
        stdio: 'ignore',
      })
      const ended = new Promise((resolve) => daemon.once('exit', resolve))
      // A daemon that is gone tells nothing any more: the listener is ended, and `next` fails.
      void ended.then(() => listener.kill())
      const told = async (field: string): Promise<void> => {
        // systemd-notify also sends marks of its own, to know that it was heard.
        while (!(await next()).split('\n').includes(field));
      }
      await told('READY=1')
      daemon.kill('SIGTERM')
      await told('STOPPING=1')
      expect(await ended).toBe(0)
    } finally {
      listener.kill()
    }
  })
})
