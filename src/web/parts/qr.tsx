/**
 * A link as a QR code: one path, so that nothing but our own markup is needed.
 *
 * @module web/parts/qr
 */

import { useMemo } from 'preact/hooks'
import { qrShape } from './qr-shape.ts'

export function Qr({ text, label }: { readonly text: string; readonly label: string }) {
  const shape = useMemo(() => qrShape(text), [text])
  if (shape === null) return <p>This link is too long for a QR code.</p>
  const { size, path } = shape
  return (
    <svg
      class="qr"
      viewBox={`0 0 ${size} ${size}`}
      role="img"
      aria-label={label}
      shape-rendering="crispEdges"
    >
      <rect width={size} height={size} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  )
}
