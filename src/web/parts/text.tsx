/**
 * Text of others: shown as text, apart from what stands around it.
 *
 * @module web/parts/text
 */
import { printable } from '../../base/printable.ts'

/** No control or direction mark of it acts, and its direction ends with it. */
export function Text({ of }: { readonly of: string }) {
  return <bdi>{printable(of)}</bdi>
}

/** A key of which the first digits are enough to see. */
export function Key({ of }: { readonly of: string }) {
  return (
    <code class="key" title={of}>
      {of.slice(0, 12)}
    </code>
  )
}
