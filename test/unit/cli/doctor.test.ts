/** `doctor`, as it is printed. */
import { expect, it } from 'vitest'
import type { Finding } from '../../../src/cli/io.ts'
import { run } from './run.ts'

const FINDINGS: readonly Finding[] = [
  { check: 'disk', state: 'ok', message: '9 GiB free' },
  { check: 'open files', state: 'warning', message: 'few' },
]
const PROBLEM: Finding = { check: 'clock', state: 'problem', message: 'wrong\u001b[2J: set it' }

it('lists what was looked at; warnings are no failure', async () => {
  const { exitCode, stdout } = await run(['doctor'], { examine: async () => FINDINGS })
  expect(exitCode).toBe(0)
  expect(stdout).toBe('ok       disk        9 GiB free\nWARNING  open files  few\n')
})

it('fails when there is a problem, and prints nothing that a terminal would act on', async () => {
  const { exitCode, stdout } = await run(['doctor'], { examine: async () => [...FINDINGS, PROBLEM] })
  expect(exitCode).toBe(1)
  expect(stdout).toContain('PROBLEM  clock ')
  expect(stdout).not.toContain('\u001b')
})

it('gives the same as JSON', async () => {
  const result = await run(['doctor', '--json'], { examine: async () => FINDINGS })
  expect(result.json()).toEqual(FINDINGS)
})

it('takes the flags of serve', async () => {
  const seen: unknown[] = []
  await run(['doctor', '--listen', '127.0.0.1:1'], {
    examine: async (flags) => {
      seen.push(flags.get('listen'))
      return []
    },
  })
  expect(seen).toEqual([['127.0.0.1:1']])
})
