/**
 * `npm run docs`: writes the documents that are made from code.
 *
 * @module bin/docs
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { VERSION } from '../src/base/version.ts'
import { manPage } from '../src/cli/man-page.ts'
import { describeProgram } from '../src/cli/program.ts'
import { rpcMarkdown } from '../src/rpc/schema/markdown.ts'

/** Run from dist/bin, whose grandparent is the project. */
const root = join(import.meta.dirname, '../..')
await writeFile(join(root, 'docs/RPC.md'), rpcMarkdown())
await writeFile(join(root, 'packaging/man/megatorrent.1'), manPage(describeProgram(), VERSION))
