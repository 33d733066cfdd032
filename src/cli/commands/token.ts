/**
 * `token create, list, revoke`: what programs are given that call the daemon.
 *
 * @module cli/commands/token
 */
import { writeFile } from 'node:fs/promises'
import { errorMessage } from '../../base/errors.ts'
import { parseSeconds } from '../../config/values.ts'
import type { MethodResult } from '../../rpc/schema/methods.ts'
import { SCOPES, type Scope } from '../../rpc/schema/scopes.ts'
import { type CommandContext, type SharedOptions, widthOf } from '../context.ts'
import { CliError, usageError } from '../errors.ts'
import { formatTable, formatTime } from '../format.ts'

type Token = MethodResult<'revokeToken'>

interface CreateOptions extends SharedOptions {
  readonly scope?: readonly string[]
  readonly days?: string
  readonly file?: string
}

const SECONDS_PER_DAY = 86_400

export async function createToken(
  context: CommandContext,
  name: string,
  options: CreateOptions,
): Promise<void> {
  const scopes = (options.scope ?? ['read']).map(parseScope)
  const expiresIn = options.days === undefined ? {} : { expiresIn: parseDays(options.days) }
  const { token, ...created } = await context.client.call('createToken', { name, scopes, ...expiresIn })
  if (options.file === undefined) {
    context.print({ ...created, token }, () => `${token}\n`)
    context.note(`${describe(created)}; it is not shown again`)
    return
  }
  const path = context.path(options.file)
  await writeNew(path, token).catch(async (error: unknown) => {
    await context.client.call('revokeToken', { name }) // nobody could ever use it
    throw error
  })
  context.print({ ...created, file: path }, () => `${describe(created)}; written to ${path}\n`)
}

export async function listTokens(context: CommandContext): Promise<void> {
  const { tokens } = await context.client.call('listTokens', {})
  context.print(tokens, () => {
    if (tokens.length === 0) return 'no tokens: make one with "megatorrent token create NAME"\n'
    const rows = tokens.map((token) => [
      token.name,
      token.scopes.join(' '),
      formatTime(token.createdAt),
      endOf(token),
    ])
    return formatTable(['NAME', 'SCOPES', 'MADE', 'ENDS'], rows, widthOf(context.io))
  })
}

export async function revokeToken(context: CommandContext, name: string): Promise<void> {
  const revoked = await context.client.call('revokeToken', { name })
  context.print(revoked, () => `${revoked.name} is worthless now\n`)
}

function describe(token: Token): string {
  return `token ${token.name} for ${token.scopes.join(', ')}, ends ${endOf(token)}`
}

function endOf({ expiresAt }: Token): string {
  return expiresAt === null ? 'when revoked' : formatTime(expiresAt)
}

function parseScope(text: string): Scope {
  const scope = SCOPES.find((each) => each === text)
  if (scope === undefined) throw usageError(`--scope: expected one of ${SCOPES.join(', ')}`)
  return scope
}

/** @returns seconds. */
function parseDays(text: string): number {
  try {
    // The same form of number; the bound of a year is the interface's.
    return (parseSeconds(text) / 1000) * SECONDS_PER_DAY
  } catch {
    throw usageError('--days: expected a number of days, more than 0')
  }
}

/** A file that was there before may be somebody's secret, or readable by others. */
async function writeNew(path: string, token: string): Promise<void> {
  try {
    await writeFile(path, `${token}\n`, { flag: 'wx', mode: 0o600 })
  } catch (cause) {
    const message = `the token cannot be written to a new file ${path}: ${errorMessage(cause)}`
    throw new CliError({ code: 'ERR_USAGE', kind: 'usage', message }, { cause })
  }
}
