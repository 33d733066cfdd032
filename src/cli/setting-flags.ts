/**
 * Flags of the daemon's settings, as the schema has them, on commands that take them.
 *
 * @module cli/setting-flags
 */
import { type Command, Option } from 'commander'
import type { Flags } from '../config/load.ts'
import { flagOf, LATER_SETTINGS, SETTING_STEMS, SETTINGS } from '../config/schema.ts'
import type { SettingRow } from '../config/setting.ts'
import type { SharedOptions } from './context.ts'

/** Repeated, not variadic: what follows a value may be an argument. */
export function repeatedOption(flags: string, doc: string): Option {
  return new Option(flags, `${doc}; may be repeated`).argParser(collect)
}

function collect(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text]
}

interface SettingFlag {
  readonly row: SettingRow
  /** Null for what is not in this version. */
  readonly defaultText: string | null
}

/** All flags of the schema but --data-dir, which every command has. */
const SETTING_FLAGS: readonly SettingFlag[] = [
  ...SETTING_STEMS.filter((stem) => stem !== 'dataDir').map((stem) => ({
    row: SETTINGS[stem] as SettingRow,
    defaultText: SETTINGS[stem].defaultText,
  })),
  ...LATER_SETTINGS.map((row) => ({ row, defaultText: null })),
]

export function addSettingFlags(command: Command): void {
  for (const { row, defaultText } of SETTING_FLAGS) {
    const argument = row.argument === null ? '' : ` <${row.argument}>`
    const isWorthTelling = defaultText !== null && row.argument !== null
    const doc = isWorthTelling ? `${row.doc} (default: ${defaultText})` : row.doc
    const option = new Option(`${flagOf(row.name)}${argument}`, doc)
    if (row.isList) option.argParser(collect)
    command.addOption(defaultText === null ? option.hideHelp() : option)
  }
}

/** What was given on the command line, by names of settings. */
export function flagsOf(command: Command): Flags {
  const flags = new Map<string, readonly string[] | true>()
  const dataDir = command.optsWithGlobals<SharedOptions>().dataDir
  if (dataDir !== undefined) flags.set('data-dir', [dataDir])
  for (const option of command.options) {
    const row = SETTING_FLAGS.find((candidate) => flagOf(candidate.row.name) === option.long)?.row
    const attribute = option.attributeName()
    if (row === undefined || command.getOptionValueSource(attribute) !== 'cli') continue
    const value: unknown = command.getOptionValue(attribute)
    if (row.argument === null) flags.set(row.name, true)
    else flags.set(row.name, Array.isArray(value) ? value.map(String) : [String(value)])
  }
  return flags
}
