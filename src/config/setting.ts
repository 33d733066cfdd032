/**
 * What a row of the table of settings is made of, and rows that are alike.
 *
 * @module config/setting
 */
import { parseBoolean, parsePath, parsePeerAddress, parseRate } from './values.ts'

/** What a parser or a default may depend on. */
export interface SettingContext {
  /** Absolute folder from which relative paths are taken. */
  readonly callerFolder: string
  /** Absolute data folder. */
  readonly dataDir: string
}

/** What every row has, landed or not. */
export interface SettingRow {
  /** `max-peers`: the one name from which all others are derived. */
  readonly name: string
  /** Placeholder in `--help`; null for a boolean flag. */
  readonly argument: string | null
  /** May be given several times. */
  readonly isList: boolean
  readonly doc: string
}

export interface Setting<T> extends SettingRow {
  /** What TOML type stands in config.toml; a size may be a string or an integer. */
  readonly fileType: 'string' | 'integer' | 'boolean' | 'size'
  /** False for what cannot stand in a file that lies in the data folder. */
  readonly isInFile: boolean
  /** The default as users write it, for documents. */
  readonly defaultText: string
  readonly fallback: (context: SettingContext) => T
  /** `texts` has one element unless the setting is a list. Throws ERR_CONFIG_VALUE. */
  readonly parse: (texts: readonly string[], context: SettingContext) => T
  /** How the value is shown: as users would write it, or a list of that. */
  readonly show: (value: T) => ShownValue
}

export type ShownValue = string | number | boolean | null | readonly string[]

/** Fields that most rows share. */
export const ROW = { isList: false, isInFile: true, fileType: 'string' } as const

export function one<T>(parse: (text: string, context: SettingContext) => T): Setting<T>['parse'] {
  return (texts, context) => parse(texts[0] ?? '', context)
}

export function each<T>(parse: (text: string, context: SettingContext) => T): Setting<readonly T[]>['parse'] {
  return (texts, context) => texts.map((text) => parse(text, context))
}

export const identity = <T extends ShownValue>(value: T): T => value
export const limitRow = (name: string, doc: string): Setting<number> => ({
  ...ROW,
  name,
  argument: 'RATE',
  fileType: 'size',
  doc,
  defaultText: '0',
  fallback: () => 0,
  parse: one(parseRate),
  show: identity,
})
export const fileRow = (name: string, doc: string): Setting<string | null> => ({
  ...ROW,
  name,
  argument: 'FILE',
  doc,
  defaultText: 'none',
  fallback: () => null,
  parse: one((text, { callerFolder }) => parsePath(text, callerFolder)),
  show: identity,
})
export const flagRow = (name: string, doc: string): Setting<boolean> => ({
  ...ROW,
  name,
  argument: null,
  fileType: 'boolean',
  doc,
  defaultText: 'false',
  fallback: () => false,
  parse: one(parseBoolean),
  show: identity,
})
export const addressesRow = (name: string, doc: string): Setting<readonly string[]> => ({
  ...ROW,
  name,
  argument: 'ADDRESS',
  isList: true,
  doc,
  defaultText: 'none',
  fallback: () => [],
  parse: each(parsePeerAddress),
  show: identity,
})
