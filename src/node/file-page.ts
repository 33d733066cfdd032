/**
 * A page of the files of a release, as `ls` shows them.
 *
 * @module node/file-page
 */
import { MegatorrentError } from '../base/errors.ts'
import type { Head } from '../wire/head.ts'
import type { Manifest } from '../wire/manifest.ts'
import type { ListFilesParams, ListFilesResult } from './api.ts'

/** @throws MegatorrentError ERR_USAGE when the path to go on after is not in the release. */
export function pageOf(
  publicKey: string,
  head: Head,
  manifest: Manifest,
  params: ListFilesParams,
): ListFilesResult {
  const files: { path: string; size: number }[] = []
  let index = 0
  if (params.after !== null) {
    const last = manifest.indexOf(params.after)
    if (last < 0) throw new MegatorrentError('ERR_USAGE', 'the path to go on after is not in the release')
    index = last + 1
  }
  for (; index < manifest.entryCount && files.length < params.limit; index++) {
    const entry = manifest.entry(index)
    if (entry.kind === 'file') files.push({ path: entry.path, size: entry.size })
  }
  const last = files.at(-1)
  return {
    publicKey,
    sequence: head.releaseNumber,
    title: manifest.title,
    totalFiles: manifest.files,
    totalBytes: manifest.bytes,
    files,
    next: index < manifest.entryCount && last !== undefined ? last.path : null,
  }
}
