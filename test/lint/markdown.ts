/** The little of Markdown that the lint tests read: headings, tables, links. */

export interface Heading {
  readonly level: number
  readonly text: string
  readonly line: number
  /** What stands below it, down to the next heading of any level. */
  readonly body: string
}

/** Headings outside of code blocks. */
export function headingsOf(text: string): readonly Heading[] {
  const lines = text.split('\n')
  const found: { level: number; text: string; line: number; body: string[] }[] = []
  let inCode = false
  for (const [index, line] of lines.entries()) {
    if (/^\s*(?:```|~~~)/.test(line)) inCode = !inCode
    const match = inCode ? null : /^(#{1,6})\s+(.*?)\s*#*$/.exec(line)
    if (match === null) found.at(-1)?.body.push(line)
    else {
      found.push({
        level: (match[1] as string).length,
        text: match[2] as string,
        line: index + 1,
        body: [],
      })
    }
  }
  return found.map((heading) => ({ ...heading, body: heading.body.join('\n') }))
}

/** Cells of every table row, without the rows of dashes; `\|` is a bar within a cell. */
export function tableRows(text: string): readonly (readonly string[])[] {
  return text
    .split('\n')
    .filter((line) => /^\s*\|.*\|\s*$/.test(line) && !/^[\s|:-]+$/.test(line))
    .map((line) =>
      line
        .trim()
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim().replaceAll('\\|', '|')),
    )
}

/** The anchor that the usual renderers give a heading. */
export function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[`*]/g, '')
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-')
}

/** Targets of `[text](target)` and `[text]: target`, outside of code. */
export function linksOf(text: string): readonly string[] {
  const prose = text.replace(/^(```|~~~)[\s\S]*?^\1/gm, '').replace(/`[^`\n]*`/g, '')
  const targets: string[] = []
  for (const match of prose.matchAll(/\]\(([^)\s]+)(?:\s+"[^"]*")?\)/g)) targets.push(match[1] as string)
  for (const match of prose.matchAll(/^\[[^\]]+\]:\s*(\S+)/gm)) targets.push(match[1] as string)
  return targets
}
