/**
 * Settings as text: `config show`, and config.sample.toml from the same rows.
 *
 * @module config/show
 */
import {
  type Config,
  flagOf,
  keyOf,
  type Origin,
  type Origins,
  SETTING_STEMS,
  SETTINGS,
  variableOf,
} from './schema.ts'
import type { Setting, ShownValue } from './setting.ts'

export interface ShownSetting {
  readonly key: string
  readonly value: ShownValue
  readonly origin: Origin
}

/** Every setting of this version with its value, in the order of the schema. */
export function listSettings(config: Config, origins: Origins): readonly ShownSetting[] {
  return SETTING_STEMS.map((stem) => {
    const setting = SETTINGS[stem] as Setting<unknown>
    return { key: keyOf(setting.name), value: setting.show(config[stem]), origin: origins[stem] }
  })
}

/** Lines that could stand in config.toml, with the origin behind each if asked for. */
export function formatSettings(settings: readonly ShownSetting[], withOrigin: boolean): string {
  return settings
    .map(({ key, value, origin }) => {
      // data_dir cannot stand in the file, and what is unset has no TOML form.
      const isComment = value === null || SETTINGS.dataDir.name === key.replaceAll('_', '-')
      const line = `${isComment ? '# ' : ''}${key} = ${value === null ? 'unset' : tomlValue(value)}`
      if (!withOrigin) return `${line}\n`
      return `${line}  # ${origin.source}${origin.place === '' ? '' : `: ${origin.place}`}\n`
    })
    .join('')
}

function tomlValue(value: Exclude<ShownValue, null>): string {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  // JSON strings are TOML basic strings.
  if (typeof value === 'string') return JSON.stringify(value)
  return `[${value.map((item) => JSON.stringify(item)).join(', ')}]`
}

/** What a row would look like in the file with its default, for the sample. */
function sampleValue(setting: Setting<unknown>): string {
  if (setting.isList) {
    const items = setting.defaultText === 'none' ? [] : setting.defaultText.split(',')
    return `[${items.map((item) => JSON.stringify(item)).join(', ')}]`
  }
  if (setting.fileType === 'boolean') return setting.defaultText
  if (setting.fileType === 'integer') return /^\d+$/.test(setting.defaultText) ? setting.defaultText : '0'
  return setting.defaultText === 'none' ? '""' : JSON.stringify(setting.defaultText)
}

/** The text of config.sample.toml: every key that a file may have, commented out. */
export function formatSample(): string {
  const parts = [
    '# Settings of megatorrent, all commented out, each with its default.',
    '# Copy this file to config.toml in the data folder and change what you need.',
    '#',
    '# A flag overrides the environment, which overrides this file. Sizes take B, k, M, G, T (1000)',
    '# or Ki, Mi, Gi, Ti (1024). Relative paths are taken from the folder in which serve is started.',
    '#',
    '# Generated from src/config/schema.ts; a test compares the two.',
    '',
  ]
  for (const stem of SETTING_STEMS) {
    const setting = SETTINGS[stem] as Setting<unknown>
    if (!setting.isInFile) continue
    parts.push(
      `# ${setting.doc}`,
      `# ${flagOf(setting.name)}${setting.argument === null ? '' : ` ${setting.argument}`}, ${variableOf(setting.name)}; default: ${setting.defaultText}`,
      `#${keyOf(setting.name)} = ${sampleValue(setting)}`,
      '',
    )
  }
  return parts.join('\n')
}
