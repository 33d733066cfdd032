/**
 * Merge of the sources of settings: flag, then environment, then config.toml,
 * then default. Pure: texts are passed in, nothing is read here.
 *
 * All problems are found in one pass and come back together, each with the
 * setting it concerns and the place where that stood. Messages name what was
 * expected and never repeat a value.
 *
 * @module config/load
 */
import { isAbsolute, join } from 'node:path'
import { parse as parseToml, TomlError } from 'smol-toml'
import { errorMessage, isMegatorrentError } from '../base/errors.ts'
import { checkCombinations } from './rules.ts'
import {
  type Config,
  type ConfigProblem,
  flagOf,
  keyOf,
  LATER_SETTINGS,
  type Origin,
  type Origins,
  SETTING_STEMS,
  SETTINGS,
  variableOf,
} from './schema.ts'
import type { Setting, SettingContext } from './setting.ts'
import { parsePath } from './values.ts'

/** By name without dashes in front (`max-peers`): the texts given, or true for a bare boolean flag. */
export type Flags = ReadonlyMap<string, readonly string[] | true>
export type Environment = Readonly<Record<string, string | undefined>>

export interface ConfigSources {
  readonly flags: Flags
  readonly environment: Environment
  /** Null when there is no file. */
  readonly file: { readonly path: string; readonly text: string } | null
  /** Absolute. */
  readonly callerFolder: string
}

export type LoadResult =
  | { readonly ok: true; readonly config: Config; readonly origins: Origins }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] }

/** Variables with our prefix that are not settings. */
const OTHER_VARIABLES: ReadonlySet<string> = new Set([
  'MEGATORRENT_SHARED', // where the test suite finds its public vectors
])

const PREFIX = 'MEGATORRENT_'
const DEFAULT_ORIGIN: Origin = { source: 'default', place: '' }
const NOT_YET = 'is not in this version yet'

/** One line that a person can act on. */
export function formatProblem({ key, place, message }: ConfigProblem): string {
  return place === '' ? `${key} ${message}` : `${key} ${message} (${place})`
}

/** A value that was set: its texts, or the problem that it has none. */
interface Given {
  readonly texts: readonly string[]
  readonly origin: Origin
}

/**
 * The data folder, which must be known before config.toml can be read.
 *
 * flag, `MEGATORRENT_DATA_DIR`, `$XDG_DATA_HOME/megatorrent`, `~/.local/share/megatorrent`.
 * A relative XDG_DATA_HOME is ignored, as its specification asks.
 */
export function findDataDir(
  sources: Pick<ConfigSources, 'flags' | 'environment' | 'callerFolder'>,
): { readonly dataDir: string; readonly origin: Origin } | { readonly problem: ConfigProblem } {
  const given =
    fromFlags(sources.flags, 'data-dir') ?? fromEnvironment(sources.environment, 'data-dir', false)
  if (given !== null) {
    try {
      return { dataDir: parsePath(given.texts[0] ?? '', sources.callerFolder), origin: given.origin }
    } catch (error) {
      return { problem: { key: 'data_dir', place: given.origin.place, message: valueMessage(error) } }
    }
  }
  const { XDG_DATA_HOME: xdg, HOME: home } = sources.environment
  if (xdg !== undefined && isAbsolute(xdg)) {
    return { dataDir: join(xdg, 'megatorrent'), origin: DEFAULT_ORIGIN }
  }
  if (home !== undefined && isAbsolute(home)) {
    return { dataDir: join(home, '.local/share/megatorrent'), origin: DEFAULT_ORIGIN }
  }
  const message = 'is not known: HOME is not set, so give --data-dir'
  return { problem: { key: 'data_dir', place: '', message } }
}

/** Merge and check everything. */
export function loadConfig(sources: ConfigSources): LoadResult {
  const folder = findDataDir(sources)
  if ('problem' in folder) return { ok: false, problems: [folder.problem] }
  const context: SettingContext = { callerFolder: sources.callerFolder, dataDir: folder.dataDir }
  const problems: ConfigProblem[] = []
  const file = readFileValues(sources.file, problems)
  refuseUnknown(sources, problems)
  const values: Partial<Record<keyof Config, unknown>> = {}
  const origins: Partial<Record<keyof Config, Origin>> = {}
  for (const stem of SETTING_STEMS) {
    const setting: Setting<unknown> = SETTINGS[stem] as Setting<unknown>
    const given =
      fromFlags(sources.flags, setting.name) ??
      fromEnvironment(sources.environment, setting.name, setting.isList) ??
      file.get(keyOf(setting.name)) ??
      null
    origins[stem] = given?.origin ?? DEFAULT_ORIGIN
    if (given === null) {
      values[stem] = setting.fallback(context)
      continue
    }
    try {
      values[stem] = setting.parse(given.texts, context)
    } catch (error) {
      problems.push({ key: keyOf(setting.name), place: given.origin.place, message: valueMessage(error) })
    }
  }
  if (problems.length > 0) return { ok: false, problems }
  const checked = checkCombinations(values as unknown as Config, origins as Origins)
  if (checked.problems.length > 0) return { ok: false, problems: checked.problems }
  return { ok: true, config: Object.freeze(checked.config), origins: checked.origins }
}

