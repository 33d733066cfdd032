/**
 * A small scanner of TypeScript text: tells code from comments, strings, templates
 * and regular expressions, which is all that the lint tests need.
 *
 * It is not a parser. Where `/` could be a division or begin a regular
 * expression it decides by what stands before, as every syntax highlighter does.
 */

export interface ScannedText {
  /** The text with every comment replaced by blanks: same length, same lines. */
  readonly withoutComments: string
  /** The same, with the insides of strings, templates and regular expressions blanked too. */
  readonly codeOnly: string
  /** Only the comments, the rest blanked. */
  readonly commentsOnly: string
}

const REGEXP_MAY_FOLLOW =
  /(?:^|[=([{,;:!&|?+*%~^<>-]|=>|\b(?:return|typeof|case|in|of|do|else|void|delete|throw|await|yield))\s*$/

export function scanText(text: string): ScannedText {
  const noComments = [...blank(text)]
  const code = [...blank(text)]
  const comments = [...blank(text)]
  const codeSoFar: string[] = []
  // Depth of braces inside each open `${`, innermost last.
  const templates: number[] = []
  let i = 0

  const keep = (target: string[], from: number, to: number): void => {
    for (let k = from; k < to; k++) target[k] = text[k] as string
  }
  const keepString = (from: number, to: number): void => {
    keep(noComments, from, to)
    code[from] = text[from] as string
    code[to - 1] = text[to - 1] as string
    codeSoFar.push('""')
    i = to
  }

  while (i < text.length) {
    const here = text[i] as string
    const pair = text.slice(i, i + 2)
    if (pair === '//' || pair === '/*') {
      const close = pair === '//' ? text.indexOf('\n', i) : text.indexOf('*/', i + 2)
      const end = close === -1 ? text.length : pair === '//' ? close : close + 2
      keep(comments, i, end)
      i = end
    } else if (here === "'" || here === '"') {
      keepString(i, endOfQuoted(text, i))
    } else if (here === '`') {
      const end = endOfTemplatePart(text, i + 1)
      if (text[end - 1] === '{') templates.push(0)
      keepString(i, end)
    } else if (here === '}' && templates.at(-1) === 0) {
      templates.pop()
      const end = endOfTemplatePart(text, i + 1)
      if (text[end - 1] === '{') templates.push(0)
      keepString(i, end)
    } else if (here === '/' && REGEXP_MAY_FOLLOW.test(codeSoFar.slice(-40).join(''))) {
      keepString(i, endOfRegExp(text, i))
    } else {
      const depth = templates.length - 1
      if (here === '{' && depth >= 0) templates[depth] = (templates[depth] as number) + 1
      if (here === '}' && depth >= 0) templates[depth] = (templates[depth] as number) - 1
      keep(noComments, i, i + 1)
      keep(code, i, i + 1)
      codeSoFar.push(here)
      i++
    }
  }
  return {
    withoutComments: noComments.join(''),
    codeOnly: code.join(''),
    commentsOnly: comments.join(''),
  }
}

/** How a file names another: statically, as a type only, by `import()`, or by `new URL(..., import.meta.url)`. */
export interface ImportOf {
  readonly specifier: string
  readonly line: number
  /** `import type`: gone in what runs. */
  readonly isType: boolean
}

const STATIC = /(?:^|[\n;}])\s*(?:import|export)\b(?:[^'"`;()]*?\bfrom)?\s*(['"])([^'"\n]+)\1/g
const DYNAMIC = /\b(?:import|require)\s*\(\s*(?:\/\*[^*]*\*\/)?\s*(['"`])([^'"`\n]+)\1/g
const BY_URL = /\bnew\s+URL\s*\(\s*(['"`])(\.{1,2}\/[^'"`\n]+)\1\s*,\s*import\.meta\.url/g
// Not after a dot and not at the start of a line: there it is a method of that name.
const COMPUTED = /(?<![.#\w]|^[ \t]*|^[ \t]*async[ \t]+)\bimport\s*\(\s*(?!['"`\s])/gm

/** Every module that the text names. A computed `import(x)` is given as the specifier `*computed*`. */
export function importsOf(text: string): readonly ImportOf[] {
  const scanned = scanText(text)
  const source = scanned.withoutComments
  const found: ImportOf[] = []
  const lineAt = (index: number): number => source.slice(0, index).split('\n').length
  for (const pattern of [STATIC, DYNAMIC, BY_URL]) {
    for (const match of source.matchAll(pattern)) {
      // What looks like an import inside a string is not one: its keyword is blanked in codeOnly.
      const keyword = match.index + match[0].search(/import|export|require|new\s/)
      if ((scanned.codeOnly[keyword] ?? ' ').trim() === '') continue
      const isType = /^(?:import|export)\s+type\b/.test(source.slice(keyword))
      found.push({ specifier: match[2] as string, line: lineAt(keyword), isType })
    }
  }
  for (const match of scanned.codeOnly.matchAll(COMPUTED)) {
    found.push({ specifier: '*computed*', line: lineAt(match.index), isType: false })
  }
  return found.sort((a, b) => a.line - b.line)
}

/** Markup in a .tsx file without the slashes of its tags, which would look like regular expressions: same length. */
export function withoutTagSlashes(text: string): string {
  return text.replaceAll('</', '< ').replaceAll('/>', ' >')
}

function blank(text: string): string {
  return text.replace(/[^\n]/g, ' ')
}

function endOfQuoted(text: string, from: number): number {
  const quote = text[from]
  for (let i = from + 1; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === quote || text[i] === '\n') return i + 1
  }
  return text.length
}

// Ends after the closing backtick, or after the `${` that opens a substitution.
function endOfTemplatePart(text: string, from: number): number {
  for (let i = from; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === '`') return i + 1
    else if (text[i] === '$' && text[i + 1] === '{') return i + 2
  }
  return text.length
}

function endOfRegExp(text: string, from: number): number {
  let inClass = false
  for (let i = from + 1; i < text.length; i++) {
    const here = text[i]
    if (here === '\n') return i
    if (here === '\\') i++
    else if (here === '[') inClass = true
    else if (here === ']') inClass = false
    else if (here === '/' && !inClass) return i + 1
  }
  return text.length
}
