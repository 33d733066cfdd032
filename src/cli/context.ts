/**
 * What every command of a client is given: the client, the output, the options
 * that all commands share.
 *
 * @module cli/context
 */
import { resolve } from 'node:path'
import { printableJson } from '../base/printable.ts'
import { findDataDir } from '../config/load.ts'
import { parseSeconds } from '../config/values.ts'
import { type DaemonPlace, RpcClient } from './client.ts'
import { CliError, usageError } from './errors.ts'
import type { CliIo } from './io.ts'
import { createProgress, type ProgressView } from './progress.ts'

/** Options that stand before or after any command. */
export interface SharedOptions {
  readonly dataDir?: string
  readonly rpcUrl?: string
  readonly rpcTokenFile?: string
  readonly json?: boolean
  readonly quiet?: boolean
  /** Of commands that wait. */
  readonly timeout?: string
}

export interface CommandContext {
  readonly io: CliIo
  readonly client: RpcClient
  readonly isJson: boolean
  readonly isQuiet: boolean
  /** Null: no limit. */
  readonly timeoutMs: number | null
  readonly progress: ProgressView
  /** The result: one JSON document, or text for people. */
  print(document: unknown, text: () => string): void
  /** A remark on stderr, unless --quiet. */
  note(text: string): void
  /** An absolute path from what the user typed. */
  path(text: string): string
}

/** Terminal columns, or undefined where nothing should be cut. */
export function widthOf(io: CliIo): number | undefined {
  return io.stdout.isTTY === true ? (io.stdout.columns ?? 80) : undefined
}

export function createContext(io: CliIo, options: SharedOptions): CommandContext {
  const isJson = options.json === true
  const isQuiet = options.quiet === true
  return {
    io,
    client: new RpcClient(findDaemon(io, options), io.clock, io.signal),
    isJson,
    isQuiet,
    timeoutMs: options.timeout === undefined ? null : parseTimeout(options.timeout),
    progress: createProgress(io, isQuiet),
    print(document, text) {
      io.stdout.write(isJson ? `${printableJson(document)}\n` : text())
    },
    note(text) {
      if (!isQuiet) io.stderr.write(`${text}\n`)
    },
    path(text) {
      if (text === '') throw usageError('a path is empty')
      return resolve(io.callerFolder, text)
    },
  }
}

function parseTimeout(text: string): number {
  try {
    return parseSeconds(text)
  } catch (cause) {
    const message = '--timeout is wrong: expected seconds, more than 0'
    throw new CliError({ code: 'ERR_USAGE', kind: 'usage', message }, { cause })
  }
}

function findDaemon(io: CliIo, options: SharedOptions): DaemonPlace {
  const { rpcUrl, rpcTokenFile, dataDir } = options
  if (rpcUrl !== undefined || rpcTokenFile !== undefined) {
    if (rpcUrl === undefined || rpcTokenFile === undefined) {
      throw usageError('--rpc-url and --rpc-token-file belong together: give both')
    }
    if (dataDir !== undefined) throw usageError('give either --data-dir or --rpc-url, not both')
    return { rpcUrl, tokenFile: resolve(io.callerFolder, rpcTokenFile) }
  }
  const found = findDataDir({
    flags: new Map(dataDir === undefined ? [] : [['data-dir', [dataDir]]]),
    environment: io.environment,
    callerFolder: io.callerFolder,
  })
  if ('problem' in found) {
    const { key, message } = found.problem
    throw new CliError({ code: 'ERR_CONFIG', kind: 'config', message: `${key} ${message}` })
  }
  return { dataDir: found.dataDir, isDefaultDataDir: found.origin.source !== 'flag' }
}
