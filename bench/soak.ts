/**
 * `npm run soak`: a network of real processes for hours, with nodes that come and
 * go, and a look at what those use that stay.
 *
 *     npm run soak -- [--minutes N] [--seed N] [--out FOLDER] [--log-level LEVEL]
 *         [--node-flag FLAG]...
 *     npm run soak -- --judge FOLDER [--minutes N]
 *
 * Exit code 1 when a bound is broken: memory that grows by 1 MiB/h or more, files
 * that stay open, a fault of ours in a log, a node that does not end or start, a
 * release that does not arrive. Ctrl-C ends it early, with the report; twice, at
 * once. Logs and samples stay in FOLDER; `--judge` makes the table from them, also of
 * a run that is going on.
 */
import { appendFileSync } from 'node:fs'
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { errorMessage } from '../src/base/errors.ts'
import { SoakChannel } from './soak/channel.ts'
import { type Cast, carryOut } from './soak/churn.ts'
import { PROBE_FLAGS } from './soak/collected.ts'
import { Follower } from './soak/follower.ts'
import { judge, usesOf } from './soak/judge.ts'
import { countLogs } from './soak/logs.ts'
import { startNetwork } from './soak/network.ts'
import { planSoak } from './soak/plan.ts'
import { brokenBounds, type Findings, reportOf } from './soak/report.ts'
import { SAMPLES_FILE, type Sample, sampleAll } from './soak/samples.ts'
import { settle } from './soak/settle.ts'
import type { SoakNode } from './soak/soak-node.ts'
import { pollAll, watchReleases } from './soak/watch.ts'

const SAMPLE_MS = 30_000
/** Before so many samples garbage is collected once: often enough for a line, seldom enough to change little. */
const SAMPLES_PER_COLLECTION = 10
const WATCH_MS = 5_000

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '120' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string' },
    'log-level': { type: 'string', default: 'info' },
    judge: { type: 'string' },
    'node-flag': { type: 'string', multiple: true, default: [] },
  },
})
const durationMs = Number(values.minutes) * 60_000
const seed = Number(values.seed)
if (!(durationMs > 0) || !Number.isInteger(seed)) throw new Error('--minutes and --seed are numbers')
if (values.judge !== undefined) {
  const { text, isPass } = judge(resolve(values.judge), durationMs)
  process.stdout.write(text)
  process.exit(isPass ? 0 : 1)
}
const folder =
  values.out === undefined ? await mkdtemp(join(tmpdir(), 'megatorrent-soak-')) : resolve(values.out)
await mkdir(folder, { recursive: true })
const ended = new AbortController()
const nodes: SoakNode[] = []
process.on('SIGINT', () => {
  if (ended.signal.aborted) void disposeAll().finally(() => process.exit(130))
  ended.abort()
})
// The nodes are not of our process group, so nobody else would end them.
process.on('SIGTERM', () => void disposeAll().finally(() => process.exit(143)))

say(`soak of ${values.minutes} minutes, seed ${seed}; logs and samples in ${folder}`)
try {
  const findings = await soak()
  const report = reportOf(findings)
  await writeFile(join(folder, 'report.txt'), report)
  process.stdout.write(report)
  if (brokenBounds(findings).length > 0) process.exitCode = 1
} finally {
  await disposeAll()
}

async function soak(): Promise<Findings> {
  await startNetwork(
    {
      args: ['--log-level', values['log-level']],
      nodeFlags: [...PROBE_FLAGS, ...values['node-flag']],
      logFolder: folder,
    },
    nodes,
  )
  const { cast, followers } = await castOf()
  say('all follow all; the churn begins')
  const startMs = performance.now()
  const done = new AbortController()
  const samples: Sample[] = []
  let round = 0
  const looks = [
    every(SAMPLE_MS, done.signal, async () => {
      const file = join(folder, SAMPLES_FILE)
      samples.push(
        ...(await sampleAll(
          nodes,
          performance.now() - startMs,
          file,
          round++ % SAMPLES_PER_COLLECTION === 0,
        )),
      )
      await pollAll(nodes)
      for (const node of nodes) await node.revive()
    }),
    every(WATCH_MS, done.signal, () => watchReleases(cast, followers)),
  ]
  const outcomes = await carryOut(planSoak(seed, durationMs), cast, ended.signal, note)
  await pause(Math.max(0, durationMs - (performance.now() - startMs)), undefined, {
    signal: ended.signal,
  }).catch(() => {})
  const tookMs = performance.now() - startMs
  say('the churn is over: the last releases')
  const problems = await settle(cast, followers, seed + 1_000_000)
  await watchReleases(cast, followers)
  done.abort()
  await Promise.all(looks)
  // Ordinary nodes first: they say goodbye to a DHT that is still there.
  for (const node of nodes.toSorted((a, b) => Number(a.role === 'dht') - Number(b.role === 'dht')))
    await node.end()
  const uses = usesOf(samples, tookMs)
  const { channels } = cast
  return { durationMs: tookMs, nodes, channels, uses, outcomes, problems, logs: await countLogs(folder) }
}

/** A channel for each publisher; everybody else follows or hosts all of them. */
async function castOf(): Promise<{ readonly cast: Cast; readonly followers: readonly Follower[] }> {
  const publishers = nodes.filter(({ role }) => role === 'publisher')
  const channels: SoakChannel[] = []
  for (const [i, publisher] of publishers.entries()) {
    // One of them is private: another kind of link, other keys.
    channels.push(
      await SoakChannel.create(`channel-${i}`, publisher, { private: i === 1, seed: seed + 1000 * i }),
    )
  }
  const followers = nodes
    .filter(({ role }) => role === 'subscriber' || role === 'host')
    .flatMap((owner) => channels.map((channel) => new Follower(owner, channel)))
  for (const follower of followers) await follower.follow()
  // The first subscriber and the first host never let go; nobody lets go of the first channel.
  const fickle = followers.filter(({ owner, channel }) => !/-0$/.test(owner.name) && channel !== channels[0])
  return { cast: { nodes, channels, fickle }, followers }
}

/** Until the signal fires: `work`, then the rest of the time. Never rejects: one look that fails is not the last. */
async function every(periodMs: number, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    const startMs = performance.now()
    await work().catch((error: unknown) => say(`a look failed: ${errorMessage(error)}`))
    await pause(Math.max(0, periodMs - (performance.now() - startMs)), undefined, { signal }).catch(() => {})
  }
}

async function disposeAll(): Promise<void> {
  await Promise.all(nodes.map((node) => node.dispose()))
}

function note(text: string): void {
  appendFileSync(join(folder, 'events.txt'), `${new Date().toISOString()} ${text}\n`)
}

function say(text: string): void {
  note(text)
  process.stdout.write(`${new Date().toISOString()} ${text}\n`)
}
