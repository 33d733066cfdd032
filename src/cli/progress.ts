/**
 * Progress on stderr: a bar on a terminal, a line every ten seconds elsewhere.
 *
 * @module cli/progress
 */
import { SingleBar } from 'cli-progress'
import { formatBytes, formatPercent, formatRate } from './format.ts'
import type { CliIo } from './io.ts'

export interface ProgressState {
  /** What is being done: `fetching`. */
  readonly phase: string
  readonly done: number
  /** Null while it is not known. */
  readonly total: number | null
  readonly unit: string
  /** More to say: rate, peers. */
  readonly note?: string
}

export interface ProgressView {
  update(state: ProgressState): void
  /** Leave the terminal clean. Idempotent. */
  end(): void
}

const LINE_INTERVAL_MS = 10_000

export function createProgress(io: CliIo, isQuiet: boolean): ProgressView {
  if (isQuiet) return { update: () => {}, end: () => {} }
  return io.stderr.isTTY === true ? barView(io) : lineView(io)
}

/** `1.0 MiB of 5.0 MiB`, `3 of 7 blobs`, `3 blobs`. */
function amount({ done, total, unit }: ProgressState): string {
  if (unit === 'bytes')
    return total === null ? formatBytes(done) : `${formatBytes(done)} of ${formatBytes(total)}`
  return total === null ? `${done} ${unit}` : `${done} of ${total} ${unit}`
}

function describe(state: ProgressState): string {
  const { phase, done, total, note = '' } = state
  const percent = total === null ? '' : ` (${formatPercent(done, total)})`
  return `${phase} ${amount(state)}${percent}${note === '' ? '' : `, ${note}`}`
}

function lineView(io: CliIo): ProgressView {
  let nextMs = io.clock.monotonicMs() + LINE_INTERVAL_MS
  return {
    update(state) {
      if (io.clock.monotonicMs() < nextMs) return
      nextMs = io.clock.monotonicMs() + LINE_INTERVAL_MS
      io.stderr.write(`${describe(state)}\n`)
    },
    end() {},
  }
}

function barView(io: CliIo): ProgressView {
  const bar = new SingleBar({
    stream: io.stderr,
    format: '{phase} |{bar}| {size}{rate}{note}',
    barCompleteChar: '#',
    barIncompleteChar: '-',
    barsize: 24,
    hideCursor: true,
    clearOnComplete: true,
    gracefulExit: false,
    fps: 8,
    linewrap: false,
  })
  const rate = new RateMeter(io)
  let isStarted = false
  let phase = ''
  return {
    update(state) {
      const total = state.total ?? 0
      const { note = '' } = state
      const speed = rate.measure(state)
      const payload = {
        phase: state.phase.padEnd(10),
        size: amount(state),
        rate: state.unit === 'bytes' && speed !== null ? `, ${formatRate(speed)}` : '',
        note: note === '' ? '' : `, ${note}`,
      }
      if (!isStarted || phase !== state.phase) {
        if (isStarted) bar.stop()
        isStarted = true
        phase = state.phase
        bar.start(Math.max(total, 1), Math.min(state.done, total), payload)
      } else {
        bar.setTotal(Math.max(total, 1))
        bar.update(Math.min(state.done, total), payload)
      }
    },
    end() {
      if (isStarted) bar.stop()
      isStarted = false
    },
  }
}

/** Bytes a second over the last seconds of one phase. */
class RateMeter {
  readonly #io: CliIo
  #phase = ''
  #samples: { readonly atMs: number; readonly done: number }[] = []

  constructor(io: CliIo) {
    this.#io = io
  }

  /** Null until two samples are a moment apart. */
  measure({ phase, done }: ProgressState): number | null {
    if (phase !== this.#phase) this.#samples = []
    this.#phase = phase
    const atMs = this.#io.clock.monotonicMs()
    this.#samples.push({ atMs, done })
    this.#samples = this.#samples.filter((sample) => atMs - sample.atMs < 5_000)
    const first = this.#samples[0]
    if (first === undefined || atMs - first.atMs < 300) return null
    return Math.max(0, Math.round(((done - first.done) * 1000) / (atMs - first.atMs)))
  }
}
