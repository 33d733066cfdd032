/**
 * What the command line may touch, handed in by bin: streams, environment,
 * folder, clock, the signal of Ctrl-C. Tests hand in their own.
 *
 * @module cli/io
 */
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { Environment, Flags } from '../config/load.ts'

export interface OutputStream extends NodeJS.WritableStream {
  /** True for a terminal. */
  readonly isTTY?: boolean
  readonly columns?: number
}

/** One thing that `doctor` looked at. */
export interface Finding {
  readonly check: string
  readonly state: 'ok' | 'warning' | 'problem'
  readonly message: string
}

export interface CliIo {
  readonly stdout: OutputStream
  readonly stderr: OutputStream
  readonly environment: Environment
  /** Absolute: relative paths are taken from here. */
  readonly callerFolder: string
  readonly clock: Clock
  readonly random: Random
  /** Fires when the user interrupts. */
  readonly signal: AbortSignal
  /** Program and first arguments that start this command line again: for the demo. */
  readonly self: readonly string[]
  /** Look at this machine and at the daemon of these settings. Composed in bin. */
  readonly examine: (flags: Flags) => Promise<readonly Finding[]>
  /** Run the daemon until it has stopped; the exit code. Composed in bin. */
  readonly serve: (flags: Flags) => Promise<number>
}
