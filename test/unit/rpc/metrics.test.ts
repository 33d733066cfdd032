/** What Prometheus reads, over HTTP. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { CHANNEL, fakeNode, KEY, READ_TOKEN, SUBSCRIPTION } from './fake-node.ts'
import { request, startTestServer, type TestServer } from './test-server.ts'

let server: TestServer
const read = (target: string, headers = {}) =>
  request(server.port, { method: 'GET', target, headers, body: '' })

beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server.close())

/** Name with labels, to value. Throws for a line that is none of the format. */
function parse(text: string): ReadonlyMap<string, number> {
  const samples = new Map<string, number>()
  for (const line of text.split('\n')) {
    if (line === '' || /^# (?:HELP|TYPE) megatorrent_[a-z_]+ \S/.test(line)) continue
    const match = /^(megatorrent_[a-z_]+(?:\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})?) ([0-9.e+]+)$/.exec(line)
    if (match === null) throw new Error(`no sample: ${line}`)
    samples.set(match[1] as string, Number(match[2]))
  }
  return samples
}

it('has the figures of the node', async () => {
  const answer = await read('/metrics', { authorization: `Bearer ${READ_TOKEN}` })
  expect(answer.status).toBe(200)
  expect(answer.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/)
  const samples = parse(answer.body)
  expect(samples.get('megatorrent_info{version="0.1.0",mode="direct"}')).toBe(1)
  expect(samples.get('megatorrent_peers')).toBe(2)
  expect(samples.get('megatorrent_stored_bytes')).toBe(10_485_920)
  expect(samples.get('megatorrent_uploaded_bytes_total')).toBe(30_000)
  expect(samples.get('megatorrent_subscriptions{state="fetching"}')).toBe(1)
  expect(samples.get('megatorrent_subscriptions{state="error"}')).toBe(0)
  expect(samples.get('megatorrent_resident_memory_bytes')).toBeGreaterThan(1_000_000)
})

it('is asked as often as is wanted', async () => {
  for (let i = 0; i < 3; i++) expect(parse((await read('/metrics')).body).get('megatorrent_channels')).toBe(1)
})

it('names no channel, no peer and no path, and has no more lines for more of them', async () => {
  const { body } = await read('/metrics')
  const { api } = fakeNode({
    getSubscriptions: async () =>
      Array.from({ length: 500 }, (_, at) => ({
        ...SUBSCRIPTION,
        publicKey: at.toString(16).padStart(64, '0'),
      })),
  })
  const many = await startTestServer(api)
  try {
    const crowded = (await request(many.port, { method: 'GET', target: '/metrics', body: '' })).body
    expect(crowded.split('\n').length).toBe(body.split('\n').length)
  } finally {
    await many.close()
  }
  for (const name of [KEY, CHANNEL.name, SUBSCRIPTION.directory as string, '127.0.0.1'])
    expect(body).not.toContain(name)
})

it('is not for everybody', async () => {
  expect((await read('/metrics', { authorization: null })).status).toBe(401)
})

it('readiness is for everybody who may ask for health', async () => {
  const answer = await read('/readyz', { authorization: null })
  expect([answer.status, JSON.parse(answer.body)]).toEqual([200, { ready: true, reasons: [] }])
  expect((await read('/readyz', { host: 'evil.example' })).status).toBe(403)
})

it('a node that is not ready says why with 503', async () => {
  const status = await fakeNode().api.getStatus()
  const { api } = fakeNode({
    getStatus: async () => ({ ...status, dht: { enabled: true, nodes: 0, server: false } }),
  })
  const alone = await startTestServer(api)
  try {
    const answer = await request(alone.port, { method: 'GET', target: '/readyz', body: '' })
    expect(answer.status).toBe(503)
    expect(JSON.parse(answer.body)).toEqual({ ready: false, reasons: ['no node of the DHT is known yet'] })
  } finally {
    await alone.close()
  }
})
