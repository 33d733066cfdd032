/**
 * A real browser, Chromium as Debian has it, that writes down every request it makes.
 *
 * It resolves no name: whatever is not loopback, or mapped there by the test, does not
 * exist for it, so a request to elsewhere is seen here and goes nowhere.
 */
import { existsSync } from 'node:fs'
import axe from 'axe-core'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'

const PROGRAMS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const PROGRAM = PROGRAMS.find((path) => existsSync(path))

export function hasBrowser(): boolean {
  if (PROGRAM !== undefined) return true
  process.stderr.write('web page: skipped, needs a browser: apt-get install chromium\n')
  return false
}

/** ms for one step in a browser on a machine that does other things too. */
const STEP_MS = 60_000

export class TestBrowser {
  readonly #browser: Browser
  readonly #contexts: BrowserContext[] = []
  /** Origins of all requests, and of WebSockets. */
  readonly origins = new Set<string>()
  /** Whatever a page said on its console, an uncaught error, or a dialog: scripts that should not run may do these. */
  readonly complaints: string[] = []

  private constructor(browser: Browser) {
    this.#browser = browser
  }

  /** @param names - Names that lead to a port of loopback, such as `x.onion` to `127.0.0.1:7118`. */
  static async open(names: Readonly<Record<string, string>> = {}): Promise<TestBrowser> {
    const mapped = Object.entries(names).map(([name, place]) => `MAP ${name} ${place}, `)
    const browser = await chromium.launch({
      executablePath: PROGRAM ?? '',
      args: [
        ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
        '--disable-dev-shm-usage',
        '--no-proxy-server',
        `--host-resolver-rules=${mapped.join('')}MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`,
      ],
    })
    return new TestBrowser(browser)
  }

  /** A page in a profile of its own: it shares no storage with others. */
  async page(): Promise<Page> {
    const context = await this.#browser.newContext()
    this.#contexts.push(context)
    context.setDefaultTimeout(STEP_MS)
    const seen = (url: string): void => void this.origins.add(new URL(url).origin)
    context.on('request', (request) => seen(request.url()))
    context.on('page', (page) => {
      page.on('websocket', (socket) => seen(socket.url()))
      page.on('pageerror', (error) => this.complaints.push(`error: ${error.message}`))
      page.on('dialog', (dialog) => {
        this.complaints.push(`dialog: ${dialog.message()}`)
        void dialog.dismiss()
      })
      page.on('console', (message) => {
        if (message.type() !== 'error') return
        // What the browser says by itself when a stream of events ends with its page or its daemon.
        if (!/^Failed to load resource: net::ERR_/.test(message.text())) this.complaints.push(message.text())
      })
    })
    return context.newPage()
  }

  async close(): Promise<void> {
    await this.#browser.close()
  }
}

/** What a checker of accessibility finds that keeps somebody from using the page, as text. */
export async function accessFaults(page: Page): Promise<readonly string[]> {
  // Evaluated by the debugger, which the page's policy does not bind; it adds no script to the page.
  const found = await page.evaluate(
    `(() => { ${axe.source}; return axe.run(document, { resultTypes: ['violations'] }) })()`,
  )
  const { violations } = found as axe.AxeResults
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(', ')}`)
}
