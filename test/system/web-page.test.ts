/**
 * The web page in a real browser against real nodes: what a user does with it, and what a
 * hostile publisher and a hostile page of another origin cannot.
 */
import { readdirSync, statSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterEach, describe, expect, it } from 'vitest'
import { PROJECT_ROOT, TestNode } from '../swarm/harness/test-node.ts'
import { Testnet } from '../swarm/harness/testnet.ts'
import { compareTrees } from '../swarm/harness/tree.ts'
import { waitUntil } from '../swarm/harness/wait.ts'
import { accessFaults, hasBrowser, TestBrowser } from './browser.ts'

const MAX_BYTES = 200_000
const VIEWS = ['Overview', 'Channels', 'Subscriptions', 'Peers', 'Gateways', 'Log', 'Limits']

const cleanUps: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function openBrowser(names: Readonly<Record<string, string>> = {}): Promise<TestBrowser> {
  const browser = await TestBrowser.open(names)
  cleanUps.push(() => browser.close())
  return browser
}

async function lonelyNode(args: readonly string[] = []): Promise<TestNode> {
  const node = await TestNode.start({ args: ['--no-dht', ...args] })
  cleanUps.push(() => node.dispose())
  return node
}

const originOf = (node: TestNode): string => new URL(node.ready.rpcUrl).origin
const linkOf = async (node: TestNode): Promise<string> => (await node.json<{ url: string }>(['web'])).url

/** Open the link of that node and wait until the page is live. */
async function signIn(browser: TestBrowser, node: TestNode): Promise<Page> {
  const page = await browser.page()
  await page.goto(await linkOf(node))
  await page.getByText('Live', { exact: true }).waitFor()
  return page
}

const view = (page: Page, name: string): Promise<void> =>
  page.getByRole('navigation').getByRole('link', { name, exact: true }).click()
const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true })
const field = (page: Page, name: string) => page.getByRole('textbox', { name, exact: true })

describe('the built page', () => {
  it('is smaller than 200 kB, all files together', () => {
    const folder = join(PROJECT_ROOT, 'dist', 'web')
    const sizes = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => statSync(join(entry.parentPath, entry.name)).size)
    expect(sizes.length).toBeGreaterThan(2)
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(MAX_BYTES)
  })
})

