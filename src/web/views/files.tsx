/**
 * The files of the newest release, a page at a time.
 *
 * @module web/views/files
 */
import { useEffect, useState } from 'preact/hooks'
import { formatBytes, plural } from '../../base/format.ts'
import type { MethodResult } from '../../rpc/schema/methods.ts'
import { useNode } from '../context.ts'
import { useBusy } from '../parts/form.tsx'
import { Text } from '../parts/text.tsx'

/** Files asked for at a time: more are slow to lay out, not to send. */
const PAGE_FILES = 200
/** Seconds: a release of which nothing is here has to be found first. */
const PATIENCE = 20

type Listing = MethodResult<'listFiles'>

export function Files({ uri, title }: { readonly uri: string; readonly title: string }) {
  const { call } = useNode()
  const { isBusy, run } = useBusy()
  const [listing, setListing] = useState<Listing | null>(null)
  const load = (known: Listing | null): void =>
    run(async () => {
      const after = known?.next === null || known === null ? {} : { after: known.next }
      const found = await call('listFiles', { uri, limit: PAGE_FILES, timeout: PATIENCE, ...after })
      setListing(known === null ? found : { ...found, files: [...known.files, ...found.files] })
    })
  useEffect(() => load(null), [])
  if (listing === null)
    return <p role="status">{isBusy ? 'Looking for the list of files...' : 'No list of files.'}</p>
  return (
    <section class="table-frame" aria-label={`Files of ${title}`} tabIndex={0}>
      <table>
        <caption>
          {plural(listing.totalFiles, 'file')}, {formatBytes(listing.totalBytes)}
        </caption>
        <thead>
          <tr>
            <th scope="col">Path</th>
            <th scope="col" class="number">
              Size
            </th>
          </tr>
        </thead>
        <tbody>
          {listing.files.map(({ path, size }) => (
            <tr key={path}>
              <td class="wrap">
                <Text of={path} />
              </td>
              <td class="number">{formatBytes(size)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {listing.next !== null && (
        <button type="button" disabled={isBusy} onClick={() => load(listing)}>
          Show more
        </button>
      )}
    </section>
  )
}
