/**
 * The closing line of `.ci/run` counts every failure, also those that no test
 * reports: a run that broke off must not look like one that passed.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PROJECT_ROOT } from './project-files.ts'

const SUM = join(PROJECT_ROOT, '.ci', 'sum.mjs')

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'megatorrent-test-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Last line and exit code for these reports; null is a report that was never written. */
async function sum(
  stages: number,
  ...reports: readonly (object | string | null)[]
): Promise<{ readonly line: string; readonly exit: number }> {
  const paths = await Promise.all(
    reports.map(async (report, index) => {
      const path = join(folder, `report-${index}.json`)
      await rm(path, { force: true })
      const text = typeof report === 'string' ? report : JSON.stringify(report)
      if (report !== null) await writeFile(path, text)
      return path
    }),
  )
  return new Promise((resolve) => {
    execFile(process.execPath, [SUM, String(stages), ...paths], (error, stdout) => {
      const line = stdout.trimEnd().split('\n').at(-1) ?? ''
      resolve({ line, exit: typeof error?.code === 'number' ? error.code : 0 })
    })
  })
}

/** A report as vitest writes it, with one file of tests of these outcomes. */
function report(outcomes: readonly string[], success = !outcomes.includes('failed')): object {
  const assertionResults = outcomes.map((status) => ({ status, fullName: `a test that ${status}` }))
  const status = outcomes.includes('failed') ? 'failed' : 'passed'
  return { success, testResults: [{ name: 'x.test.ts', status, message: '', assertionResults }] }
}

describe('the closing line', () => {
  it('sums over runs', async () => {
    const all = await sum(0, report(['passed', 'passed']), report(['passed', 'skipped', 'todo']))
    expect(all).toEqual({ line: '3 passed, 0 failed', exit: 0 })
  })

  it('counts failed tests', async () => {
    const all = await sum(0, report(['passed', 'failed']), report(['failed', 'failed']))
    expect(all).toEqual({ line: '1 passed, 3 failed', exit: 1 })
  })

  it('counts failed stages', async () => {
    expect(await sum(2, report(['passed']))).toEqual({ line: '1 passed, 2 failed', exit: 1 })
    expect(await sum(1)).toEqual({ line: '0 passed, 1 failed', exit: 1 })
  })

  it.each<[string, object | string | null]>([
    ['a report that is missing', null],
    ['a report that broke off', '{"testResults": [{"name"'],
    ['a report of another shape', { results: [] }],
    ['an empty report', ''],
    ['a run without tests', { success: true, testResults: [] }],
    ['an error outside of any test', report(['skipped'], false)],
    ['a run that found no file', { success: false, testResults: [] }],
    [
      'a file that could not be loaded',
      {
        success: false,
        testResults: [{ name: 'x', status: 'failed', message: 'no such module', assertionResults: [] }],
      },
    ],
  ])('counts %s as a failure', async (_name, broken) => {
    expect(await sum(0, report(['passed']), broken)).toEqual({ line: '1 passed, 1 failed', exit: 1 })
  })
})
