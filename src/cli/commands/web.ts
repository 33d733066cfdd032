/**
 * `web`: a link that signs a browser in to the web page.
 *
 * It is printed and not opened: other users of the machine can read the arguments of a
 * browser, and could be faster.
 *
 * @module cli/commands/web
 */
import type { CommandContext } from '../context.ts'

export async function web(context: CommandContext): Promise<void> {
  const { code, expiresAt } = await context.client.call('createSignIn', {})
  const url = new URL('/', await context.client.url())
  // A fragment stays in the browser: it is in no request and in no log.
  url.hash = `code=${code}`
  context.print({ url: url.href, expiresAt }, () => `${url.href}\n`)
  context.note('open it in a browser within a minute: it works once')
}
