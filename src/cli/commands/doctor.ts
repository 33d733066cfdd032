/**
 * `doctor`: what could keep a node from working on this machine, and what to do.
 *
 * @module cli/commands/doctor
 */
import { printable, printableJson } from '../../base/printable.ts'
import type { Flags } from '../../config/load.ts'
import type { SharedOptions } from '../context.ts'
import type { CliIo, Finding } from '../io.ts'

const MARKS: Readonly<Record<Finding['state'], string>> = { ok: 'ok', warning: 'WARNING', problem: 'PROBLEM' }

/** @returns exit code: 1 when there is a problem. */
export async function doctor(io: CliIo, flags: Flags, options: SharedOptions): Promise<number> {
  const findings = await io.examine(flags)
  if (options.json === true) io.stdout.write(`${printableJson(findings)}\n`)
  else {
    const width = Math.max(...findings.map(({ check }) => check.length))
    for (const { check, state, message } of findings) {
      io.stdout.write(`${MARKS[state].padEnd(7)}  ${check.padEnd(width)}  ${printable(message)}\n`)
    }
  }
  return findings.some(({ state }) => state === 'problem') ? 1 : 0
}
