/**
 * `npm run docs`: writes the documents that are made from code.
 *
 * @module bin/docs
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { rpcMarkdown } from '../src/rpc/schema/markdown.ts'

/** Run from dist/bin, whose grandparent is the project. */
await writeFile(join(import.meta.dirname, '../../docs/RPC.md'), rpcMarkdown())
