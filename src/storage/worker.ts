/**
 * Entry of a worker thread: takes tasks from the pool, runs them, answers.
 *
 * Runs compiled, from `dist/`. Not imported by anything; storage/worker-pool.ts
 * starts it.
 *
 * @module storage/worker
 */
import { parentPort, workerData } from 'node:worker_threads'
import { encodeTaskError } from './task-error.ts'
import { buffersOf, type TaskAnswer, type TaskRequest, type WorkerSettings } from './worker-messages.ts'
import { createTaskContext, TASKS } from './worker-tasks.ts'

const port = parentPort
if (port === null) throw new Error('storage/worker expected to run in a worker thread')

const { tempPrefix } = workerData as WorkerSettings
const context = createTaskContext(tempPrefix)

const answer = (message: TaskAnswer): void => {
  port.postMessage(message, message.ok ? buffersOf(message.output) : [])
}

port.on('message', (request: TaskRequest) => {
  // The table's type ties input to kind, which a variable kind cannot express.
  const task = TASKS[request.kind] as (taskContext: typeof context, input: unknown) => unknown
  Promise.resolve()
    .then(() => task(context, request.input))
    .then(
      (output) => answer({ id: request.id, ok: true, output }),
      (error: unknown) => answer({ id: request.id, ok: false, error: encodeTaskError(error) }),
    )
})
