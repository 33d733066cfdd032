import { spawnSync } from 'node:child_process'
import net from 'node:net'
import { describe, expect, it } from 'vitest'
import { type Clock, systemClock } from '../../../src/base/clock.ts'
import { TcpTransport } from '../../../src/transport/tcp.ts'
import type { ByteStream } from '../../../src/transport/transport.ts'
import { Recorder, transportCompliance } from '../../compliance/transport.ts'
import { failureOf, hasIpv6, until } from './helpers.ts'

const HOST = '127.0.0.1'

/** Time runs out before the system can have said anything: no waiting for a host that is not there. */
const hasty: Clock = {
  ...systemClock,
  setTimer: (callback) => {
    let isCancelled = false
    queueMicrotask(() => {
      if (!isCancelled) callback()
    })
    return {
      cancel: () => {
        isCancelled = true
      },
    }
  },
}

transportCompliance({
  name: 'TCP',
  make: () => {
    const transport = new TcpTransport()
    return {
      near: transport,
      far: new TcpTransport(),
      hosts: [{ host: HOST, port: 0 }, ...(hasIpv6() ? [{ host: '::1', port: 0 }] : [])],
      nobody: { host: HOST, port: 1 },
      stalled: { dialer: new TcpTransport(hasty), timeoutMs: 1 },
      until: (condition) => until(condition),
      maxInFlightBytes: 64 * 1_048_576,
    }
  },
})

describe('TCP', () => {
  it('resolves no name, neither to dial nor to listen', async () => {
    const transport = new TcpTransport()
    for (const host of ['localhost', 'example.org', '', '127.1', '127.0.0.1 ']) {
      expect(await failureOf(transport.dial({ host, port: 1 }, { timeoutMs: 1000 }))).toBeInstanceOf(
        TypeError,
      )
      expect(await failureOf(transport.listen({ host, port: 0 }, () => {}))).toBeInstanceOf(TypeError)
    }
  })

  it('shows the IPv4 peers of a dual-stack listener by their plain address', async ({ skip }) => {
    if (!hasIpv6()) skip('no IPv6 here')
    const transport = new TcpTransport()
    const accepted: ByteStream[] = []
    const listener = await transport.listen({ host: '::', port: 0 }, (stream) => accepted.push(stream))
    const { port } = listener.endpoint
    const dialled = await transport.dial({ host: HOST, port }, { timeoutMs: 1000 })
    await until(() => accepted.length === 1)
    expect(accepted[0]?.local).toEqual({ host: HOST, port })
    expect(accepted[0]?.remote.host).toBe(HOST)
    dialled.destroy()
    accepted[0]?.destroy()
    await listener.close()
  })

  it('sees a reset as a close', async () => {
    const transport = new TcpTransport()
    const accepted: ByteStream[] = []
    const listener = await transport.listen({ host: HOST, port: 0 }, (stream) => accepted.push(stream))
    const socket = net.connect(listener.endpoint.port, HOST)
    await until(() => accepted.length === 1)
    const recorder = new Recorder(accepted[0] as ByteStream, true)
    socket.resetAndDestroy()
    await until(() => recorder.closes === 1)
    expect(recorder.faults).toEqual([])
    await listener.close()
  })

  it('accepts again after the process ran out of file descriptors', async ({ skip }) => {
    const limits = /NOFILE\s.*?(\d+)\s+(\d+)\s+files/.exec(prlimit([]) ?? '')
    const [, soft = '', hard = ''] = limits ?? []
    const tight = limitWithFree(24)
    if (limits === null || tight === null) skip('prlimit or /proc is not here')
    const transport = new TcpTransport()
    const accepted: ByteStream[] = []
    const listener = await transport.listen({ host: HOST, port: 0 }, (stream) => accepted.push(stream))
    const sockets: net.Socket[] = []
    let lost = 0
    try {
      prlimit([`--nofile=${tight}:${hard}`])
      for (let i = 0; i < 40; i++) {
        const socket = net.connect(listener.endpoint.port, HOST)
        socket.on('error', () => {}) // no descriptor on this side, or none on the other
        socket.on('close', () => {
          lost++
        })
        sockets.push(socket)
      }
      // Each connection takes two descriptors here, so most of 40 find none.
      await until(() => lost >= 16, 'descriptors to run out')
      for (const stream of accepted) stream.destroy()
      for (const socket of sockets) socket.destroy()
      await until(() => sockets.every((socket) => socket.closed))
      const before = accepted.length
      const dialled = await transport.dial(listener.endpoint, { timeoutMs: 5000 })
      await until(() => accepted.length > before, 'a connection to be accepted')
      dialled.destroy()
    } finally {
      prlimit([`--nofile=${soft}:${hard}`])
      for (const stream of accepted) stream.destroy()
      await listener.close()
    }
  })
})

/** Limits of this process, or null where they cannot be had. */
function prlimit(args: readonly string[]): string | null {
  const { status, stdout } = spawnSync('prlimit', ['--pid', String(process.pid), ...args], {
    encoding: 'utf8',
  })
  return status === 0 ? stdout : null
}

/** A limit that leaves `free` descriptors, since the system hands out the lowest ones first. */
function limitWithFree(free: number): number | null {
  const { status, stdout } = spawnSync('ls', [`/proc/${process.pid}/fd`], { encoding: 'utf8' })
  if (status !== 0) return null
  const used = new Set(stdout.trim().split('\n').map(Number))
  let limit = 0
  for (let left = free; left > 0; limit++) if (!used.has(limit)) left--
  return limit
}
