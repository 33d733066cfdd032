/**
 * `npm run bench`: speeds, with the ratio to what the machine can do.
 *
 *     npm run bench -- [--quick] [--cold] [--only NAME]...
 *
 * Prints a table and one JSON line per figure. Speed is measured here and asserted
 * nowhere: the exit code is 0 unless something broke. Memory is touched before the
 * first figure (bench/warm-up.ts); --cold leaves that out.
 */
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { PROJECT_ROOT } from '../test/swarm/harness/test-node.ts'
import { collect } from './collect.ts'
import { type Bench, type Figure, MIB, table } from './figure.ts'
import { handshakes } from './handshakes.ts'
import { ingestLarge, ingestSmall } from './ingest.ts'
import { latency } from './latency.ts'
import { startup } from './startup.ts'
import { transfer, transferFromFour, transferOverLine } from './transfer.ts'
import { warmUp } from './warm-up.ts'

const BENCHES: Readonly<Record<string, (bench: Bench) => Promise<void>>> = {
  'ingest-large': ingestLarge,
  'ingest-small': ingestSmall,
  transfer,
  'transfer-4-sources': transferFromFour,
  'transfer-50-ms': transferOverLine,
  handshakes,
  latency,
  startup,
  collect,
}

const FULL_BYTES = 1024 * MIB
const QUICK_BYTES = 256 * MIB

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    cold: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
  },
})
const names = values.only ?? Object.keys(BENCHES)
const commit = commitOf()
const figures: Figure[] = []
const warmth = values.cold ? 'memory as it was' : warmUp()
const folder = await mkdtemp(join(tmpdir(), 'megatorrent-bench-'))
try {
  for (const name of names) {
    const run = BENCHES[name]
    if (run === undefined) throw new Error(`no bench is called ${name}: ${Object.keys(BENCHES).join(', ')}`)
    try {
      await run({ bytes: values.quick ? QUICK_BYTES : FULL_BYTES, folder, report })
    } catch (error) {
      process.stderr.write(`${name} broke: ${error instanceof Error ? error.stack : String(error)}\n`)
      process.exitCode = 1 // the others still have something to say
    }
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}
const [cpu] = cpus()
const size = values.quick ? '256 MiB' : '1 GiB'
process.stdout.write(
  `\n${cpus().length} x ${cpu?.model}, Node ${process.version}, commit ${commit}, ${size}, ${warmth}\n\n`,
)
process.stdout.write(`${table(figures)}\n`)

function report(figure: Figure): void {
  figures.push(figure)
  process.stdout.write(`${JSON.stringify({ ...figure, commit })}\n`)
}

/** null outside of a checkout. */
function commitOf(): string | null {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      cwd: PROJECT_ROOT,
      encoding: 'utf8',
    }).trim()
  } catch {
    return null
  }
}
