/**
 * The web page at `/`: files that the build made, read once and given out from memory.
 *
 * Nothing in them is secret or made for one user, so no token is needed; what the page
 * shows it asks for over the RPC, as any client. The policy that goes with each of them
 * lets the page load its own script and style, talk to where it came from, and nothing
 * else: no other host, no inline script, no markup made from text, no frame around it.
 *
 * @module rpc/page
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MAX_PAGE_BYTES } from '../base/limits.ts'
import { SECURITY_HEADERS } from './guarded-server.ts'

export interface PageFile {
  readonly bytes: Buffer
  readonly headers: Readonly<Record<string, string>>
}

/** By target. Empty where no page was built. */
export type Page = ReadonlyMap<string, PageFile>

export const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  // No text becomes markup or script, whatever a later change of the page tries.
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
}

/** A name with a hash of the content never means another one. */
const FOR_EVER = 'public, max-age=31536000, immutable'
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*\.([a-z]+)$/

/**
 * Read what `npm run build` makes of src/web.
 *
 * @param folder - Has index.html and assets/. If it is not there, there is no page.
 * @throws RangeError when it is larger than MAX_PAGE_BYTES: the build is wrong.
 */
export async function loadPage(folder: string): Promise<Page> {
  const page = new Map<string, PageFile>()
  const index = await read(join(folder, 'index.html'))
  if (index === null) return page
  page.set('/', pageFile('html', index, SECURITY_HEADERS['cache-control']))
  for (const name of (await readdir(join(folder, 'assets'))).sort()) {
    const ending = NAME.exec(name)?.[1] ?? ''
    const bytes = ending in TYPES ? await read(join(folder, 'assets', name)) : null
    if (bytes !== null) page.set(`/assets/${name}`, pageFile(ending, bytes, FOR_EVER))
  }
  const total = [...page.values()].reduce((sum, { bytes }) => sum + bytes.length, 0)
  if (total > MAX_PAGE_BYTES) throw new RangeError(`the web page has ${total} bytes, over ${MAX_PAGE_BYTES}`)
  return page
}

function pageFile(ending: string, bytes: Buffer, cache: string): PageFile {
  return {
    bytes,
    headers: {
      ...SECURITY_HEADERS,
      'content-security-policy': PAGE_POLICY,
      'content-type': TYPES[ending] ?? 'application/octet-stream',
      'cache-control': cache,
      // A page that opens ours gets no hold on its window; older browsers know only the second.
      'cross-origin-opener-policy': 'same-origin',
      'x-frame-options': 'DENY',
    },
  }
}

async function read(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path)
  } catch (error) {
    if ((error as { readonly code?: unknown }).code === 'ENOENT') return null
    throw error
  }
}
