/**
 * Text of others, made safe to print.
 *
 * Titles, file names and messages come from strangers: control and escape
 * characters could rewrite a terminal, direction marks could make a name read
 * as another one.
 *
 * @module base/printable
 */

// Control, format (direction marks among them), line and paragraph separators, half characters. The two joiners
// stay: scripts and emoji need them, and they move nothing.
const UNPRINTABLE = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/** One line without anything that a terminal or a log reader would act on. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, '\ufffd')
}

/** JSON whose text is printable too: the same data, with escapes where a terminal would act. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value).replace(UNPRINTABLE, (match) =>
    match
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  )
}
