/**
 * Sums reports of vitest's JSON reporter: prints what failed, then
 * "N passed, N failed" alone on the last line; exits 1 when anything failed.
 *
 *   node .ci/sum.mjs FAILED_STAGES REPORT...
 *
 * What no test counts is counted as one failure: a report that is missing or
 * broken off, a file that could not be loaded, an error outside of any test, and a
 * run without a single test. A run that tells nothing must not look like one that passed.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/**
 * @param {string | null} text - the report, or null when there is none.
 * @returns {{ passed: number, failed: number, skipped: number, messages: string[] }}
 */
export function sumReport(text) {
  const broken = (message) => ({ passed: 0, failed: 1, skipped: 0, messages: [message] })
  if (text === null) return broken('no report: the run broke off')
  let report
  try {
    report = JSON.parse(text)
  } catch {
    return broken('the report is not whole: the run broke off')
  }
  if (!Array.isArray(report?.testResults)) return broken('the report has no results')
  const sum = { passed: 0, failed: 0, skipped: 0, messages: [] }
  for (const file of report.testResults) {
    let failedHere = 0
    for (const test of file.assertionResults ?? []) {
      if (test.status === 'passed') sum.passed++
      else if (test.status === 'failed') {
        failedHere++
        sum.messages.push(`${file.name}: ${test.fullName}`)
      } else sum.skipped++
    }
    if (file.status === 'failed' && failedHere === 0) {
      failedHere = 1
      sum.messages.push(`${file.name}: ${file.message || 'could not be loaded'}`)
    }
    sum.failed += failedHere
  }
  if (sum.passed + sum.failed + sum.skipped === 0) {
    sum.failed = 1
    sum.messages.push('the run had no tests')
  } else if (report.success === false && sum.failed === 0) {
    sum.failed = 1
    sum.messages.push('an error outside of any test')
  }
  return sum
}

function main([stages = '0', ...paths]) {
  const total = { passed: 0, failed: Number(stages), skipped: 0 }
  for (const path of paths) {
    let text = null
    try {
      text = readFileSync(path, 'utf8')
    } catch {
      // Told by sumReport as a run that broke off.
    }
    const sum = sumReport(text)
    for (const message of sum.messages) console.log(`failed: ${message.split('\n', 1)[0]}`)
    total.passed += sum.passed
    total.failed += sum.failed
    total.skipped += sum.skipped
  }
  if (Number(stages) > 0) console.log(`failed: ${stages} stages outside of the tests`)
  if (total.skipped > 0) console.log(`skipped: ${total.skipped} (each says what it misses)`)
  console.log(`${total.passed} passed, ${total.failed} failed`)
  process.exitCode = total.failed === 0 ? 0 : 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2))
