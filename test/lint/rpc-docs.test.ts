/** docs/RPC.md is what the schemas say. */
import { expect, it } from 'vitest'
import { rpcMarkdown } from '../../src/rpc/schema/markdown.ts'
import { METHOD_NAMES } from '../../src/rpc/schema/methods.ts'
import { headingsOf } from './markdown.ts'
import { readProjectFile } from './project-files.ts'

it('docs/RPC.md is up to date: otherwise run "npm run docs"', () => {
  expect(readProjectFile('docs/RPC.md')?.text).toBe(rpcMarkdown())
})

it('has each method', () => {
  const headings = headingsOf(rpcMarkdown()).map((heading) => heading.text)
  expect(headings.slice(1)).toEqual(METHOD_NAMES)
})
