/** Feeds: what is in them, who may read them, and that titles are text. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MegatorrentError } from '../../../src/base/errors.ts'
import type { ReleaseInfo } from '../../../src/node/api.ts'
import { atomFeed, parseFeedTarget } from '../../../src/rpc/atom.ts'
import { FILE_KEY, fakeNode, KEY, READ_TOKEN } from './fake-node.ts'
import { request, startTestServer, type TestServer } from './test-server.ts'

const RELEASE: ReleaseInfo = {
  ...{ sequence: 3, revision: 0, rootId: KEY, unpublished: false, conflict: false },
  ...{ signedAt: Date.UTC(2026, 0, 2), receivedAt: Date.UTC(2026, 0, 3), refreshedAt: Date.UTC(2026, 0, 4) },
}
const feed = (releases: readonly ReleaseInfo[], title: string | null = 'News') =>
  atomFeed({ publicKey: KEY, title, releases })

describe('a feed', () => {
  it('has an entry for each release, under ids that stay', () => {
    const text = feed([RELEASE, { ...RELEASE, sequence: 2, signedAt: Date.UTC(2026, 0, 1) }])
    expect([...text.matchAll(/<id>([^<]*)<\/id>/g)].map((match) => match[1])).toEqual([
      `urn:megatorrent:${KEY}`,
      `urn:megatorrent:${KEY}:3`,
      `urn:megatorrent:${KEY}:2`,
    ])
    expect(text).toContain('<updated>2026-01-02T00:00:00.000Z</updated>')
    expect(text).toContain('<title>News: release 3</title>')
  })

  it('leaves out what contradicts another release, and says when a channel was taken back', () => {
    const text = feed([
      { ...RELEASE, sequence: 4, rootId: null, unpublished: true },
      { ...RELEASE, conflict: true },
      RELEASE,
    ])
    expect(text.match(/<entry>/g)).toHaveLength(2)
    expect(text).toContain('nothing is published any more')
  })

  it.each(['<script>alert(1)</script>', ']]><x/>', '"\'&amp;', '\u0000\u0008\u202e\ud800', '&#x0;'])(
    'shows the title %j as text',
    (title) => {
      const text = feed([RELEASE], title)
      const inner = /<title>(.*)<\/title>/.exec(text)?.[1] ?? ''
      expect(inner).not.toMatch(/[<>"']/)
      expect(inner.replace(/&(?:amp|lt|gt|quot|apos);/g, '')).not.toContain('&')
      expect(text).not.toMatch(/[\u0000-\u0008\u202e]|\p{Surrogate}/u)
    },
  )

  it.each([-1, 8.7e15, Number.MAX_SAFE_INTEGER])('has a date for a time of %d', (signedAt) => {
    expect(feed([{ ...RELEASE, signedAt }])).toContain('<updated>1970-01-01T00:00:00.000Z</updated>')
  })
})

it.each([
  `/feeds/${KEY}`,
  '/feeds/',
  `/feeds/${KEY}.xml/`,
  `/feeds/${KEY.slice(1)}.xml`,
  `/feeds/${KEY}.xml?key=`,
  `/feeds/${KEY}.xml?key=a&key=b`,
  `/feeds/../feeds/${KEY}.xml`,
  `/feeds/%61${KEY.slice(1)}.xml`,
])('%s is no feed', (target) => {
  expect(parseFeedTarget(target)).toBeNull()
})

describe('over HTTP', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await startTestServer()
  })
  afterAll(() => server.close())
  const read = (target: string, authorization: string | null) =>
    request(server.port, { method: 'GET', target, headers: { authorization }, body: '' })

  it('is read with a token, or with a key of its channel', async () => {
    for (const [target, authorization] of [
      [`/feeds/${KEY}.xml`, `Bearer ${READ_TOKEN}`],
      [`/feeds/${KEY.toUpperCase()}.xml?key=${FILE_KEY}`, null],
    ] as const) {
      const answer = await read(target, authorization)
      expect(answer.status).toBe(200)
      expect(answer.headers['content-type']).toBe('application/atom+xml; charset=utf-8')
      expect(answer.headers['x-content-type-options']).toBe('nosniff')
      expect(answer.body).toContain('<title>News: release 3</title>')
      expect(answer.body).not.toContain('megatorrent://')
    }
  })

  it.each([
    ['nothing', `/feeds/${KEY}.xml`, 401],
    ['a wrong key', `/feeds/${KEY}.xml?key=${'00'.repeat(32)}`, 401],
    ["another channel's key", `/feeds/${'cd'.repeat(32)}.xml?key=${FILE_KEY}`, 401],
    ['another form', `/feeds/${KEY}.json`, 404],
  ])('is not read with %s', async (_name, target, status) => {
    expect((await read(target, null)).status).toBe(status)
  })

  it('a channel of which nothing is known is 404', async () => {
    const empty = await startTestServer(
      fakeNode({
        getReleases: async () => {
          throw new MegatorrentError('ERR_RELEASE_NOT_FOUND', 'none')
        },
      }).api,
    )
    try {
      expect(
        (await request(empty.port, { method: 'GET', target: `/feeds/${KEY}.xml`, body: '' })).status,
      ).toBe(404)
    } finally {
      await empty.close()
    }
  })
})
