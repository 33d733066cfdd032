/** The manual: what is in it, and that those who read manuals find no fault. */
import { spawnSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { VERSION } from '../../../src/base/version.ts'
import { allNodes } from '../../../src/cli/command-tree.ts'
import { manPage } from '../../../src/cli/man-page.ts'
import { describeProgram } from '../../../src/cli/program.ts'
import { readProjectFile } from '../../lint/project-files.ts'

const PAGE = manPage(describeProgram(), VERSION)
const HAS_MANDOC = spawnSync('mandoc', ['-T', 'lint'], { input: '' }).error === undefined

it('is up to date: otherwise run "npm run docs"', () => {
  expect(readProjectFile('packaging/man/megatorrent.1')?.text).toBe(PAGE)
})

it('has every command', () => {
  for (const { path } of allNodes(describeProgram())) expect(PAGE).toContain(path.replaceAll('-', '\\-'))
})

it.skipIf(!HAS_MANDOC)('mandoc finds no fault (needs mandoc)', () => {
  const checked = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning'], { input: PAGE, encoding: 'utf8' })
  expect([checked.stdout, checked.status]).toEqual(['', 0])
})
