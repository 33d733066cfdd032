import { connect, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { fakeNode } from './fake-node.ts'
import { call, rawRequest, request, startTestServer, type TestServer } from './test-server.ts'

const open: Socket[] = []
const servers: TestServer[] = []
afterEach(async () => {
  for (const socket of open.splice(0)) socket.destroy()
  for (const server of servers.splice(0)) await server.close()
})

async function start(): Promise<TestServer> {
  const server = await startTestServer(undefined, { deadlines: { headersMs: 300, requestMs: 600 } })
  servers.push(server)
  return server
}

/** A connection that sent so much and then stays; what it receives until it is closed. */
async function hold(port: number, text: string): Promise<{ readonly closed: Promise<string> }> {
  const socket = connect(port, '127.0.0.1')
  open.push(socket)
  let received = ''
  socket.on('error', () => {})
  socket.on('data', (chunk) => {
    received += chunk.toString()
  })
  const closed = new Promise<string>((resolve) => socket.once('close', () => resolve(received)))
  await new Promise<void>((resolve) => socket.write(text, () => resolve()))
  return { closed }
}

describe('a connection that is too slow is closed', () => {
  it('without a word from the other side', async () => {
    const server = await start()
    await (await hold(server.port, '')).closed
  })

  it('in the middle of its head, with 408', async () => {
    const server = await start()
    expect(await (await hold(server.port, 'POST /api/rpc HTTP/1.1\r\nhost: ')).closed).toMatch(
      /^HTTP\/1.1 408 /,
    )
  })

  it('in the middle of its body', async () => {
    const server = await start()
    const [head] = rawRequest(server.port, { headers: { 'content-length': '100' } })
    expect(await (await hold(server.port, `${head}{`)).closed).toMatch(/^(?:HTTP\/1.1 408 |$)/)
  })
})

describe('a call that takes longer than a request may take to arrive', () => {
  it('is answered when its work is done', async () => {
    let finish = (): void => {}
    const { api } = fakeNode({
      verify: async () => {
        await new Promise<void>((resolve) => {
          finish = resolve
        })
        return { checked: 1, bad: 0, repaired: 0 }
      },
    })
    const server = await startTestServer(api, { deadlines: { headersMs: 50, requestMs: 100 } })
    servers.push(server)
    const answered = call(server.port, 'verify')
    // Slower ones that began later are closed by then: the deadline has been looked at.
    await (await hold(server.port, 'POST')).closed
    await (await hold(server.port, 'POST')).closed
    finish()
    expect((await answered).result).toEqual({ checked: 1, bad: 0, repaired: 0 })
  })
})

describe('500 connections that stall', () => {
  it('do not keep others waiting, and take little memory', async () => {
    const server = await startTestServer()
    servers.push(server)
    const before = process.memoryUsage().rss
    const [head] = rawRequest(server.port, {
      headers: { 'content-length': '1000000', authorization: 'Bearer x' },
    })
    await Promise.all(
      Array.from({ length: 500 }, () => hold(server.port, `${(head as string).slice(0, 60)}`)),
    )
    // The fastest of some: other work on this machine is not what this is about.
    const tookMs: number[] = []
    for (let i = 0; i < 5; i++) {
      const startedMs = performance.now()
      expect((await request(server.port)).status).toBe(200)
      tookMs.push(performance.now() - startedMs)
    }
    expect(Math.min(...tookMs)).toBeLessThan(1000)
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024)
  })
})

describe('a body that never ends', () => {
  it('is cut off after the refusal, whatever is still sent', async () => {
    const server = await startTestServer()
    servers.push(server)
    const socket = connect(server.port, '127.0.0.1')
    open.push(socket)
    socket.on('error', () => {})
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    const [head] = rawRequest(server.port, {
      headers: { host: 'evil.example', 'content-length': null, 'transfer-encoding': 'chunked' },
    })
    socket.write(head as string)
    const chunk = Buffer.from(`10000\r\n${'x'.repeat(65_536)}\r\n`)
    let sentBytes = 0
    const send = (): void => {
      while (!socket.destroyed && sentBytes < 64 * 1_048_576) {
        sentBytes += chunk.length
        if (!socket.write(chunk)) return
      }
    }
    socket.on('drain', send)
    send()
    await closed
    expect(sentBytes).toBeLessThan(32 * 1_048_576)
  })
})