function valueMessage(error: unknown): string {
  if (!isMegatorrentError(error, 'ERR_CONFIG_VALUE')) throw error
  return `is wrong: ${error.message}`
}

function fromFlags(flags: Flags, name: string): Given | null {
  const value = flags.get(name)
  if (value === undefined) return null
  return { texts: value === true ? ['true'] : value, origin: { source: 'flag', place: flagOf(name) } }
}

function fromEnvironment(environment: Environment, name: string, isList: boolean): Given | null {
  const text = environment[variableOf(name)]
  if (text === undefined) return null
  const texts = isList ? text.split(',').map((item) => item.trim()) : [text]
  return { texts, origin: { source: 'environment', place: variableOf(name) } }
}

/** Texts of all known keys of config.toml; what cannot be read so becomes a problem. */
function readFileValues(file: ConfigSources['file'], problems: ConfigProblem[]): ReadonlyMap<string, Given> {
  const values = new Map<string, Given>()
  if (file === null) return values
  let table: Readonly<Record<string, unknown>>
  try {
    table = parseToml(file.text, { integersAsBigInt: true })
  } catch (error) {
    const at = error instanceof TomlError ? ` line ${error.line}` : ''
    const message = `cannot be read: ${errorMessage(error)}`
    problems.push({ key: 'config.toml', place: `${file.path}${at}`, message })
    return values
  }
  const rows: readonly Setting<unknown>[] = SETTING_STEMS.map((stem) => SETTINGS[stem] as Setting<unknown>)
  for (const [key, value] of Object.entries(table)) {
    const place = `${file.path}${lineOfKey(file.text, key)}`
    const problem = (message: string): void => void problems.push({ key: printable(key), place, message })
    const row = rows.find((candidate) => keyOf(candidate.name) === key)
    if (LATER_SETTINGS.some((candidate) => keyOf(candidate.name) === key)) problem(NOT_YET)
    else if (row === undefined) problem('is not a setting; `megatorrent config show` lists them')
    else if (!row.isInFile)
      problem('cannot be set in the file that lies in it: use the flag or the environment')
    else {
      const texts = textsOf(value, row)
      if (texts === null) problem(`is wrong: expected ${fileTypeText(row)}`)
      else values.set(key, { texts, origin: { source: 'file', place } })
    }
  }
  return values
}

function fileTypeText(row: Setting<unknown>): string {
  if (row.isList) return 'a list of strings'
  return row.fileType === 'size' ? 'a string such as "20GiB", or an integer' : `a TOML ${row.fileType}`
}

/** TOML value to the texts that flags would have, or null for the wrong type. */
function textsOf(value: unknown, row: Setting<unknown>): readonly string[] | null {
  if (row.isList) {
    return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : null
  }
  if (typeof value === 'string') return row.fileType === 'string' || row.fileType === 'size' ? [value] : null
  if (typeof value === 'bigint') {
    return row.fileType === 'integer' || row.fileType === 'size' ? [value.toString()] : null
  }
  return typeof value === 'boolean' && row.fileType === 'boolean' ? [String(value)] : null
}

/** ` line 3` for the first line that sets the key, else nothing: the parser keeps no positions. */
function lineOfKey(text: string, key: string): string {
  const wanted = key.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
  const pattern = new RegExp(`^\\s*(?:\\[\\[?\\s*)?["']?${wanted}["']?\\s*[=.\\]]`)
  const index = text.split('\n').findIndex((line) => pattern.test(line))
  return index < 0 ? '' : ` line ${index + 1}`
}

/** Keys come from a file that anybody may have written: no control characters in our messages. */
function printable(key: string): string {
  return key.length > 80 || /[^\x20-\x7e]/.test(key) ? JSON.stringify(key.slice(0, 80)) : key
}

/** Flags and variables that are not settings, or not yet. Keys of the file were checked while it was read. */
function refuseUnknown(sources: ConfigSources, problems: ConfigProblem[]): void {
  const names = new Set(SETTING_STEMS.map((stem) => SETTINGS[stem].name))
  const laterNames = new Set(LATER_SETTINGS.map((row) => row.name))
  for (const name of sources.flags.keys()) {
    if (laterNames.has(name)) problems.push({ key: keyOf(name), place: flagOf(name), message: NOT_YET })
    else if (!names.has(name)) throw new TypeError(`"flags" has "${name}", which is no setting`)
  }
  const variables = new Map([...names, ...laterNames].map((name) => [variableOf(name), name]))
  for (const variable of Object.keys(sources.environment)) {
    if (!variable.startsWith(PREFIX) || OTHER_VARIABLES.has(variable)) continue
    const name = variables.get(variable)
    const key = name === undefined ? printable(variable) : keyOf(name)
    if (name === undefined) {
      problems.push({
        key,
        place: 'environment',
        message: 'is not a setting; `megatorrent config show` lists them',
      })
    } else if (laterNames.has(name)) problems.push({ key, place: variable, message: NOT_YET })
  }
}
