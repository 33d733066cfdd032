/**
 * `jobs`: long work in the daemon, whoever asked for it.
 *
 * A command that is interrupted cancels its job. One that was killed, or lost its
 * terminal, cannot: its job goes on, as downloads do in daemons of this kind, and is
 * found and ended here (INTERFACE.md, Jobs).
 *
 * @module cli/commands/jobs
 */
import { type CommandContext, widthOf } from '../context.ts'
import { formatBytes, formatTable, formatTime, plural } from '../format.ts'

type Progress = {
  readonly phase: string
  readonly done: number
  readonly total: number | null
  readonly unit: string
}

export async function listJobs(context: CommandContext): Promise<void> {
  const { jobs } = await context.client.call('getJobs', {})
  context.print(jobs, () => {
    if (jobs.length === 0) return 'no jobs since this daemon was started\n'
    const rows = jobs.map((job) => [
      job.jobId,
      job.method,
      job.state,
      formatProgress(job.progress),
      formatTime(job.startedAt),
      formatTime(job.endedAt),
    ])
    return formatTable(['ID', 'WORK', 'STATE', 'PROGRESS', 'STARTED', 'ENDED'], rows, widthOf(context.io))
  })
}

/** Cancelling what has ended changes nothing, and shows how it ended. */
export async function cancelJob(context: CommandContext, jobId: string): Promise<void> {
  const job = await context.client.call('cancelJob', { jobId })
  context.print(job, () => `${job.method} ${job.jobId}: ${job.state}\n`)
}

function formatProgress(progress: Progress | null): string {
  if (progress === null) return '-'
  const { phase, done, total, unit } = progress
  const count = unit === 'bytes' ? formatBytes(done) : plural(done, unit.slice(0, -1))
  if (total === null) return `${phase}, ${count}`
  return `${phase}, ${count} of ${unit === 'bytes' ? formatBytes(total) : total}`
}
