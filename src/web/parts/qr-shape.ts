/**
 * The squares of a QR code as one path. Pure.
 *
 * @module web/parts/qr-shape
 */
import QRCode from 'qrcode'

/** Modules of white around the code, as readers want it. */
const QUIET = 4

export interface QrShape {
  readonly size: number
  /** Of an SVG path: a run of dark modules is a rectangle. */
  readonly path: string
}

/** Null when the text is too long for a code. */
export function qrShape(text: string): QrShape | null {
  try {
    const { modules } = QRCode.create(text, { errorCorrectionLevel: 'L' })
    const runs: string[] = []
    for (let y = 0; y < modules.size; y++) {
      for (let x = 0; x < modules.size; x++) {
        if (modules.get(y, x) === 0) continue
        const from = x
        while (x + 1 < modules.size && modules.get(y, x + 1) !== 0) x++
        runs.push(`M${from + QUIET} ${y + QUIET}h${x - from + 1}v1h-${x - from + 1}z`)
      }
    }
    return { size: modules.size + 2 * QUIET, path: runs.join('') }
  } catch {
    return null // the one thing that it throws for
  }
}
