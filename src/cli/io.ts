/**
 * What the command line may touch, handed in by bin: streams, environment,
 * folder, clock, the signal of Ctrl-C. Tests hand in their own.
 *
 * @module cli/io
 */
import type { z } from 'zod'
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { Environment, Flags } from '../config/load.ts'
import type { publishResult } from '../rpc/schema/results.ts'
import type { ProgressState } from './progress.ts'

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

/** A release to be signed without a daemon, into a file. */
export interface OfflineRequest {
  /** Absolute paths. */
  readonly source: string
  readonly bundle: string
  readonly channel: string | null
  readonly title: string | null
  readonly rehash: boolean
  /** The newest release number that others have of an imported channel; null: not said. */
  readonly after: number | null
  /** A release whose blobs the receiver holds: they are left out; null: none are. */
  readonly since: number | null
  /** Null: no limit. */
  readonly timeoutMs: number | null
  readonly onProgress: (state: ProgressState) => void
}

/** As `publish` answers, and the file. */
export type OfflineResult = z.output<typeof publishResult> & {
  readonly bundle: string
  readonly bundleBytes: number
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
  /** Sign a release in the data folder of these settings. Composed in bin. */
  readonly signOffline: (flags: Flags, request: OfflineRequest) => Promise<OfflineResult>
  /** Run the daemon until it has stopped; the exit code. Composed in bin. */
  readonly serve: (flags: Flags) => Promise<number>
}
