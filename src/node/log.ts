/**
 * The log of a running daemon: pino behind the interface of base/log, with
 * redaction of everything that says who talks to whom.
 *
 * Whatever a caller passes, runs of 32 and more hex digits are cut to eight,
 * links, onions and addresses that are not loopback are replaced, and characters
 * that act on a terminal are removed. This is the net below the rule that such
 * things are not logged in the first place.
 *
 * @module node/log
 */
import { type Logger, pino } from 'pino'
import type { Log, LogFields } from '../base/log.ts'
import { printable } from '../base/printable.ts'

export interface LogInit {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly format: 'text' | 'json'
}

/** @param write - Takes whole lines, each with its line end. */
export function createLog({ level, format }: LogInit, write: (line: string) => void): Log {
  const logger: Logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      messageKey: 'message',
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: format === 'json' ? write : (line: string) => write(toText(line)) },
  )
  return wrap(logger, '')
}

function wrap(logger: Logger, part: string): Log {
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields: LogFields = {}): void => {
      // Nothing is redacted for a line that is not written.
      if (logger.isLevelEnabled(level))
        logger[level](redactFields(fields), redact(message.replaceAll('\n', ' ')))
    }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (name) => {
      const path = part === '' ? name : `${part}.${name}`
      return wrap(logger.child({ part: path }), path)
    },
  }
}

function redactFields(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, typeof value === 'string' ? redact(value) : value]),
  )
}

const IPV4 = /(?<![\d.])(?!127\.|0\.0\.0\.0)\d{1,3}(?:\.\d{1,3}){3}(?![\d.])(?::\d+)?/g
const IPV6 = /\[(?!::1\]|::\])[0-9a-f:.]*:[0-9a-f:.]*\](?::\d+)?/gi

/** Text without links, keys, tokens, onions, addresses and characters that act. */
export function redact(text: string): string {
  return text
    .split('\n')
    .map(printable)
    .join('\n')
    .replace(/megatorrent:[^\s"']*/gi, 'megatorrent:[link]')
    .replace(/[0-9a-f]{32,}/gi, (hex) => `${hex.slice(0, 8)}...`)
    .replace(/[a-z2-7]{56}\.onion(?::\d+)?/gi, '[onion]')
    .replace(/Bearer\s+\S+/gi, 'Bearer [token]')
    .replace(IPV6, '[address]')
    .replace(IPV4, '[address]')
}

/** `2026-01-01T00:00:00.000Z INFO node.dht: message key=value`, stacks indented below. */
function toText(line: string): string {
  const { time, level, part, message, stack, ...fields } = JSON.parse(line) as Record<string, unknown>
  const pairs = Object.entries(fields).map(([name, value]) => ` ${name}=${fieldText(value)}`)
  const place = part === undefined ? '' : ` ${String(part)}:`
  const below = typeof stack === 'string' ? `\n    ${stack.replaceAll('\n', '\n    ')}` : ''
  return `${String(time)} ${String(level).toUpperCase().padEnd(5)}${place} ${String(message)}${pairs.join('')}${below}\n`
}

function fieldText(value: unknown): string {
  const text = String(value)
  return /^[\w./:@[\]+-]+$/.test(text) ? text : JSON.stringify(text)
}
