/**
 * What the logs of a soak say: faults of ours, and how often which warning.
 */
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export interface LogCounts {
  readonly unhandledRejections: number
  readonly uncaughtErrors: number
  readonly bugs: number
  readonly errors: number
  readonly warnings: number
  /** By message without its fields, most frequent first: `WARN  node.x: message`. */
  readonly messages: readonly (readonly [message: string, count: number])[]
}

const FIELD = / \w+=(?:"(?:[^"\\]|\\.)*"|\S+)/g

/** Read line by line: two hours of a busy network may be a lot. */
export async function countLogs(folder: string): Promise<LogCounts> {
  const counts = { unhandledRejections: 0, uncaughtErrors: 0, bugs: 0, errors: 0, warnings: 0 }
  const messages = new Map<string, number>()
  for (const name of (await readdir(folder)).filter((each) => each.endsWith('.log'))) {
    for await (const line of createInterface({ input: createReadStream(join(folder, name)) })) {
      if (line.includes('nobody handled a rejection')) counts.unhandledRejections++
      if (line.includes('nobody caught an error')) counts.uncaughtErrors++
      if (/\bERR_(?:BUG|WORKER_CRASHED)\b/.test(line)) counts.bugs++
      const level = /^\S+Z (WARN|ERROR)\b/.exec(line)?.[1]
      if (level === undefined) continue
      if (level === 'WARN') counts.warnings++
      else counts.errors++
      const message = line.slice(line.indexOf(' ') + 1).replace(FIELD, '')
      messages.set(message, (messages.get(message) ?? 0) + 1)
    }
  }
  return { ...counts, messages: [...messages].sort(([, a], [, b]) => b - a) }
}