describe.runIf(hasBrowser())('the web page', () => {
  it('publishes, follows, pauses and removes, in both themes, and asks no other host', async () => {
    const net = await Testnet.start({ dhtNodes: 2, nodes: ['publisher', 'reader'] })
    cleanUps.push(() => net.dispose())
    const [publisher, reader] = [net.node('publisher'), net.node('reader')]
    const source = publisher.path('source')
    await hostileFolder(source)
    const browser = await openBrowser()

    const writing = await signIn(browser, publisher)
    await view(writing, 'Channels')
    await field(writing, 'Name').fill('holiday')
    await button(writing, 'Create channel').click()
    await writing.getByText('Publish a folder', { exact: true }).click()
    await field(writing, 'Folder or file').fill(source)
    await field(writing, 'Title').fill(HOSTILE_TITLE)
    await button(writing, 'Publish').click()
    await writing.getByText('publish: done').waitFor()
    await writing.getByText('release 1', { exact: true }).waitFor()
    await button(writing, 'QR code').click()
    await writing.getByRole('img', { name: 'QR code of the link of holiday' }).waitFor()
    const link = await writing.getByRole('textbox', { name: 'Link of holiday' }).inputValue()
    expect(link).toMatch(/^megatorrent:/)

    const reading = await signIn(browser, reader)
    await view(reading, 'Subscriptions')
    await field(reading, 'Link').fill(link)
    await button(reading, 'Subscribe').click()
    const card = reading.locator('section[data-state]')
    await reading.locator('section[data-state=complete]').waitFor()
    expect(
      await card.getByRole('progressbar').evaluate((bar) => (bar as { value?: number }).value),
    ).toBeGreaterThan(0)
    const { subscriptions } = await reader.rpc<{ subscriptions: { directory: string }[] }>('getSubscriptions')
    expect(await compareTrees(source, subscriptions[0]?.directory ?? '')).toEqual([])

    await card.getByRole('button', { name: 'Files' }).click()
    for (const name of HOSTILE_NAMES) await card.getByRole('cell', { name, exact: true }).waitFor()
    // Shown as it is, and nothing of it has become an element or run.
    expect(await card.getByRole('heading').textContent()).toBe(HOSTILE_TITLE.replace('\u202e', '\ufffd'))

    const shown = (page: Page): Promise<number> =>
      page.locator('img, script:not([src]), iframe, object').count()
    expect(await shown(reading)).toBe(0)
    await expectAccessible(writing, 'Channels')
    expect(await shown(writing)).toBe(0)
    await expectAccessible(reading, 'Subscriptions')
    for (const name of VIEWS) {
      await view(reading, name)
      await reading.getByRole('heading', { name, level: 1 }).waitFor()
      if (name !== 'Subscriptions') await expectAccessible(reading, name)
      expect(await shown(reading)).toBe(0)
    }
    expect(await backgroundOf(reading, 'light')).not.toBe(await backgroundOf(reading, 'dark'))

    await view(reading, 'Subscriptions')
    await button(reading, 'Pause').click()
    await reading.locator('section[data-state=paused]').waitFor()
    await button(reading, 'Resume').click()
    await reading.locator('section[data-state=complete]').waitFor()
    await button(reading, 'Remove').click()
    await reading.getByRole('dialog').waitFor()
    expect(await accessFaults(reading)).toEqual([])
    await reading.keyboard.press('Escape')
    expect(await reading.getByRole('dialog').count()).toBe(0)
    await button(reading, 'Remove').click()
    await reading.getByRole('dialog').getByRole('button', { name: 'Remove' }).click()
    await reading.getByText('Nothing is followed yet.').waitFor()
    expect((await reader.rpc<{ subscriptions: unknown[] }>('getSubscriptions')).subscriptions).toEqual([])

    expect([...browser.origins].sort()).toEqual([originOf(publisher), originOf(reader)].sort())
    expect(browser.complaints).toEqual([])
    await net.stop()
  })

  it('is used by keyboard alone', async () => {
    const node = await lonelyNode()
    const page = await signIn(await openBrowser(), node)
    const press = async (...keys: readonly string[]): Promise<void> => {
      for (const key of keys) await page.keyboard.press(key)
    }
    await press('Tab')
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to content')
    await press('Enter')
    expect(await page.evaluate('document.activeElement.tagName')).toBe('H1')
    await press('Shift+Tab', 'Enter') // the last of the views: limits
    await page.getByRole('heading', { name: 'Limits', level: 1 }).waitFor()
    expect(await page.evaluate('document.activeElement.tagName')).toBe('H1')
    await press('Tab')
    await page.keyboard.insertText('')
    await press('Control+A')
    await page.keyboard.type('512')
    await press('Enter')
    await page.getByText('The limits hold from now on.').waitFor()
    expect(await node.rpc('getLimits')).toMatchObject({ downloadLimit: 512 * 1024 })
  })

  it('signs in by a link once, by a pasted token, and out', async () => {
    const node = await lonelyNode()
    const browser = await openBrowser()
    const link = await linkOf(node)
    const page = await browser.page()
    await page.goto(link)
    await page.getByText('Live', { exact: true }).waitFor()
    // Neither the address nor the history has the code any more.
    expect(page.url()).toBe(`${originOf(node)}/#/`)
    expect(await page.evaluate('history.length')).toBeLessThanOrEqual(2)
    const token = (await page.evaluate('JSON.parse(sessionStorage["megatorrent.session"]).token')) as string
    const call = (): Promise<{ status: number }> =>
      node.post('{"jsonrpc":"2.0","id":1,"method":"getStatus"}', { authorization: `Bearer ${token}` })
    expect((await call()).status).toBe(200)
    // The tab is loaded again: still signed in. Another one is not.
    await page.reload()
    await page.getByText('Live', { exact: true }).waitFor()
    const other = await browser.page()
    await other.goto(link)
    await other.getByText('this link was used', { exact: false }).waitFor()

    await button(page, 'Sign out').click()
    await button(page, 'Sign in').waitFor()
    expect(await accessFaults(page)).toEqual([])
    await waitUntil(async () => (await call()).status === 401, 10_000, 'the token has ended')
    expect(await page.evaluate('sessionStorage.length')).toBe(0)

    const made = await node.rpc<{ token: string }>('createToken', { name: 'look', scopes: ['read'] })
    await page.getByLabel('Or paste a token').fill('ab'.repeat(32))
    await button(page, 'Sign in').click()
    await page.getByText('the token is missing, wrong or expired', { exact: false }).waitFor()
    await page.getByLabel('Or paste a token').fill(made.token)
    await button(page, 'Sign in').click()
    await page.getByText('Live', { exact: true }).waitFor()
    await view(page, 'Channels')
    await field(page, 'Name').fill('mine')
    await button(page, 'Create channel').click()
    await page.getByText('needs a token with the scope publish', { exact: false }).waitFor()
    expect(node.stderr).not.toContain(token)
  })

  it('goes on when the daemon comes back, and asks to sign in again', async () => {
    const node = await TestNode.start({ args: ['--no-dht'], rpc: `127.0.0.1:${await freePort()}` })
    cleanUps.push(() => node.dispose())
    const page = await signIn(await openBrowser(), node)
    await node.kill()
    await page.getByText('No answer, trying again').waitFor()
    await node.begin()
    // Tokens of pages end with their daemon, and the page says so.
    await page.getByText('You were signed out', { exact: false }).waitFor()
  })

  it('works under the name of an onion', async () => {
    const onion = `${'a'.repeat(56)}.onion`
    const port = await freePort()
    const node = await TestNode.start({ args: ['--no-dht', '--rpc-host', onion], rpc: `127.0.0.1:${port}` })
    cleanUps.push(() => node.dispose())
    const browser = await openBrowser({ [onion]: `127.0.0.1:${port}` })
    const page = await browser.page()
    const link = (await linkOf(node)).replace(`127.0.0.1:${port}`, onion)
    await page.goto(link)
    await page.getByText('Live', { exact: true }).waitFor()
    await view(page, 'Channels')
    await field(page, 'Name').fill('mine')
    await button(page, 'Create channel').click()
    await page.getByText('Channel mine is made.').waitFor()
    // No clipboard outside of loopback and https: the link is selected.
    await page.getByRole('button', { name: 'Copy: Link of mine' }).click()
    await page.getByText('selected. Press Ctrl+C', { exact: false }).waitFor()
    expect([...browser.origins]).toEqual([`http://${onion}`])
  })
})

