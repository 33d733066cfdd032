/**
 * `megatorrent publish --bundle`: settings, log and data folder put together, and no network.
 *
 * @module bin/sign-offline
 */
import { linkDeadline } from '../src/base/abort.ts'
import { systemClock } from '../src/base/clock.ts'
import { isMegatorrentError, MegatorrentError } from '../src/base/errors.ts'
import { systemRandom } from '../src/base/random.ts'
import { configError, readConfig } from '../src/cli/commands/config.ts'
import type { OfflineRequest, OfflineResult } from '../src/cli/io.ts'
import type { Environment, Flags } from '../src/config/load.ts'
import { createLog } from '../src/node/log.ts'
import { signOffline as signRelease } from '../src/node/offline-release.ts'

export interface SignProcess {
  readonly environment: Environment
  readonly callerFolder: string
  /** Fires when the user interrupts. */
  readonly stopSignal: AbortSignal
  /** Whole lines. */
  readonly writeLog: (line: string) => void
}

/** @throws CliError for settings that are wrong, or MegatorrentError. */
export async function signOffline(
  flags: Flags,
  { timeoutMs, ...request }: OfflineRequest,
  { environment, callerFolder, stopSignal, writeLog }: SignProcess,
): Promise<OfflineResult> {
  const loaded = await readConfig({ flags, environment, callerFolder })
  if (!loaded.ok) throw configError(loaded.problems)
  const { config } = loaded
  // What a daemon would tell of its work is for its operator; here somebody waits for one answer.
  const log = createLog({ level: 'warn', format: config.logFormat }, writeLog)
  const { signal, release } = linkDeadline(systemClock, timeoutMs, stopSignal)
  try {
    return await signRelease(config, request, {
      clock: systemClock,
      random: systemRandom,
      log,
      signal,
      onProgress: request.onProgress,
    })
  } catch (error) {
    if (!stopSignal.aborted || isMegatorrentError(error)) throw error
    throw new MegatorrentError('ERR_ABORTED', 'called off', { cause: error })
  } finally {
    release()
  }
}
