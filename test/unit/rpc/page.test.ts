/** The page as files: what is given out, with which policy, and what is not. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MAX_PAGE_BYTES } from '../../../src/base/limits.ts'
import { loadPage, PAGE_POLICY } from '../../../src/rpc/page.ts'
import {
  type RawAnswer,
  type RequestParts,
  request,
  startTestServer,
  type TestServer,
} from './test-server.ts'

let folder: string
let server: TestServer
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'megatorrent-page-'))
  await mkdir(join(folder, 'assets'))
  await writeFile(join(folder, 'index.html'), '<!doctype html><title>t</title>')
  await writeFile(join(folder, 'secret.txt'), 'not a part of it')
  await writeFile(join(folder, 'assets', 'index-abc_1.js'), 'export {}')
  await writeFile(join(folder, 'assets', 'index-abc.css'), 'a{}')
  await writeFile(join(folder, 'assets', 'icon-1.svg'), '<svg/>')
  await writeFile(join(folder, 'assets', 'index.js.map'), '{}')
  await writeFile(join(folder, 'assets', '.hidden.js'), '')
  server = await startTestServer(undefined, { page: await loadPage(folder) })
})
afterAll(async () => {
  await server.close()
  await rm(folder, { recursive: true })
})

const get = (target: string, parts: RequestParts = {}): Promise<RawAnswer> =>
  request(server.port, {
    method: 'GET',
    target,
    body: '',
    ...parts,
    headers: { authorization: null, 'content-type': null, 'content-length': null, ...parts.headers },
  })

describe('the page', () => {
  it.each([
    ['/', 'text/html; charset=utf-8', 'no-store'],
    ['/assets/index-abc_1.js', 'text/javascript; charset=utf-8', 'immutable'],
    ['/assets/index-abc.css', 'text/css; charset=utf-8', 'immutable'],
    ['/assets/icon-1.svg', 'image/svg+xml', 'immutable'],
  ])('%s is given out without a token', async (target, type, cache) => {
    const { status, headers, body } = await get(target)
    expect(status).toBe(200)
    expect(headers).toMatchObject({
      'content-type': type,
      'content-security-policy': PAGE_POLICY,
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
      'cross-origin-opener-policy': 'same-origin',
    })
    expect(headers['cache-control']).toContain(cache)
    expect(headers['access-control-allow-origin']).toBeUndefined()
    expect(headers['set-cookie']).toBeUndefined()
    expect(body.length).toBeGreaterThan(0)
  })

  it('has a policy that allows its own files, and no word that undoes that', () => {
    expect(PAGE_POLICY).toMatch(
      /^default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; /,
    )
    for (const directive of [
      "frame-ancestors 'none'",
      "base-uri 'none'",
      "form-action 'none'",
      "trusted-types 'none'",
    ])
      expect(PAGE_POLICY).toContain(directive)
    expect(PAGE_POLICY).not.toMatch(/unsafe|\*|https?:|blob:|nonce/)
    // Only images: what is data could otherwise be a script.
    expect(PAGE_POLICY.match(/data:/g)).toHaveLength(1)
  })

  it('answers reading alone', async () => {
    const head = await new Promise<number | undefined>((resolve, reject) => {
      const asked = httpRequest({
        port: server.port,
        host: '127.0.0.1',
        method: 'HEAD',
        path: '/',
        agent: false,
      })
      asked.once('response', (response) => resolve(response.resume().statusCode)).once('error', reject)
      asked.end()
    })
    expect(head).toBe(200)
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])
      expect((await get('/', { method })).status).toBe(405)
  })

  it.each([
    '/index.html',
    '/?',
    '/?code=1',
    '//',
    '/assets',
    '/assets/',
    '/assets/index.js.map',
    '/assets/.hidden.js',
    '/assets/../secret.txt',
    '/assets/..%2fsecret.txt',
    '/assets/%69ndex-abc.css',
    '/assets/index-abc.css?',
    '/ASSETS/index-abc.css',
    '/secret.txt',
    '/favicon.ico',
  ])('%s is not a part of it', async (target) => {
    expect((await get(target)).status).toBe(404)
  })

  it('is not for a name that is not ours, nor for another origin', async () => {
    for (const target of ['/', '/assets/index-abc_1.js']) {
      expect((await get(target, { headers: { host: 'evil.example' } })).status).toBe(403)
      expect((await get(target, { headers: { origin: 'http://evil.example' } })).status).toBe(403)
      expect((await get(target, { headers: { origin: 'null' } })).status).toBe(403)
    }
  })
})

describe('a folder', () => {
  it('that is not there is no page', async () => {
    expect((await loadPage(join(folder, 'none'))).size).toBe(0)
  })

  it('with more than fits is a fault of the build', async () => {
    const large = join(folder, 'large')
    await mkdir(join(large, 'assets'), { recursive: true })
    await writeFile(join(large, 'index.html'), Buffer.alloc(MAX_PAGE_BYTES + 1))
    await expect(loadPage(large)).rejects.toThrow(RangeError)
  })
})
