/**
 * Errors as the command line tells them: one line on stderr, or a JSON document.
 *
 * @module cli/errors
 */
import { type ErrorKind, errorMessage, isMegatorrentError } from '../base/errors.ts'
import { printable } from '../base/printable.ts'
import { exitCodeOf } from '../rpc/schema/kinds.ts'

export interface CliErrorDetails {
  readonly code: string
  readonly kind: ErrorKind
  readonly message: string
  /** What was achieved all the same, as the result of the method would have been. */
  readonly result?: Readonly<Record<string, unknown>>
}

/** An error with everything that has to be told. `code` is ours or one that a daemon sent. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly details: CliErrorDetails

  constructor(details: CliErrorDetails, options?: ErrorOptions) {
    super(details.message, options)
    this.details = details
  }
}

export function usageError(message: string): CliError {
  return new CliError({ code: 'ERR_USAGE', kind: 'usage', message })
}

/** What to tell of any thrown value. */
export function detailsOf(error: unknown): CliErrorDetails {
  if (error instanceof CliError) return error.details
  if (isMegatorrentError(error)) return { code: error.code, kind: error.kind, message: error.message }
  return { code: 'ERR_BUG', kind: 'bug', message: errorMessage(error) }
}

/** `{"error": {code, kind, message}}`, with what was achieved beside it. */
export function errorDocument({ code, kind, message, result = {} }: CliErrorDetails): object {
  const sequence = typeof result.sequence === 'number' ? { sequence: result.sequence } : {}
  return { ...result, error: { code, kind, message, ...sequence } }
}

/** One line: what happened and what to do. */
export function errorLine(details: CliErrorDetails): string {
  return `megatorrent: ${printable(details.message.replace(/\s*\n\s*/g, ' '))}\n`
}

/** Exit code of an error; of an interrupted command that of shells for Ctrl-C. */
export function exitCodeOfError(details: CliErrorDetails, isInterrupted: boolean): number {
  return details.kind === 'aborted' && isInterrupted ? 130 : exitCodeOf(details.kind)
}