describe.runIf(hasBrowser())('a page of another origin', () => {
  it('can neither call, read nor frame the node, even with its token', async () => {
    const node = await lonelyNode()
    const { token } = await node.rpc<{ token: string }>('createToken', { name: 'stolen', scopes: ['admin'] })
    const evil = await serveHtml('<!doctype html><title>evil</title><p>evil</p>')
    const browser = await openBrowser()
    const origin = originOf(node)

    // The same attacks from the page itself do work, so they are real ones.
    const own = await signIn(browser, node)
    expect(await own.evaluate(CALLS, { origin, token, name: 'own' })).toEqual({
      ...{ json: 'read 200', simple: 'read 401', page: 'read 200', events: 'read 200', health: 'read 200' },
    })

    const attacker = await browser.page()
    await attacker.goto(evil)
    expect(await attacker.evaluate(CALLS, { origin, token, name: 'evil' })).toEqual({
      ...{ json: 'failed', simple: 'failed', page: 'failed', events: 'failed', health: 'failed' },
    })
    const { channels } = await node.rpc<{ channels: { name: string }[] }>('listChannels')
    expect(channels.map(({ name }) => name)).toEqual(['own'])

    const script = /src="\.?(\/assets\/[^"]+\.js)"/.exec(await (await fetch(`${origin}/`)).text())?.[1]
    expect(script).toBeDefined()
    expect(await attacker.evaluate(LOAD_SCRIPT, `${origin}${script}`)).toBe('failed')
    await attacker.evaluate(ADD_FRAME, `${origin}/`)
    await waitUntil(() => attacker.frames().length > 1, 10_000, 'the frame is there')
    await waitUntil(
      () => attacker.frames()[1]?.url().startsWith('chrome-error:') ?? false,
      10_000,
      () => `the frame is refused, not ${attacker.frames()[1]?.url()}`,
    )
    // A window that it opens with ours in it is out of its reach.
    await attacker.evaluate((url) => void Object.assign(globalThis, { opened: open(url) }), `${origin}/`)
    await waitUntil(() => attacker.evaluate('opened.closed'), 10_000, 'the window is out of its reach')
  })
})

