/**
 * `megatorrent doctor`: the settings, a daemon that may run, and what there is to find.
 *
 * @module bin/doctor
 */
import { linkDeadline } from '../src/base/abort.ts'
import { systemClock } from '../src/base/clock.ts'
import { systemRandom } from '../src/base/random.ts'
import { RpcClient } from '../src/cli/client.ts'
import { configError, readConfig } from '../src/cli/commands/config.ts'
import type { ConfigSources } from '../src/config/load.ts'
import { diagnose, type Finding } from '../src/node/doctor.ts'
import { gatherFacts } from '../src/node/doctor-facts.ts'
import { readinessOf } from '../src/rpc/readiness.ts'

/** ms for a daemon to say how it is. */
const ANSWER_MS = 5_000

/** @throws CliError for settings that are wrong: nothing can be looked at then. */
export async function examine(
  sources: Pick<ConfigSources, 'flags' | 'environment' | 'callerFolder'>,
  userId: number | null,
): Promise<readonly Finding[]> {
  const loaded = await readConfig(sources)
  if (!loaded.ok) throw configError(loaded.problems)
  const { config } = loaded
  const facts = await gatherFacts(config, {
    ...{ clock: systemClock, random: systemRandom, userId },
    nodeVersion: process.versions.node,
    notReady: await reasonsOf(config.dataDir),
  })
  return diagnose(facts)
}

/** Null when no daemon runs on that folder. */
async function reasonsOf(dataDir: string): Promise<readonly string[] | null> {
  const { signal, release } = linkDeadline(systemClock, ANSWER_MS)
  const client = new RpcClient({ dataDir, isDefaultDataDir: false }, systemClock, signal)
  try {
    if ((await client.readDaemonFile()) === null) return null
    return readinessOf(await client.call('getStatus', {})).reasons
  } catch (error) {
    const { kind } = (error as { readonly details?: { readonly kind?: string } }).details ?? {}
    return kind === 'no-daemon' ? null : ['it does not answer in time']
  } finally {
    release()
  }
}
