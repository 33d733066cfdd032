/**
 * `config show`: the settings that `serve` would run with, and where each came from.
 *
 * @module cli/commands/config
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { printableJson } from '../../base/printable.ts'
import {
  type ConfigSources,
  type Flags,
  findDataDir,
  formatProblem,
  type LoadResult,
  loadConfig,
} from '../../config/load.ts'
import type { ConfigProblem } from '../../config/schema.ts'
import { formatSettings, listSettings } from '../../config/show.ts'
import { CliError } from '../errors.ts'
import type { CliIo } from '../io.ts'

/** Bytes of config.toml: the sample has 4 KiB. */
const MAX_FILE_BYTES = 1_048_576

/** Read config.toml and merge it with everything else. Used by `serve` too. */
export async function readConfig(
  sources: Pick<ConfigSources, 'flags' | 'environment' | 'callerFolder'>,
): Promise<LoadResult> {
  const folder = findDataDir(sources)
  if ('problem' in folder) return { ok: false, problems: [folder.problem] }
  const path = join(folder.dataDir, 'config.toml')
  try {
    const bytes = await readFile(path)
    if (bytes.length > MAX_FILE_BYTES) return { ok: false, problems: [fileProblem(path, 'is too long')] }
    return loadConfig({ ...sources, file: { path, text: bytes.toString('utf8') } })
  } catch (error) {
    const { code } = error as { readonly code?: unknown }
    if (code === 'ENOENT') return loadConfig({ ...sources, file: null })
    return { ok: false, problems: [fileProblem(path, `cannot be read (${String(code)})`)] }
  }
}

function fileProblem(path: string, message: string): ConfigProblem {
  return { key: 'config.toml', place: path, message }
}

/** All problems in one error, one sentence each. */
export function configError(problems: readonly ConfigProblem[]): CliError {
  const message = problems.map(formatProblem).join('; ')
  return new CliError({ code: 'ERR_CONFIG', kind: 'config', message })
}

export async function showConfig(
  io: CliIo,
  flags: Flags,
  options: { readonly json?: boolean; readonly origin?: boolean },
): Promise<void> {
  const { environment, callerFolder } = io
  const loaded = await readConfig({ flags, environment, callerFolder })
  if (!loaded.ok) throw configError(loaded.problems)
  const settings = listSettings(loaded.config, loaded.origins)
  const withOrigin = options.origin === true
  if (options.json !== true) {
    io.stdout.write(formatSettings(settings, withOrigin))
    return
  }
  const document = Object.fromEntries(
    settings.map(({ key, value, origin }) => [
      key,
      withOrigin ? { value, origin: origin.source, place: origin.place } : value,
    ]),
  )
  io.stdout.write(`${printableJson(document)}\n`)
}