const HOSTILE_NAMES = [
  '<img src=x onerror="alert(1)">.txt',
  '"><svg onload=alert(2)>.txt',
  'javascript&colon;alert(3).html',
  '{{constructor.constructor("alert(4)")()}}.txt',
  "'-alert(5)-'.txt",
]
const HOSTILE_TITLE = '<img src=x onerror="alert(6)"><script>alert(7)</script> the \u202egnp.exe'

async function hostileFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const name of HOSTILE_NAMES) await writeFile(join(folder, name), name)
  // Parts of a path become a closing tag together.
  await mkdir(join(folder, '<script>alert(8)<'))
  await writeFile(join(folder, '<script>alert(8)<', 'script>.txt'), 'x')
}

async function expectAccessible(page: Page, name: string): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    expect(await accessFaults(page), `${name}, ${colorScheme}`).toEqual([])
  }
}

async function backgroundOf(page: Page, colorScheme: 'light' | 'dark'): Promise<unknown> {
  await page.emulateMedia({ colorScheme })
  return page.evaluate('getComputedStyle(document.body).backgroundColor')
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** A server of an attacker, on loopback as everything here: another port is another origin. */
async function serveHtml(html: string): Promise<string> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end(html)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanUps.push(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

/** What follows runs in a browser, so each is a text or stands by itself. */
interface Attack {
  readonly origin: string
  readonly token: string
  readonly name: string
}

/** Calls with and without what asks for leave first. `read N`: the answer was there to be read. */
async function CALLS({ origin, token, name }: Attack): Promise<Readonly<Record<string, string>>> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'createChannel', params: { name } })
  const authorization = `Bearer ${token}`
  const attempt = async (target: string, init: RequestInit): Promise<string> => {
    try {
      const response = await fetch(`${origin}${target}`, init)
      if (target !== '/api/events') await response.text()
      return `read ${response.status}`
    } catch {
      return 'failed'
    }
  }
  return {
    json: await attempt('/api/rpc', {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', authorization },
    }),
    simple: await attempt('/api/rpc', { method: 'POST', body, headers: { 'content-type': 'text/plain' } }),
    page: await attempt('/', {}),
    events: await attempt('/api/events', { headers: { authorization } }),
    health: await attempt('/healthz', {}),
  }
}

const LOAD_SCRIPT = (url: string): Promise<string> =>
  new Promise((resolve) => {
    const { document } = globalThis as unknown as { document: BrowserDocument }
    const script = document.createElement('script')
    Object.assign(script, { src: url, onload: () => resolve('loaded'), onerror: () => resolve('failed') })
    document.body.append(script)
  })

const ADD_FRAME = (url: string): void => {
  const { document } = globalThis as unknown as { document: BrowserDocument }
  document.body.append(Object.assign(document.createElement('iframe'), { src: url }))
}

declare function open(url: string): unknown

interface BrowserDocument {
  createElement(name: string): object
  readonly body: { append(child: object): void }
}
